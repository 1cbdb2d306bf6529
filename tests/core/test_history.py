"""What an uplink was like: silences foretold from those survived, rates within bounds, RTTs after RFC 6298."""

from math import exp, log
from random import Random
from statistics import mean

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.history import (
    BASE_LEARNS_FROM,
    DAY_S,
    EDGES_S,
    FIRST_TIMEOUT_S,
    HALF_LIFE_S,
    HOUR_S,
    LONGEST_TIMEOUT_S,
    MONTH_S,
    PRIOR,
    SLACK_S,
    USUAL,
    History,
    Outcomes,
    Silences,
    Trip,
)
from agent.core.station import Kind

LTE = USUAL[Kind.LTE]
SELDOM = 0.25  # a month: once in 120 days


def survived(lengths_s: list[float], watched_s: float = MONTH_S) -> Silences:
    silences = Silences(watched_s=watched_s)
    for length_s in lengths_s:
        silences.take(length_s)
    return silences


def drawn(mean_s: float, count: int, chance: Random) -> list[float]:
    return [chance.expovariate(1 / mean_s) for _ in range(count)]


@pytest.mark.parametrize(("mean_s", "count"), [(0.3, 3000), (0.1, 5000), (1.0, 500)])
@pytest.mark.parametrize("months", [1, 3])
def test_of_exponential_silences_the_limit_is_that_of_theory(mean_s: float, count: int, months: int) -> None:
    chance = Random(1)
    theory_s = mean_s * log(count / months / SELDOM)
    limits_s = [survived(drawn(mean_s, count, chance), months * MONTH_S).length_s(SELDOM, LTE) for _ in range(20)]
    assert mean(limits_s) == pytest.approx(theory_s, rel=0.15)
    assert all(0.5 * theory_s < limit_s < 1.7 * theory_s for limit_s in limits_s)


@given(
    lengths_s=st.lists(st.floats(0, 20), max_size=100),
    days=st.floats(1, 60),
    per_month=st.floats(0.01, 10),
)
def test_how_often_is_the_inverse_of_how_long(lengths_s: list[float], days: float, per_month: float) -> None:
    silences = survived(lengths_s, days * DAY_S)
    length_s = silences.length_s(per_month, LTE)
    if per_month <= silences.per_month(0, LTE):
        assert silences.per_month(length_s, LTE) == pytest.approx(per_month, rel=1e-6)


@given(st.lists(st.floats(0, 20), max_size=100), st.floats(0.01, 10), st.floats(1, 100))
def test_what_is_rarer_is_longer(lengths_s: list[float], per_month: float, times: float) -> None:
    silences = survived(lengths_s)
    assert silences.length_s(per_month, LTE) >= silences.length_s(per_month * times, LTE) >= 0


@pytest.mark.parametrize("kind", Kind)
def test_a_link_without_a_history_is_taken_for_one_of_its_kind(kind: Kind) -> None:
    usual = USUAL[kind]
    theory_s = usual.silence_s * log(PRIOR * 30 / SELDOM)
    assert theory_s <= Silences().length_s(SELDOM, usual) <= 1.3 * theory_s  # it is known from few
    assert Silences().per_month(0.0, usual) == pytest.approx(PRIOR * 30)


def test_a_silence_longer_than_the_limit_is_rarer_than_promised_and_a_shorter_one_is_not() -> None:
    silences = survived(drawn(0.3, 3000, Random(7)))
    limit_s = silences.length_s(SELDOM, LTE)
    assert silences.per_month(limit_s + 1, LTE) < SELDOM < silences.per_month(limit_s - 1, LTE)
    assert silences.per_month(1.5, LTE) == pytest.approx(3000 * exp(-1.5 / 0.3), rel=0.3)


def test_a_month_without_a_silence_lowers_the_limit() -> None:
    assert survived([]).length_s(SELDOM, LTE) < Silences().length_s(SELDOM, LTE)


@pytest.mark.parametrize("long_s", [3.0, 8.0, 15.0])
def test_a_few_long_silences_move_the_limit_up_at_once(long_s: float) -> None:
    silences = survived(drawn(0.2, 15, Random(3)))
    before_s = silences.length_s(SELDOM, LTE)
    moved = []
    for _ in range(3):
        silences.take(long_s)
        moved.append(silences.length_s(SELDOM, LTE))
    assert before_s * 1.15 < moved[0] < moved[1] < moved[2]
    assert moved[2] > 2 * before_s


def test_silences_of_one_length_do_not_mean_that_the_next_cannot_be_longer() -> None:
    edge_s = max(edge_s for edge_s in EDGES_S if edge_s <= 1.0)
    limit_s = survived([edge_s] * 100).length_s(SELDOM, LTE)
    assert edge_s + 0.02 < limit_s < edge_s + 1.0


def test_one_half_life_forgets_half() -> None:
    history = History(silences=survived([1.0, 2.0]), losses=Outcomes(100, 10, 8, 4), delays=Outcomes(80, 8, 4, 2))
    history.fade(HALF_LIFE_S)
    assert sum(history.silences.counts) == pytest.approx(1)
    assert sum(history.silences.sums_s) == pytest.approx(1.5)
    assert history.silences.watched_s == pytest.approx(MONTH_S / 2)
    assert history.losses == Outcomes(50, 5, 4, 2)
    assert history.delays == Outcomes(40, 4, 2, 1)


def test_it_does_not_matter_in_how_many_steps_time_passes() -> None:
    once, often = (History(silences=survived([1.0] * 50), losses=Outcomes(100, 10, 8, 4)) for _ in range(2))
    once.fade(DAY_S)
    for _ in range(24):
        often.fade(HOUR_S)
    assert often.silences.counts == pytest.approx(once.silences.counts)
    assert often.losses.begins == pytest.approx(once.losses.begins)


def test_after_a_year_a_bad_week_is_forgotten() -> None:
    history = History(silences=survived([10.0] * 30, 7 * DAY_S), losses=Outcomes(1e5, 1e4, 1e4, 9e3))
    assert history.silences.length_s(SELDOM, LTE) > 10
    history.fade(365 * DAY_S)
    new = History()
    assert history.silences.length_s(SELDOM, LTE) == pytest.approx(new.silences.length_s(SELDOM, LTE), rel=0.01)
    assert history.losses.rates(0.01, 0.05, LTE.loss_goes_on) == new.losses.rates(0.01, 0.05, 0.05)


def test_a_history_is_a_few_kilobytes_after_a_million_events() -> None:
    history, chance = History(), Random(5)
    trips = [history.trips.setdefault(f"2001:db8:ffff:ffff:ffff:ffff:ffff:{n:04x}", Trip()) for n in range(8)]
    for length_s in drawn(2.0, 10_000, chance):
        history.silences.take(length_s)
        for _ in range(50):
            history.losses.take(chance.random() < 0.1, False)
    for n in range(300_000):
        trips[n % 8].learn(chance.random(), 0.5)
    for _ in range(200_000):
        history.after_idle.learn(0.7, 30.0)
    for _ in range(500):
        history.fade(HOUR_S)
    assert len(msgspec.json.encode(history)) < 8 * 1024


def test_silences_longer_than_the_last_edge_have_a_place_too() -> None:
    silences = survived([EDGES_S[-1] * 2, 0.0])
    assert (silences.counts[-1], silences.counts[0]) == (1, 1)


def test_a_history_comes_back_from_disk_as_it_was() -> None:
    history = History(silences=survived([0.3, 2.0]), losses=Outcomes(9, 2, 2, 1), trips={"192.0.2.1": Trip()})
    history.trips["192.0.2.1"].learn(0.05, 0.0)
    history.after_idle.learn(0.8, 0.0)
    history.fade(HOUR_S)
    assert msgspec.json.decode(msgspec.json.encode(history), type=History) == history


def test_two_histories_share_nothing() -> None:
    one, other = History(), History()
    one.trips["192.0.2.1"] = Trip()
    one.silences.take(1.0)
    one.losses.take(True, False)
    assert other == History()


# outcomes


def outcomes(count: int, begins: float, goes_on: float, chance: Random) -> Outcomes:
    seen, bad = Outcomes(), False
    for _ in range(count):
        was, bad = bad, chance.random() < (goes_on if bad else begins)
        seen.take(bad, was)
    return seen


def test_the_rates_of_a_chain_are_found() -> None:
    rates = outcomes(200_000, 0.03, 0.7, Random(6)).rates(0.01, 0.05, LTE.loss_goes_on)
    assert rates.begins == pytest.approx(0.03, rel=0.05)
    assert rates.goes_on == pytest.approx(0.7, abs=0.02)


def test_without_a_history_the_usual_is_expected_and_a_little_more() -> None:
    rates = Outcomes().rates(0.01, 0.05, LTE.loss_goes_on)
    assert rates.begins == 0.01
    assert LTE.loss_goes_on <= rates.goes_on <= LTE.loss_goes_on + 0.06


def test_a_link_that_never_loses_is_not_held_to_never_losing() -> None:
    assert Outcomes(after_good=1e7).rates(0.01, 0.05, LTE.loss_goes_on).begins == 0.01


def test_nobody_gets_used_to_a_link_that_loses_every_third() -> None:
    assert (
        Outcomes(after_good=1e6, begins=3e5, after_bad=3e5, goes_on=1e5).rates(0.01, 0.05, LTE.loss_goes_on).begins
        == 0.05
    )


@given(
    good=st.floats(0, 1e7),
    begins=st.floats(0, 1),
    bad=st.floats(0, 1e7),
    goes_on=st.floats(0, 1),
    least=st.floats(0.001, 0.02),
    most=st.floats(0.03, 0.1),
)
def test_rates_are_such_that_a_test_can_be_made_of_them(
    good: float, begins: float, bad: float, goes_on: float, least: float, most: float
) -> None:
    rates = Outcomes(good, good * begins, bad, bad * goes_on).rates(least, most, LTE.loss_goes_on)
    assert least - 1e-4 <= rates.begins <= most + 1e-4
    assert rates.begins - 0.01 <= rates.goes_on <= 0.95


# round trips


def heard(trip: Trip, rtts_s: list[float], every_s: float = 0.5) -> Trip:
    for rtt_s in rtts_s:
        trip.learn(rtt_s, every_s)
    return trip


def test_until_an_answer_came_a_second_is_waited() -> None:
    assert Trip().timeout_s == FIRST_TIMEOUT_S


def test_smoothed_rtt_and_deviation_are_those_of_rfc_6298() -> None:
    trip = heard(Trip(), [0.1])
    assert (trip.smoothed_s, trip.deviation_s) == (0.1, 0.05)
    heard(trip, [0.2])
    assert trip.deviation_s == pytest.approx(0.75 * 0.05 + 0.25 * 0.1)
    assert trip.smoothed_s == pytest.approx(0.875 * 0.1 + 0.125 * 0.2)


def test_a_link_without_variation_is_given_slack() -> None:
    trip = heard(Trip(), [0.01] * 100)
    assert trip.timeout_s == pytest.approx(0.01 + SLACK_S)


def test_an_answer_that_comes_after_its_time_counts_as_twice_that_time() -> None:
    one, other = heard(Trip(), [0.05] * 50), heard(Trip(), [0.05] * 50)
    other.learn(2 * other.timeout_s, 0.5)
    one.learn(25.0, 0.5)
    assert one == other


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_tail_makes_the_detector_blind(rtts_s: list[float]) -> None:
    trip = heard(Trip(), rtts_s)
    assert trip.smoothed_s is not None
    assert min(trip.smoothed_s, LONGEST_TIMEOUT_S) <= trip.timeout_s <= LONGEST_TIMEOUT_S


def test_the_usual_rtt_is_the_smoothed_one_until_there_are_answers_enough() -> None:
    trip = heard(Trip(), [0.04, 0.08] * ((BASE_LEARNS_FROM - 1) // 2))
    assert trip.usual_s == trip.smoothed_s
    assert trip.usual_s == pytest.approx(0.06, rel=0.3)


@pytest.mark.parametrize("every_s", [1.0, 12.0])
@pytest.mark.parametrize("new_s", [0.05, 0.8])
def test_what_is_usual_hardly_moves_within_an_hour_and_has_moved_within_a_day(every_s: float, new_s: float) -> None:
    trip = heard(Trip(), [0.2] * 50, every_s)
    heard(trip, [new_s] * int(HOUR_S / every_s), every_s)
    assert trip.usual_s == pytest.approx(0.2, rel=0.15)
    heard(trip, [new_s] * int(23 * HOUR_S / every_s), every_s)
    assert trip.usual_s == pytest.approx(new_s, rel=0.05)


def test_a_long_pause_counts_as_a_minute() -> None:
    trip = heard(Trip(), [0.2] * 50)
    trip.learn(0.4, DAY_S)
    assert trip.usual_s == pytest.approx(0.2, rel=0.01)
