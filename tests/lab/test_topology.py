"""The virtual station as text, word for word; whoever changes it sees here what changes in the kernel."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from lab.topology import Topology

GOLDEN = Path(__file__).parent / "topology.golden"
RESERVED = [
    ipaddress.ip_network(each)
    for each in ("198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "fe80::/10")
]


def whole(topology: Topology) -> str:
    parts = [("cell", topology.cables())]
    parts += topology.addresses().items()
    parts += [(f"{name} -4", text) for name, text in topology.source_filters(4).items()]
    parts += [(f"{name} -6", text) for name, text in topology.source_filters(6).items()]
    parts += [(f"{name}: gateway moved", text) for name, text in topology.move_gateway("fibre", "moved")]
    parts += [("internet: silent target", topology.set_target("198.51.100.1", answers=False))]
    parts += [("isp0: cable out", topology.cable("fibre", False, "home"))]
    parts += [("isp0: cable in", topology.cable("fibre", True, "moved"))]
    return "\n".join(f"# {name}\n{text}" for name, text in parts)


def test_the_text_is_as_it_was() -> None:
    assert whole(Topology(("fibre", "lte"))) == GOLDEN.read_text()


@pytest.mark.parametrize("uplinks", [1, 3, 8])
def test_every_address_is_from_a_range_for_benchmarks_or_documentation(uplinks: int) -> None:
    text = whole(Topology(("fibre", *(f"more{n}" for n in range(1, uplinks)))))
    found = set(re.findall(r"(?<![\w:.])(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+:[0-9a-f]*)(?=[/\s])", text))
    macs = {each for each in found if each.startswith("02:00:")}
    addresses = [ipaddress.ip_address(each) for each in found - macs]
    assert len(addresses) > 10
    for address in addresses:
        assert any(address in net for net in RESERVED if net.version == address.version), address


def test_no_two_uplinks_share_an_address() -> None:
    lines = Topology(tuple(f"uplink{n}" for n in range(8))).lines
    own: list[str] = []
    for line in lines:
        own += [line.address, line.address6, line.near, line.far, line.near6, line.far6, line.near_mac, line.far_mac]
    assert len(set(own)) == len(own)


def test_without_ipv6_there_is_none() -> None:
    topology = Topology(("fibre", "lte"), ipv6=False)
    text = "".join([topology.cables(), *topology.addresses().values(), topology.set_target("198.51.100.1", True)])
    assert "2001:db8" not in text
    assert "fe80" not in text


def test_a_prefix_names_every_namespace() -> None:
    topology = Topology(("fibre",), prefix="s1-")
    assert [topology.name(each) for each in topology.namespaces] == ["s1-lan", "s1-tps", "s1-internet", "s1-isp0"]
    assert "netns s1-tps" in topology.cables()


def test_the_stations_router_forwards_nothing_by_itself() -> None:
    assert Topology(("fibre",)).sysctls()["tps"]["net/ipv4/ip_forward"] == 0


def test_the_operators_own_firewall_forwards_and_gives_each_uplink_its_own_address() -> None:
    topology = Topology(("fibre", "lte"), own_firewall=True)
    assert topology.sysctls()["tps"]["net/ipv4/ip_forward"] == 1
    assert "oifname wan1 ip saddr 192.0.2.0/24 snat ip to 198.18.2.2\n" in topology.firewall()
    assert "oifname wan0 ip6 saddr 2001:db8:64::/64 snat ip6 to 2001:db8:1::2\n" in topology.firewall()
    assert "ip6" not in Topology(("fibre",), ipv6=False, own_firewall=True).firewall()
    assert Topology(("fibre",)).firewall() == ""


def test_the_gateway_comes_home_as_it_went() -> None:
    topology = Topology(("fibre",))
    there = topology.move_gateway("fibre", "moved")
    swap = {"198.18.1.1": "198.18.1.254", "198.18.1.254": "198.18.1.1", "fe80::1": "fe80::fe", "fe80::fe": "fe80::1"}
    swapped = [(name, re.sub(r"198\.18\.1\.(1|254)\b|fe80::\w+", lambda at: swap[at[0]], text)) for name, text in there]
    assert swapped == topology.move_gateway("fibre", "home")
