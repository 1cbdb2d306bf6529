"""False switches, delays and clearing are counted as they are said to be, and told in words that fit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from bench.detect import measure
from bench.detect.__main__ import _between, _quantiles
from bench.detect.measure import Watched
from bench.detect.rule import Change, Seen
from bench.detect.weather import DAY_S, Day, Link
from tests.bench.made import CLEAN


@dataclass(frozen=True)
class Scripted:
    """Alarms some seconds after a failure, is good some seconds after a repair, and lies in every day it is told to."""

    name: str = "scripted"
    source: str = "by hand"
    warm_s: float = 120
    repaired_after_s: float = 60
    finds_s: float = 7
    clears_s: float = 11
    lies_s: tuple[tuple[float, bool], ...] = ()

    def watch(self, _link: Link, days: Iterable[Day], _seed: int) -> Iterator[Seen]:
        for day in days:
            told = [Change(day.start_s + at_s, is_alarm) for at_s, is_alarm in self.lies_s]
            if day.failure:
                told.append(Change(day.failure.at_s + self.finds_s, True))
                told.append(Change(day.failure.until_s + self.clears_s, False))
            yield Seen(sorted(told, key=lambda each: each.at_s), 1000)


def test_each_turn_to_alarm_is_a_false_switch_and_its_time_is_counted() -> None:
    seen = measure.watched(Scripted(lies_s=((10, True), (70, False), (100, True), (130, False))), CLEAN, 3)
    assert (seen.false_switches, seen.alarm_s, seen.octets) == (6, 270, 3000)


def test_an_alarm_that_never_ends_lasts_to_the_end() -> None:
    assert measure.watched(Scripted(lies_s=((400, True),)), CLEAN, 1).alarm_s == DAY_S - 400


def test_delay_and_clearing_are_counted_from_failure_and_repair() -> None:
    assert list(measure.delays(Scripted(), CLEAN, 0.3, 4)) == pytest.approx([7] * 4)
    assert list(measure.clears(Scripted(), CLEAN, 4)) == pytest.approx([11] * 4)


def test_what_is_found_after_ten_minutes_is_not_found() -> None:
    assert list(measure.delays(Scripted(finds_s=599), CLEAN, 0.3, 1)) == pytest.approx([599])
    assert list(measure.delays(Scripted(finds_s=601), CLEAN, 0.3, 2)) == [None, None]
    assert list(measure.clears(Scripted(clears_s=601), CLEAN, 2)) == [None, None]


def test_a_rule_already_in_alarm_has_found_nothing() -> None:
    assert list(measure.delays(Scripted(lies_s=((0, True),)), CLEAN, 0.3, 5)) == []
    some = list(measure.delays(Scripted(lies_s=((0, True), (150, False))), CLEAN, 0.3, 20))
    assert 14 < len(some) <= 20  # half of the failures come before 150 s; others are drawn
    assert some == pytest.approx([7] * len(some))


def test_a_rule_that_sleeps_through_the_blackhole_has_nothing_to_clear() -> None:
    assert list(measure.clears(Scripted(finds_s=61), CLEAN, 3)) == []


@pytest.mark.parametrize(
    ("switches", "alarm_s", "told"),
    [
        (0, 0, "> 300 d"),
        (1, 0, "300 d"),
        (100, 0, "3.0 d"),
        (300, 0, "24 h"),
        (30_000, 0, "14 min"),
        (1_000_000, 0, "26 s"),
        (300, 0.25 * 300 * DAY_S, "24 h, 25% in alarm"),
        (1, 300 * DAY_S, "always in alarm"),
    ],
)
def test_the_time_between_false_switches_is_told_in_its_unit(switches: int, alarm_s: float, told: str) -> None:
    assert _between(Watched(300, switches, alarm_s, 0)) == told


@pytest.mark.parametrize(
    ("found_s", "told"),
    [
        ([float(n) for n in range(1, 101)], "50.0 / 95.0"),
        ([1.0, 2.0, 3.0, None], "2.0 / > 600"),
        ([1.0, None, None], "—"),
        ([], ""),
    ],
)
def test_what_was_not_found_counts_as_slowest(found_s: list[float | None], told: str) -> None:
    assert _quantiles(found_s) == told
