"""701 stations at once: enrolled on one morning, back after the broker was killed, kept through a reload, one revoked.

Centre, cards, TLS, certificates and the agent's own enrolment are real; the sessions are light (sessions.py). All on
loopback and behind one address, as by an operator's NAT; the clients use the same processors as the centre.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import table
from bench.enrol import morning
from bench.enrol.morning import STATIONS, Cards, Morning
from bench.enrol.sessions import All, Station
from bench.usage import cpu_s, pss_mib
from tests.central.centre import eventually
from tests.central.secured import SecuredCentre

PLACE = "enrol"
DOCS = Path("docs/enrolment.md")
DESCRIPTORS = 4096  # a connection of each station, and some
ALL_BACK_S = 120.0
RELOADS = 5
RELOADED = "Reloaded server configuration"
MB = 1e6


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of a processor, and memory."""

    cpu_s: float
    pss_mib: float


@dataclass(frozen=True, slots=True)
class Return:
    """After the broker was killed."""

    half_s: float
    all_s: float
    failed: int
    broker: Used
    centre: Used
    clients_cpu_s: float
    shown: int
    """Stations whose newest state the centre has."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Reloads of the broker's configuration, and one station that was revoked."""

    reloads_s: list[float]
    dropped: int
    revoked_s: float
    dropped_then: int
    command_s: float


def main() -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    folder = Path(tempfile.mkdtemp(prefix="siaga-enrol-"))
    centre = SecuredCentre(folder / "centre")
    centre.start()
    try:
        cards = morning.print_cards(centre)
        (folder / "devices").mkdir()
        enrolled = morning.enrol(cards, folder / "devices")
        print(len(enrolled.waits_s), enrolled.refused, flush=True)
        back, kept = asyncio.run(_sessions(centre, folder / "devices"))
    finally:
        centre.end()
        shutil.rmtree(folder, ignore_errors=True)
    text = told(cards, enrolled, back, kept)
    print(text)
    table.write(DOCS, PLACE, text)
    return 0


async def _sessions(centre: SecuredCentre, devices: Path) -> tuple[Return, Kept]:
    every = [Station(number, devices / number, centre.mqtts_port) for number in morning.numbers()]
    stations = All(every)
    stations.begin()
    try:
        await stations.until(stations.are_well, ALL_BACK_S)
        return await _come_back(centre, stations), await _keep(centre, stations)
    finally:
        await stations.end()


async def _come_back(centre: SecuredCentre, stations: All) -> Return:
    broker = _broker(centre)
    before, failed, spent = stations.connections, stations.failed, (cpu_s(centre.process.pid), cpu_s(os.getpid()))
    os.kill(broker, signal.SIGKILL)
    began = time.monotonic()
    await stations.until(lambda: stations.connections >= before + STATIONS // 2, ALL_BACK_S)
    half_s = time.monotonic() - began
    await stations.until(
        lambda: all(each.connections >= 2 for each in stations.stations) and stations.are_well(), ALL_BACK_S
    )
    took_s = time.monotonic() - began
    again, main_pid = _broker(centre), centre.process.pid
    assert again != broker
    shown = json.loads((await asyncio.to_thread(centre.get, "/api/stations"))[2])["stations"]
    return Return(
        half_s,
        took_s,
        stations.failed - failed,
        Used(cpu_s(again), pss_mib(again)),
        Used(cpu_s(main_pid) - spent[0], pss_mib(main_pid)),
        cpu_s(os.getpid()) - spent[1],
        sum(each["session"] == f"turn-{_turn(stations, each['station'])}" for each in shown),
    )


async def _keep(centre: SecuredCentre, stations: All) -> Kept:
    log, broker = centre.data / "broker-tls" / "nats-server.log", _broker(centre)
    connections, reloads_s = stations.connections, []
    for _ in range(RELOADS):
        known = log.read_text().count(RELOADED)
        began = time.monotonic()
        os.kill(broker, signal.SIGHUP)
        await stations.until(_more_than(log, known), ALL_BACK_S)
        reloads_s.append(time.monotonic() - began)
    await asyncio.sleep(2)  # for who would be dropped
    dropped = stations.connections - connections
    thief = stations.stations[STATIONS // 2]
    began = time.monotonic()
    done = await asyncio.to_thread(centre.command, "revoke", thief.number)
    command_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    thief.lost_at = None if thief.is_well else thief.lost_at
    await stations.until(lambda: thief.lost_at is not None and thief.lost_at > began, ALL_BACK_S)
    assert thief.lost_at is not None
    await asyncio.sleep(5)  # in which it tries to come back
    assert not thief.is_well
    return Kept(reloads_s, dropped, thief.lost_at - began, stations.connections - connections - dropped, command_s)


def _more_than(log: Path, known: int) -> Callable[[], bool]:
    return lambda: log.read_text().count(RELOADED) > known


def _turn(stations: All, number: str) -> int:
    return next((each.turn for each in stations.stations if each.number == number), 0)


def _broker(centre: SecuredCentre) -> int:
    found = eventually(centre.broker_pid)
    assert isinstance(found, int)
    return found


def told(cards: Cards, enrolled: Morning, back: Return, kept: Kept) -> str:
    waits = enrolled.waits_s
    refused = ", ".join(f"{count} × {why}" for why, count in enrolled.refused.most_common()) or "none"
    rows = [
        ["701 cards", f"{cards.took_s:.1f} s, {cards.pdf_bytes / MB:.1f} MB"],
        ["701 devices enrol in the same second, behind one address, one in twenty mistyped",
         f"{len(waits)} are in; half within {waits[len(waits) // 2]:.1f} s, 95 % within {table.p95(waits):.1f} s, "
         f"the last after {waits[-1]:.1f} s"],
        ["tries that had to be repeated, 3 to 8 s later", refused],
        ["the broker is killed: half of 701 are back, all are back and their state is stored",
         f"{back.half_s:.1f} s, {back.all_s:.1f} s ({back.failed} attempts failed; the centre shows the newest "
         f"state of {back.shown})"],
        ["processor until then: broker, centre's daemon, the 701 clients",
         f"{back.broker.cpu_s:.1f}, {back.centre.cpu_s:.1f}, {back.clients_cpu_s:.1f} s"],
        ["memory then (PSS): broker, centre's daemon", f"{back.broker.pss_mib:.0f}, {back.centre.pss_mib:.0f} MiB"],
        [f"the broker reads its configuration anew, {RELOADS} times",
         f"{min(kept.reloads_s) * 1e3:.0f} to {max(kept.reloads_s) * 1e3:.0f} ms; {kept.dropped} sessions dropped"],
        ["one of 701 is revoked: from the command's start until its session ends",
         f"{kept.revoked_s:.1f} s, of which the command {kept.command_s:.1f} s; {kept.dropped_then} others dropped"],
    ]  # fmt: skip
    notes = (
        "Loopback, TLS 1.3, nats-server with a user for each certificate; clients and centre on the same processors.\n"
        f"`make bench-enrol` on Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}."
    )
    return f"{table.render(['what', 'measured'], rows)}\n\n{notes}"


if __name__ == "__main__":
    sys.exit(main())
