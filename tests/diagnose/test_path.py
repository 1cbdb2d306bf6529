"""The walk from plain values: what was heard becomes a way, and the way tells whose the fault is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnose.path import HOPS, Way, fault_side, owner_of, way_of, written
from wire.findings import Side

TARGET = "203.0.113.9"


@pytest.mark.parametrize(
    ("hops", "gateway", "side"),
    [
        ([], "192.168.8.1", Side.ACCESS),
        ([(1, "192.168.8.1")], "192.168.8.1", Side.ACCESS),
        ([(1, "10.0.0.1")], "10.0.0.1", Side.ACCESS),
        ([(1, "100.64.0.1")], "100.64.0.1", Side.CORE),
        ([(1, "198.18.1.1")], "198.18.1.1", Side.CORE),
        ([(1, "192.168.8.1"), (2, "100.64.0.1")], "192.168.8.1", Side.CORE),
        ([(2, "100.64.0.1")], "192.168.8.1", Side.CORE),
        ([(1, "192.168.8.1"), (5, "198.18.20.1")], "192.168.8.1", Side.CORE),
        ([(1, "192.168.8.1"), (7, "203.0.113.254")], "192.168.8.1", Side.DESTINATION),
        ([(1, "10.31.0.1")], None, Side.ACCESS),
        ([], None, Side.ACCESS),
        ([(1, "2001:db8:1::1")], "fe80::1", Side.ACCESS),
    ],
)
def test_the_fault_lies_behind_the_last_hop_that_answers(
    hops: list[tuple[int, str]], gateway: str | None, side: Side
) -> None:
    target = "2001:db8:ffff::1" if gateway == "fe80::1" else TARGET
    assert fault_side(hops, gateway, target) is side


@pytest.mark.parametrize(
    ("hop", "address", "owner"),
    [
        (1, "192.168.8.1", Side.MODEM),
        (1, "100.64.0.1", Side.ACCESS),
        (2, "10.20.30.40", Side.ACCESS),
        (3, "10.20.30.40", Side.CORE),
        (9, "203.0.113.1", Side.DESTINATION),
        (9, TARGET, Side.DESTINATION),
    ],
)
def test_whose_a_hop_is_follows_from_its_place_and_its_address(hop: int, address: str, owner: Side) -> None:
    assert owner_of(hop, address, None, TARGET) is owner


def test_who_says_again_and_again_that_it_goes_no_further_is_one_hop() -> None:
    heard = [(1, "192.168.8.1", "passed"), *((ttl, "192.168.8.1", "unreachable") for ttl in range(2, 11))]
    assert way_of(TARGET, heard) == Way(((1, "192.168.8.1"),), TARGET, None)


def test_what_answers_behind_the_target_is_left_out() -> None:
    heard = [(3, TARGET, "answer"), (1, "192.168.8.1", "passed"), (4, TARGET, "answer")]
    assert way_of(TARGET, heard) == Way(((1, "192.168.8.1"), (3, TARGET)), TARGET, 3)


@pytest.mark.parametrize(
    ("way", "line"),
    [
        (Way((), TARGET, None), "1-20 ?"),
        (Way(((1, "192.168.8.1"), (2, "100.64.0.1")), TARGET, None), "1 192.168.8.1 · 2 100.64.0.1 · 3-20 ?"),
        (Way(((1, "192.168.8.1"), (4, TARGET)), TARGET, 4), f"1 192.168.8.1 · 2-3 ? · 4 {TARGET}"),
        (Way(((2, "100.64.0.1"), (4, TARGET)), TARGET, 4), f"1 ? · 2 100.64.0.1 · 3 ? · 4 {TARGET}"),
        (Way(((20, "198.18.0.1"),), TARGET, None), "1-19 ? · 20 198.18.0.1"),
    ],
)
def test_a_way_is_written_on_one_line(way: Way, line: str) -> None:
    assert written(way) == line


addresses = st.sampled_from(["192.168.8.1", "100.64.0.1", "198.18.10.2", "203.0.113.1", TARGET])
kinds = st.sampled_from(["passed", "answer", "unreachable"])


@given(st.lists(st.tuples(st.integers(1, HOPS), addresses, kinds), unique_by=lambda row: row[0]))
def test_whatever_was_heard_makes_a_way_in_order_that_has_an_owner(heard: list[tuple[int, str, str]]) -> None:
    way = way_of(TARGET, heard)
    assert list(way.hops) == sorted(way.hops)
    assert {(ttl, source) for ttl, source in way.hops} <= {(ttl, source) for ttl, source, _ in heard}
    assert fault_side(way.hops, "192.168.8.1", TARGET) in Side
    assert written(way)
