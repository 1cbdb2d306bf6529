"""What a switch costs those who send: refused packets, connections that are told, flows that go on, and who stays.

Real packets, the real kernel and the real agent; all is seen from outside, on the machine's monotonic clock.
"""

import argparse
import os
import platform
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from bench import switches, table
from bench.drivers import OurAgent
from bench.failover import LINKS, PHASE_S
from bench.felt import Connection, Download, NewConnection, Stream, Talk
from bench.loop import Loop
from bench.seen import Moves, watch_provider
from bench.table import NEVER, p95, seconds
from lab import scenario
from lab.internet import DOWNLOAD_PORT, ECHO_PORT
from lab.netns import LabError, Station
from lab.scenario import Scenario
from lab.topology import SERVER

PLACE = "hand-over"
DOCS = Path("docs/failover.md")
HOME, STANDBY = "fibre", "lte"
PATIENCE_S = 30.0  # who is not told by then is not told
HOME_WITHIN_S = 90.0
BEFORE_CUT_S = 1.0
WATCH_S = {"free": 10.0, "metered": 16.0}  # after the traffic has come home
STILL_S = 2.0  # who was heard so shortly before the end of the watch is still there
LEFT_S = 10.0
NICE = -10  # of this and of all that is started: what is measured is a station, not its neighbours on the machine
QUIET = threading.Lock()  # while one station's switch is timed, no other one starts programs


@dataclass(frozen=True, slots=True)
class Case:
    nat: str
    plan: str
    """Of the standby: free or metered."""

    @property
    def story(self) -> Scenario:
        metered = str(self.plan == "metered").lower()
        return scenario.read(
            f"title: {self}\nlasts_s: 1\nnat: {self.nat}\nuplinks:\n"
            f"  {HOME}: {{kind: fibre, weather: {LINKS[HOME]}}}\n"
            f"  {STANDBY}: {{kind: lte, metered: {metered}, weather: {LINKS[STANDBY]}}}\n"
        )

    def __str__(self) -> str:
        return f"{self.nat} NAT, {self.plan} standby"


@dataclass(frozen=True, slots=True)
class HandOver:
    """Seconds after the kernel's route has changed; NEVER for what was not seen."""

    told_s: float
    made_s: float
    resumed_s: float
    own_tcp_s: float
    own_udp_s: float
    session_s: float


FELT = (  # in the order of HandOver: what it is, and the target
    ("TCP of the LAN is told (reset)", 1.0),
    ("new TCP connection of the LAN is made", 0.2),
    ("UDP flow of the LAN has its next answer", 0.5),
    ("the station's own TCP has an error", 0.1),
    ("the station's own connected UDP has an error", 0.1),
    ("the agent's MQTT session is accepted anew", None),
)


@dataclass(frozen=True, slots=True)
class Failback:
    """Of a download that was begun on the standby; seconds after the traffic came home."""

    plan: str
    told_s: float
    """NEVER when the download lives."""
    gap_s: float
    """Its longest silence, from a second before until the end of the watch."""
    new_by_home: bool
    """A connection that was begun then left by the home uplink, and by no other."""
    old_on_standby: bool
    """The download is still heard there at the end."""
    last_up_s: float
    """When the LAN's last packet passed at the standby's provider."""
    last_down_s: float
    """And the last one for it."""


class Bench:
    """One station, whose traffic goes by its home uplink."""

    def __init__(self, case: Case, folder: Path, prefix: str, built: ExitStack) -> None:
        self.station = built.enter_context(Station.of(case.story, prefix=prefix))
        self.loop = built.enter_context(closing(Loop()))
        self.station.start_lab("internet", ["internet", SERVER])
        self.agent = OurAgent(self.station, case.story, folder)
        with QUIET:
            self.agent.start()
            self.agent.connect()
        self.agent.settle_quietly()
        self.moves = built.enter_context(closing(Moves(self.loop, self.station)))
        self.passed = {name: watch_provider(self.loop, self.station, name) for name in (HOME, STANDBY)}
        self.lan, self.tps = (self.station.topology.name(each) for each in ("lan", "tps"))
        self.stream = Stream(self.loop, self.lan)

    def moved(self, to: str, patience_s: float) -> float:
        """When the traffic goes that way."""
        if not self.loop.run(lambda: self.moves.active == to, patience_s):
            self.agent.check()
            raise LabError(f"the traffic does not go by {to} within {patience_s:g} s")
        return self.moves.at_s


def hand_over(bench: Bench, phase_s: float) -> HandOver:
    """The home uplink dies behind its first hop."""
    loop = bench.loop
    talk = Talk(loop, bench.lan)
    own_tcp, own_udp = Connection(loop, bench.tps), Connection(loop, bench.tps, socket.SOCK_DGRAM)
    new = NewConnection(loop, bench.lan)
    bench.moves.then = new.begin
    loop.rest(BEFORE_CUT_S + phase_s)
    if bench.moves.active != HOME or not bench.stream.answers_s:
        raise LabError(f"the traffic goes by {bench.moves.active}, uncut")
    bench.station.set_weather(HOME, {"blackhole": True})
    switch_s = bench.moved(STANDBY, PATIENCE_S)

    def seen_s() -> tuple[float, ...]:
        resumed_s = bench.stream.next_answer_s(switch_s)
        session_s = next((at_s for at_s in bench.passed[STANDBY].accepted_s if at_s > switch_s), NEVER)
        return talk.told_s, new.made_s, resumed_s, own_tcp.told_s, own_udp.told_s, session_s

    loop.run(lambda: NEVER not in seen_s(), PATIENCE_S)
    return HandOver(*(at_s - switch_s for at_s in seen_s()))


def come_home(bench: Bench, plan: str) -> Failback:
    """The home uplink lives again; a download and a stream were begun on the standby."""
    loop, on_standby = bench.loop, bench.passed[STANDBY]
    bench.station.set_weather(HOME, {"blackhole": False})
    download, new = Download(loop, bench.lan), NewConnection(loop, bench.lan)
    bench.moves.then = new.begin
    home_s = bench.moved(HOME, HOME_WITHIN_S)
    loop.rest(WATCH_S[plan])
    end_s = time.monotonic()
    if bench.moves.active != HOME:
        raise LabError(f"the traffic came home and left again: {bench.moves.seen}")
    began_by = [name for name in bench.passed if new.port in bench.passed[name].syns]
    ways = (on_standby.last_up_s, on_standby.last_down_s)
    last_s = [max(way.get(port, home_s) for port in (DOWNLOAD_PORT, ECHO_PORT)) for way in ways]
    return Failback(
        plan,
        download.told_s - home_s,
        download.longest_gap_s(home_s - 1, end_s),
        began_by == [HOME],
        on_standby.last_down_s.get(DOWNLOAD_PORT, home_s) > end_s - STILL_S,
        *(at_s - home_s for at_s in last_s),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each NAT, and of each plan of the standby")
    parser.add_argument("--switches", type=int, default=100, help="under a sender at full speed")
    parser.add_argument("--jobs", type=int, default=4, help="stations at once")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with suppress(PermissionError):
        os.nice(NICE)
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = _measure(arguments, Path(folder))
        except (LabError, KeyboardInterrupt) as error:
            print(f"bench-handover: {error or 'interrupted'}", file=sys.stderr, flush=True)
            os._exit(1)  # else the interpreter waits for every run to end; the cell tidies up
    told = f"{table.render(['when', 'what', 'measured', 'target', 'reached'], rows)}\n\n{_notes(arguments, load)}"
    print(told)
    table.write(DOCS, PLACE, told)
    return 0


def _measure(arguments: argparse.Namespace, folder: Path) -> list[list[str]]:
    rows = [switches.row(switches.measure(Case("managed", "free").story, arguments.switches, folder / "s"))]
    cases = [Case(nat, plan) for nat in ("managed", "external") for plan in ("free", "metered")]
    chance = random.Random(4)
    turns = [(cases[n % len(cases)], chance.uniform(0, PHASE_S)) for n in range(2 * arguments.runs)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(_run, case, phase_s, folder / f"h{n}", f"h{n}-") for n, (case, phase_s) in enumerate(turns)]
        done = [(case, *run.result()) for (case, _), run in zip(turns, runs, strict=True)]
    for nat in ("managed", "external"):
        rows += felt_rows(nat, [felt for case, felt, _ in done if case.nat == nat])
    return (
        rows
        + free_rows([back for _, _, back in done if back.plan == "free"])
        + metered_rows([back for _, _, back in done if back.plan == "metered"])
    )


def _run(case: Case, phase_s: float, folder: Path, prefix: str) -> tuple[HandOver, Failback]:
    with ExitStack() as built:
        bench = Bench(case, folder, prefix, built)
        with QUIET:
            felt = hand_over(bench, phase_s)
        done = felt, come_home(bench, case.plan)
    print(f"{case}: {done}", file=sys.stderr, flush=True)
    return done


def felt_rows(nat: str, runs: Sequence[HandOver]) -> list[list[str]]:
    columns = [sorted(getattr(run, field.name) for run in runs) for field in fields(HandOver)]
    return [
        timed(f"dead uplink, {nat} NAT", what, column, target_s)
        for (what, target_s), column in zip(FELT, columns, strict=True)
    ]


def free_rows(runs: Sequence[Failback]) -> list[list[str]]:
    when, many = "home from a free standby", len(runs)
    broken = sum(run.told_s < NEVER for run in runs)
    stayed, by_home = sum(run.old_on_standby for run in runs), sum(run.new_by_home for run in runs)
    gaps_s = sorted(run.gap_s for run in runs)
    return [
        counted(when, "downloads broken", broken, many, 0),
        timed(when, "longest silence of the download", gaps_s, None),
        counted(when, f"the download is still on the standby {WATCH_S['free']:g} s later", stayed, many, many),
        counted(when, "a new connection leaves by the home uplink alone", by_home, many, many),
    ]


def metered_rows(runs: Sequence[Failback]) -> list[list[str]]:
    when, many = "home from a metered standby", len(runs)
    up_s, down_s = sorted(run.last_up_s for run in runs), sorted(run.last_down_s for run in runs)
    by_home = sum(run.new_by_home for run in runs)
    return [
        timed(when, "last packet of the LAN on the standby", up_s, LEFT_S),
        timed(when, "last packet for the LAN on the standby", down_s, LEFT_S),
        timed(when, "the download is told (reset)", sorted(run.told_s for run in runs), None),
        counted(when, "a new connection leaves by the home uplink alone", by_home, many, many),
    ]


def timed(when: str, what: str, ordered: Sequence[float], target_s: float | None) -> list[str]:
    measured = " / ".join(map(seconds, (statistics.median(ordered), p95(ordered), ordered[-1])))
    if target_s is None:
        return [when, what, f"{measured} s", "–", "–"]
    return [when, what, f"{measured} s", f"≤ {target_s:g} s", "yes" if p95(ordered) <= target_s else "no"]


def counted(when: str, what: str, count: int, of: int, target: int) -> list[str]:
    return [when, what, f"{count} of {of}", str(target), "yes" if count == target else "no"]


def _notes(arguments: argparse.Namespace, load: float) -> str:
    return f"""Seconds are p50 / p95 / max of {arguments.runs} runs; the target is for the p95.
`never`: not within {PATIENCE_S:g} s. IPv4, but for the sender at full speed, which sends IPv4 and IPv6 in turn.

`make bench-handover` on Linux {platform.release()}, {os.cpu_count()} cores, with {arguments.jobs} stations at once;
no programs are started while a switch is timed, and all runs at nice {os.nice(0)},
beside a load of {load:.1f} when it began."""


if __name__ == "__main__":
    sys.exit(main())
