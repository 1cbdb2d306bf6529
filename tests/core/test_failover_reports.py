"""What the five steps tell, and that they neither spin nor grow."""

import pickle
import random

import pytest

from agent.core.events import (
    Noticed,
    OverrideAsked,
    Remember,
    RoutesRefused,
    RoutesRepaired,
    ShowState,
    Stopping,
    Tick,
)
from agent.core.failover import REPEAT_S, Failover
from agent.core.report import SUMMARY_EVERY_S
from agent.core.station import Kind
from tests.core.driven import TARGETS, Driven, settled, station
from wire.messages import Fact, Health, Summary

THREE = {"fibre": Kind.FIBRE, "lte": Kind.LTE, "geo": Kind.GEO}


# what is reported


def test_a_summary_comes_each_minute_and_its_counts_add_up() -> None:
    driven = settled()
    driven.run(10 * SUMMARY_EVERY_S)
    driven.cut.add("fibre")
    driven.run(SUMMARY_EVERY_S)
    driven.cut.clear()
    driven.run(3 * SUMMARY_EVERY_S)
    assert len(driven.summaries) == int(driven.now / SUMMARY_EVERY_S)
    assert {summary.span_s for summary in driven.summaries} == {SUMMARY_EVERY_S}
    sent = answered = lost = 0
    for summary in driven.summaries:
        for uplink in summary.uplinks:
            sent, answered, lost = sent + uplink.sent, answered + uplink.answered, lost + uplink.lost
    assert 0 <= sent - answered - lost <= 12  # under way at the last summary
    assert driven.echoes - sent <= driven.echoes / 8
    assert lost > 200


def test_what_could_not_be_sent_is_reported_apart_and_is_no_loss() -> None:
    driven = settled()
    driven.unsendable.add("lte")
    driven.run(2 * SUMMARY_EVERY_S)
    lte = driven.summaries[-1].uplinks[1]
    assert (lte.sent, lte.lost) == (0, 0)
    assert lte.not_sent > 0
    assert next(each.loss for each in driven.core.state(driven.now).uplinks if each.name == "lte") is None


def test_what_was_lost_before_an_uplink_was_good_again_is_not_shown_as_its_loss() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.run(60)
    assert _shown(driven, "fibre") == (Health.DEAD, 1.0)
    driven.cut.clear()
    while driven.health("fibre") is not Health.UP:
        driven.run(1)
    driven.run(5)
    assert _shown(driven, "fibre") == (Health.UP, 0.0)
    assert driven.core.lines["fibre"].watch.sample(driven.now).loss, "the window still knows"


def _shown(driven: Driven, name: str) -> tuple[Health, float | None]:
    return next((each.health, each.loss) for each in driven.core.state(driven.now).uplinks if each.name == name)


def test_the_state_is_shown_each_minute_and_with_each_change() -> None:
    driven = settled()
    shown = [effect for _ in range(700) for effect in _next_tick(driven) if isinstance(effect, ShowState)]
    assert len(shown) == int(driven.now / SUMMARY_EVERY_S)
    assert any(isinstance(effect, ShowState) for effect in driven.handle(OverrideAsked("lte")))


def _next_tick(driven: Driven) -> list[object]:
    driven.run(max(0.0, driven.core.wake_at() - driven.now))
    return list(driven.handle(Tick()))


@pytest.mark.parametrize("now", [0.1, 1.7, 12345.678, 1e6 + 0.1])
@pytest.mark.parametrize(
    ("event", "code"), [(RoutesRepaired("a"), "ROUTES_REPAIRED"), (RoutesRefused("b"), "ROUTES_REFUSED")]
)
def test_the_same_trouble_with_the_routes_is_told_at_once_and_then_once_a_minute(
    event: RoutesRepaired | RoutesRefused, code: str, now: float
) -> None:
    core = Failover(station(THREE), 0.0)
    assert [fact.code for fact in core.handle(event, now)] == [code]  # type: ignore[union-attr]
    assert core.handle(event, now + REPEAT_S - 0.01) == []
    assert len(core.handle(event, now + REPEAT_S + 0.01)) == 1


def test_news_of_an_edge_is_handed_on_as_a_fact() -> None:
    assert Driven().handle(Noticed("SPOOL_RESET", {"a": 1})) == [Fact("SPOOL_RESET", evidence={"a": 1})]


def test_an_agent_that_is_stopped_says_so_and_sums_up_what_it_has_measured() -> None:
    driven = settled()
    driven.run(15)
    stopped, summary, remembered = driven.handle(Stopping())
    assert isinstance(stopped, Fact)
    assert stopped.code == "AGENT_STOPPED"
    assert isinstance(summary, Summary)
    assert summary.span_s == 45
    assert isinstance(remembered, Remember)


# bounds


def test_the_next_moment_is_never_so_near_that_the_loop_spins() -> None:
    driven = settled(**THREE)
    driven.cut.add("lte")
    driven.change("geo", carrier=False)
    ticks = 0
    start = driven.now
    while driven.now < start + 60:
        driven.run(max(1e-9, driven.core.wake_at() - driven.now))
        driven.handle(Tick())
        ticks += 1
    assert ticks < 60 * (5 + 2 + 1) * 2


def test_a_day_of_bad_weather_leaves_no_more_in_memory_than_an_hour() -> None:
    driven = Driven(TARGETS[:1], geo=Kind.GEO)
    chance = random.Random(11)

    def hour() -> int:
        for _ in range(60):
            driven.cut = {"geo"} if chance.random() < 0.2 else set()
            driven.run(60)
        driven.facts.clear()
        driven.summaries.clear()
        return len(pickle.dumps(driven.core))

    after_an_hour = hour()
    assert max(hour() for _ in range(23)) < 1.5 * after_an_hour


def test_how_late_the_agent_itself_was_stands_in_the_summary_of_that_span_alone() -> None:
    driven = settled()
    driven.handle(Tick(late_s=0.25))
    driven.handle(Tick(late_s=0.1))
    driven.run(2 * SUMMARY_EVERY_S)
    assert [summary.own_delay_ms for summary in driven.summaries[-2:]] == [250.0, 0.0]
