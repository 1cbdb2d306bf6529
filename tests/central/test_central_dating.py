"""When a boot began: by the centre's clock when it was heard, by the station's once that was set, else not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.dating import ANOTHER_CLOCK_S, BOOTS_KEPT, Boots, happened_s, hear, learn
from wire.messages import Stamp

NOW_S = 1_780_000_000.0


def stamp(uptime_s: float, wall_s: float = 0.0, synced: bool = False, boot: str = "b") -> Stamp:
    return Stamp(boot, uptime_s, wall_s, synced)


def test_records_of_a_boot_without_a_clock_are_dated_by_its_first_synchronised_one() -> None:
    boots = learn((), stamp(10), NOW_S)
    assert happened_s(boots, stamp(10)) is None
    boots = learn(boots, stamp(600, NOW_S - 3600, synced=True), NOW_S)
    assert happened_s(boots, stamp(10)) == NOW_S - 3600 - 590


def test_what_was_heard_live_counts_more_than_what_the_stations_clock_says() -> None:
    boots = learn((), stamp(600, NOW_S - 86_400, synced=True), NOW_S)
    boots = hear(boots, stamp(700), NOW_S)
    assert happened_s(boots, stamp(600)) == NOW_S - 100


@pytest.mark.parametrize("wall_s", [0.0, 946_684_800.0, NOW_S + 1.0, NOW_S + 10 * 365 * 86_400])
def test_a_clock_that_says_the_impossible_is_not_believed(wall_s: float) -> None:
    assert happened_s(learn((), stamp(600, wall_s, synced=True), NOW_S), stamp(600)) is None


@given(st.lists(st.floats(0.0, ANOTHER_CLOCK_S * 0.99), min_size=1, max_size=20))
def test_the_fastest_of_the_messages_tells_best(delays_s: list[float]) -> None:
    boots: Boots = ()
    for n, delay_s in enumerate(delays_s):
        boots = hear(boots, stamp(60.0 * n), NOW_S + 60.0 * n + delay_s)
    told = happened_s(boots, stamp(0.0))
    assert told is not None
    assert NOW_S - 0.001 <= told <= NOW_S + min(delays_s) + 0.001


@pytest.mark.parametrize("step_s", [-365 * 86_400.0, 365 * 86_400.0])
def test_when_the_centres_own_clock_is_set_the_next_message_mends_it(step_s: float) -> None:
    boots = hear((), stamp(60), NOW_S + step_s)
    boots = hear(boots, stamp(120), NOW_S + 60)
    assert happened_s(boots, stamp(60)) == NOW_S


def test_boots_are_bounded_and_the_oldest_go() -> None:
    boots: Boots = ()
    for n in range(BOOTS_KEPT + 3):
        boots = hear(boots, stamp(1, boot=str(n)), NOW_S)
    assert len(boots) == BOOTS_KEPT
    assert happened_s(boots, stamp(1, boot="2")) is None
    assert happened_s(boots, stamp(1, boot="3")) == NOW_S
