"""Our own detector under test: skipping what cannot matter tells the same story as living through it."""

import msgspec
import pytest

from agent.core.memory import Watched
from agent.core.pace import ECHO_BYTES
from agent.core.station import Family, Kind
from agent.core.watch import Watch
from bench.detect.measure import clears, delays
from bench.detect.ours import ALARMS, TARGETS, Ours, Steps
from bench.detect.rule import Change, Rule, Seen
from bench.detect.weather import Day, Failure, Link, Weather
from tests.bench.made import CLEAN, made_day
from tests.core.lived import Lived
from wire.messages import Health

SPAN_S = 7200.0
LOSSY = Link(Weather("loses 1 %", "fibre", 0.03, 5e-4, 0.01, "by hand"))
MOBILE = Link(Weather("mobile", "lte", 0.06, 0.01, 0.01, "by hand"))
ORBIT = Link(Weather("in orbit", "geo", 0.6, 0.02, 0.005, "by hand"))


# a stretch at once


def calm(kind: Kind) -> Lived:
    """So long calm that its expectations have settled, and nothing is on its way."""
    lived = Lived(kind, targets=TARGETS)
    lived.run(300)
    lived.quiet()
    return lived


def _outcomes(watch: Watch) -> list[float]:
    """What it has learnt of losses and delays; time fades it a little, sooner or later in the stretch."""
    history = watch.known.history
    return [*msgspec.structs.astuple(history.losses), *msgspec.structs.astuple(history.delays)]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("times", [3, 30, 999])
def test_a_stretch_that_is_passed_over_leaves_a_watch_as_the_same_echoes_one_by_one_do(kind: Kind, times: int) -> None:
    stepped, skipped = calm(kind), calm(kind)
    for _ in range(times):
        stepped.one()
    skipped.now = skipped.watch.pass_over(times)
    one, other = stepped.watch, skipped.watch
    assert skipped.now == pytest.approx(stepped.now, abs=1e-4)
    assert _outcomes(one) == pytest.approx(_outcomes(other), rel=1e-3)
    assert one.echoes.seq == other.echoes.seq
    assert (one.health, one.judge.in_a_row, one.judge.until_calm) == (Health.UP, other.judge.in_a_row, 0)
    assert one.known.spent.day_bytes == other.known.spent.day_bytes
    assert one.known.spent.month_bytes == other.known.spent.month_bytes
    assert one.known.history.silences.watched_s == pytest.approx(other.known.history.silences.watched_s, rel=1e-3)
    assert one.wake_at(stepped.now) == pytest.approx(other.wake_at(skipped.now), abs=1e-4)
    assert one.summary().sent == other.summary().sent
    assert not other.silent(skipped.now)


@pytest.mark.parametrize("kind", [Kind.FIBRE, Kind.LTE, Kind.LEO])  # with GEO the next echo leaves before the answer
@pytest.mark.parametrize("times", [3, 9, 300])
def test_suspicion_fades_in_a_stretch_that_is_passed_over_as_it_does_step_by_step(kind: Kind, times: int) -> None:
    """At one pace, as it is between two changes of it."""
    both = stepped, skipped = calm(kind), calm(kind)
    for lived in both:
        lost = lived.watch.echoes.seq + 1
        lived.rtt_s = lambda ask, lost=lost, usual=lived.rtt_s: None if ask.seq == lost else usual(ask)  # type: ignore[misc]
        while lived.watch.judge.calm:
            lived.run(0.05)
        lived.quiet()
    times = min(times, stepped.watch.judge.until_calm)
    for _ in range(times):
        stepped.one()
    skipped.now = skipped.watch.pass_over(times)
    assert skipped.now == pytest.approx(stepped.now, abs=1e-4)
    assert _scores(stepped.watch) == _scores(skipped.watch)
    assert _outcomes(stepped.watch) == pytest.approx(_outcomes(skipped.watch), rel=1e-3)


def _scores(watch: Watch) -> list[tuple[int, int]]:
    return [(each.score, each.resets) for each in (*watch.judge._losses, *watch.judge._delays)]


# days


class EveryEcho(Steps):
    """It lives through what Steps skips, and every echo fares by the day's own law."""

    __slots__ = ()

    def _fate(self, day: Day) -> float | None:
        return day.fate(self.now, self._chance)

    def _skip(self, _day: Day, _seen: Seen) -> bool:
        return False


def lived_days(driver: type[Steps], link: Link) -> tuple[Steps, list[Seen]]:
    """Two short days of this link, one after the other, with a few troubles in each."""
    weather = link.weather
    steps, seen = driver(link, Watched(), 0.0, 5), []
    for start_s in (0.0, SPAN_S):
        outages = [(start_s + at_s, start_s + at_s + lasts_s) for at_s, lasts_s in ((900, 0.6), (3000, 12), (5000, 30))]
        stalls = [(start_s + 1800, start_s + 1800.5)]
        law = weather.loss, weather.rtt_s, weather.jitter_s
        seen.append(steps.live(made_day(outages, stalls, *law, start_s, SPAN_S)))
    return steps, seen


@pytest.mark.parametrize("link", [LOSSY, MOBILE, ORBIT], ids=lambda link: link.weather.name)
def test_days_with_and_without_skipping_agree_in_echoes_bytes_verdicts_and_what_is_learnt(link: Link) -> None:
    (skipped, seen), (stepped, seen_all) = lived_days(Steps, link), lived_days(EveryEcho, link)
    assert skipped.watch.echoes.seq == pytest.approx(stepped.watch.echoes.seq, rel=0.03)
    assert sum(day.octets for day in seen) == pytest.approx(sum(day.octets for day in seen_all), rel=0.03)
    assert _alarms(seen) == pytest.approx(_alarms(seen_all), abs=10)
    some, all_ = skipped.known.history, stepped.known.history
    assert some.losses.after_good == pytest.approx(all_.losses.after_good, rel=0.03)
    begins, expected = some.losses.begins, all_.losses.begins
    assert begins == pytest.approx(expected, abs=4 * (begins + expected) ** 0.5)
    assert begins / some.losses.after_good == pytest.approx(link.weather.loss, rel=0.5)
    assert some.silences.watched_s == pytest.approx(all_.silences.watched_s, rel=0.03)
    assert skipped.watch.usual_rtt_ms == pytest.approx(stepped.watch.usual_rtt_ms, rel=0.25)
    limits_s = [each.watch.judge.silence_limit_s(0) for each in (skipped, stepped)]
    assert limits_s[0] == pytest.approx(limits_s[1], rel=0.3)


def _alarms(seen: list[Seen]) -> list[float]:
    return [change.at_s for day in seen for change in day.changes if change.is_alarm]


@pytest.mark.parametrize("driver", [Steps, EveryEcho])
def test_on_a_calm_link_nothing_is_told_whether_it_is_skipped_over_or_not(driver: type[Steps]) -> None:
    steps = driver(CLEAN, Watched(), 0.0, 5)
    seen = steps.live(made_day(seconds=SPAN_S))
    assert seen.changes == []
    assert steps.watch.echoes.seq == pytest.approx(SPAN_S / 0.25, rel=0.01)
    assert seen.octets == pytest.approx(steps.watch.echoes.seq * ECHO_BYTES[Family.IPV4], rel=0.001)


def test_most_of_a_calm_day_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    step = Steps.step

    def counted(self: Steps, day: Day, seen: Seen) -> None:
        nonlocal looked
        looked += 1
        step(self, day, seen)

    monkeypatch.setattr(Steps, "step", counted)
    steps = Steps(CLEAN, Watched(), 0.0, 5)
    steps.live(CLEAN.day(0))
    assert steps.watch.echoes.seq > 300_000
    assert looked < 20_000


# as a rule


def test_it_is_a_rule_that_sees_every_day_once_and_in_order() -> None:
    rule: Rule = Ours()
    days = [
        made_day([(n * 600 + 100.0, n * 600 + 150.0)] if n == 1 else [], start_s=600.0 * n, seconds=600)
        for n in range(3)
    ]
    seen = list(rule.watch(CLEAN, days, 1))
    assert [len(each.changes) for each in seen] == [0, 2, 0]
    alarm, good = seen[1].changes
    assert (alarm.is_alarm, good.is_alarm) == (True, False)
    assert 700 < alarm.at_s < 703
    assert 750 < good.at_s < 800
    assert all(each.octets > 600 * 4 * ECHO_BYTES[Family.IPV4] * 0.9 for each in seen)


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    def octets(seed: int) -> list[float]:
        day = made_day(loss=0.01, seconds=3600)
        return [seen.octets for seen in Ours().watch(LOSSY, [day], seed)]

    assert octets(1) == octets(1)
    assert octets(1) != octets(2)


def test_a_trial_ends_with_the_alarm_or_with_the_return_where_the_failure_is_repaired() -> None:
    rule = Ours()
    (seen,) = rule.watch(CLEAN, [made_day(seconds=800, failure=Failure(100.0, 1.0))], 1)
    assert [change.is_alarm for change in seen.changes] == [True]
    assert 101 < seen.changes[0].at_s < 103
    assert seen.octets < (100 * 4 + 3 * 10) * ECHO_BYTES[Family.IPV4]  # it was not asked for much longer
    (repaired,) = rule.watch(CLEAN, [made_day(seconds=800, failure=Failure(100.0, 1.0, 160.0))], 1)
    assert [change.is_alarm for change in repaired.changes] == [True, False]
    assert repaired.changes[1].at_s > 160


def test_its_delays_and_returns_are_measured_like_those_of_any_rule() -> None:
    assert all(delay_s is not None and 1 < delay_s < 3 for delay_s in delays(Ours(), CLEAN, 1.0, 3))
    assert all(clear_s is not None and clear_s < 30 for clear_s in clears(Ours(), CLEAN, 2))


def test_an_uplink_that_becomes_poor_after_it_was_dead_is_one_alarm_and_not_two() -> None:
    assert {Health.DEAD, Health.POOR} == set(ALARMS)
    day = made_day([(300, 330)], seconds=900, failure=Failure(330.0, 0.4, 600.0))
    (seen,) = Ours().watch(CLEAN, [day], 3)
    assert [change.is_alarm for change in seen.changes] in ([True], [True, False])
    assert all(isinstance(change, Change) for change in seen.changes)
