"""What a test's figures mean: capacity and what is free are two things, and a sender's word is neither."""

import pytest

from agent.core.bandwidth import AT_LEAST, OneWay, group, of_goodput, of_train, of_transfer, result, told
from agent.core.delivery import IP_SHARE
from agent.core.station import Kind, Uplink
from wire.bandwidth import Received
from wire.train import Estimate

STATION, NEIGHBOUR, ELSEWHERE = "6408042001143", "6408042001001", "6408042002001"


def test_a_train_reads_the_capacity_and_the_counters_say_what_is_free() -> None:
    way = of_train(Estimate(5.0, 0.001, False, 0, 60, 0), own_mbps=2.0)
    assert (way.capacity_mbps, way.own_mbps, way.available_mbps) == (5.0, 2.0, 3.0)
    assert of_train(Estimate(5.0, 0.001, False, 0, 60, 0), own_mbps=6.0).available_mbps == 0


def test_a_transfer_reads_what_is_free_and_the_counters_say_the_capacity() -> None:
    way = of_transfer(Received(1_000_000, 3.0 * IP_SHARE, True, 1.0), 2.0, 80.0)
    assert (way.capacity_mbps, way.available_mbps) == (pytest.approx(5.0), pytest.approx(3.0))
    assert (way.goodput_mbps, way.added_ms, way.at_least) == (pytest.approx(3.0 * IP_SHARE), 80.0, False)


def test_what_has_not_settled_is_at_least() -> None:
    way = of_transfer(Received(1_000_000, 3.0, False, 1.0), 0.0, None)
    assert way.at_least and way.error is None


def test_nothing_measured_is_no_figure() -> None:
    for way in (of_train(None, 1.0), of_transfer(None, 1.0, 5.0), of_goodput(None, 1.0)):
        assert way == OneWay(own_mbps=1.0)
    found = result("lte", "train", (of_train(None, 0.0), of_train(None, 0.0)), 0.06, 0.0, 100)
    assert (found.photos_s, found.message_s) == (None, None)


def test_a_senders_word_is_shown_and_never_believed() -> None:
    way = of_goodput(0.95, 0.0, said_mbps=1.45)
    assert (way.goodput_mbps, way.said_mbps) == (0.95, 1.45)
    assert of_goodput(None, 0.0, said_mbps=1.45).available_mbps is None


def test_the_prediction_is_of_the_way_up_and_of_what_is_free_there() -> None:
    up, down = of_train(Estimate(1.0, 0.0, False, 0, 60, 0), 0.5), of_train(Estimate(20.0, 0.0, False, 0, 60, 0), 0.0)
    found = result("lte", "train", (up, down), 0.06, 0.0, 100)
    assert found.photos_s == pytest.approx(160 / 0.5 / IP_SHARE, rel=0.01)


def test_a_fact_says_which_figures_are_bounds() -> None:
    up, down = of_train(Estimate(93.77, 0.0, True, 0, 60, 0), 0.0), of_train(None, 0.0)
    fact = told(result("lte", "train", (up, down), 0.06, 0.0, 100))
    assert (fact["up_is"], fact["up_mbps"], fact["down_mbps"]) == (AT_LEAST, 93.8, None)


@pytest.mark.parametrize(
    ("kind", "near", "far"), [(Kind.FIBRE, False, False), (Kind.LTE, True, False), (Kind.GEO, True, True)]
)
def test_who_shares_the_air_tests_one_at_a_time(kind: Kind, near: bool, far: bool) -> None:
    uplink = Uplink("a", "eth1", kind, "Telkomsel")
    mine = group(STATION, uplink)
    assert (group(NEIGHBOUR, uplink) == mine, group(ELSEWHERE, uplink) == mine) == (near, far)
    assert group(STATION, Uplink("a", "eth1", kind, "XL")) != mine or kind is Kind.FIBRE
