"""What goes first: minutes become coarser, then summaries go, then facts, and switches at the last."""

from collections.abc import Callable, Sequence

import pytest

from agent.core.room import STEPS, SWITCHES, Room
from wire.codes import CODES
from wire.messages import Active, Fact, Record, Seal, Stamp, Summary

COARSER, COARSEST, NO_SUMMARIES, NO_FACTS, NOTHING = STEPS


def record(seq: int, body: Fact | Summary | Seal) -> Record:
    return Record("e", seq, Stamp("boot", 60.0 * seq, 0.0, False), body)


def minutes(numbers: range, span_s: float = 60.0) -> list[Record]:
    return [record(n, Summary(span_s, Active("fibre"), ())) for n in numbers]


SEAL = record(12, Seal(11, "", "", ""))
SWITCH, OTHER = record(10, Fact("TRAFFIC_MOVED")), record(11, Fact("MODEM_ROAMING"))


def test_five_minutes_become_one_and_the_rest_of_them_too() -> None:
    room = COARSER(minutes(range(5, 12)))
    assert room.gone == tuple(range(5, 12))
    assert [(body.span_s, stamp.uptime_s) for body, stamp in room.instead] == [(300.0, 540.0), (120.0, 660.0)]


def test_what_is_coarse_already_is_left_to_the_next_step() -> None:
    coarse = minutes(range(5, 15, 5), 300.0)
    assert COARSER(coarse) == Room()
    assert COARSEST(coarse).instead[0][0].span_s == 600.0


def test_one_alone_is_left() -> None:
    assert COARSER(minutes(range(5, 6))) == Room()


@pytest.mark.parametrize(
    ("step", "expected"),
    [(COARSER, ()), (COARSEST, ()), (NO_SUMMARIES, (1,)), (NO_FACTS, (11,)), (NOTHING, (1, 10, 11, 12))],
)
def test_each_step_takes_its_own(step: Callable[[Sequence[Record]], Room], expected: tuple[int, ...]) -> None:
    assert step([*minutes(range(1, 2)), SWITCH, OTHER, SEAL]).gone == expected


def test_every_switch_is_a_code_that_exists() -> None:
    assert set(CODES) >= SWITCHES


def test_what_goes_is_told_in_runs() -> None:
    assert Room((1, 2, 3, 7, 9, 10)).runs == [(1, 3), (7, 7), (9, 10)]
