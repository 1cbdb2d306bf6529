"""The rules and routes wished for, held as the text that `ip` would print."""

import random
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

from agent.config import UPLINKS_AT_MOST
from agent.core.flows import Flows
from agent.core.nft_table import mark
from agent.core.routes import (
    ACTIVE_TABLE,
    BY_CHOICE,
    FIRST_UPLINK_TABLE,
    FROM_ADDRESS,
    OLD_FLOWS,
    OUT_DEVICE,
    SPECIFIC_FIRST,
    TO_RESOLVER,
    Leaving,
    Link,
    Rule,
    text,
    wish,
    with_configured_gateway,
)
from agent.core.station import Centre, Family, Kind, Lan, Nat, Station, Uplink
from wire.messages import Active

V4, V6 = Family.IPV4, Family.IPV6
UPLINKS = (
    Uplink("fibre", "eth0", Kind.FIBRE),
    Uplink("lte", "wwan0", Kind.LTE, resolvers=("100.64.0.53", "2001:db8:2::53")),
    Uplink("geo", "eth2", Kind.GEO, gateway="203.0.113.1"),
)
STATION = Station(
    station="6408042001143",
    uplinks=UPLINKS,
    targets=("198.51.100.1", "2001:db8::1"),
    centre=Centre("mqtt://centre.example"),
    lan=Lan(("lan0", "wlan0"), Nat.MANAGED),
)
FIBRE = Link("eth0", True, ((V4, "192.0.2.2"), (V6, "2001:db8:1::2")), ((V4, "192.0.2.1"), (V6, "fe80::1")), 2)
LTE = Link("wwan0", True, ((V4, "100.64.0.7"), (V6, "2001:db8:2::7")), ((V4, None), (V6, None)), 3)
GEO = with_configured_gateway(Link("eth2", True, ((V4, "203.0.113.9"),), ((V4, "203.0.113.254"),), 4), UPLINKS[2])
LINKS = (FIBRE, LTE, GEO)
GOLDEN = Path(__file__).with_name("routes.golden")


def wished(active: Active, links: tuple[Link, ...] = LINKS, station: Station = STATION) -> str:
    return text(wish(station, links, active))


def test_a_station_of_three_uplinks_looks_like_this() -> None:
    """IPv4 by the satellite whose gateway is configured, IPv6 by the modem that is its own; the fibre is dead."""
    flows_of = {V4: (Flows.LEAVE, Flows.NONE, Flows.STAY), V6: (Flows.LEAVE, Flows.STAY, Flows.STAY)}
    assert text(wish(STATION, LINKS, Active(ipv4="geo", ipv6="lte"), flows_of)) == GOLDEN.read_text()


def test_the_states_visited_before_leave_no_trace() -> None:
    names = (None, "fibre", "lte", "geo")
    states = [Active(ipv4, ipv6) for ipv4, ipv6 in product(names, names)]
    expected = {state: wished(state) for state in states}
    chance = random.Random(3)
    for _ in range(5):
        chance.shuffle(states)
        assert {state: wished(state) for state in states} == expected


def test_only_the_active_table_differs_between_two_choices() -> None:
    first, second = (set(wished(Active(name, name)).splitlines()) for name in ("fibre", "lte"))
    assert {line.split(" table ")[1].split()[0] for line in first ^ second} == {str(ACTIVE_TABLE)}


def test_without_a_choice_traffic_falls_to_what_the_main_table_says() -> None:
    nothing_chosen = wish(STATION, LINKS, Active())
    assert ACTIVE_TABLE not in {route.table for route in nothing_chosen.routes}


def test_a_chosen_uplink_without_a_route_of_a_family_leaves_that_family_alone() -> None:
    routes = wish(STATION, LINKS, Active("geo", "geo")).routes
    assert [(route.family, route.device) for route in routes if route.table == ACTIVE_TABLE] == [(V4, "eth2")]


def test_an_uplink_that_vanished_keeps_its_rule_and_has_no_table() -> None:
    wanted = wish(STATION, (FIBRE, Link("wwan0"), GEO), Active("fibre", "fibre"))
    assert FIRST_UPLINK_TABLE + 1 not in {route.table for route in wanted.routes}
    assert [r.device for r in wanted.rules if r.table == FIRST_UPLINK_TABLE + 1 and r.device] == ["wwan0", "wwan0"]


def test_an_uplink_of_several_addresses_has_a_rule_for_each() -> None:
    two = Link("eth0", True, ((V4, "192.0.2.2"), (V4, "192.0.2.3")), ((V4, "192.0.2.1"),), 2)
    wanted = wish(STATION, (two, LTE, GEO), Active())
    assert [rule.source for rule in wanted.rules if rule.priority == FROM_ADDRESS and rule.source] == [
        "192.0.2.2",
        "192.0.2.3",
    ]


def test_the_rules_are_asked_in_this_order() -> None:
    firsts = [SPECIFIC_FIRST, TO_RESOLVER, FROM_ADDRESS, OUT_DEVICE, OLD_FLOWS, BY_CHOICE, 32766]
    assert firsts == sorted(firsts)
    assert all(first + UPLINKS_AT_MOST <= after for first, after in pairwise(firsts[1:-1]))


def test_the_choice_comes_behind_the_rules_of_a_vpn_and_before_the_main_table() -> None:
    """wg-quick's and NetworkManager's stand at 31000 to 32765; of two with one number the older one is asked first."""
    assert BY_CHOICE == 32765


def test_a_configured_gateway_stands_in_place_of_the_found_one() -> None:
    assert GEO.gateway_of(V4) == "203.0.113.1"


def test_a_configured_gateway_is_used_where_none_was_found() -> None:
    link = with_configured_gateway(Link("eth2", True), UPLINKS[2])
    assert link.gateways == ((V4, "203.0.113.1"),)


def test_a_configured_gateway_of_one_family_leaves_the_other_as_it_was_found() -> None:
    found = Link("eth2", True, (), ((V4, "203.0.113.254"), (V6, "fe80::2")), 4)
    assert with_configured_gateway(found, UPLINKS[2]).gateway_of(V6) == "fe80::2"


def test_nothing_is_masqueraded_or_forwarded_when_somebody_else_does_that() -> None:
    external = Station("6408042001143", UPLINKS, ("198.51.100.1",), Centre("mqtt://c"), Lan(("lan0",), Nat.EXTERNAL))
    wanted = wish(external, LINKS, Active("fibre"))
    assert "masquerade" not in wanted.nft
    assert "ct mark" in wanted.nft  # old flows leave with a dead uplink, whoever translates them
    assert wanted.forward == ()


def test_without_a_lan_there_is_no_table() -> None:
    alone = Station("6408042001143", UPLINKS, ("198.51.100.1",), Centre("mqtt://c"))
    assert wish(alone, LINKS, Active("fibre")).nft == ""


def test_a_station_without_flows_to_move_wishes_nobody_away() -> None:
    assert wish(STATION, LINKS, Active("fibre")).leaving == ()


def test_nothing_asks_for_an_uplink_that_is_left_but_who_is_bound_to_its_device() -> None:
    leave = dict.fromkeys(Family, (Flows.STAY, Flows.LEAVE, Flows.STAY))
    wanted = wish(STATION, LINKS, Active("fibre"), leave)
    assert {rule.priority for rule in wanted.rules if rule.table == FIRST_UPLINK_TABLE + 1} == {OUT_DEVICE + 1}
    assert wanted.leaving == (
        Leaving(V4, "wwan0", mark(1), ("100.64.0.7",)),
        Leaving(V6, "wwan0", mark(1), ("2001:db8:2::7",)),
    )


def test_on_an_uplink_that_works_the_kernel_may_still_refuse_tcp_to_an_address_that_was_left() -> None:
    dismiss = dict.fromkeys(Family, (Flows.STAY, Flows.DISMISS, Flows.STAY))
    wanted = wish(STATION, LINKS, Active("fibre"), dismiss)
    asking = {rule for rule in wanted.rules if rule.table == FIRST_UPLINK_TABLE + 1 and rule.family is V4}
    assert asking == {
        Rule(V4, OUT_DEVICE + 1, FIRST_UPLINK_TABLE + 1, device="wwan0"),
        Rule(V4, FROM_ADDRESS + 1, FIRST_UPLINK_TABLE + 1, source="100.64.0.7", only_tcp=True),
    }
    assert [each.interface for each in wanted.leaving] == ["wwan0", "wwan0"]
    assert "from 100.64.0.7 ipproto tcp lookup 1002" in text(wanted)


def test_a_renamed_interface_is_known_by_its_new_name_everywhere() -> None:
    renamed = replace(LTE, interface="usb1")
    shown = text(wish(STATION, (FIBRE, renamed, GEO), Active("lte", "lte")))
    assert "usb1" in shown
    assert "wwan0" not in shown


def test_the_nft_table_depends_on_neither_the_choice_nor_the_links() -> None:
    """To load it anew is to count anew."""
    without = tuple(Link(uplink.interface) for uplink in UPLINKS)
    tables = {wish(STATION, links, Active(name)).nft for links in (LINKS, without) for name in (None, "fibre", "lte")}
    assert len(tables) == 1
