"""One test at a time of a beam or cell, few of all, and nobody comes again at the moment at which others do."""

from central.core.turns import Later, Limits, Turn, Turns


def granted(turns: Turns, group: str, token: int, now: float = 0.0, size: int = 100, lasts_s: float = 30.0) -> Turn:
    turn = turns.ask(group, size, lasts_s, token.to_bytes(8), now)
    assert isinstance(turn, Turn)
    return turn


def busy(turns: Turns, group: str, now: float = 0.0, size: int = 100) -> float:
    later = turns.ask(group, size, 30.0, b"another!", now)
    assert isinstance(later, Later)
    return later.again_s


def test_one_of_a_group_and_others_beside_it() -> None:
    turns = Turns()
    granted(turns, "beam", 1)
    assert busy(turns, "beam") == 30.0
    granted(turns, "cell", 2)


def test_the_next_may_come_when_a_turn_has_ended() -> None:
    turns = Turns()
    first = granted(turns, "beam", 1)
    turns.end(first.token)
    assert turns.of(first.token, 0.0) is None
    granted(turns, "beam", 2)


def test_a_turn_ends_by_itself() -> None:
    turns = Turns()
    first = granted(turns, "beam", 1)
    assert turns.of(first.token, 29.9) is first
    assert turns.of(first.token, 30.0) is None
    granted(turns, "beam", 2, now=30.0)


def test_who_waits_is_told_another_moment_than_the_one_before() -> None:
    turns = Turns()
    granted(turns, "beam", 1)
    assert [busy(turns, "beam") for _ in range(3)] == [30.0, 35.0, 40.0]
    assert busy(turns, "beam", now=29.0) == 16.0


def test_few_at_a_time_of_all() -> None:
    turns = Turns(Limits(at_once=2))
    granted(turns, "a", 1, lasts_s=10)
    granted(turns, "b", 2)
    assert busy(turns, "c") == 10.0


def test_nobody_is_granted_more_than_a_turn_holds_or_longer() -> None:
    turns = Turns(Limits(turn_bytes=1000, turn_s=60))
    turn = granted(turns, "a", 1, size=10**12, lasts_s=1e9)
    assert (turn.left_bytes, turn.ends_at) == (1000, 60)
    assert granted(turns, "b", 2, size=-5).left_bytes == 0


def test_an_hour_has_an_end_of_bytes_and_the_next_begins_anew() -> None:
    turns = Turns(Limits(turn_bytes=1000, hour_bytes=1500))
    granted(turns, "a", 1, size=1000)
    assert busy(turns, "b", now=600, size=1000) == 3000
    granted(turns, "b", 2, now=3600, size=1000)


def test_who_waits_in_ever_new_groups_does_not_fill_the_memory() -> None:
    turns = Turns(Limits(at_once=1, groups=10))
    granted(turns, "a", 1)
    for n in range(1000):
        busy(turns, f"group {n}")
    assert len(turns._promised) <= 10
