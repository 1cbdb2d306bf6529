"""What Siaga promises of its detector, each promise beside what was measured of it."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf
from statistics import fmean, median

from agent.core.history import History
from agent.core.judge import Judge
from agent.core.memory import Watched
from agent.core.span import Echo
from agent.core.station import Kind
from agent.core.watch import Role
from bench.detect.measure import Cell
from bench.detect.ours import TARGETS, Steps
from bench.detect.rule import Seen
from bench.detect.weather import Link, Weather
from wire.messages import Health

TRIES = 20_000
WAKES = 200
BLACKHOLE = 1.0


@dataclass(frozen=True, slots=True)
class Promise:
    what: str
    measured: float
    at_most: float
    unit: str

    @property
    def row(self) -> list[str]:
        told = [f"{self.measured:.3g} {self.unit}".strip(), f"≤ {self.at_most:g} {self.unit}".strip()]
        return [self.what, *told, "yes" if self.measured <= self.at_most else "no"]


Cells = Mapping[tuple[str, str], Cell]
"""By rule and weather."""


def kept(cells: Cells, weathers: tuple[Weather, ...], even: str, optimum: str) -> Iterator[Promise]:
    for weather in ("1 % independent", "Gilbert B=2", "Gilbert B=3"):
        yield Promise(f"false switches in 30 days, {weather}", _false(cells["Siaga", weather]), 1, "")
    yield Promise("false switches in 300 days, GEO 600 ms", 10 * _false(cells["Siaga", "GEO 600 ms"]), 0, "")
    for weather, most_s in (("1 % independent", 1.5), ("LTE, losses under 1 s", 3.0), ("GEO 600 ms", 4.5)):
        found = _p95(cells["Siaga", weather].delays[BLACKHOLE])
        yield Promise(f"blackhole found, p95, {weather}", found, most_s, "s")
    at_two = cells[even, "1 % independent"].delays
    for loss, most_s in ((0.2, 20), (0.1, 60)):
        found = median(_or_never(at_two[loss]))
        yield Promise(f"{loss:.0%} loss found, median, two echoes a second".replace("%", " %"), found, most_s, "s")
    best = cells[optimum, "1 % independent"].delays
    for loss in (0.5, 0.3, 0.2, 0.1):
        ratio = fmean(_or_never(at_two[loss])) / fmean(_or_never(best[loss]))
        yield Promise(f"mean delay by the exact optimum's at equal spacing, {loss:.0%} loss", ratio, 1.25, "times")
    idle = cells["Siaga", "idle standby"]
    yield Promise("watching an idle standby, 30 days", idle.watched.megabytes_per_30_d, 20, "MB")
    yield Promise("blackhole of an idle standby found, mean", fmean(_or_never(idle.delays[BLACKHOLE])), 10, "s")
    standby = next(weather for weather in weathers if weather.role == "standby")
    yield Promise("… known not to answer once it is woken, mean", fmean(_woken_s(standby)), 1.5, "s")
    yield Promise("failback onto a link that loses 20 %", 100 * _passed() / TRIES, 0.1, "% of tries")


def _false(cell: Cell) -> float:
    return cell.watched.false_switches * 30 / cell.watched.days


def _or_never(found_s: list[float | None]) -> list[float]:
    return [inf if each is None else each for each in found_s]


def _p95(found_s: list[float | None]) -> float:
    ranked_s = sorted(_or_never(found_s))
    return ranked_s[ceil(0.95 * len(ranked_s)) - 1]


def _passed() -> int:
    """Tries in which a link that was dead and now loses a fifth is called good before it is called poor."""
    chance = random.Random(1)
    passed = 0
    for _ in range(TRIES):
        judge = Judge(Kind.FIBRE, TARGETS, History(), 0.0)
        judge.judge("no carrier", None, 0.0, 0.0)
        number = 0
        while judge.health is Health.DEAD:
            number += 1
            rtt_s = None if chance.random() < 0.2 else 0.03
            target = TARGETS[number % len(TARGETS)]
            judge.settle(Echo(number, target, 0.0, False, 0.03, rtt_s=rtt_s, settled=True))
            judge.judge(None, None, 0.0, 0.0)
        passed += judge.health is Health.UP
    return passed


def _woken_s(weather: Weather) -> Iterator[float]:
    """A standby that died a second ago, between two of its echoes: from its waking until an answer is overdue."""
    link = Link(weather)
    for number in range(WAKES):
        day = link.trial(number, BLACKHOLE, 300.0, 60.0)
        assert day.failure is not None
        steps = Steps(link, Watched(), day.start_s, number)
        woken_at = day.failure.at_s + 1.0
        steps.until(day, woken_at, Seen())
        if steps.watch.silent(woken_at):
            continue  # it was found before
        steps.watch.wake(Role.WOKEN, woken_at)
        while not steps.watch.silent(steps.now):
            steps.step(day, Seen())
        yield steps.now - woken_at
