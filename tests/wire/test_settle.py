"""A transfer has told its rate when its samples agree, and not before."""

import random

import pytest

from wire.settle import Rate, Settling


def fed(settling: Settling, mbps: float, seconds: float, lump_bytes: int = 1448, at_s: float = 0.0) -> float:
    """Lumps at an even rate; the moment at which it settled, or the end."""
    step_s, end_s = lump_bytes * 8e-6 / mbps, at_s + seconds
    while at_s < end_s and not settling.settled:
        settling.take(lump_bytes, at_s)
        at_s += step_s
    return at_s


def rate(settling: Settling) -> Rate:
    assert settling.rate is not None
    return settling.rate


@pytest.mark.parametrize("lump_bytes", [500, 1448, 14_480])
@pytest.mark.parametrize("mbps", [0.5, 1, 5, 100])
def test_an_even_rate_settles_within_a_second_or_little_more_and_exactly(mbps: float, lump_bytes: int) -> None:
    settling = Settling()
    took_s = fed(settling, mbps, 10, lump_bytes)
    assert took_s < 1.0 + 2 * lump_bytes * 8e-6 / mbps
    assert rate(settling).mbps == pytest.approx(mbps, rel=1e-6)
    assert rate(settling).settled


def test_slow_start_does_not_settle() -> None:
    settling, at_s = Settling(), 0.0
    for doubling in range(6):
        at_s = fed(settling, 0.2 * 2**doubling, 0.3, at_s=at_s)
    assert not settling.settled


def test_over_a_satellite_samples_cover_more_than_a_round_trip() -> None:
    near, far = Settling(), Settling(0.6)
    assert fed(near, 1, 10) < fed(far, 1, 10)
    assert fed(Settling(0.6), 1, 0.6 * 1.5) == pytest.approx(0.9, abs=0.02)


def test_silence_does_not_settle() -> None:
    settling = Settling()
    settling.take(1000, 0.0)
    settling.take(1000, 5.0)
    assert not settling.settled
    assert rate(settling).bytes == 2000


def test_a_rate_that_wanders_does_not_settle_but_is_told() -> None:
    settling, at_s = Settling(), 0.0
    for n in range(20):
        at_s = fed(settling, 4 if n % 2 else 6, 0.25, at_s=at_s)
    assert not rate(settling).settled
    assert rate(settling).mbps == pytest.approx(5, rel=0.25)


def test_before_two_arrivals_nothing_is_known() -> None:
    settling = Settling()
    assert settling.rate is None
    settling.take(1000, 1.0)
    assert settling.rate is None
    settling.take(1000, 1.0)
    assert settling.rate is None


def test_jitter_of_some_milliseconds_settles_within_five_per_cent() -> None:
    for seed in range(30):
        chance, settling, last_s = random.Random(seed), Settling(), 0.0
        for n in range(5000):
            last_s = max(last_s, n * 1448 * 8e-6 / 2 + chance.gauss(0, 0.003))
            if settling.settled:
                break
            settling.take(1448, last_s)
        assert rate(settling).settled
        assert rate(settling).mbps == pytest.approx(2, rel=0.05)
