"""How long a LAN is cut off when its uplink is blackholed behind the first hop: our agent beside dpinger's rule.

Real packets and the real kernel; both get the same links and the same cuts, each at a random phase of the schedules.
All is seen from outside, on one clock: the machine's monotonic one.
"""

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import table
from bench.dpinger_rule import LATENCY_LIMIT_MS
from bench.drivers import DpingersRule, Driver, OurAgent, wait_for
from bench.table import NEVER, p95, seconds
from lab import scenario
from lab.judgement import NOWHERE
from lab.lookup import Lookup
from lab.netns import LabError, Station
from lab.scenario import Scenario
from lab.topology import LAN_CLIENT, SERVER
from lab.watch import LOOK_EVERY_S, Watch

PLACE = "failover"
DOCS = Path("docs/failover.md")
LINKS = {
    "fibre": "{delay_ms: 8, rate_mbps: 50}",
    "lte": "{delay_ms: 30, jitter_ms: 5, rate_mbps: 20}",
    "geo": "{delay_ms: 300, jitter_ms: 3, rate_mbps: 4}",
}
TARGET_S = {"fibre": 1.5, "lte": 3.0, "geo": 4.5}  # p95 of the first answer, by the uplink that dies
SAID = {"fibre": "fibre", "lte": "LTE", "geo": "GEO"}
RAISED_MS = 1500  # what an operator could set for GEO; pfSense refuses more than its loss interval of 2 s
PATIENCE_S = 30.0  # twice what dpinger's rule needs: who has not moved by then has no reason to
BEFORE_CUT_S = 1.0  # the client's stream has been answered for so long; the random phase comes on top
PHASE_S = 1.0  # the longest period of any of the schedules that watch an active uplink
CLIENT_LOG = "client.log"
SEEN = ("detect", "switch", "first answer")
APART_S = 12.0  # a run of dpinger's rule lasts 80 s; six stations that are built at once would disturb ours each time

Start = Callable[[Station, Scenario, Path], Driver]
Gaps = Iterable[tuple[float, float]]  # begin and end, monotonic


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds after the cut; NEVER for what was not seen."""

    detect_s: float
    switch_s: float
    answer_s: float

    def __str__(self) -> str:
        return ", ".join(map(seconds, (self.detect_s, self.switch_s, self.answer_s)))


@dataclass(frozen=True, slots=True)
class Contest:
    """One row: the same cut, again and again."""

    active: str
    backup: str
    driven_by: str
    start: Start

    @property
    def story(self) -> Scenario:
        links = "".join(f"  {kind}: {{kind: {kind}, weather: {LINKS[kind]}}}\n" for kind in (self.active, self.backup))
        return scenario.read(f"title: {self.way}\nlasts_s: 1\nuplinks:\n{links}")

    @property
    def way(self) -> str:
        return f"{SAID[self.active]} → {SAID[self.backup]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="cuts of each kind for our agent")
    parser.add_argument(
        "--peer-runs", type=int, default=10, help="for dpinger's rule, which needs a minute before each"
    )
    parser.add_argument("--jobs", type=int, default=3, help="stations at once for our agent")
    parser.add_argument("--peer-jobs", type=int, default=6, help="beside them, for dpinger's rule: most of them sleep")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            told = _measure(arguments, Path(folder))
        except (LabError, KeyboardInterrupt) as error:
            print(f"bench-failover: {error or 'interrupted'}", file=sys.stderr, flush=True)
            os._exit(1)  # else the interpreter waits for every run to end; the cell tidies up
    print(told)
    table.write(DOCS, PLACE, told)
    return 0


def _measure(arguments: argparse.Namespace, folder: Path) -> str:
    turn = itertools.count()
    few = ThreadPoolExecutor(arguments.jobs)
    many = ThreadPoolExecutor(arguments.peer_jobs, initializer=lambda: time.sleep(next(turn) * APART_S))
    by_hand = partial(DpingersRule, latency_limits_ms={"geo": RAISED_MS})
    told_by_hand = f"the same, GEO's latency limit set to {RAISED_MS} ms by hand"
    contests = [
        (few, arguments.runs, Contest("fibre", "lte", "Siaga", OurAgent)),
        (many, arguments.peer_runs, Contest("fibre", "lte", _peer(), DpingersRule)),
        (few, arguments.runs, Contest("lte", "geo", "Siaga", OurAgent)),
        (many, arguments.peer_runs, Contest("lte", "geo", _peer(), DpingersRule)),
        (many, arguments.peer_runs, Contest("lte", "geo", told_by_hand, by_hand)),
        (few, arguments.runs, Contest("geo", "lte", "Siaga", OurAgent)),
    ]
    uncut = many.submit(_leaves_healthy_s, Contest("geo", "lte", _peer(), DpingersRule), folder / "u", "u-")
    cut = [
        (contest, _submit(pool, contest, runs, folder, f"f{place}"))
        for place, (pool, runs, contest) in enumerate(contests)
    ]
    rows = [row_of(contest, [run.result() for run in runs]) for contest, runs in cut]
    head = ["from → to", "driven by", "runs", *(f"{what} p50 / p95 s" for what in SEEN), "target p95 s", "reached"]
    return "\n\n".join([table.render(head, rows), _notes(uncut.result(), arguments)])


def _submit(pool: Executor, contest: Contest, runs: int, folder: Path, name: str) -> list[Future[Times]]:
    chance = random.Random(contest.way)  # of the way alone: whoever drives, the cuts are the same
    phases_s = [chance.uniform(0, PHASE_S) for _ in range(runs)]
    return [
        pool.submit(_cut, contest, phase_s, folder / f"{name}-{number}", f"{name}-{number}-")
        for number, phase_s in enumerate(phases_s)
    ]


def _cut(contest: Contest, phase_s: float, folder: Path, prefix: str) -> Times:
    with Station.of(contest.story, prefix=prefix) as station, closing(_lookup(station)) as lookup:
        station.start_lab("internet", ["internet", SERVER])
        driver = contest.start(station, contest.story, folder)
        driver.start()
        driver.settle()
        with (
            (folder / CLIENT_LOG).open("wb") as told,
            closing(Watch(partial(_active, station, lookup), driver.log)) as watch,
        ):
            station.start_lab("lan", ["client", SERVER], stdout=told)
            wait_for(lambda: bool(_report(folder).get("answered")), "the client is answered", PATIENCE_S, 0.1)
            time.sleep(BEFORE_CUT_S + phase_s)
            if watch.moves[-1][1] != contest.active:
                raise LabError(f"{contest.way}, {contest.driven_by}: the traffic goes by {watch.moves[-1][1]}, uncut")
            cut_s = time.monotonic()
            station.set_weather(contest.active, {"blackhole": True})
            while (times := times_of(contest, cut_s, watch, driver, _gaps(folder))).answer_s == NEVER:
                driver.check()
                if time.monotonic() > cut_s + PATIENCE_S:
                    break
                time.sleep(0.1)
    print(f"{contest.way}, {contest.driven_by}: {times}", file=sys.stderr, flush=True)
    return times


def times_of(contest: Contest, cut_s: float, watch: Watch, driver: Driver, gaps: Gaps) -> Times:
    dead = (t_s for t_s, line in watch.said if t_s >= cut_s and driver.tells_dead(line, contest.active))
    moved = (t_s for t_s, where in watch.moves if t_s >= cut_s and where == contest.backup)
    switch_s = next(moved, NEVER)
    answer_s = min((end_s for begin_s, end_s in gaps if begin_s <= switch_s <= end_s), default=NEVER)
    return Times(*(t_s - cut_s if t_s < NEVER else NEVER for t_s in (next(dead, NEVER), switch_s, answer_s)))


def _lookup(station: Station) -> Lookup:
    return Lookup(station.topology.name("tps"))


def _active(station: Station, lookup: Lookup) -> str:
    """Asked of the kernel: where a packet of the LAN's client goes."""
    way = lookup.forwarded(LAN_CLIENT, "lan0", SERVER)
    by_device = {station.topology.line(name).device: name for name in station.topology.uplinks}
    return by_device.get(way.device, NOWHERE) if way is not None else NOWHERE


def _gaps(folder: Path) -> Gaps:
    return [(gap["start_s"], gap["start_s"] + gap["ms"] / 1e3) for gap in _report(folder).get("gaps", [])]


def _report(folder: Path) -> dict[str, Any]:
    """The last that the client said in whole."""
    lines = (folder / CLIENT_LOG).read_text().rpartition("\n")[0].splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def _leaves_healthy_s(contest: Contest, folder: Path, prefix: str) -> float:
    """How long it sends the traffic by an active uplink that nobody cuts."""
    with Station.of(contest.story, prefix=prefix) as station, closing(_lookup(station)) as lookup:
        station.start_lab("internet", ["internet", SERVER])
        driver = contest.start(station, contest.story, folder)
        driver.start()
        wait_for(lambda: _active(station, lookup) == contest.active, "it forwards", PATIENCE_S, LOOK_EVERY_S)
        began_s = time.monotonic()
        while _active(station, lookup) == contest.active:
            driver.check()
            if time.monotonic() > began_s + PATIENCE_S:
                return NEVER
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - began_s


def _peer() -> str:
    binary = shutil.which("dpinger")
    return f"{binary} (pfSense's settings)" if binary else "dpinger's rule (pfSense's settings), our process"


def row_of(contest: Contest, runs: Sequence[Times]) -> list[str]:
    columns = [sorted(getattr(run, what) for run in runs) for what in ("detect_s", "switch_s", "answer_s")]
    target_s = TARGET_S[contest.active]
    reached = "yes" if p95(columns[-1]) <= target_s else "no"
    seen = [f"{seconds(statistics.median(column))} / {seconds(p95(column))}" for column in columns]
    return [contest.way, contest.driven_by, str(len(runs)), *seen, f"{target_s:.1f}", reached]


def _notes(left_after_s: float, arguments: argparse.Namespace) -> str:
    missing = (
        "" if shutil.which("dpinger") else "dpinger itself is not installed here; a process of ours applies its rule."
    )
    leaves = f"leaves a healthy GEO for LTE after {left_after_s:.1f} s, so there is no cut to measure"
    return f"""`never`: not within {PATIENCE_S:g} s. {missing}
Not included: what pfSense does after the alarm, which is PHP and takes time of its own, and IPv6.

With pfSense's settings a mean latency above {LATENCY_LIMIT_MS} ms is an alarm. As the standby a healthy GEO counts
as down; when LTE is down too, the group has no member left and falls back on its first tier, the dead LTE.
With GEO as its first tier, the rule {leaves if left_after_s < NEVER else "stays on a healthy GEO"}.

`make bench-failover` on Linux {platform.release()}, {os.cpu_count()} cores, with {arguments.jobs} stations of ours
and {arguments.peer_jobs} of the other's at once."""


if __name__ == "__main__":
    sys.exit(main())
