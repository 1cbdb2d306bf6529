"""How long 20 MB and one message take: known cases by hand, and no surprise anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.delivery import IP_SHARE, Way, message_s, photos_s

FIBRE, LTE, GEO = Way(20, 0.01, 0.0), Way(5, 0.06, 0.0), Way(1, 0.6, 0.0)


def test_on_a_short_way_the_rate_is_all() -> None:
    assert photos_s(FIBRE) == pytest.approx(160 / (20 * IP_SHARE), rel=0.01)


def test_over_a_satellite_the_start_costs_seconds() -> None:
    assert photos_s(GEO, 100_000) > 100_000 * 8e-6 / (1 * IP_SHARE) + 4 * 0.6
    assert photos_s(Way(20, 0.6, 0.0)) - photos_s(Way(20, 0.01, 0.0)) > 3


def test_slow_start_by_hand() -> None:
    """Ten segments, then twenty, then what is left of 40 segments, and its acknowledgement; two round trips before."""
    wide = Way(1000, 0.6, 0.0)
    assert photos_s(wide, 40 * 1448) == pytest.approx(2 * 0.6 + 2 * 0.6 + 0.6, abs=0.01)


def test_losses_on_a_long_way_hold_tcp_back_below_the_rate() -> None:
    assert photos_s(Way(4, 0.6, 0.01)) > 2 * photos_s(Way(4, 0.6, 0.0))
    assert photos_s(Way(4, 0.01, 0.01)) == pytest.approx(photos_s(Way(4, 0.01, 0.0)), rel=0.01)


def test_a_message_takes_a_round_trip_and_on_average_what_losses_cost() -> None:
    assert message_s(GEO) == pytest.approx(0.6 + 1000 * 8e-6 / IP_SHARE)
    assert message_s(Way(1, 0.6, 0.1)) - message_s(GEO) == pytest.approx(0.9 * 0.1 / 0.8)


@given(st.floats(0.0, 1e4), st.floats(0.0, 30.0), st.floats(0.0, 1.0), st.floats(1.0, 10.0), st.floats(0.0, 2.0))
def test_worse_is_never_faster(mbps: float, rtt_s: float, loss: float, less: float, more_s: float) -> None:
    way = Way(mbps, rtt_s, loss)
    for worse in (Way(mbps / less, rtt_s, loss), Way(mbps, rtt_s, min(1.0, loss * less))):
        assert photos_s(worse) >= photos_s(way) * 0.999
        assert message_s(worse) >= message_s(way) * 0.999
    assert message_s(Way(mbps, rtt_s + more_s, loss)) >= message_s(way)
    assert 0 < photos_s(way) < float("inf")
