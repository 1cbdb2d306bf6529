"""The rules and routes that should exist, given the links and the choice; and the same as `ip` text.

    10000   lookup main suppress_prefixlength 0    connected and specific routes come first
    1005i   to <resolver of uplink i> lookup 100i  its own provider's DNS answers by it only
    1010i   from <address of uplink i> lookup 100i sockets bound to an address; strict rp_filter
      …     the same, ipproto tcp                  while it is cleared: refusals of what still comes to it
    1020i   oif <device of uplink i> lookup 100i   sockets bound to a device: our echoes
    1030i   fwmark <mark of uplink i> lookup 100i  flows that were there before the traffic moved
    32765   lookup 1000                            only the chosen default, behind the rules of VPNs
    32766   main                                   what DHCP left: the fallback without us

Measured, with rules left out in turn, in docs/decisions/0003 and 0006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.core import nft_table
from agent.core.flows import Flows
from agent.core.lanes import Shape, Standing, lanes, shape, tc_text
from agent.core.nft_table import MARKS, mark
from agent.core.station import Family, Nat, Station, Uplink, family_of
from wire.messages import Active

PROTOCOL = 119  # on our routes and rules, so that they are recognised; not in iproute2's rt_protos
ACTIVE_TABLE = 1000
FIRST_UPLINK_TABLE = 1001
MAIN_TABLE = 254

SPECIFIC_FIRST = 10000
TO_RESOLVER = 10050
FROM_ADDRESS = 10100
OUT_DEVICE = 10200
OLD_FLOWS = 10300
BY_CHOICE = 32765


@dataclass(frozen=True, slots=True)
class Link:
    """An uplink's interface as the kernel sees it."""

    interface: str
    """Its name now; an interface that was renamed while we watched is still the same one."""
    carrier: bool = False
    """It exists, is up, and has a signal on its cable."""
    addresses: tuple[tuple[Family, str], ...] = ()
    """Its global addresses."""
    gateways: tuple[tuple[Family, str | None], ...] = ()
    """For each family that has a default route by this device: the gateway, None when the device is the gateway."""
    index: int | None = None
    """The kernel's number of the interface; a device that comes back has another one."""

    def has(self, family: Family) -> bool:
        return any(each == family for each, _ in self.gateways)

    def gateway_of(self, family: Family) -> str | None:
        return next((gateway for each, gateway in self.gateways if each == family), None)

    def addresses_of(self, family: Family) -> tuple[str, ...]:
        return tuple(address for each, address in self.addresses if each == family)


@dataclass(frozen=True, slots=True)
class Rule:
    family: Family
    priority: int
    table: int
    source: str | None = None
    destination: str | None = None
    device: str | None = None
    mark: int | None = None
    """Under the mask MARKS."""
    suppress_prefixlength: int | None = None
    only_tcp: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A default route in one of our tables."""

    family: Family
    table: int
    device: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Leaving:
    """No flow and no socket of this family may hold on to this uplink."""

    family: Family
    interface: str
    mark: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """All of ours that should be in the kernel, and nothing else of ours."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    nft: str = ""
    """The text of our nft table, empty for none."""
    forward: tuple[Family, ...] = field(default=())
    """The families that must be forwarded between LAN and uplinks."""
    uplinks: tuple[str, ...] = ()
    """The interfaces on which answers may come that strict checks of the way back would drop."""
    leaving: tuple[Leaving, ...] = ()
    shapes: tuple[Shape, ...] = ()
    """The queues that should stand before thin uplinks."""


FlowsOf = Mapping[Family, Sequence[Flows]]
"""For each family, what becomes of each uplink's flows, in the order of the uplinks."""
ALL_STAY: FlowsOf = {}


def wish(
    station: Station,
    links: tuple[Link, ...],
    active: Active,
    flows_of: FlowsOf = ALL_STAY,
    standings: Sequence[Standing] = (),
) -> Wish:
    """Links and standings in the order of the uplinks; without standings nothing is limited by any plan.

    An uplink without a default route of a family has no table in it.
    """
    standings = standings or (Standing(),) * len(links)
    rules: list[Rule] = []
    routes: list[Route] = []
    leaving: list[Leaving] = []
    for family in Family:
        flows = flows_of.get(family, (Flows.STAY,) * len(links))
        rules.append(Rule(family, SPECIFIC_FIRST, MAIN_TABLE, suppress_prefixlength=0))
        for n, (uplink, link) in enumerate(zip(station.uplinks, links, strict=True)):
            rules += _rules(family, n, uplink, link, flows[n])
            routes += _defaults(link, family, FIRST_UPLINK_TABLE + n)
            if flows[n] in (Flows.LEAVE, Flows.DISMISS):
                leaving.append(Leaving(family, link.interface, mark(n), link.addresses_of(family)))
        rules.append(Rule(family, BY_CHOICE, ACTIVE_TABLE))
        chosen = active.ipv4 if family is Family.IPV4 else active.ipv6
        for uplink, link in zip(station.uplinks, links, strict=True):
            if uplink.name == chosen:
                routes += _defaults(link, family, ACTIVE_TABLE)
    treated = list(zip(station.uplinks, standings, links, strict=True))
    shapes = [shape(uplink, standing, link.interface, link.index) for uplink, standing, link in treated]
    return Wish(
        tuple(rules),
        tuple(routes),
        nft_table.text(
            station, tuple(link.interface for link in links), [lanes(uplink, each) for uplink, each, _ in treated]
        ),
        tuple(Family) if station.lan.nat is Nat.MANAGED else (),
        tuple(link.interface for link in links if link.index is not None),
        tuple(leaving),
        tuple(each for each in shapes if each is not None),
    )


def with_configured_gateway(link: Link, uplink: Uplink) -> Link:
    """A gateway that the operator named stands in place of what the main table says for its family."""
    if uplink.gateway == "auto":
        return link
    family = family_of(uplink.gateway)
    others = tuple((each, gateway) for each, gateway in link.gateways if each != family)
    return replace(link, gateways=((family, uplink.gateway), *others))


def _rules(family: Family, n: int, uplink: Uplink, link: Link, flows: Flows) -> list[Rule]:
    """Who asks for this uplink by one of its own things: resolver, address, device, mark."""
    table = FIRST_UPLINK_TABLE + n
    rules = [Rule(family, OUT_DEVICE + n, table, device=link.interface)]
    if flows is not Flows.LEAVE:
        tcp = flows is Flows.DISMISS  # the kernel's own refusals
        rules += [Rule(family, FROM_ADDRESS + n, table, address, only_tcp=tcp) for address in link.addresses_of(family)]
    if flows in (Flows.STAY, Flows.NONE):
        resolvers = [resolver for resolver in uplink.resolvers if family_of(resolver) is family]
        rules += [Rule(family, TO_RESOLVER + n, table, destination=resolver) for resolver in resolvers]
    if flows is Flows.STAY:
        rules.append(Rule(family, OLD_FLOWS + n, table, mark=mark(n)))
    return rules


def _defaults(link: Link, family: Family, table: int) -> list[Route]:
    return [Route(family, table, link.interface, gateway) for each, gateway in link.gateways if each == family]


def text(wanted: Wish) -> str:
    """The wish as `ip rule` and `ip route` would print it: for logs, for people, for golden files."""
    lines = []
    for rule in sorted(wanted.rules, key=lambda rule: (rule.family, rule.priority, rule.source or "")):
        table = "main" if rule.table == MAIN_TABLE else str(rule.table)
        suppress = f" suppress_prefixlength {rule.suppress_prefixlength}" if rule.suppress_prefixlength == 0 else ""
        lines.append(f"{rule.family} rule {rule.priority}: {_selector(rule)} lookup {table}{suppress} proto {PROTOCOL}")
    for route in sorted(wanted.routes, key=lambda route: (route.family, route.table)):
        via = f" via {route.gateway}" if route.gateway else ""
        lines.append(f"{route.family} route default{via} dev {route.device} table {route.table} proto {PROTOCOL}")
    for each in wanted.leaving:
        addresses = " ".join(each.addresses) or "no address"
        lines.append(f"{each.family} flows of {each.interface} leave: mark {each.mark:#x}/{MARKS:#x}, {addresses}")
    return "\n".join(lines) + "\n" + "".join(tc_text(each) for each in wanted.shapes) + wanted.nft


def _selector(rule: Rule) -> str:
    selector = f"from {rule.source or 'all'}"
    selector += f" to {rule.destination}" if rule.destination else ""
    selector += f" fwmark {rule.mark:#x}/{MARKS:#x}" if rule.mark is not None else ""
    selector += " ipproto tcp" if rule.only_tcp else ""
    return selector + (f" oif {rule.device}" if rule.device else "")
