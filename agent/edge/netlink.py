"""Speaks rtnetlink: pictures of our interfaces, and a wish made true from any starting point."""

import contextlib
import errno
import socket
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.core.events import KernelSeen
from agent.core.nft_table import MARKS
from agent.core.routes import ACTIVE_TABLE, BY_CHOICE, MAIN_TABLE, PROTOCOL, Link, Route, Rule, Wish
from agent.core.station import Family
from agent.edge.rawnetlink import FAMILY
from agent.edge.rtnl import AddrPool, AsyncIPRoute, NetlinkError
from agent.edge.rtnl import groups as rtnl

NAME = {number: family for family, number in FAMILY.items()}
GROUPS = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
    | rtnl.RTMGRP_TC
    | 1 << 23  # RTNLGRP_IPV4_NETCONF: somebody set rp_filter
)
OUR_NUMBERS = (0x20000, 0x2FFFF)  # wireguard-go takes news with a number up to 0x10000 for answers to itself
NUDGE = {Family.IPV4: "192.0.0.8/32", Family.IPV6: "100::8/128"}  # dummy and discard addresses (RFC 7600, RFC 6666)
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IPV6_FILE = Path("/proc/net/if_inet6")  # absent when the kernel was started without IPv6
GLOBAL_SCOPE = 0
UNICAST = 1
PLAIN_METRIC = {Family.IPV4: 0, Family.IPV6: 1024}
ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
ONLINK = 0x4  # RTNH_F_ONLINK: some providers' gateways are in nobody's network
UNSET = 0xFFFFFFFF  # what pyroute2 reads when a rule has no suppress_prefixlength
GONE = (errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True, slots=True)
class Change:
    verb: str
    thing: Rule | Route | str

    def __str__(self) -> str:
        return f"{self.verb} {self.thing}"


class Netlink:
    """One socket for questions; `changes` opens another that listens."""

    def __init__(self) -> None:
        self._socket = AsyncIPRoute()
        self._socket.addr_pool = AddrPool(*OUR_NUMBERS)
        self._index: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._families = tuple(family for family in Family if family is Family.IPV4 or IPV6_FILE.exists())

    async def __aenter__(self) -> Self:
        await self._socket.setup_endpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields after each message about links, addresses, routes or rules; raises OSError when some were lost.

        Also once when it has begun to listen: what changed until then was not heard.
        """
        async with AsyncIPRoute() as listener:
            await listener.bind(groups=GROUPS)
            yield
            while True:
                async for _ in listener.get():
                    yield

    async def picture(self, interfaces: tuple[str, ...]) -> KernelSeen:
        """`interfaces` are the names in the configuration; one that is renamed while we look is followed."""
        links = {link.get("ifname"): link async for link in await self._socket.get_links()}
        self._index = {name: link["index"] for name, link in links.items()}
        addresses = [message async for message in await self._socket.get_addr()]
        defaults = {family: await self._defaults(family) for family in self._families}
        seen = []
        for interface in interfaces:
            name = self._name_of(interface)
            index = self._index.get(name)
            if index is None:
                seen.append(Link(interface))
                continue
            flags = links[name]["flags"]
            seen.append(
                Link(
                    interface=name,
                    index=index,
                    carrier=bool(flags & IFF_UP and flags & IFF_LOWER_UP),
                    addresses=tuple(sorted(_global_addresses(addresses, index))),
                    gateways=tuple(
                        (family, defaults[family][MAIN_TABLE, index])
                        for family in self._families
                        if (MAIN_TABLE, index) in defaults[family]
                    ),
                )
            )
        return KernelSeen(tuple(seen), tuple(self._active(defaults)), tuple(self._strangers(defaults, seen)))

    def _name_of(self, interface: str) -> str:
        """Its name now. A rename shows as the same index under a name that is nobody else's."""
        if interface in self._index:
            self._known[interface] = self._index[interface]
            return interface
        index = self._known.get(interface)
        name = next((name for name, each in self._index.items() if each == index), interface)
        return interface if name in self._known else name

    async def nudge(self, families: Iterable[Family]) -> None:
        """Tunnels in user space look for a new way when they hear of a route, not of a rule; so one comes and goes."""
        for family in families:
            route = {"family": FAMILY[family], "dst": NUDGE[family], "table": ACTIVE_TABLE, "proto": PROTOCOL}
            for verb in ("replace", "del") if family in self._families else ():
                with contextlib.suppress(NetlinkError):
                    await self._socket.route(verb, type="throw", **route)

    async def make(self, wish: Wish) -> tuple[list[Change], list[str]]:
        """All of the wish and nothing else of ours. Returns what was changed and what the kernel refused.

        First what must be there when the traffic moves: who asks for an uplink by name finds it. Then the active table,
        as a replacement: there is no moment without a default route. What is too much goes last.
        """
        rules, routes, strays = await self._ours()
        missing = sorted(set(wish.routes) - routes, key=lambda route: (route.table != ACTIVE_TABLE, route.table))
        changed, refused = await self._do_all(
            [
                *(("add", rule) for rule in wish.rules if rule not in rules),
                *(("replace", route) for route in missing),
            ]
        )
        if changed:
            rules, routes, strays = await self._ours()
        left_over = sorted(rules - set(wish.rules), key=lambda rule: (rule.priority != BY_CHOICE, rule.priority))
        removed, not_removed = await self._do_all(
            [
                *(("del", rule) for rule in left_over),
                *(("del", route) for route in routes - set(wish.routes)),
            ]
        )
        return [*changed, *removed, *await self._remove(strays)], [*refused, *not_removed]

    async def _do_all(self, steps: list[tuple[str, Rule | Route]]) -> tuple[list[Change], list[str]]:
        changed: list[Change] = []
        refused: list[str] = []
        for verb, thing in steps:
            if thing.family not in self._families or (isinstance(thing, Route) and thing.device not in self._index):
                continue
            why = await self._do(verb, thing)
            if why is None:
                changed.append(Change(verb, thing))
            else:
                refused.append(f"{verb} {thing}: {why}")
        return changed, refused

    async def _remove(self, strays: list[dict[str, Any]]) -> list[Change]:
        """Routes with our protocol number that no wish of ours makes: of another metric, or not a default route."""
        removed = []
        for stray in strays:
            with contextlib.suppress(NetlinkError):
                await self._socket.route("del", **stray)
                removed.append(Change("del", str(stray)))
        return removed

    async def _do(self, verb: str, thing: Rule | Route) -> str | None:
        try:
            if isinstance(thing, Rule):
                await self._socket.rule(verb, **_rule_message(thing))
            else:
                await self._socket.route(verb, **self._route_message(thing))
        except NetlinkError as why:
            already = (verb == "add" and why.code == errno.EEXIST) or (verb == "del" and why.code in GONE)
            return None if already else str(why.args[-1])
        return None

    async def _ours(self) -> tuple[set[Rule], set[Route], list[dict[str, Any]]]:
        """Rules, routes, and how to name the routes to the kernel that are like none of a wish."""
        rules, routes, strays = set(), set(), []
        names = {index: name for name, index in self._index.items()}
        for family in self._families:
            number = FAMILY[family]
            async for message in await self._socket.get_rules(family=number):
                if message.get("protocol") == PROTOCOL:
                    rules.add(_rule(family, message))
            async for message in await self._socket.get_routes(family=number):
                if message.get("proto") != PROTOCOL:
                    continue
                if not _is_plain(family, message):
                    strays.append(_name_to_delete(family, message))
                    continue
                for index, gateway in _hops(message):
                    routes.add(Route(family, message.get("table"), names.get(index, f"if{index}"), gateway))
        return rules, routes, strays

    async def _defaults(self, family: Family) -> dict[tuple[int, int], str | None]:
        """(table, interface) -> gateway of its best default route: in main of others, in the active table ours."""
        found: dict[tuple[int, int], tuple[int, str | None]] = {}
        async for message in await self._socket.get_routes(family=FAMILY[family]):
            table, ours = message.get("table"), message.get("proto") == PROTOCOL
            if message.get("dst_len") or message.get("type") != UNICAST or (table == MAIN_TABLE) == ours:
                continue
            metric = message.get("priority") or 0
            for index, gateway in _hops(message):
                if metric < found.get((table, index), (UNSET, None))[0]:
                    found[table, index] = metric, gateway
        return {key: gateway for key, (_, gateway) in found.items()}

    def _active(self, defaults: dict[Family, dict[tuple[int, int], str | None]]) -> Iterator[tuple[Family, str]]:
        names = {index: name for name, index in self._index.items()}
        for family, found in defaults.items():
            for table, index in found:
                if table == ACTIVE_TABLE and index in names:
                    yield family, names[index]

    def _strangers(
        self, defaults: dict[Family, dict[tuple[int, int], str | None]], links: list[Link]
    ) -> Iterator[tuple[Family, str]]:
        names = {index: name for name, index in self._index.items()}
        ours = {link.index for link in links}
        for family, found in defaults.items():
            for table, index in sorted(found):
                if table == MAIN_TABLE and index not in ours and index in names:
                    yield family, names[index]

    def _route_message(self, route: Route) -> dict[str, Any]:
        message: dict[str, Any] = {
            "family": FAMILY[route.family],
            "dst": "default",
            "table": route.table,
            "oif": self._index[route.device],
            "proto": PROTOCOL,
        }
        if route.gateway:
            message |= {"gateway": route.gateway, "flags": ONLINK}
        else:
            message["scope"] = "link" if route.family is Family.IPV4 else "universe"
        return message


def _rule_message(rule: Rule) -> dict[str, Any]:
    message: dict[str, Any] = {
        "family": FAMILY[rule.family],
        "priority": rule.priority,
        "table": rule.table,
        "protocol": PROTOCOL,
    }
    if rule.source:
        message |= {"src": rule.source, "src_len": 32 if rule.family is Family.IPV4 else 128}
    if rule.destination:
        message |= {"dst": rule.destination, "dst_len": 32 if rule.family is Family.IPV4 else 128}
    if rule.device:
        message["oifname"] = rule.device
    if rule.mark is not None:
        message |= {"fwmark": rule.mark, "fwmask": MARKS}
    if rule.only_tcp:
        message["ip_proto"] = socket.IPPROTO_TCP
    if rule.suppress_prefixlength is not None:
        message["suppress_prefixlen"] = rule.suppress_prefixlength
    return message


def _rule(family: Family, message: Any) -> Rule:
    suppress = message.get("suppress_prefixlen")
    return Rule(
        family,
        message.get("priority") or 0,
        message.get("table"),
        source=message.get("src"),
        destination=message.get("dst"),
        mark=message.get("fwmark"),
        device=message.get("oifname"),
        suppress_prefixlength=None if suppress in (None, UNSET) else suppress,
        only_tcp=message.get("ip_proto") == socket.IPPROTO_TCP,
    )


def _is_plain(family: Family, route: Any) -> bool:
    """As we make them: a default route of no metric, which for IPv6 is 1024."""
    metric = route.get("priority") or 0
    return route.get("dst_len") == 0 and route.get("type") == UNICAST and metric == PLAIN_METRIC[family]


def _name_to_delete(family: Family, route: Any) -> dict[str, Any]:
    named = {
        "family": FAMILY[family],
        "table": route.get("table"),
        "dst": f"{route.get('dst') or ANY[family]}/{route.get('dst_len')}",
        "proto": PROTOCOL,
        "type": route.get("type"),
        "priority": route.get("priority"),
        "oif": route.get("oif"),
    }
    return {key: value for key, value in named.items() if value is not None}


def _hops(route: Any) -> Iterator[tuple[int, str | None]]:
    """(interface, gateway) of a route; systemd-networkd merges IPv6 uplinks into one route with several."""
    if route.get("multipath"):
        for hop in route.get("multipath"):
            yield hop["oif"], hop.get("gateway")
    elif route.get("oif"):
        yield route.get("oif"), route.get("gateway")


def _global_addresses(messages: list[Any], index: int) -> Iterator[tuple[Family, str]]:
    for message in messages:
        if message["index"] == index and message["scope"] == GLOBAL_SCOPE and message["family"] in NAME:
            yield NAME[message["family"]], message.get("local") or message.get("address")
