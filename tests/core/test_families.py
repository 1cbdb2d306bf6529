"""IPv4 and IPv6 each decide for themselves: an uplink may be good in one and dead in the other."""

import pytest

from agent.core.routes import ACTIVE_TABLE
from agent.core.station import Family
from tests.core.driven import Driven, settled
from wire.messages import Health

V4, V6 = Family.IPV4, Family.IPV6
TARGETS4, TARGETS6 = ("198.51.100.1", "198.51.100.2"), ("2001:db8:ffff::1", "2001:db8:ffff::2")
FOUND_S = 60.0  # eight losses of one target of four, and of the other of its family


def both(*targets: str) -> Driven:
    """Two uplinks with a default route of both families."""
    driven = settled(targets or (*TARGETS4, *TARGETS6))
    for n, name in enumerate(("fibre", "lte")):
        driven.change(name, gateways=((V4, f"198.18.{n}.1"), (V6, "fe80::1")))
    driven.run(30)
    driven.facts.clear()
    return driven


def active(driven: Driven) -> tuple[str | None, str | None]:
    now = driven.core.state(driven.now).active
    return now.ipv4, now.ipv6


@pytest.mark.parametrize(
    ("dead", "expected", "family"), [(TARGETS6, ("fibre", "lte"), "ipv6"), (TARGETS4, ("lte", "fibre"), "ipv4")]
)
def test_traffic_of_a_family_leaves_an_uplink_that_carries_only_the_other(
    dead: tuple[str, ...], expected: tuple[str, str], family: str
) -> None:
    driven = both()
    driven.dead_ways = {("fibre", target) for target in dead}
    driven.run(FOUND_S)
    assert active(driven) == expected
    assert driven.health("fibre") is Health.UP
    assert driven.fact("FAMILY_SILENT").evidence == {"family": family}
    assert "UPLINK_POOR" not in driven.codes
    driven.dead_ways.clear()
    driven.run(900)
    assert active(driven) == ("fibre", "fibre")
    assert driven.codes.count("FAMILY_ANSWERS") == 1


def test_the_standby_is_asked_in_that_family_at_the_same_moment() -> None:
    driven = both()
    driven.dead_ways = {("fibre", target) for target in TARGETS6}
    driven.run(FOUND_S)
    at = {fact.code: moment for moment, fact in driven.facts}
    assert at["TRAFFIC_MOVED"] - at["FAMILY_SILENT"] < 2  # four targets in turn, five echoes a second


def test_only_the_flows_of_that_family_leave() -> None:
    driven = both()
    driven.dead_ways = {("fibre", target) for target in TARGETS6}
    driven.run(FOUND_S)
    assert [(each.family, each.interface) for each in driven.wish.leaving] == [(V6, "wan0")]


def test_a_family_that_is_dead_everywhere_moves_nowhere() -> None:
    driven = both()
    driven.dead_targets.update(TARGETS6)
    driven.run(10 * FOUND_S)
    assert active(driven) == ("fibre", "fibre")
    assert driven.moves == []


def test_an_uplink_without_ipv6_is_not_dead_and_has_no_table_of_it() -> None:
    driven = settled((*TARGETS4, *TARGETS6))
    driven.dead_ways = {(name, target) for name in ("fibre", "lte") for target in TARGETS6}
    driven.run(FOUND_S)
    assert {driven.health(name) for name in ("fibre", "lte")} == {Health.UP}
    assert not [route for route in driven.wish.routes if route.family is V6]
    assert active(driven)[0] == "fibre"


def test_without_targets_of_a_family_its_traffic_goes_where_the_uplink_is_good() -> None:
    driven = both(*TARGETS4)
    driven.cut.add("fibre")
    driven.run(10)
    assert active(driven) == ("lte", "lte")
    assert {route.family for route in driven.wish.routes if route.table == ACTIVE_TABLE} == {V4, V6}
