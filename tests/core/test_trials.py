"""Bandwidth is tested by itself at random moments, within the budget, never when it would disturb; skips are told."""

import math

import pytest
from msgspec.structs import replace

from agent.core.bandwidth import Allowance, Measured, OneWay
from agent.core.budget import caps
from agent.core.decide import Phase
from agent.core.delivery import Way, message_s, photos_s
from agent.core.events import BandwidthMeasured, Effect, Event, MeasureBandwidth, NotMeasured, PhaseSet
from agent.core.history import MONTH_S
from agent.core.station import Centre, Kind, Metered, Spending, Station, Uplink
from agent.core.trials import COST_BYTES, EVERY_S, NOT_BEFORE_S, SHARE, SHARE_AT_LEAST, Trials, every_s
from tests.core.driven import Driven
from wire.messages import Fact, Health

ENOUGH = Allowance(10**9)
DAY_S = 86_400.0
RICH = Spending(1000.0, 30_000.0)


def lone(kind: Kind = Kind.LTE, station: str = "6408042001143", measure: str | None = "198.51.100.10:8621") -> Trials:
    uplink = Uplink("a", "wan0", kind, budget=RICH)
    return Trials(Station(station, (uplink,), ("198.51.100.1",), Centre("mqtt://x", measure)), uplink, 0.0)


def found(up_mbps: float = 5.0, down_mbps: float = 20.0, spent_bytes: int = 150_000, uplink: str = "lte") -> Measured:
    return Measured(uplink, "train", OneWay(up_mbps), OneWay(down_mbps), 60.0, 0.0, spent_bytes, 30.0, 0.1)


def day(trials: Trials, may: Allowance = ENOUGH, health: Health = Health.UP) -> list[float]:
    """The moments of tests."""
    moments = []
    while trials.due_at < DAY_S:
        now = trials.due_at
        if isinstance(trials.look(may, health, now), MeasureBandwidth):
            moments.append(now)
        assert trials.due_at > now
    return moments


@pytest.mark.parametrize("kind", list(Kind))
def test_once_in_each_period_at_a_moment_that_nobody_shares(kind: Kind) -> None:
    moments = day(lone(kind))
    periods = [int((moment - NOT_BEFORE_S) // EVERY_S[kind]) for moment in moments]
    assert periods == list(range(len(moments)))
    assert len(moments) >= DAY_S // EVERY_S[kind] - 1
    phases = sorted((moment - NOT_BEFORE_S) % EVERY_S[kind] / EVERY_S[kind] for moment in moments)
    assert phases[0] < 0.2 and phases[-1] > 0.8
    assert not set(moments) & set(day(lone(kind, "6408042001144")))


@pytest.mark.parametrize(
    ("metered", "budget"), [(None, None), (Metered(3000), None), (Metered(500), None), (None, Spending(1.0, 20.0))]
)
def test_a_month_of_tests_takes_a_quarter_of_what_measuring_may_cost(
    metered: Metered | None, budget: Spending | None
) -> None:
    for kind in Kind:
        uplink = Uplink("a", "wan0", kind, metered=metered, budget=budget)
        assert MONTH_S / every_s(uplink) * COST_BYTES <= SHARE * caps(uplink).month_bytes * 1.001
        assert every_s(uplink) >= EVERY_S[kind]


def test_after_a_long_sleep_one_test_is_due_and_not_a_hundred() -> None:
    trials = lone()
    assert isinstance(trials.look(ENOUGH, Health.UP, DAY_S), MeasureBandwidth)
    assert DAY_S - 900 < trials.due_at <= DAY_S + 2 * 900
    trials.look(ENOUGH, Health.UP, trials.due_at)
    assert trials.due_at > DAY_S


def test_without_a_server_nothing_is_ever_due() -> None:
    assert math.isinf(lone(measure=None).due_at)


@pytest.mark.parametrize(
    ("may", "health", "why"),
    [
        (ENOUGH, Health.DEAD, "the uplink is not up"),
        (ENOUGH, Health.UNKNOWN, "the uplink is not up"),
        (Allowance(COST_BYTES - 1), Health.UP, "the budget does not allow it"),
        (Allowance(why_not="phase count"), Health.UP, "phase count"),
    ],
)
def test_a_skip_is_told_once_for_each_reason(may: Allowance, health: Health, why: str) -> None:
    trials = lone()
    fact = trials.look(may, health, trials.due_at)
    assert isinstance(fact, Fact)
    assert (fact.code, fact.evidence["why"]) == ("BANDWIDTH_SKIPPED", why)
    for _ in range(3):
        assert trials.look(may, health, trials.due_at) is None
    other = trials.skip("something else")
    assert other is not None and other.evidence["times_before"] == 3
    trials.done(found(), trials.due_at)
    assert isinstance(trials.look(may, health, trials.due_at), Fact)


@pytest.mark.parametrize(
    ("up_mbps", "down_mbps", "is_skipped"), [(1.0, 1.0, False), (2.0, 0.0, True), (0.0, 7.0, True)]
)
def test_users_who_need_the_uplink_are_not_disturbed(up_mbps: float, down_mbps: float, is_skipped: bool) -> None:
    trials = lone()
    trials.done(found(5.0, 20.0), 0.0)
    begin = trials.due_at - 30
    for n in range(31):
        trials.count(round(n * up_mbps * 125_000), round(n * down_mbps * 125_000), begin + n)
    assert isinstance(trials.look(ENOUGH, Health.UP, begin + 30), Fact) == is_skipped


def test_counters_that_begin_anew_are_no_use() -> None:
    trials = lone()
    trials.done(found(), trials.due_at)
    trials.count(10**9, 10**9, trials.due_at - 1)
    trials.count(0, 0, trials.due_at)
    assert isinstance(trials.look(ENOUGH, Health.UP, trials.due_at), MeasureBandwidth)


def test_a_wait_of_another_length_is_the_same_reason() -> None:
    trials = lone()
    assert trials.skip("others are testing; come again in 40 s") is not None
    assert trials.skip("others are testing; come again in 9 s") is None


def test_the_forecast_is_of_what_is_free_now() -> None:
    trials = lone()
    assert trials.forecast(0.05, 0.0, 10.0) is None
    trials.done(found(8.0, 20.0), 20.0)
    calm = trials.forecast(0.05, 0.0, 140.0)
    assert calm is not None
    assert (calm.up_mbps, calm.measured_s) == (8.0, 120)
    assert calm.photos_s == pytest.approx(photos_s(Way(8.0, 0.05, 0.0)), abs=0.1)
    assert calm.message_s == pytest.approx(message_s(Way(8.0, 0.05, 0.0)), abs=0.001)
    for n in range(11):
        trials.count(n * 750_000, 0, 140.0 + n)
    busy = trials.forecast(0.05, 0.0, 150.0)
    assert busy is not None
    assert busy.up_mbps == pytest.approx(2.0)
    assert busy.photos_s > 3 * calm.photos_s


def test_of_a_way_that_is_full_a_part_is_to_be_had() -> None:
    trials = lone()
    trials.done(found(8.0, 20.0), 20.0)
    for n in range(11):
        trials.count(n * 1_000_000, 0, 30.0 + n)
    full = trials.forecast(0.05, 0.0, 40.0)
    assert full is not None
    assert full.up_mbps == pytest.approx(8.0 * SHARE_AT_LEAST)


# in the agent's core


class Trying(Driven):
    """A station with a bandwidth server."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        super().__init__()
        self.station = replace(self.station, centre=Centre("mqtt://x", "198.51.100.10:8621"))
        self.restart()
        self.run(60)

    def handle(self, event: Event) -> list[Effect]:
        effects = super().handle(event)
        self.effects += effects
        return effects

    @property
    def tested(self) -> list[str]:
        return [effect.uplink for effect in self.effects if isinstance(effect, MeasureBandwidth)]


def test_each_uplink_is_tested_twice_an_hour() -> None:
    trying = Trying()
    trying.run(3 * 3600)
    for name in ("fibre", "lte"):
        assert 5 <= trying.tested.count(name) <= 8


def test_while_votes_are_counted_nothing_is_tested_and_that_is_told() -> None:
    trying = Trying()
    trying.handle(PhaseSet(Phase.COUNT))
    trying.run(3600)
    assert trying.tested == []
    assert trying.codes.count("BANDWIDTH_SKIPPED") == 2


def test_a_result_is_charged_and_reported_and_a_failure_too() -> None:
    trying = Trying()
    budget = trying.core._lines["lte"].watch.budget
    before = budget.spent.day_bytes
    (fact,) = trying.handle(BandwidthMeasured("lte", found(spent_bytes=151_000)))
    assert isinstance(fact, Fact)
    assert (fact.code, fact.uplink, fact.evidence["up_mbps"]) == ("BANDWIDTH_MEASURED", "lte", 5.0)
    assert budget.spent.day_bytes - before == 151_000
    (failed,) = trying.handle(NotMeasured("lte", "nobody answers", 400))
    assert isinstance(failed, Fact) and failed.code == "BANDWIDTH_SKIPPED"
    assert budget.spent.day_bytes - before == 151_400
    assert trying.handle(NotMeasured("lte", "nobody answers", 400)) == []


def test_what_may_be_spent_is_what_calm_has_left_and_nothing_while_votes_are_sent() -> None:
    trying = Trying()
    allowed = trying.core.allowance("lte", trying.now)
    assert 0 < allowed.bytes < 60_000_000 and allowed.why_not is None
    trying.core._lines["lte"].watch.budget.charge(60_000_000)
    assert trying.core.allowance("lte", trying.now).bytes == 0
    trying.handle(PhaseSet(Phase.UPLOAD))
    assert "upload" in (trying.core.allowance("fibre", trying.now).why_not or "")


def test_the_state_tells_how_long_the_photos_would_take_and_nothing_for_a_dead_uplink() -> None:
    trying = Trying()
    trying.handle(BandwidthMeasured("fibre", found()))
    told = {each.name: each.forecast for each in trying.core.state(trying.now).uplinks}
    assert told["fibre"] is not None and told["fibre"].photos_s > 0
    assert told["lte"] is None
    trying.cut.add("fibre")
    trying.run(30)
    assert all(each.forecast is None for each in trying.core.state(trying.now).uplinks)
