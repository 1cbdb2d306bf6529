"""The exact optimum: its run lengths are those of the theory, and it walks as Page's rule does."""

import numpy as np
import pytest

from bench.detect import measure, optimum
from bench.detect.optimum import BASE, BETWEEN, Cusum, Optimum, best, run_length
from tests.bench.made import CLEAN, changes, made_day

PROBES = {1.0: 4, 0.5: 9.2, 0.3: 17.6, 0.2: 30.4, 0.1: 83.0}  # notes/failover.md 7.2


@pytest.mark.parametrize(("failed", "probes"), PROBES.items())
def test_the_fastest_detection_is_that_of_the_table(failed: float, probes: float) -> None:
    assert run_length(best(BASE, failed, BETWEEN), failed) == pytest.approx(probes, rel=0.01)


@pytest.mark.parametrize("failed", PROBES)
def test_one_false_alarm_in_30_days_is_kept_and_no_lower_threshold_keeps_it(failed: float) -> None:
    rule = best(BASE, failed, BETWEEN)
    assert run_length(rule, BASE) >= BETWEEN
    assert run_length(Cusum(rule.up, rule.down, rule.threshold - 1e-6), BASE) < BETWEEN


def test_towards_ten_and_twenty_percent_it_is_30_days_within_a_few_percent() -> None:
    assert run_length(best(BASE, 0.2, BETWEEN), BASE) == pytest.approx(BETWEEN, rel=0.03)
    assert run_length(best(BASE, 0.1, BETWEEN), BASE) == pytest.approx(BETWEEN, rel=0.03)


@pytest.mark.parametrize("misses", [1, 3, 4])
def test_against_a_blackhole_it_is_so_many_in_a_row(misses: int) -> None:
    formula = (1 - BASE**misses) / ((1 - BASE) * BASE**misses)
    assert run_length(Cusum(1.0, np.inf, misses - 0.5), BASE) == pytest.approx(formula)


def test_longer_excursions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = best(BASE, 0.1, BETWEEN)
    told = run_length(rule, 0.1)
    monkeypatch.setattr(optimum, "EXCURSION_LOSSES", 2 * optimum.EXCURSION_LOSSES)
    assert run_length(rule, 0.1) == pytest.approx(told, rel=1e-9)


def test_the_run_length_is_what_a_plain_simulation_finds() -> None:
    rule, chance = Cusum(1.5, 0.4, 4.0), np.random.default_rng(1)
    lengths, level, length = [], 0.0, 0
    for is_lost in chance.random(200_000) < 0.2:
        level, length = max(0.0, level + (rule.up if is_lost else -rule.down)), length + 1
        if level >= rule.threshold:
            lengths.append(length)
            level, length = 0.0, 0
    assert run_length(rule, 0.2) == pytest.approx(np.mean(lengths), rel=0.05)


def test_untold_it_alarms_at_the_fifth_loss_in_a_row_and_is_good_again_after_33_answers() -> None:
    raised, cleared = changes(Optimum(), made_day(outages=[(1000, 1010)], seconds=2000))
    assert raised.is_alarm and not cleared.is_alarm
    assert 1000 + 4 * 0.5 + 1 <= raised.at_s <= 1000 + 4.5 * 0.5 + 1.5
    assert 1010 + 32 * 0.5 <= cleared.at_s <= 1010 + 33.5 * 0.5
    assert changes(Optimum(), made_day(outages=[(1000, 1001.9)], seconds=2000)) == []


def test_on_a_link_it_takes_the_probes_that_theory_says_and_the_timeout() -> None:
    found_s = [each for each in measure.delays(Optimum(), CLEAN, 0.2, 1500) if each is not None]
    probes = run_length(best(BASE, 0.2, BETWEEN), 0.2)
    assert np.mean(found_s) == pytest.approx(0.25 + 0.5 * (probes - 1) + 1, abs=0.6)
