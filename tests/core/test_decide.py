"""Which uplink carries traffic: a table of situations, and what must hold in all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.decide import STAY_S, Candidate, Choice, choose
from wire.messages import Health

UP, POOR, DEAD, UNKNOWN = Health.UP, Health.POOR, Health.DEAD, Health.UNKNOWN
ANSWERS = "dead, but answers again"
LONG_AGO = -1000.0


def candidates(*healths: Health | str) -> tuple[Candidate, ...]:
    """Uplinks a, b, c … in order of preference."""
    return tuple(
        Candidate(name, DEAD, answers=True) if health == ANSWERS else Candidate(name, Health(health))
        for name, health in zip("abcdef", healths, strict=False)
    )


def chosen(
    active: str | None, *healths: Health | str, override: str | None = None, moved_at: float = LONG_AGO
) -> str | None:
    return choose(candidates(*healths), active, override, moved_at, 0.0).uplink


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


def test_traffic_does_not_come_home_right_after_it_left() -> None:
    assert chosen("b", UP, UP, moved_at=-STAY_S + 0.01) == "b"
    assert chosen("b", UP, UP, moved_at=-STAY_S) == "a"
    assert STAY_S >= 5


def test_a_dead_uplink_is_left_however_short_ago_it_was_chosen() -> None:
    assert chosen("b", UP, DEAD, moved_at=0.0) == "a"


def test_an_operators_choice_stands_even_when_it_is_dead() -> None:
    assert chosen("a", UP, DEAD, override="b") == "b"


def test_an_operators_choice_without_a_route_of_this_family_is_passed_over() -> None:
    assert chosen("a", UP, UP, override="z") == "a"


def test_without_any_route_of_this_family_nothing_changes() -> None:
    assert chosen("a") == "a"
    assert chosen(None) is None


def test_a_move_says_why() -> None:
    assert choose(candidates(DEAD, UP), "a", None, LONG_AGO, 0.0) == Choice("b", "a is dead")
    assert choose(candidates(UP, UP), "b", None, LONG_AGO, 0.0) == Choice("a", "a has proven good")
    assert choose(candidates(UP), "z", None, LONG_AGO, 0.0) == Choice("a", "z has no default route")
    assert choose(candidates(UP), None, None, LONG_AGO, 0.0) == Choice("a", "nothing was active")


situations = st.lists(st.sampled_from([UP, POOR, DEAD, UNKNOWN, ANSWERS]), min_size=1, max_size=6)


@given(healths=situations, active=st.sampled_from("abcdefz"), moved_at=st.floats(-20, 0))
def test_traffic_is_never_left_on_a_dead_uplink_while_another_answers(
    healths: list[Health | str], active: str, moved_at: float
) -> None:
    choice = chosen(active, *healths, moved_at=moved_at)
    assert choice is not None
    became = dict(zip("abcdef", healths, strict=False))[choice]
    if became is DEAD:
        assert set(healths) == {DEAD}


@given(healths=situations, active=st.sampled_from("abcdefz"), moved_at=st.floats(-20, 0))
def test_whoever_was_chosen_is_chosen_again(healths: list[Health | str], active: str, moved_at: float) -> None:
    first = chosen(active, *healths, moved_at=moved_at)
    moved = moved_at if first == active else 0.0
    assert chosen(first, *healths, moved_at=moved) == first


@given(healths=situations, active=st.sampled_from("abcdef"))
def test_nothing_moves_to_a_worse_uplink(healths: list[Health | str], active: str) -> None:
    worth = {DEAD: 0, ANSWERS: 1, UNKNOWN: 2, POOR: 3, UP: 4}
    of = dict(zip("abcdef", healths, strict=False))
    if active in of:
        choice = chosen(active, *healths)
        assert choice is not None
        assert worth[of[choice]] >= worth[of[active]]
