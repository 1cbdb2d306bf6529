"""What becomes of old flows: who stays, who must go, and when time alone changes that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.flows import METERED_LEAVE_S, METERED_STAY_S, Flows, changes_at, flows
from agent.core.routes import FIRST_UPLINK_TABLE
from agent.core.station import Family, Kind
from tests.core.driven import Driven, settled
from wire.messages import Health

V4 = Family.IPV4
HEALTHS = st.sampled_from(list(Health))
TIMES = st.none() | st.floats(0, 1e6)
THREE = {"fibre": Kind.FIBRE, "lte": Kind.LTE, "geo": Kind.GEO}


@given(HEALTHS, st.booleans(), HEALTHS)
def test_what_carries_the_traffic_keeps_its_flows_however_it_is(health: Health, metered: bool, chosen: Health) -> None:
    assert flows(health, metered, None, chosen) is Flows.STAY


@given(HEALTHS, st.booleans(), TIMES)
def test_nobody_leaves_for_an_uplink_that_is_dead_itself(health: Health, metered: bool, left_s: float | None) -> None:
    assert flows(health, metered, left_s, Health.DEAD) is Flows.STAY


@pytest.mark.parametrize("health", [Health.DEAD, Health.POOR])
@given(metered=st.booleans(), left_s=st.floats(0, 1e6))
def test_on_an_uplink_that_does_not_work_nothing_stays(health: Health, metered: bool, left_s: float) -> None:
    assert flows(health, metered, left_s, Health.UP) is Flows.LEAVE


@pytest.mark.parametrize("health", [Health.UP, Health.UNKNOWN])
@given(left_s=st.floats(0, 1e6))
def test_on_a_good_free_uplink_flows_stay_until_they_end(health: Health, left_s: float) -> None:
    assert flows(health, False, left_s, Health.UP) is Flows.STAY


def test_a_metered_uplink_is_given_a_moment_then_cleared_then_free_for_who_asks_for_it() -> None:
    after = {0.0: Flows.STAY, METERED_STAY_S: Flows.DISMISS, METERED_STAY_S + METERED_LEAVE_S: Flows.NONE}
    assert {left_s: flows(Health.UP, True, left_s, Health.UP) for left_s in after} == after
    assert METERED_STAY_S < 10


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_between_the_moments_that_are_named_nothing_changes(left_at: float, now: float) -> None:
    moment = changes_at(True, left_at, now)
    until = now + 1e6 if moment is None else moment
    assert until > now
    now_s, later_s = now - left_at, (now + until) / 2 - left_at
    if now_s >= 0:
        assert flows(Health.UP, True, now_s, Health.UP) is flows(Health.UP, True, later_s, Health.UP)


# in the whole core


def leaving(driven: Driven) -> set[str]:
    return {each.interface for each in driven.wish.leaving if each.family is V4}


def test_a_dead_uplinks_flows_leave_with_the_traffic_and_not_before() -> None:
    driven = settled(**THREE)
    assert leaving(driven) == set()
    driven.cut.add("fibre")
    driven.run(0.5)
    assert leaving(driven) == set()
    driven.run(5)
    assert driven.active == "lte"
    assert leaving(driven) == {"wan0"}


def test_coming_home_breaks_nothing_on_the_uplink_that_was_good() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.run(5)
    driven.cut.clear()
    driven.run(60)
    assert driven.active == "fibre"
    assert leaving(driven) == set()


def test_what_stayed_behind_leaves_when_the_uplink_dies_later() -> None:
    driven = settled()
    driven.cut.add("lte")
    driven.run(60)
    assert driven.active == "fibre"
    assert leaving(driven) == {"wan1"}
    driven.cut.clear()
    driven.run(60)
    assert leaving(driven) == set()


def test_when_everything_is_dead_nothing_is_let_go() -> None:
    driven = settled()
    driven.cut.update(("fibre", "lte"))
    driven.run(120)
    assert leaving(driven) == set()


def test_ten_seconds_after_coming_home_nothing_is_left_on_a_metered_uplink_and_then_it_is_free_again() -> None:
    driven = settled(metered=("lte",))
    driven.cut.add("fibre")
    driven.run(5)
    driven.cut.clear()
    while driven.active != "fibre":
        driven.run(0.1)
    driven.run(METERED_STAY_S - 1)
    assert leaving(driven) == set()
    driven.run(2)
    assert leaving(driven) == {"wan1"}
    driven.run(METERED_LEAVE_S)
    assert leaving(driven) == set()
    by_mark = {rule.table for rule in driven.wish.rules if rule.mark is not None and rule.family is V4}
    assert by_mark == {FIRST_UPLINK_TABLE}


def test_an_agent_that_starts_anew_clears_a_metered_uplink_that_its_predecessor_may_have_left_just_now() -> None:
    driven = settled(metered=("lte",))
    driven.restart()
    driven.run(METERED_STAY_S + 1)
    assert leaving(driven) == {"wan1"}
