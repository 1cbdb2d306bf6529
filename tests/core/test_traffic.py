"""What users' own traffic tells of an uplink: life, doubt, its own load; and that restarted counters tell nothing."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.events import TrafficCounted
from agent.core.station import Kind
from agent.core.traffic import (
    ASKED_AT_LEAST,
    BUSY_ABOVE_BPS,
    BUSY_LASTS_S,
    LIFE_LASTS_S,
    PEAK_HALF_LIFE_S,
    Sign,
    Traffic,
)

EVERY_S = 0.25


@dataclass
class Counted:
    """An uplink's counters, read four times a second."""

    traffic: Traffic
    now: float = 100.0
    rx: int = 0
    tx: int = 0
    asked: int | None = 0
    answered: int | None = 0

    def read(self, after_s: float = EVERY_S) -> Sign:
        self.now += after_s
        return self.traffic.take(TrafficCounted("lte", self.rx, self.tx, self.asked, self.answered), self.now)

    def go(self, asked: int = 0, answered: int = 0, after_s: float = EVERY_S) -> Sign:
        assert self.asked is not None and self.answered is not None
        self.asked, self.answered = self.asked + asked, self.answered + answered
        return self.read(after_s)

    def carry(self, rx_bps: float = 0, tx_bps: float = 0, for_s: float = 1.0) -> None:
        for _ in range(int(for_s / EVERY_S)):
            self.rx, self.tx = self.rx + int(rx_bps * EVERY_S), self.tx + int(tx_bps * EVERY_S)
            self.read()

    @property
    def busy(self) -> bool:
        return self.traffic.busy(self.now)


def counted(**known: int | None) -> Counted:
    """Read once, so that there is something to compare with."""
    new = Counted(Traffic(Kind.LTE), **known)  # type: ignore[arg-type]
    assert new.read() is Sign.NONE
    return new


def test_before_anything_was_counted_nothing_is_known() -> None:
    traffic = Traffic(Kind.LTE)
    assert not traffic.busy(0.0)
    assert not traffic.answers(0.0)


def test_the_first_reading_is_no_sign_however_much_was_counted_before() -> None:
    new = Counted(Traffic(Kind.LTE), rx=10**12, tx=10**12, asked=10**6, answered=10**6)
    assert new.read() is Sign.NONE
    assert not new.busy
    assert not new.traffic.answers(new.now)


def test_answers_are_life_and_it_lasts_a_while() -> None:
    lte = counted()
    assert lte.go(asked=1, answered=1) is Sign.LIFE
    assert lte.traffic.answers(lte.now + LIFE_LASTS_S - 0.01)
    assert not lte.traffic.answers(lte.now + LIFE_LASTS_S)
    assert lte.go() is Sign.NONE


def test_answers_without_a_question_are_life_too() -> None:
    assert counted().go(answered=1) is Sign.LIFE


def test_questions_without_answers_are_doubt_where_there_were_answers() -> None:
    lte = counted()
    lte.go(1, 1)
    assert [lte.go(asked=1, after_s=0.1) for _ in range(5)] == [Sign.NONE] * 4 + [Sign.DOUBT]
    assert not lte.traffic.answers(lte.now)


def test_doubt_is_told_once_until_there_are_answers_again() -> None:
    lte = counted()
    lte.go(1, 1)
    assert [lte.go(asked=50) for _ in range(4)] == [Sign.DOUBT, Sign.NONE, Sign.NONE, Sign.NONE]
    assert lte.go(1, 1) is Sign.LIFE
    assert lte.go(asked=50) is Sign.DOUBT


def test_where_there_never_was_an_answer_questions_are_no_doubt() -> None:
    lte = counted()
    assert {lte.go(asked=1000) for _ in range(10)} == {Sign.NONE}


def test_an_answer_begins_the_count_of_questions_anew() -> None:
    lte = counted()
    lte.go(1, 1)
    for _ in range(10):
        assert lte.go(asked=ASKED_AT_LEAST - 1) is Sign.NONE
        assert lte.go(asked=ASKED_AT_LEAST, answered=1) is Sign.LIFE


def test_a_quiet_lan_is_no_doubt() -> None:
    lte = counted()
    lte.go(1, 1)
    assert {lte.go() for _ in range(1000)} == {Sign.NONE}


@pytest.mark.parametrize("which", ["rx", "tx"])
def test_counters_that_begin_anew_are_no_sign(which: str) -> None:
    lte = counted(rx=5000, tx=5000, asked=500, answered=500)
    lte.go(1, 1)
    setattr(lte, which, 10)
    assert lte.go(asked=100) is Sign.NONE
    assert lte.go(asked=100) is Sign.NONE
    assert not lte.busy
    assert lte.go(1, 1) is Sign.LIFE


@given(st.lists(st.tuples(st.floats(0.3, 30.0), st.booleans()), max_size=50))
def test_a_modem_that_comes_back_again_and_again_makes_no_load_of_a_trickle(readings: list[tuple[float, bool]]) -> None:
    lte = counted(rx=10**9, tx=10**9)
    for after_s, comes_back in readings:
        trickle = int(0.9 * BUSY_ABOVE_BPS[Kind.LTE] * after_s)
        lte.rx, lte.tx = (trickle, trickle) if comes_back else (lte.rx + trickle, lte.tx + trickle)
        lte.read(after_s)
        assert not lte.busy


def test_packet_counters_alone_may_begin_anew() -> None:
    lte = counted(asked=500, answered=500)
    lte.go(1, 1)
    lte.asked = lte.answered = 0
    assert lte.read() is Sign.NONE
    assert lte.go(asked=ASKED_AT_LEAST) is Sign.DOUBT
    assert lte.go(1, 1) is Sign.LIFE


def test_where_nobody_counts_packets_there_are_no_signs_but_load_is_seen() -> None:
    lte = counted(asked=None, answered=None)
    lte.carry(rx_bps=1e6)
    assert lte.busy
    assert lte.read() is Sign.NONE
    assert not lte.traffic.answers(lte.now)


def test_packets_that_are_no_longer_counted_are_no_sign() -> None:
    lte = counted(asked=500, answered=500)
    lte.go(1, 1)
    lte.asked = lte.answered = None
    assert lte.read() is Sign.NONE


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 4, st.floats(0, 10)), max_size=50))
def test_doubt_needs_an_answer_before_it_whatever_is_counted(
    readings: list[tuple[int, int, int, int, float]],
) -> None:
    traffic, now, lived = Traffic(Kind.LTE), 0.0, False
    for rx, tx, asked, answered, passed_s in readings:
        now += passed_s
        sign = traffic.take(TrafficCounted("lte", rx, tx, asked, answered), now)
        assert sign is not Sign.DOUBT or lived
        lived = sign is Sign.LIFE or (lived and sign is Sign.NONE)


# its own load


@pytest.mark.parametrize("way", ["rx_bps", "tx_bps"])
def test_an_uplink_that_carries_half_of_what_it_can_is_busy_in_either_direction(way: str) -> None:
    lte = counted()
    lte.carry(**{way: 1e6})
    assert lte.busy
    lte.carry(**{way: 0.0}, for_s=10)
    assert not lte.busy
    lte.carry(**{way: 0.51e6})
    assert lte.busy


@pytest.mark.parametrize("way", ["rx_bps", "tx_bps"])
def test_less_than_half_of_what_it_can_is_not_busy(way: str) -> None:
    lte = counted()
    lte.carry(**{way: 1e6})
    lte.carry(**{way: 0.49e6}, for_s=10)
    assert not lte.busy


def test_each_direction_has_its_own_peak() -> None:
    lte = counted()
    lte.carry(rx_bps=10e6)
    lte.carry(for_s=10)
    lte.carry(tx_bps=0.2e6)
    assert lte.busy


def test_what_does_not_fill_the_narrowest_line_is_not_busy() -> None:
    lte = counted()
    lte.carry(rx_bps=BUSY_ABOVE_BPS[Kind.LTE] * 0.9, tx_bps=BUSY_ABOVE_BPS[Kind.LTE] * 0.9, for_s=60)
    assert not lte.busy
    lte.carry(tx_bps=BUSY_ABOVE_BPS[Kind.LTE])
    assert lte.busy


def test_a_queue_needs_a_while_to_empty() -> None:
    lte = counted()
    lte.carry(rx_bps=1e6)
    assert lte.traffic.busy(lte.now + BUSY_LASTS_S - 0.01)
    assert not lte.traffic.busy(lte.now + BUSY_LASTS_S)


def test_a_peak_fades() -> None:
    lte = counted()
    lte.carry(rx_bps=1e6)
    lte.carry(rx_bps=0.4e6, for_s=5)
    assert not lte.busy
    lte.read(after_s=PEAK_HALF_LIFE_S)
    lte.carry(rx_bps=0.4e6)
    assert lte.busy


def test_two_readings_at_nearly_one_moment_are_not_a_flood() -> None:
    lte = counted()
    lte.rx += 1500
    lte.read(after_s=1e-6)
    assert not lte.busy
    lte.rx += 10**6
    assert lte.read(after_s=0.0) is Sign.NONE
    assert not lte.busy
