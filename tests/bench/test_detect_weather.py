"""Each weather is what it claims to be, and one packet alone fares by the same law as a million."""

import random

import numpy as np
import pytest

from bench.detect import weather
from bench.detect.schedule import moments
from bench.detect.weather import DAY_S, WEATHERS, Failure, Link
from tests.bench.made import CLEAN, made_day

BY_NAME = {each.name: each for each in WEATHERS}


def fates(name: str, spacing_s: float, days: int) -> np.ndarray:
    chance = np.random.default_rng(1)
    return np.concatenate([day.rtts(moments(day, spacing_s, 0.25), chance) for day in Link(BY_NAME[name]).days(days)])


@pytest.mark.parametrize(("name", "burst"), [("Gilbert B=2", 2), ("Gilbert B=3", 3)])
def test_a_gilbert_link_at_two_probes_a_second_has_its_loss_and_its_bursts(name: str, burst: float) -> None:
    lost = np.isinf(fates(name, 0.5, 20))
    begun = np.count_nonzero(lost[1:] & ~lost[:-1])
    assert lost.mean() == pytest.approx(0.01, rel=0.05)
    assert lost.sum() / begun == pytest.approx(burst, rel=0.05)


def test_probes_within_one_slot_of_a_gilbert_link_share_its_state() -> None:
    slots = np.isinf(fates("Gilbert B=2", 0.1, 1)).reshape(-1, 5)  # from 0.05 s on, five to a slot
    assert np.array_equal(slots.any(axis=1), slots.all(axis=1))


@pytest.mark.parametrize("name", ["1 % independent", "idle standby"])
def test_independent_loss_comes_alone(name: str) -> None:
    lost = np.isinf(fates(name, 0.5, 10))
    assert lost.mean() == pytest.approx(0.01, rel=0.05)
    assert np.mean(lost[1:][lost[:-1]]) == pytest.approx(0.01, abs=0.003)


def test_the_tails_of_lte_are_those_of_the_recording_it_is_modelled_on() -> None:
    rtt_s = fates("LTE, tails to 10 s", 0.5, 20)
    came_s = rtt_s[np.isfinite(rtt_s)]
    assert [np.mean(came_s > limit_s) for limit_s in (1, 2, 3)] == pytest.approx([0.0142, 0.010, 0.0071], rel=0.1)
    assert 9 < came_s.max() < 10.5


def test_a_geo_link_answers_after_600_ms() -> None:
    rtt_s = fates("GEO 600 ms", 0.5, 1)
    assert 0.6 < np.median(rtt_s) < 0.63
    assert np.isinf(rtt_s).mean() == pytest.approx(0.005, rel=0.1)


def test_a_leo_link_is_out_for_1_to_14_s_four_times_an_hour() -> None:
    days = list(Link(BY_NAME["LEO, outages of 1 to 14 s"]).days(40))
    lengths_s = np.concatenate([np.diff(day.outages, axis=1).ravel() for day in days])
    assert len(lengths_s) / len(days) == pytest.approx(96, rel=0.05)
    assert lengths_s.max() <= 14
    assert np.mean(lengths_s < 1) < 0.003  # cut by midnight
    assert np.median(lengths_s) == pytest.approx(np.sqrt(14), rel=0.1)


def test_the_same_seed_gives_the_same_days_in_any_order() -> None:
    link = Link(BY_NAME["Gilbert B=3"])
    later, _ = link.day(7), link.day(2)
    assert np.array_equal(later.outages, link.day(7).outages)
    assert not np.array_equal(later.outages, Link(BY_NAME["Gilbert B=3"], seed=2).day(7).outages)


def test_days_join_without_a_probe_missing_or_double() -> None:
    sent_s = np.concatenate([moments(day, 0.7, 0.3) for day in CLEAN.days(3)])
    assert np.allclose(np.diff(sent_s), 0.7)
    assert sent_s[-1] > 3 * DAY_S - 0.7


def test_what_is_sent_in_a_stall_comes_at_its_end_and_in_an_outage_never() -> None:
    day = made_day(outages=[(100, 102)], stalls=[(200, 210)], jitter_s=0)
    rtt_s = day.rtts(np.array([99.9, 100.0, 101.9, 102.0, 200.0, 209.0, 210.0]), np.random.default_rng(1))
    assert rtt_s.tolist() == pytest.approx([0.03, np.inf, np.inf, 0.03, 10.03, 1.03, 0.03])


def test_one_packet_alone_fares_as_one_among_many() -> None:
    day = made_day(outages=[(100, 2000)], stalls=[(3000, 5000)], loss=0.05, rtt_s=0.06, jitter_s=0.015, seconds=20_000)
    sent_s = moments(day, 0.5, 0)
    chance = random.Random(1)
    many_s = day.rtts(sent_s, np.random.default_rng(1))
    alone_s = np.array([np.inf if rtt_s is None else rtt_s for rtt_s in (day.fate(t, chance) for t in sent_s.tolist())])
    assert np.isinf(alone_s).mean() == pytest.approx(np.isinf(many_s).mean(), abs=0.003)
    shares = (0.3, 0.5, 0.7, 0.82)
    assert np.quantile(alone_s, shares) == pytest.approx(np.quantile(many_s, shares), rel=0.02)


def test_trouble_is_announced_at_its_beginning_and_within_it_at_once() -> None:
    day = made_day(outages=[(100, 102)], stalls=[(200, 210)], failure=Failure(300, 0.2, 400), seconds=1000)
    asked_s = [0, 100, 101.9, 102, 205, 210, 300, 400]
    assert [day.next_trouble(t) for t in asked_s] == [100, 100, 101.9, 200, 205, 300, 400, 1000]


def test_a_failure_adds_to_the_loss_until_it_is_repaired() -> None:
    day = made_day(loss=0.1, failure=Failure(1000, 0.5, 50_000))
    assert [day.loss_at(t) for t in (999.9, 1000, 50_000)] == pytest.approx([0.1, 0.55, 0.1])
    sent_s = moments(day, 0.5, 0)
    lost = np.isinf(day.rtts(sent_s, np.random.default_rng(1)))
    assert lost[(sent_s >= 1000) & (sent_s < 50_000)].mean() == pytest.approx(0.55, abs=0.01)
    assert lost[sent_s >= 50_000].mean() == pytest.approx(0.1, abs=0.01)


def test_a_trial_fails_after_its_warm_up_and_ends_when_asked() -> None:
    for number in range(20):
        piece = CLEAN.trial(number, 1.0, warm_s=120, lasts_s=600)
        assert piece.failure is not None
        assert 120 <= piece.failure.at_s - piece.start_s <= 180
        assert piece.stop_s == pytest.approx(piece.failure.at_s + 600)
        assert number * DAY_S <= piece.start_s < piece.stop_s <= (number + 1) * DAY_S


def test_intervals_are_cut_at_midnight() -> None:
    span = weather.within(np.array([[-5.0, -1.0], [-1.0, 2.0], [9.0, 12.0]]), 0, 10)
    assert span.tolist() == [[0, 2], [9, 10]]
