"""The mean of an hour from bursts: right on even links, on links that change, and where nothing comes at all."""

import random

import pytest

from agent.core.spread import BURSTS, PACKETS, Burst, burst, mean_mbps, window_s
from wire.train import Arrival

SIZE_BYTES = 1228


def sent(at_s: float, mbps: float, delay_s: float = 0.03, phase: float = 0.5) -> list[Arrival]:
    step_s = SIZE_BYTES * 8e-6 / mbps
    return [Arrival(n, at_s, at_s + delay_s + (n + phase) * step_s, SIZE_BYTES) for n in range(PACKETS)]


@pytest.mark.parametrize("mbps", [0.5, 2, 5, 20, 100])
def test_an_even_link_is_read_whatever_its_rate(mbps: float) -> None:
    chance = random.Random(1)
    lasts_s = window_s(PACKETS * SIZE_BYTES, 5)
    bursts = [burst(sent(n, mbps, phase=chance.random()), PACKETS, 0.03, lasts_s) for n in range(400)]
    assert mean_mbps(bursts) == pytest.approx(mbps, rel=0.05)


def test_half_the_time_fast_and_half_slow_is_the_mean_of_both_and_not_of_their_bytes() -> None:
    bursts = [burst(sent(n, 1 if n % 2 else 9), PACKETS, 0.03, 0.04) for n in range(100)]
    assert mean_mbps(bursts) == pytest.approx(5, rel=0.06)


def test_where_nothing_comes_the_link_carries_nothing() -> None:
    silent = burst([], PACKETS, 0.03, 0.05)
    assert silent == Burst(0.0, 0.05)
    assert mean_mbps([silent, burst(sent(0, 10), PACKETS, 0.03, 0.05)]) == pytest.approx(5, rel=0.06)
    assert mean_mbps([]) is None


def test_what_comes_behind_the_window_is_not_counted() -> None:
    late = [Arrival(n, 0.0, 1.0 + n, SIZE_BYTES) for n in range(PACKETS)]
    assert burst(late, PACKETS, 0.03, 0.05).carried_bytes == 0


def test_lost_packets_are_not_made_up_for() -> None:
    assert burst(sent(0, 20)[:10], PACKETS, 0.03, 0.05).carried_bytes == 10 * SIZE_BYTES


def test_the_window_follows_the_rate_within_bounds() -> None:
    assert window_s(20_000, None) == 0.033
    assert window_s(20_000, 0.01) == 0.5
    assert window_s(20_000, 1000) == 0.02
    assert window_s(20_000, 2) < window_s(20_000, 1)


def test_an_hour_of_bursts_costs_less_than_a_megabyte() -> None:
    assert BURSTS * PACKETS * SIZE_BYTES < 1_000_000
