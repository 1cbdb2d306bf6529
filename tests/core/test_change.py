"""Quickest detection: run lengths are exact, limits the lowest that keep the promise, proofs as sure as they say."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.change import Cusum, Proof, Rates, Scores, mean_run, tuned

MONTH = 30 * 86400 * 2.0  # outcomes at two a second
BASE = 0.01
BURSTY = Rates(BASE, 0.67)
INDEPENDENT = Rates(BASE, BASE)
CHAINS = (INDEPENDENT, Rates(0.001, 0.5), BURSTY, Rates(0.05, 0.9), Rates(0.05, 0.05), Rates(0.02, 0.15))
OPTIMUM = {0.2: 30.4, 0.1: 83.0}  # probes to the alarm, notes/failover.md 7.2


def solved(rates: Rates, scores: Scores, limit: int) -> float:
    """The same mean as the solution of one linear equation for each state of the chain."""
    matrix = np.eye(2 * limit)
    for score in range(limit):
        after_good, after_bad = score, limit + score
        if score + scores.begins < limit:
            matrix[after_good, limit + score + scores.begins] -= rates.begins
        matrix[after_good, max(0, score - 1)] -= 1 - rates.begins
        if score + scores.goes_on < limit:
            matrix[after_bad, limit + score + scores.goes_on] -= rates.goes_on
        matrix[after_bad, max(0, score - scores.ends)] -= 1 - rates.goes_on
    return float(np.linalg.solve(matrix, np.ones(2 * limit))[0])


def runs(watched: Cusum, rates: Rates, alarms: int, chance: Random) -> list[int]:
    """The lengths of so many runs to an alarm, each from a score of nought after a good outcome."""
    lengths = []
    for _ in range(alarms):
        watched.forget()
        length = 0
        while not watched.alarmed:
            good = int(np.log(1 - chance.random()) / np.log(1 - rates.begins))
            watched.take_good(good)
            watched.take(True, False, 0)
            length += good + 1
            while not watched.alarmed and chance.random() < rates.goes_on:
                watched.take(True, True, 0)
                length += 1
            if not watched.alarmed:
                watched.take(False, True, 0)
                length += 1
        lengths.append(length)
    return lengths


def suited(rates: Rates, worse: float = 0.2, outcomes: float = 20_000) -> Cusum:
    watched = Cusum(Rates(worse, worse))
    watched.suit(rates, outcomes)
    return watched


def feed(watched: Cusum, outcomes: list[bool]) -> None:
    after_bad = False
    for number, bad in enumerate(outcomes):
        watched.take(bad, after_bad, number)
        after_bad = bad


@pytest.mark.parametrize("rates", CHAINS)
@pytest.mark.parametrize("worse", [0.1, 0.2, 0.5])
def test_the_mean_run_is_the_solution_of_the_chains_linear_equations(rates: Rates, worse: float) -> None:
    scores, limit = tuned(rates, Rates(worse, worse), 1e5)
    for each in {1, 2, limit // 2, limit}:
        assert mean_run(rates, scores, each) == pytest.approx(solved(rates, scores, each), rel=1e-6)


@settings(deadline=None)
@given(
    begins=st.floats(0.005, 0.1),
    more=st.floats(0, 0.8),
    scores=st.builds(Scores, st.integers(1, 20), st.integers(0, 12), st.integers(0, 1)),
    limit=st.integers(1, 30),
)
def test_so_it_is_for_any_rates_and_scores(begins: float, more: float, scores: Scores, limit: int) -> None:
    rates = Rates(begins, begins + more)
    expected = solved(rates, scores, limit)
    if 0 < expected < 1e8:  # beyond, both lose digits
        assert mean_run(rates, scores, limit) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rates", [INDEPENDENT, BURSTY, Rates(0.05, 0.5), Rates(0.02, 0.15)])
def test_the_mean_run_is_what_a_walk_along_the_chain_finds(rates: Rates) -> None:
    watched = suited(rates, outcomes=3000)
    lengths = runs(watched, rates, 500, Random(1))
    error = np.std(lengths) / len(lengths) ** 0.5
    assert abs(np.mean(lengths) - mean_run(rates, watched.scores, watched.limit)) < 3 * error
    assert error < 0.06 * np.mean(lengths)


@pytest.mark.parametrize("rates", CHAINS)
@pytest.mark.parametrize("worse", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("outcomes", [50.0, 20_000.0, MONTH, 10 * MONTH])
def test_the_limit_is_the_lowest_that_keeps_the_promise(rates: Rates, worse: float, outcomes: float) -> None:
    scores, limit = tuned(rates, Rates(worse, worse), outcomes)
    assert mean_run(rates, scores, limit) >= outcomes
    assert limit == 1 or mean_run(rates, scores, limit - 1) < outcomes


@pytest.mark.parametrize(("worse", "optimum"), OPTIMUM.items())
def test_whole_numbers_cost_less_than_five_percent_of_the_optimal_delay(worse: float, optimum: float) -> None:
    scores, limit = tuned(INDEPENDENT, Rates(worse, worse), MONTH)
    delay = mean_run(Rates(worse, worse), scores, limit)
    assert optimum * 0.99 <= delay <= optimum * 1.05


@pytest.mark.parametrize("worse", OPTIMUM)
def test_on_a_link_without_bursts_every_bad_outcome_counts_in_full(worse: float) -> None:
    scores, _ = tuned(INDEPENDENT, Rates(worse, worse), MONTH)
    assert (scores.goes_on, scores.ends) == (scores.begins, 1)


def test_what_a_burst_does_by_its_own_nature_says_nothing() -> None:
    scores, limit = tuned(BURSTY, Rates(0.2, 0.2), MONTH)
    assert (scores.goes_on, scores.ends) == (0, 0)
    watched = suited(BURSTY, outcomes=MONTH)
    feed(watched, [True] * 100)
    assert watched.score == scores.begins < limit


def test_the_rate_of_false_alarms_holds_on_a_bursty_link_where_it_would_not_for_single_losses() -> None:
    promise = 20_000
    lengths = runs(suited(BURSTY, outcomes=promise), BURSTY, 300, Random(2))
    assert np.mean(lengths) + 3 * np.std(lengths) / len(lengths) ** 0.5 > promise
    naive = runs(suited(INDEPENDENT, outcomes=promise), BURSTY, 300, Random(3))
    assert np.mean(naive) < promise / 50


def test_a_rule_for_single_losses_would_break_the_promise_of_a_month_within_the_hour() -> None:
    scores, limit = tuned(INDEPENDENT, Rates(0.2, 0.2), MONTH)
    assert mean_run(BURSTY, scores, limit) < 3600 * 2
    assert mean_run(BURSTY, *tuned(BURSTY, Rates(0.2, 0.2), MONTH)) >= MONTH


@settings(deadline=None)
@given(
    rates=st.sampled_from(CHAINS),
    before=st.lists(st.booleans(), max_size=30),
    times=st.integers(0, 200),
    after=st.lists(st.booleans(), max_size=10),
)
def test_many_good_outcomes_at_once_are_as_one_after_the_other(
    rates: Rates, before: list[bool], times: int, after: list[bool]
) -> None:
    one, other = suited(rates), suited(rates)
    for watched in (one, other):
        feed(watched, [*before, False])
    one.take_good(times)
    for _ in range(times):
        other.take(False, False, 0)
    for watched in (one, other):
        feed(watched, after)
    assert state(one) == state(other)


def state(watched: Cusum) -> tuple[int, ...]:
    return watched.score, watched.resets, watched.bad, watched.taken, watched.began


@settings(deadline=None)
@given(before=st.lists(st.booleans(), max_size=40), after=st.lists(st.booleans(), max_size=60))
def test_a_loss_that_is_taken_back_leaves_what_would_be_without_it(before: list[bool], after: list[bool]) -> None:
    watched, without = suited(INDEPENDENT, outcomes=1e15), suited(INDEPENDENT, outcomes=1e15)
    feed(watched, [*before, True])
    feed(without, [*before, False])
    mark = watched.resets
    forgotten, clamped = False, not without.score
    for bad in after:
        watched.take(bad, False, 0)
        without.take(bad, False, 0)
        forgotten = watched.resets != mark
        clamped = clamped or not without.score
    highest = watched.score
    if highest > watched.limit:
        return  # beyond an alarm nothing is promised
    watched.take_back(False, mark)
    assert watched.score <= highest
    assert watched.score <= without.score
    if forgotten or not clamped:
        assert watched.score == without.score


def test_what_is_forgotten_already_is_not_taken_back_again() -> None:
    watched = suited(INDEPENDENT)
    watched.take(True, False, 1)
    mark = watched.resets
    watched.take_good(watched.score)
    watched.take(True, False, 2)
    watched.take_back(False, mark)
    assert (watched.score, watched.bad) == (watched.scores.begins, 1)


@settings(deadline=None)
@given(
    rates=st.sampled_from(CHAINS),
    outcomes=st.lists(st.booleans(), max_size=60),
    at=st.integers(0, 59),
)
def test_taking_back_never_makes_a_score_higher_nor_less_than_nought(
    rates: Rates, outcomes: list[bool], at: int
) -> None:
    watched = suited(rates)
    feed(watched, [*outcomes[:at], True])
    mark = watched.resets
    feed(watched, outcomes[at:])
    highest = watched.score
    watched.take_back(False, mark)
    assert 0 <= watched.score <= highest


def test_evidence_is_counted_from_the_outcome_that_raised_the_score_from_nought() -> None:
    watched = suited(INDEPENDENT)
    feed(watched, [True, *[False] * 50, True, False, True])
    assert (watched.began, watched.bad, watched.taken) == (51, 2, 3)


def test_after_a_long_outage_a_link_has_not_more_than_twice_the_limit_to_make_good() -> None:
    watched = suited(INDEPENDENT)
    feed(watched, [True] * 10_000)
    watched.take_good(2 * watched.limit)
    assert watched.score == 0


def test_new_rates_keep_the_share_of_the_limit_that_was_reached() -> None:
    watched = suited(INDEPENDENT)
    feed(watched, [True, True])
    share = watched.score / watched.limit
    watched.suit(BURSTY, MONTH)
    assert watched.score / watched.limit == pytest.approx(share, abs=1 / watched.limit)
    assert not watched.alarmed


def test_new_rates_neither_raise_an_alarm_nor_end_one() -> None:
    watched = suited(INDEPENDENT)
    feed(watched, [True] * 10)
    assert watched.alarmed
    watched.suit(BURSTY, MONTH)
    assert watched.alarmed
    watched.forget()
    watched.suit(INDEPENDENT, 100)
    assert watched.score == 0


def proof() -> Proof:
    return Proof(BASE, 0.2, 1000)


def test_thirty_three_answers_in_a_row_prove_a_link_good() -> None:
    tried = proof()
    for _ in range(32):
        tried.take(False)
    assert not tried.passed
    tried.take(False)
    assert tried.passed
    assert tried.failed == 0


def ended(tried: Proof, begins: float, goes_on: float, chance: Random) -> bool:
    bad = False
    while not tried.passed and not tried.failed:
        bad = chance.random() < (goes_on if bad else begins)
        tried.take(bad)
    return tried.passed


def test_a_link_that_loses_one_in_five_passes_once_in_a_thousand_tries_at_most() -> None:
    chance, tries = Random(4), 20_000
    passed = sum(ended(proof(), 0.2, 0.2, chance) for _ in range(tries))
    assert passed <= tries / 1000 + 3 * (tries / 1000) ** 0.5


def test_a_good_link_passes_nearly_always_and_soon() -> None:
    chance, tries = Random(5), 2000
    assert sum(ended(proof(), BASE, BASE, chance) for _ in range(tries)) >= 0.995 * tries


@given(st.integers(0, 32), st.integers(0, 3))
def test_a_burst_of_three_costs_a_proof_all_it_had_won(won: int, single: int) -> None:
    tried = proof()
    for bad in [*[True] * min(single, 2), *[False] * won, True, True, True]:
        tried.take(bad)
    for _ in range(32):
        tried.take(False)
        assert not tried.passed


def test_a_proof_that_failed_begins_anew_and_its_failures_are_counted() -> None:
    tried = proof()
    for _ in range(2):
        for _ in range(3):
            tried.take(True)
    assert tried.failed == 2
    for _ in range(33):
        tried.take(False)
    assert tried.passed
    assert tried.failed == 2


def test_a_loss_right_after_a_proof_takes_it_back() -> None:
    tried = proof()
    for bad in [*[False] * 33, True]:
        tried.take(bad)
    assert not tried.passed
