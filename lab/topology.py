"""The virtual station as pure data: namespaces, addresses and routes, as text for `ip -batch` and sysctls.

    lan --- tps === isp0 ~~~ internet      === uplink (wan0): cable, first hop, gateway
                === isp1 ~~~               ~~~ the emulated rest of the way (a TAP pair and a relay)
                === isp2 ~~~

All addresses are from the ranges for benchmarks and documentation (RFC 2544, 5737, 3849).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab.scenario import TARGETS, Place

LAN_CLIENT, LAN_ROUTER = "192.0.2.10", "192.0.2.1"
LAN_NET, LAN_NET6 = "192.0.2.0/24", "2001:db8:64::/64"
LAN_CLIENT6, LAN_ROUTER6 = "2001:db8:64::10", "2001:db8:64::1"
CENTRE, CENTRE6 = "198.51.100.10", "2001:db8:ffff::10"
SERVER, SERVER6 = "198.51.100.20", "2001:db8:ffff::20"  # what a LAN client talks to
COUNTERPART6 = {TARGETS[0]: "2001:db8:ffff::1", TARGETS[1]: "2001:db8:ffff::2", CENTRE: CENTRE6, SERVER: SERVER6}

Sysctls = Mapping[str, int | str]  # path below /proc/sys, value

_EVERYWHERE: Sysctls = {
    "net/ipv6/conf/all/accept_dad": 0,  # an address must work at once
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv4/icmp_ratelimit": 0,  # targets answer every echo
    "net/ipv4/icmp_msgs_per_sec": 1_000_000,
    "net/ipv6/icmp/ratelimit": 0,
    "net/ipv4/ping_group_range": "0 0",
}
_ROUTER: Sysctls = {
    "net/ipv4/ip_forward": 0,
    "net/ipv6/conf/all/forwarding": 0,
    "net/ipv4/conf/default/rp_filter": 0,
}
_FORWARDING: Sysctls = {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1}
_PROVIDER: Sysctls = {
    **_FORWARDING,
    "net/ipv4/conf/all/promote_secondaries": 1,  # the new gateway's address stays when the old one goes
    "net/ipv6/conf/all/keep_addr_on_down": 1,  # a cable that is plugged in again finds its gateway
    "net/ipv6/conf/default/keep_addr_on_down": 1,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One uplink's place: the n-th, with the devices and addresses that follow from it."""

    place: int

    @property
    def device(self) -> str:
        return f"wan{self.place}"

    @property
    def provider(self) -> str:
        return f"isp{self.place}"

    @property
    def net(self) -> str:
        return f"198.18.{self.place + 1}"

    @property
    def net6(self) -> str:
        return f"2001:db8:{self.place + 1}:"

    @property
    def address(self) -> str:
        return f"{self.net}.2"

    @property
    def address6(self) -> str:
        return f"{self.net6}:2"

    @property
    def metric(self) -> int:
        return 100 + self.place

    def gateway(self, where: Place) -> str:
        return f"{self.net}.1" if where == "home" else f"{self.net}.254"

    def gateway6(self, where: Place) -> str:
        return "fe80::1" if where == "home" else "fe80::fe"  # link-local, as router advertisements leave it

    @property
    def near(self) -> str:
        return f"198.19.{self.place + 1}.1"

    @property
    def far(self) -> str:
        return f"198.19.{self.place + 1}.2"

    @property
    def near6(self) -> str:
        return f"2001:db8:c{self.place + 1}::1"

    @property
    def far6(self) -> str:
        return f"2001:db8:c{self.place + 1}::2"

    @property
    def near_mac(self) -> str:
        return f"02:00:00:00:{self.place + 1:02x}:0a"

    @property
    def far_mac(self) -> str:
        return f"02:00:00:00:{self.place + 1:02x}:0b"


@dataclass(frozen=True, slots=True)
class Topology:
    uplinks: tuple[str, ...]  # names, in order of preference
    ipv6: bool = True
    prefix: str = ""  # of the namespaces' names, so that several stations can live in one cell
    own_firewall: bool = False  # of the operator: it forwards and does the NAT

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(Line(place) for place in range(len(self.uplinks)))

    def line(self, uplink: str) -> Line:
        return Line(self.uplinks.index(uplink))

    @property
    def namespaces(self) -> tuple[str, ...]:
        return ("lan", "tps", "internet", *(line.provider for line in self.lines))

    def name(self, namespace: str) -> str:
        return self.prefix + namespace

    def sysctls(self) -> dict[str, Sysctls]:
        """For each namespace, before its devices exist."""
        router = {**_ROUTER, **(_FORWARDING if self.own_firewall else {})}
        special: dict[str, Sysctls] = {"tps": router, **{line.provider: _PROVIDER for line in self.lines}}
        return {namespace: {**_EVERYWHERE, **special.get(namespace, {})} for namespace in self.namespaces}

    def cables(self) -> str:
        """Run outside: the cables between the namespaces."""
        tps = self.name("tps")
        rows = [f"link add lan0 netns {tps} type veth peer name eth0 netns {self.name('lan')}"]
        for line in self.lines:
            rows.append(f"link add {line.device} netns {tps} type veth peer name cust netns {self.name(line.provider)}")
        return _text(rows)

    def addresses(self) -> dict[str, str]:
        """For each namespace, in the order in which they are to be run: links up, addresses, routes."""
        return {
            **{line.provider: _text(self._provider(line)) for line in self.lines},
            "internet": _text(self._internet()),
            "tps": _text(self._tps()),
            "lan": _text(self._lan()),
        }

    def source_filters(self, family: Literal[4, 6]) -> dict[str, str]:
        """For `ip -4` or `ip -6`: a wrong source address must not get through, or nobody would notice it."""
        own = {line.provider: f"{line.net}.0/24" if family == 4 else f"{line.net6}:/64" for line in self.lines}
        return {
            provider: f"rule add pref 100 iif cust from {net} lookup main\nrule add pref 101 iif cust blackhole\n"
            for provider, net in own.items()
        }

    def firewall(self) -> str:
        """For `nft` in `tps`: what goes out by an uplink has that uplink's own address, by a rule that names it."""
        if not self.own_firewall:
            return ""
        rules = [f"oifname {line.device} ip saddr {LAN_NET} snat ip to {line.address}" for line in self.lines]
        if self.ipv6:
            rules += [f"oifname {line.device} ip6 saddr {LAN_NET6} snat ip6 to {line.address6}" for line in self.lines]
        chain = _text(["chain out {", "type nat hook postrouting priority srcnat", *rules, "}"])
        return f"table inet operator {{\n{chain}}}\n"

    def cable(self, uplink: str, on: bool, gateway: Place) -> str:
        """Run at the provider: the station's router sees its carrier go or come."""
        if not on:
            return _text(["link set cust down"])
        rows = ["link set cust up"]
        if self.ipv6:  # the kernel keeps every address of a device that is down, but not link-local ones
            rows.append(f"address replace {self.line(uplink).gateway6(gateway)}/64 dev cust nodad")
        return _text(rows)

    def move_gateway(self, uplink: str, to: Place) -> list[tuple[str, str]]:
        """The provider's gateway gets another address, as after a DHCP renew: namespace and text, in order."""
        line = self.line(uplink)
        old: Place = "moved" if to == "home" else "home"
        new_addresses = [f"address replace {line.gateway(to)}/24 dev cust"]
        old_addresses = [f"address delete {line.gateway(old)}/24 dev cust"]
        if self.ipv6:
            new_addresses.append(f"address replace {line.gateway6(to)}/64 dev cust nodad")
            old_addresses.append(f"address delete {line.gateway6(old)}/64 dev cust")
        return [
            (line.provider, _text(new_addresses)),
            ("tps", _text(self._defaults("replace", line, to))),
            (line.provider, _text(old_addresses)),
        ]

    def set_target(self, target: str, answers: bool) -> str:
        """Run in `internet`: the target, with its IPv6 counterpart, answers or is silent."""
        word = "replace" if answers else "delete"
        rows = [f"address {word} {target}/32 dev lo"]
        if self.ipv6:
            rows.append(f"address {word} {COUNTERPART6[target]}/128 dev lo")
        return _text(rows)

    def _defaults(self, verb: str, line: Line, where: Place) -> list[str]:
        rows = [
            f"route {verb} default via {line.gateway(where)} dev {line.device} "
            f"proto dhcp src {line.address} metric {line.metric}"
        ]
        if self.ipv6:
            rows.append(
                f"route {verb} default via {line.gateway6(where)} dev {line.device} proto ra metric {line.metric}"
            )
        return rows

    def _tps(self) -> list[str]:
        rows = ["link set lo up", "link set lan0 up", f"address add {LAN_ROUTER}/24 dev lan0"]
        if self.ipv6:
            rows.append(f"address add {LAN_ROUTER6}/64 dev lan0 nodad")
        for line in self.lines:
            rows += [f"link set {line.device} up", f"address add {line.address}/24 dev {line.device}"]
            if self.ipv6:
                rows.append(f"address add {line.address6}/64 dev {line.device} nodad")
            rows += self._defaults("add", line, "home")
        return rows

    def _provider(self, line: Line) -> list[str]:
        rows = [
            f"link set core address {line.near_mac}",
            "link set lo up",
            "link set cust up",
            "link set core up",
            f"address add {line.gateway('home')}/24 dev cust",
            f"address add {line.near}/30 dev core",
            f"route add default via {line.far} dev core",
            _neighbour(line.far, line.far_mac, "core"),
        ]
        if self.ipv6:
            rows += [
                f"address add {line.gateway6('home')}/64 dev cust nodad",
                f"address add {line.net6}:1/64 dev cust nodad",
                f"address add {line.near6}/64 dev core nodad",
                f"route add default via {line.far6} dev core",
                _neighbour(line.far6, line.far_mac, "core"),
            ]
        return rows

    def _internet(self) -> list[str]:
        rows = ["link set lo up"]
        for address, counterpart in COUNTERPART6.items():
            rows.append(f"address add {address}/32 dev lo")
            if self.ipv6:
                rows.append(f"address add {counterpart}/128 dev lo nodad")
        for line in self.lines:
            device = line.provider
            rows += [
                f"link set {device} address {line.far_mac}",
                f"link set {device} up",
                f"address add {line.far}/30 dev {device}",
                f"route add {line.net}.0/24 via {line.near}",
                _neighbour(line.near, line.near_mac, device),
            ]
            if self.ipv6:
                rows += [
                    f"address add {line.far6}/64 dev {device} nodad",
                    f"route add {line.net6}:/64 via {line.near6}",
                    _neighbour(line.near6, line.near_mac, device),
                ]
        return rows

    def _lan(self) -> list[str]:
        rows = [
            "link set lo up",
            "link set eth0 up",
            f"address add {LAN_CLIENT}/24 dev eth0",
            f"route add default via {LAN_ROUTER}",
        ]
        if self.ipv6:
            rows += [f"address add {LAN_CLIENT6}/64 dev eth0 nodad", f"route add default via {LAN_ROUTER6}"]
        return rows


def _neighbour(address: str, mac: str, device: str) -> str:
    """Permanent: else ARP crosses the emulated way too, and the first packet takes two round trips."""
    return f"neighbor replace {address} lladdr {mac} dev {device} nud permanent"


def _text(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
