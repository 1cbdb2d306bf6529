"""Every fault made with real packets on a way of four hops, and what the command then says of it.

Stand-ins: the broker, the DHCP server and the impostor are a few lines of these tests; everything else is the kernel's.
"""

from pathlib import Path

import pytest

from tests.diagnose import servers
from tests.diagnose.chain import ACCESS, CENTRE, CORE, GATEWAY, HERE, HOPS, TARGETS, Chain
from tests.diagnose.far import ANSWER, carried, secure, serve
from tests.edge.link import ip

# all good


def test_a_good_uplink_is_called_good_and_its_way_is_the_true_one(way: Chain) -> None:
    with serve(way):
        tls = secure(way)
        with servers.tcp(way.name("far"), CENTRE, 443, tls):
            done = way.diagnose()
    assert done.code == 0
    states = {look["layer"]: look["state"] for look in done.report["looks"]}
    assert {layer for layer, state in states.items() if state != "ok"} <= {"dhcp", "clock"}
    assert done.evidence["code"] == "NOTHING_FOUND"
    assert (done.evidence["layer"], done.evidence["side"], done.evidence["call"]) == ("none", "none", "nobody")
    assert done.look("internet")["facts"]["way"] == " · ".join(f"{hop} {address}" for hop, address in HOPS)
    assert done.look("mtu")["facts"]["mtu"] == 1500
    assert done.look("dns")["facts"]["got"] == ANSWER


def test_every_line_is_whole_in_both_languages_and_ends_in_one_sentence_each(way: Chain) -> None:
    with serve(way):
        for language, sentences in (
            ("id_ID.UTF-8", ("Tidak ditemukan gangguan", "Nothing wrong was found")),
            ("en_GB.UTF-8", ("Tidak ditemukan gangguan", "Nothing wrong was found")),
        ):
            done = way.diagnose(as_json=False, LANG=language)
            lines = done.printed.splitlines()
            assert (done.code, done.errors, len(lines)) == (0, "", 15)
            assert [line.startswith(begin) for line, begin in zip(lines[-2:], sentences, strict=True)] == [True, True]
            assert not [line for line in lines if "{" in line or " - " in line or line != line.rstrip()]
            assert ("gerbang" in lines[0]) is (language == "id_ID.UTF-8")


def test_without_a_check_section_those_looks_are_never_called_good(way: Chain) -> None:
    with serve(way, check=False):
        done = way.diagnose()
    assert done.code == 0
    outcomes = done.outcomes()
    assert (outcomes["http"], outcomes["tls"]) == ("not configured", "not configured")
    assert (outcomes["dns"], done.look("dns")["state"]) == ("answers; nothing to compare", "not known")


# link


def test_an_interface_that_is_not_there(way: Chain) -> None:
    ip("link", "delete", "wan0")
    assert way.diagnose().evidence["code"] == "LINK_GONE"


def test_an_interface_that_is_switched_off(way: Chain) -> None:
    ip("link", "set", "wan0", "down")
    assert way.diagnose().evidence["code"] == "LINK_OFF"


def test_a_cable_that_is_out(way: Chain) -> None:
    way.ip("modem", "link", "set", "lan", "down")
    done = way.diagnose()
    assert (done.code, done.evidence["code"], done.evidence["call"]) == (1, "LINK_NO_CARRIER", "power")


# gateway and DHCP


def test_a_dead_gateway(way: Chain) -> None:
    way.ip("modem", "addr", "flush", "dev", "lan")
    done = way.diagnose()
    assert done.code == 1
    assert done.evidence["code"] == "GATEWAY_SILENT"
    assert (done.evidence["side"], done.evidence["call"]) == ("modem", "power")
    assert done.outcomes()["internet"] == "a lower layer has failed"


def test_two_gateways_of_one_address(way: Chain) -> None:
    with servers.impostor(way.name("modem"), "lan", GATEWAY):
        done = way.diagnose()
    assert done.evidence["code"] == "GATEWAY_DOUBLE"
    assert servers.IMPOSTOR in (done.evidence["mac"], done.evidence["other_mac"])


def test_a_lease_that_was_never_taken(way: Chain) -> None:
    ip("addr", "flush", "dev", "wan0")
    with servers.dhcp(way.name("modem"), "lan", HERE, GATEWAY) as heard:
        done = way.diagnose()
    assert done.evidence["code"] == "LINK_NO_LEASE"
    assert done.evidence["server"] == GATEWAY
    assert heard == ["discover"]


def test_no_lease_is_to_be_had(way: Chain) -> None:
    ip("addr", "flush", "dev", "wan0")
    assert way.diagnose().evidence["code"] == "LINK_NO_OFFER"


def test_a_gateway_that_has_moved(way: Chain) -> None:
    way.ip("modem", "addr", "replace", "192.168.8.254/24", "dev", "lan")
    way.ip("modem", "addr", "delete", f"{GATEWAY}/24", "dev", "lan")
    with servers.dhcp(way.name("modem"), "lan", HERE, "192.168.8.254"):
        done = way.diagnose()
    assert done.evidence["code"] == "GATEWAY_MOVED"
    assert (done.evidence["gateway"], done.evidence["router"]) == (GATEWAY, "192.168.8.254")


def test_only_a_discover_is_ever_said_to_a_dhcp_server_and_no_address_changes(way: Chain) -> None:
    before = ip("-4", "addr", "show", "wan0")
    with serve(way), servers.dhcp(way.name("modem"), "lan", HERE, GATEWAY) as heard:
        done = way.diagnose()
    assert (done.code, done.outcomes()["dhcp"], heard) == (0, "offered the same", ["discover"])
    assert ip("-4", "addr", "show", "wan0") == before


# the way


@pytest.mark.parametrize(
    ("router", "code", "side", "last"),
    [
        ("modem", "ACCESS_SILENT", "access", HOPS[0]),
        ("access", "CORE_SILENT", "core", HOPS[1]),
        ("core", "CORE_SILENT", "core", HOPS[2]),
    ],
)
def test_a_hop_that_lets_nothing_pass_is_named(
    router: str, code: str, side: str, last: tuple[int, str], way: Chain
) -> None:
    way.nft(router, "drop")
    with serve(way):
        done = way.diagnose()
    told = done.evidence
    assert (done.code, told["code"], told["side"]) == (1, code, side)
    assert (told["last_hop"], told["last_address"]) == last
    assert "call Telkom" in done.report["en"]
    assert told["took_s"] <= 20
    assert told["bytes"] <= 5000


def test_a_hop_that_says_no_route_is_the_last_one(way: Chain) -> None:
    way.ip("access", "route", "delete", "default")
    told = way.diagnose().evidence
    assert (told["code"], told["last_hop"], told["last_address"]) == ("CORE_SILENT", 2, ACCESS)


def test_a_hop_that_hides_itself_does_no_harm(way: Chain) -> None:
    way.nft("access", "drop", hook="output")
    with serve(way):
        done = way.diagnose()
    assert done.code == 0
    assert done.look("internet")["facts"]["way"] == f"1 {GATEWAY} · 2 ? · 3 {CORE} · 4 {TARGETS[0]}"


def test_one_dead_target_is_its_owners_and_no_operators(way: Chain) -> None:
    way.ip("far", "addr", "delete", f"{TARGETS[1]}/32", "dev", "lo")
    with serve(way):
        done = way.diagnose()
    assert (done.code, done.evidence["code"]) == (1, "DESTINATION_SILENT")
    assert (done.evidence["call"], done.evidence["target"]) == ("destination", TARGETS[1])


def test_echoes_that_are_blocked_while_pages_come(way: Chain) -> None:
    way.nft("access", "icmp type echo-request drop")
    with serve(way):
        done = way.diagnose()
    assert (done.evidence["code"], done.evidence["works"]) == ("ECHO_BLOCKED", "HTTP")


def test_a_kernel_that_drops_the_answers_is_found_out(way: Chain) -> None:
    """Without the agent a standby's answers are dropped where rp_filter is strict: no operator is to blame."""
    ip("link", "add", "wan1", "type", "veth", "peer", "name", "other")
    for device in ("wan1", "other"):
        ip("link", "set", device, "up")
    ip("addr", "add", "192.168.9.2/24", "dev", "wan1")
    ip("route", "delete", "default")
    ip("route", "add", "default", "via", "192.168.9.1", "dev", "wan1", "metric", "1")
    ip("route", "add", "default", "via", GATEWAY, "dev", "wan0", "metric", "2")
    Path("/proc/sys/net/ipv4/conf/wan0/rp_filter").write_text("1")
    with serve(way):
        assert way.diagnose().evidence["code"] == "ANSWERS_FILTERED"
        Path("/proc/sys/net/ipv4/conf/wan0/rp_filter").write_text("2")
        assert way.diagnose().code == 0


# path MTU


def test_a_black_hole_of_large_packets(way: Chain) -> None:
    way.nft("core", "meta length > 1400 drop")
    with serve(way):
        done = way.diagnose()
    assert (done.code, done.evidence["code"], done.evidence["mtu"]) == (1, "MTU_BLACK_HOLE", 1400)
    assert done.evidence["call"] == "operator"


def test_a_smaller_path_that_says_so_is_no_fault(way: Chain) -> None:
    for router, device in (("core", "out"), ("far", "in")):
        way.ip(router, "link", "set", device, "mtu", "1400")
    with serve(way):
        done = way.diagnose()
    assert (done.code, done.outcomes()["mtu"]) == (0, "smaller, and told")
    assert done.look("mtu")["facts"]["mtu"] == 1400


# what it costs


def test_the_bytes_that_are_told_are_those_that_the_kernel_counted(way: Chain) -> None:
    Path("/proc/sys/net/ipv6/conf/wan0/disable_ipv6").write_text("1")
    with serve(way):
        tls = secure(way)
        with servers.tcp(way.name("far"), CENTRE, 443, tls):
            before = carried()
            done = way.diagnose()
    told, counted = done.evidence["bytes"], carried() - before
    assert 0.9 * counted < told < 1.1 * counted
    assert told < 12_000


@pytest.mark.parametrize("cap", [500, 3000, 6000])
def test_no_byte_is_spent_past_the_cap(cap: int, way: Chain) -> None:
    Path("/proc/sys/net/ipv6/conf/wan0/disable_ipv6").write_text("1")
    with serve(way):
        before = carried()
        done = way.diagnose(f"--bytes={cap}")
    assert carried() - before <= cap
    assert done.evidence["bytes"] <= cap
    assert "no bytes left" in done.outcomes().values()


# IPv6


def test_the_same_by_ipv6(way: Chain) -> None:
    way.config["targets"] = ["2001:db8:99::7", "2001:DB8:99:0::8"]
    for device, where, address in (("wan0", [], "2001:db8:1::2"), ("lan", ["-n", way.name("modem")], "2001:db8:1::1")):
        ip(*where, "addr", "add", f"{address}/64", "dev", device, "nodad")
    ip("-6", "route", "add", "default", "via", "2001:db8:1::1", "dev", "wan0")
    way.ip("modem", "addr", "add", "2001:db8:99::7/128", "dev", "lo")
    way.ip("modem", "addr", "add", "2001:db8:99::8/128", "dev", "lo")
    done = way.diagnose("--family=ipv6")
    outcomes = done.outcomes()
    assert (outcomes["gateway"], outcomes["internet"], outcomes["mtu"]) == (
        "gateway answers", "all targets answer", "whole packets pass"
    )  # fmt: skip
    way.ip("modem", "addr", "delete", "2001:db8:1::1/64", "dev", "lan")
    assert way.diagnose("--family=ipv6").evidence["code"] == "GATEWAY_SILENT"
