"""Speaks rtnetlink: pictures of our interfaces, and a wish made true from any starting point."""

import errno
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink import rtnl
from pyroute2.netlink.exceptions import NetlinkError

from agent.core.events import KernelSeen
from agent.core.routes import ACTIVE_TABLE, BY_CHOICE, MAIN_TABLE, PROTOCOL, Link, Route, Rule, Wish
from agent.core.station import Family

FAMILY = {Family.IPV4: 2, Family.IPV6: 10}
NAME = {number: family for family, number in FAMILY.items()}
GROUPS = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
)
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IPV6_FILE = Path("/proc/net/if_inet6")  # absent when the kernel was started without IPv6
GLOBAL_SCOPE = 0
UNICAST = 1
UNSET = 0xFFFFFFFF  # what pyroute2 reads when a rule has no suppress_prefixlength
GONE = (errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Netlink:
    """One socket for questions; `changes` opens another that listens."""

    def __init__(self) -> None:
        self._socket = AsyncIPRoute()
        self._index: dict[str, int] = {}
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
        links = {link.get("ifname"): link async for link in await self._socket.get_links()}
        self._index = {name: link["index"] for name, link in links.items()}
        addresses = [message async for message in await self._socket.get_addr()]
        defaults = {family: await self._defaults(family) for family in self._families}
        seen = []
        for interface in interfaces:
            index = self._index.get(interface)
            if index is None:
                seen.append(Link(interface))
                continue
            flags = links[interface]["flags"]
            seen.append(
                Link(
                    interface=interface,
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
        return KernelSeen(tuple(seen), tuple(self._active(defaults)))

    async def make(self, wish: Wish) -> tuple[list[str], list[str]]:
        """All of the wish and nothing else of ours. Returns what was changed and what the kernel refused.

        The active table comes first, and as a replacement: there is no moment without a default route.
        """
        rules, routes = await self._ours()
        changed: list[str] = []
        refused: list[str] = []
        wanted_tables = {(route.family, route.table) for route in wish.routes}
        to_set = sorted(set(wish.routes) - routes, key=lambda route: (route.table != ACTIVE_TABLE, route.table))
        to_remove = {route for route in routes - set(wish.routes) if (route.family, route.table) not in wanted_tables}
        steps: list[tuple[str, Rule | Route]] = [
            *(("replace", route) for route in to_set),
            *(("add", rule) for rule in wish.rules if rule not in rules),
            *(("del", rule) for rule in sorted(rules - set(wish.rules), key=lambda rule: rule.priority != BY_CHOICE)),
            *(("del", route) for route in to_remove),
        ]
        for verb, thing in steps:
            if thing.family not in self._families or (isinstance(thing, Route) and thing.device not in self._index):
                continue
            why = await self._do(verb, thing)
            (refused if why else changed).append(f"{verb} {thing}{f': {why}' if why else ''}")
        return changed, refused

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

    async def _ours(self) -> tuple[set[Rule], set[Route]]:
        rules, routes = set(), set()
        names = {index: name for name, index in self._index.items()}
        for family in self._families:
            number = FAMILY[family]
            async for message in await self._socket.get_rules(family=number):
                if message.get("protocol") == PROTOCOL:
                    rules.add(_rule(family, message))
            async for message in await self._socket.get_routes(family=number):
                if message.get("proto") == PROTOCOL and message.get("dst_len") == 0:
                    for index, gateway in _hops(message):
                        routes.add(Route(family, message.get("table"), names.get(index, f"if{index}"), gateway))
        return rules, routes

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

    def _route_message(self, route: Route) -> dict[str, Any]:
        message: dict[str, Any] = {
            "family": FAMILY[route.family],
            "dst": "default",
            "table": route.table,
            "oif": self._index[route.device],
            "proto": PROTOCOL,
        }
        if route.gateway:
            message["gateway"] = route.gateway
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
    if rule.device:
        message["oifname"] = rule.device
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
        device=message.get("oifname"),
        suppress_prefixlength=None if suppress in (None, UNSET) else suppress,
    )


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
