"""Which uplink carries traffic, for every combination of healths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.decide import HOLD_AT_MOST_S, HOLD_S, RELAPSES_HALVE_IN_S, Candidate, Choice, Phase, Relapses, choose
from wire.messages import Health

UP, POOR, DEAD, UNKNOWN = Health.UP, Health.POOR, Health.DEAD, Health.UNKNOWN
ANSWERS = "dead, but answers again"
MUTE = "up, but does not answer now"
NOW = 1000.0


def candidate(uplink: str, health: Health | str, home_at: float = 0.0) -> Candidate:
    known = {ANSWERS: DEAD, MUTE: UP}.get(health, health)
    return Candidate(uplink, Health(known), answers=health == ANSWERS, verified=health != MUTE, home_at=home_at)


def candidates(*healths: Health | str) -> tuple[Candidate, ...]:
    return tuple(candidate(uplink, health) for uplink, health in zip("abcdef", healths, strict=False))


def chosen(
    active: str | None, *healths: Health | str, override: str | None = None, phase: Phase = Phase.NORMAL
) -> str | None:
    return choose(candidates(*healths), active, override, phase, NOW).uplink


@pytest.mark.parametrize(
    ("active", "healths", "expected"),
    [
        # nothing was active yet
        (None, (UNKNOWN, UNKNOWN), "a"),
        (None, (DEAD, UNKNOWN), "b"),
        (None, (UNKNOWN, UP), "b"),
        (None, (DEAD, DEAD), "a"),
        # the preferred one stays unless it is dead, or poor while another is proven
        ("a", (UP, UP), "a"),
        ("a", (UNKNOWN, UP), "a"),
        ("a", (POOR, UP), "b"),
        ("a", (POOR, POOR), "a"),
        ("a", (POOR, UNKNOWN), "a"),
        ("a", (POOR, DEAD), "a"),
        ("a", (DEAD, UP), "b"),
        ("a", (DEAD, POOR), "b"),
        ("a", (DEAD, UNKNOWN), "b"),
        ("a", (DEAD, ANSWERS), "b"),
        ("a", (DEAD, DEAD), "a"),
        ("a", (ANSWERS, ANSWERS), "a"),
        # the best of several
        ("a", (DEAD, POOR, UP), "c"),
        ("a", (DEAD, UP, UP), "b"),
        ("a", (DEAD, UNKNOWN, POOR), "c"),
        # coming home
        ("b", (UP, UP), "a"),
        ("c", (DEAD, UP, UP), "b"),
        ("b", (POOR, UP), "b"),
        ("b", (DEAD, UP), "b"),
        ("b", (UNKNOWN, UP), "b"),
        ("b", (ANSWERS, UP), "b"),
        ("b", (POOR, POOR), "b"),
        ("b", (UP, POOR), "a"),
        ("b", (ANSWERS, DEAD), "a"),
        # the active one has no default route of this family any more
        ("gone", (UP, UP), "a"),
        ("gone", (DEAD, UP), "b"),
    ],
)
def test_the_choice(active: str | None, healths: tuple[Health | str, ...], expected: str) -> None:
    assert chosen(active, *healths) == expected


@pytest.mark.parametrize(
    ("active", "healths", "expected"),
    [
        ("a", (DEAD, MUTE), "a"),
        ("a", (DEAD, MUTE, UP), "c"),
        ("a", (DEAD, MUTE, POOR), "c"),
        ("a", (POOR, MUTE), "a"),
        ("b", (MUTE, UP), "b"),
        ("b", (MUTE, DEAD), "b"),
    ],
)
def test_traffic_never_moves_to_an_uplink_that_does_not_answer(
    active: str, healths: tuple[Health | str, ...], expected: str
) -> None:
    assert chosen(active, *healths) == expected


def test_traffic_does_not_come_home_before_the_hold_is_over() -> None:
    held = (candidate("a", UP, home_at=NOW + 0.01), candidate("b", UP))
    assert choose(held, "b", None, Phase.NORMAL, NOW).uplink == "b"
    assert choose(held, "b", None, Phase.NORMAL, NOW + 0.01).uplink == "a"


def test_of_two_that_are_good_a_dead_one_is_left_for_the_one_that_has_not_just_fallen() -> None:
    held = (candidate("a", DEAD), candidate("b", UP, home_at=NOW + 60), candidate("c", UP))
    assert choose(held, "a", None, Phase.NORMAL, NOW).uplink == "c"
    assert choose(held[:2], "a", None, Phase.NORMAL, NOW).uplink == "b"


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.UPLOAD])
def test_while_votes_are_counted_and_sent_traffic_does_not_come_home_by_itself(phase: Phase) -> None:
    assert chosen("b", UP, UP, phase=phase) == "b"
    assert chosen("b", UP, DEAD, phase=phase) == "a"
    assert chosen("b", UP, POOR, phase=phase) == "a"


@pytest.mark.parametrize(
    ("other_ms", "expected"), [(100.0, "b"), (340.0, "b"), (360.0, "a"), (600.0, "a"), (None, "b")]
)
def test_a_link_that_is_only_slow_is_left_for_a_clearly_faster_one(other_ms: float | None, expected: str) -> None:
    slow = Candidate("a", POOR, delayed=True, rtt_ms=500.0)
    assert choose((slow, Candidate("b", UP, rtt_ms=other_ms)), "a", None, Phase.NORMAL, NOW).uplink == expected


def test_a_link_that_loses_is_left_for_a_slower_one() -> None:
    lossy = Candidate("a", POOR, rtt_ms=20.0)
    assert choose((lossy, Candidate("b", UP, rtt_ms=600.0)), "a", None, Phase.NORMAL, NOW).uplink == "b"


SPENT = Candidate("b", UP, spent=True)


def test_an_uplink_whose_plan_is_spent_is_left_for_any_good_one_and_is_no_home() -> None:
    dead, good = Candidate("a", DEAD), Candidate("c", UP)
    assert choose((dead, SPENT, good), "b", None, Phase.NORMAL, NOW).uplink == "c"
    assert choose((dead, SPENT, good), "c", None, Phase.NORMAL, NOW).uplink == "c"
    assert choose((dead, SPENT, good), "a", None, Phase.NORMAL, NOW).uplink == "c"


def test_an_uplink_whose_plan_is_spent_is_better_than_none_and_than_a_poor_one() -> None:
    dead, poor = Candidate("a", DEAD), Candidate("c", POOR)
    assert choose((dead, SPENT, poor), "a", None, Phase.NORMAL, NOW).uplink == "b"
    assert choose((dead, SPENT, poor), "b", None, Phase.NORMAL, NOW).uplink == "b"
    assert choose((dead, SPENT), "b", None, Phase.NORMAL, NOW).uplink == "b"


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.UPLOAD])
def test_while_votes_are_counted_the_essential_stays_on_an_uplink_whose_plan_is_spent(phase: Phase) -> None:
    assert choose((SPENT, Candidate("c", UP)), "b", None, phase, NOW).uplink == "b"


def test_each_relapse_doubles_the_hold_up_to_a_cap() -> None:
    relapses, holds = Relapses(), []
    assert relapses.hold_s(0) == 0
    for _ in range(12):
        relapses.fall(0)
        holds.append(relapses.hold_s(0))
    assert holds[:4] == [HOLD_S, 2 * HOLD_S, 4 * HOLD_S, 8 * HOLD_S]
    assert holds[-1] == HOLD_AT_MOST_S


def test_time_forgives_relapses() -> None:
    relapses = Relapses()
    for _ in range(4):
        relapses.fall(0)
    assert relapses.hold_s(RELAPSES_HALVE_IN_S) == 2 * HOLD_S
    assert relapses.hold_s(100 * RELAPSES_HALVE_IN_S) < HOLD_S


def test_a_link_that_falls_each_minute_is_soon_held_for_as_long_as_any() -> None:
    relapses = Relapses()
    for minute in range(30):
        relapses.fall(60 * minute)
    assert relapses.hold_s(30 * 60) == HOLD_AT_MOST_S


def test_a_link_that_falls_once_a_day_is_held_as_after_the_first_fall() -> None:
    relapses = Relapses()
    for day in range(30):
        relapses.fall(86_400 * day)
    assert relapses.hold_s(29 * 86_400) == pytest.approx(HOLD_S)


def test_an_operators_choice_stands_even_when_it_is_dead() -> None:
    assert chosen("a", UP, DEAD, override="b") == "b"


def test_an_operators_choice_without_a_route_of_this_family_is_passed_over() -> None:
    assert chosen("a", UP, UP, override="z") == "a"


def test_without_any_route_of_this_family_nothing_changes() -> None:
    assert chosen("a") == "a"
    assert chosen(None) is None


def test_a_move_says_why() -> None:
    assert choose(candidates(DEAD, UP), "a", None, Phase.NORMAL, NOW) == Choice("b", "a is dead")
    assert choose(candidates(UP, UP), "b", None, Phase.NORMAL, NOW) == Choice("a", "a has proven good")
    assert choose(candidates(UP), "z", None, Phase.NORMAL, NOW) == Choice("a", "z has no default route")
    assert choose(candidates(UP), None, None, Phase.NORMAL, NOW) == Choice("a", "nothing was active")


situations = st.lists(st.sampled_from([UP, POOR, DEAD, UNKNOWN, ANSWERS, MUTE]), min_size=1, max_size=6)


@given(healths=situations, active=st.sampled_from("abcdefz"), phase=st.sampled_from(Phase))
def test_traffic_is_never_left_on_a_dead_uplink_while_another_answers(
    healths: list[Health | str], active: str, phase: Phase
) -> None:
    choice = chosen(active, *healths, phase=phase)
    assert choice is not None
    if dict(zip("abcdef", healths, strict=False))[choice] is DEAD:
        assert set(healths) <= {DEAD, MUTE}


@given(healths=situations, active=st.sampled_from("abcdefz"), phase=st.sampled_from(Phase))
def test_whoever_was_chosen_is_chosen_again(healths: list[Health | str], active: str, phase: Phase) -> None:
    first = chosen(active, *healths, phase=phase)
    assert chosen(first, *healths, phase=phase) == first


@given(healths=situations, active=st.sampled_from("abcdef"))
def test_nothing_moves_to_a_worse_uplink(healths: list[Health | str], active: str) -> None:
    worth = {DEAD: 0, ANSWERS: 1, UNKNOWN: 2, POOR: 3, UP: 4, MUTE: 4}
    of = dict(zip("abcdef", healths, strict=False))
    if active in of:
        choice = chosen(active, *healths)
        assert choice is not None
        assert worth[of[choice]] >= worth[of[active]]
