"""What reporting costs: a day offline and its backfill, a steady day on the wire, a day's writes to the card.

The records are those of a simulated station of two uplinks; the agent's own spool and courier, the broker and the
centre are real, and so are TCP and the file system. The kernel counts: bytes of IP packets, and the card's sectors.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

import agent.edge.broker
from agent.core.events import Effect, Event, Remember, ShowState
from agent.core.report import Boot
from agent.core.station import Centre as CentreAddress
from agent.core.station import Station
from agent.edge import memory
from agent.edge.sealer import EVERY_S, FIRST_S
from agent.edge.spool import Spool
from bench import table
from bench.chaos import oracle
from bench.chaos.places import BROKER, CENTRE, START_S, Centre, said, wait_until
from bench.dissect import Dissection, Heard
from bench.failover import LINKS
from lab import scenario
from lab.namespace import within
from lab.netns import LabError
from tests.edge.link import ip
from tests.world import World
from wire import chain
from wire.enrolment import Link
from wire.messages import Fact, Seal, Summary

PLACE = "report"
DOCS = Path("docs/reporting.md")
DAY_S = 86_400
MINUTE_S = 60
STEADY_MINUTES = 15
FASTER = 5  # with what the courier does by time as much faster, so that each minute has its share
OUTAGES = (7 * 3600, 13 * 3600, 19 * 3600)  # of the fibre, ten minutes each: a day has its facts
PATIENCE_S = 400.0
CARD_BYTES = 256 * 2**20
SIGNATURE_BYTES, CERTIFICATE_BYTES = 71, 500
SECTOR_BYTES = 512
ETHERNET_BYTES = 14
SPACE, NEAR, FAR = "tps", "wan0", "tps-far"
EPOCH_S = 1_760_000_000.0  # of the simulated wall clock
KB, MB = 1e3, 1e6


REPORTED = (Fact, Summary, ShowState, Remember)


class Day(World):
    """A simulated station whose effects are noted in order, and when; nobody uses its LAN."""

    def __init__(self) -> None:
        self.effects: list[tuple[float, Effect]] = []
        super().__init__(_story())

    def _handle(self, event: Event) -> None:
        if self._core is None:
            return
        handle = self._core.handle
        told: list[Effect] = []
        self._core.handle = lambda *given: told.extend(found := handle(*given)) or found  # type: ignore[method-assign]
        super()._handle(event)
        self._core.handle = handle  # type: ignore[method-assign]
        self.effects += [(self.now, effect) for effect in told if isinstance(effect, REPORTED)]

    def _pass_time(self, until: float) -> None:
        self.now = until

    def _observe(self) -> None:
        self.observations.clear()


@dataclass
class Kept:
    """The agent's spool and memory in a folder, fed with a day; `courier` hears too when there is one."""

    folder: Path
    station: Station
    effects: list[tuple[float, Effect]]
    courier: Heard | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._boot = Boot("b007b007b007", 0.0)
        self.spool = Spool(self.folder / "spool.sqlite3", self.station.station, self._boot.name)
        self._memory = memory.Writer(self.folder / "memory.json")
        self._next, self._seal_at = 0, FIRST_S

    def live(self, until: float) -> None:
        while self._next < len(self.effects) and self.effects[self._next][0] < until:
            now, effect = self.effects[self._next]
            self._next += 1
            if now >= self._seal_at:
                self._seal_at = now + EVERY_S
                self._seal(now)
            self._take(now, effect)

    def _take(self, now: float, effect: Effect) -> None:
        self.now = now
        match effect:
            case Fact() | Summary():
                self.spool.put(effect, self.stamp())
            case ShowState() if self.courier is not None:
                self.courier.show(effect)
            case Remember(learnt):
                if self._memory.hold(learnt):
                    self._memory.write()

    def _seal(self, now: float) -> None:
        """As large as a signed one; the first carries a certificate."""
        self.now, head = now, self.spool.head()
        certificate = chain.text(os.urandom(CERTIFICATE_BYTES)) if now < EVERY_S else None
        signature, key = chain.text(os.urandom(SIGNATURE_BYTES)), chain.text(os.urandom(chain.LINK_BYTES))
        self.spool.put(Seal(head.seq, chain.text(head.chain), signature, key, certificate), self.stamp())

    def stamp(self) -> Any:
        return self._boot.stamp(self.now, EPOCH_S + self.now, True)


@dataclass(frozen=True, slots=True)
class Wire:
    packets: int
    ip_bytes: int

    def since(self, before: Wire) -> Wire:
        return Wire(self.packets - before.packets, self.ip_bytes - before.ip_bytes)


@dataclass(frozen=True, slots=True)
class Backfill:
    records: int
    json_bytes: int
    wire: Wire
    took_s: float
    lost: int
    double: int


@dataclass(frozen=True, slots=True)
class Steady:
    wire: Wire
    dissection: Dissection


def offline_day(day: Day, folder: Path) -> tuple[Backfill, Steady]:
    """Nobody is reached for a day; then the centre is there. And, over the same session, steady minutes."""
    kept = _kept(day, folder / "agent")
    kept.live(DAY_S)
    lines = oracle.on_card(folder / "agent" / "spool.sqlite3")
    centre = Centre(folder)
    with _road():
        (card,) = centre.cards([kept.station.station])
        centre.launch()
        try:
            if not wait_until(lambda: centre.is_ready, START_S):
                raise LabError(f"the centre does not start: {centre.told()[-500:]}")
            _enrol(kept, card)
            backfill = _backfill(kept, centre, lines)
            steady = _steady(kept)
        finally:
            if kept.courier is not None:
                kept.courier.stop()
            centre.end()
    kept.spool.close()
    return backfill, steady


def _enrol(kept: Kept, card: Link) -> None:
    config = kept.folder.with_name("agent.yaml")
    config.write_text(yaml.safe_dump(msgspec.to_builtins(kept.station)))
    with within(SPACE):
        said([sys.executable, "-m", "agent", "enrol", str(card), "--config", str(config)])


def _backfill(kept: Kept, centre: Centre, lines: list[oracle.Line]) -> Backfill:
    timed: Any = agent.edge.broker
    timed.KEEPALIVE_S = round(timed.KEEPALIVE_S / FASTER)
    timed.STATE_EVERY_S, timed.ALIVE_EVERY_S = timed.STATE_EVERY_S / FASTER, timed.ALIVE_EVERY_S / FASTER
    kept.courier = Heard(kept.station, kept.spool, "0.1.0", kept.stamp, lambda _event: None)
    before, began = _wire(), time.monotonic()
    with within(SPACE):  # the thread's sockets are there
        kept.courier.start()
    if not wait_until(lambda: kept.spool.unsent == 0, PATIENCE_S, 0.05):
        raise LabError(f"{kept.spool.unsent} records are still unsent after {PATIENCE_S:g} s")
    took_s, wire = time.monotonic() - began, _wire().since(before)
    stored = centre.stored(kept.station.station)
    identities = [line.identity for line in stored]
    lost = len(set(lines) - set(stored))
    double = len(identities) - len(set(identities)) + len(set(stored) - set(lines))
    return Backfill(len(lines), sum(len(line.data) for line in lines), wire, took_s, lost, double)


def _steady(kept: Kept) -> Steady:
    """Minutes as they come, each delivered and confirmed."""
    assert kept.courier is not None
    time.sleep(2 * MINUTE_S / FASTER)
    kept.courier.dissection = dissection = Dissection(FAR)
    dissection.begin()
    before, until = _wire(), time.monotonic()
    for minute in range(STEADY_MINUTES):
        kept.live(DAY_S + (minute + 1) * MINUTE_S)
        until += MINUTE_S / FASTER
        time.sleep(max(0.0, until - time.monotonic()))
    wire = _wire().since(before)
    dissection.end()
    return Steady(wire, dissection)


def card_writes(day: Day, folder: Path, connected: bool) -> int | None:
    """Bytes that reach the card in a day, on ext4; None where no such card can be made here."""
    with _card(folder) as card:
        if card is None:
            return None
        mount, device = card
        kept = _kept(day, mount / "siaga")
        _flush()
        before = _written(device)
        for minute in range(DAY_S // MINUTE_S):
            kept.live((minute + 1) * MINUTE_S)
            if connected and kept.spool.unsent:
                kept.spool.forget(kept.spool.epoch, kept.spool.head().seq)
        kept.spool.close()
        _flush()
        return _written(device) - before


def _kept(day: Day, folder: Path) -> Kept:
    found, own = day.station, str(folder.absolute())
    station = Station(found.station, found.uplinks, found.targets, CentreAddress(BROKER), state_dir=own)
    return Kept(folder, station, day.effects)


def _story() -> scenario.Scenario:
    timeline = "".join(
        f"  - {{at_s: {at}, uplink: fibre, weather: {{blackhole: true}}}}\n"
        f"  - {{at_s: {at + 600}, uplink: fibre, weather: {{blackhole: false}}}}\n"
        for at in OUTAGES
    )
    return scenario.read(
        f"title: a day\nlasts_s: {DAY_S}\nuplinks:\n"
        f"  fibre: {{kind: fibre, weather: {LINKS['fibre'][:-1]}, jitter_ms: 1, loss: 0.001}}}}\n"
        f"  lte: {{kind: lte, weather: {LINKS['lte'][:-1]}, loss: 0.005}}}}\n"
        f"timeline:\n{timeline}"
    )


@contextmanager
def _road() -> Iterator[None]:
    """From the station to the centre, by a device whose bytes are counted."""
    ip("netns", "add", SPACE)
    ip("link", "add", FAR, "type", "veth", "peer", "name", NEAR, "netns", SPACE)
    ip("address", "add", f"{CENTRE}/32", "dev", "lo")
    ip("address", "add", "198.18.0.1/24", "dev", FAR)
    ip("link", "set", FAR, "up")
    ip("-n", SPACE, "address", "add", "198.18.0.2/24", "dev", NEAR)
    ip("-n", SPACE, "link", "set", NEAR, "up")
    ip("-n", SPACE, "route", "add", "default", "via", "198.18.0.1")
    for where in ([], ["-n", SPACE]):  # IPv6's neighbours are not the courier's
        device = NEAR if where else FAR
        ip(*where, "link", "set", device, "addrgenmode", "none")
        subprocess.run(["ip", *where, "-6", "address", "flush", "dev", device], check=False, capture_output=True)
    try:
        yield
    finally:
        ip("netns", "delete", SPACE)


def _wire() -> Wire:
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith(FAR))
    figures = [int(each) for each in line.split(":")[1].split()]
    packets = figures[1] + figures[9]
    return Wire(packets, figures[0] + figures[8] - ETHERNET_BYTES * packets)


@contextmanager
def _card(folder: Path) -> Iterator[tuple[Path, str] | None]:
    """An ext4 of its own on a loop device, as a card is: (where it is mounted, the device's name)."""
    folder.mkdir(parents=True, exist_ok=True)
    image, mount = folder / "card.img", folder / "card"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(CARD_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", str(image), str(mount)], check=True)
    except (OSError, subprocess.CalledProcessError) as why:
        print(f"bench-report: no card can be made here, its writes are not measured: {why}", file=sys.stderr)
        yield None
        return
    device = next(
        line.split()[0].rpartition("/")[2]
        for line in Path("/proc/mounts").read_text().splitlines()
        if str(mount) in line
    )
    try:
        yield mount, device
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def _flush() -> None:
    os.sync()


def _written(device: str) -> int:
    return int(Path("/sys/class/block", device, "stat").read_text().split()[6]) * SECTOR_BYTES


def _verdict(is_reached: bool) -> str:
    return "yes" if is_reached else "**no**"


def told(backfill: Backfill, steady: Steady, writes: dict[str, int | None]) -> str:
    day_bytes = steady.wire.ip_bytes * DAY_S / (STEADY_MINUTES * MINUTE_S)
    rows = [
        ["24 h offline: records, as JSON", f"{backfill.records}, {backfill.json_bytes / MB:.2f} MB", "", ""],
        ["lost / double or altered", f"{backfill.lost} / {backfill.double}", "0 / 0",
         _verdict(backfill.lost == backfill.double == 0)],
        ["backfill: IP bytes both ways, with connecting", f"{backfill.wire.ip_bytes / KB:.0f} kB in "
         f"{backfill.wire.packets} packets, {backfill.took_s:.1f} s", "≤ 150 kB",
         _verdict(backfill.wire.ip_bytes <= 150 * KB)],
        ["steady reporting: IP bytes both ways, a day", f"{day_bytes / MB:.2f} MB", "≤ 1 MB with TLS",
         _verdict(day_bytes <= MB)],
        *[[f"writes to the card, a day, {how}", "not measured here" if many is None else f"{many / MB:.1f} MB",
           "≤ 50 MB", "" if many is None else _verdict(many <= 50 * MB)] for how, many in writes.items()],
    ]  # fmt: skip
    notes = (
        f"Two uplinks (fibre and LTE) with weather and three outages, {DAY_S // 3600} h in simulated time. Steady: "
        f"{STEADY_MINUTES} minutes at {FASTER} times their speed, the courier's own times as much shorter, times "
        f"{DAY_S // (STEADY_MINUTES * MINUTE_S)}; by TLS 1.3; its handshake is in the backfill. "
        "Card: sectors of an ext4 (noatime), spool (with a seal every ten minutes) and memory.\n"
        f"`make bench-report` on Linux {platform.release()}, {os.cpu_count()} cores."
    )
    tables = table.render(["what", "measured", "promised", "reached"], rows), steady.dissection.told(STEADY_MINUTES)
    return "\n\n".join([*tables, notes])


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="siaga-report-"))
    day = Day()
    day.run_until(DAY_S + STEADY_MINUTES * MINUTE_S)
    try:
        backfill, steady = offline_day(day, folder / "day")
        writes = {
            "connected": card_writes(day, folder / "connected", connected=True),
            "offline": card_writes(day, folder / "offline", connected=False),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = told(backfill, steady, writes)
    print(text)
    table.write(DOCS, PLACE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
