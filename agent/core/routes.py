"""The rules and routes that should exist, given the links and the choice; and the same as `ip` text.

    10000   lookup main suppress_prefixlength 0    connected and specific routes come first
    1010i   from <address of uplink i> lookup 100i sockets bound to an address; strict rp_filter
    1020i   oif <device of uplink i> lookup 100i   sockets bound to a device: our echoes
    20000   lookup 1000                            only the chosen default
    32766   main                                   what DHCP left: the fallback without us

Measured, with each rule left out in turn, in the notes that docs/decisions/0003 names.
"""

from dataclasses import dataclass, field, replace

from agent.core.station import Family, Nat, Station, Uplink, family_of
from wire.messages import Active

PROTOCOL = 119  # on our routes and rules, so that they are recognised; not in iproute2's rt_protos
ACTIVE_TABLE = 1000
FIRST_UPLINK_TABLE = 1001
MAIN_TABLE = 254

SPECIFIC_FIRST = 10000
FROM_ADDRESS = 10100
OUT_DEVICE = 10200
BY_CHOICE = 20000

NFT_TABLE = "siaga"
ASKED, ANSWERED = "asked", "answered"  # counters of our table, one of each for every uplink: asked-fibre
FRESH = "31, 63, 127, 254"  # hops left when no router but us has passed a packet on: systems send with one more


@dataclass(frozen=True, slots=True)
class Link:
    """An uplink's interface as the kernel sees it."""

    interface: str
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
    device: str | None = None
    suppress_prefixlength: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A default route in one of our tables."""

    family: Family
    table: int
    device: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Wish:
    """All of ours that should be in the kernel, and nothing else of ours."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    nft: str = ""
    """The text of our nft table, empty for none."""
    forward: tuple[Family, ...] = field(default=())
    """The families that must be forwarded between LAN and uplinks."""


def wish(station: Station, links: tuple[Link, ...], active: Active) -> Wish:
    """Links in the order of the uplinks. An uplink without a default route of a family has no table in it."""
    rules: list[Rule] = []
    routes: list[Route] = []
    for family in Family:
        rules.append(Rule(family, SPECIFIC_FIRST, MAIN_TABLE, suppress_prefixlength=0))
        for n, link in enumerate(links):
            table = FIRST_UPLINK_TABLE + n
            rules += [Rule(family, FROM_ADDRESS + n, table, source=a) for a in link.addresses_of(family)]
            rules.append(Rule(family, OUT_DEVICE + n, table, device=link.interface))
            routes += _defaults(link, family, table)
        rules.append(Rule(family, BY_CHOICE, ACTIVE_TABLE))
        chosen = station.uplink((active.ipv4 if family is Family.IPV4 else active.ipv6) or "")
        routes += [
            route
            for link in links
            if chosen and link.interface == chosen.interface
            for route in _defaults(link, family, ACTIVE_TABLE)
        ]
    managed = station.lan.nat is Nat.MANAGED
    return Wish(tuple(rules), tuple(routes), _nft(station) if managed else "", tuple(Family) if managed else ())


def with_configured_gateway(link: Link, uplink: Uplink) -> Link:
    """A gateway that the operator named stands in place of what the main table says for its family."""
    if uplink.gateway == "auto":
        return link
    family = family_of(uplink.gateway)
    others = tuple((each, gateway) for each, gateway in link.gateways if each != family)
    return replace(link, gateways=((family, uplink.gateway), *others))


def _defaults(link: Link, family: Family, table: int) -> list[Route]:
    return [Route(family, table, link.interface, gateway) for each, gateway in link.gateways if each == family]


def _nft(station: Station) -> str:
    """The whole table, for one transaction; it does not depend on which uplink is active, nor on any address.

    Counted behind the masquerade: what another filter forbids, or the kernel drops because its uplink has changed, was
    not asked. An error message is no answer (it is `related`), and neither is what no router has passed on to us: a
    modem whose own uplink is dead still speaks, even in the name of others, for DNS and for its page.
    """
    lan = ", ".join(f'"{name}"' for name in station.lan.interfaces)
    wan = ", ".join(f'"{uplink.interface}"' for uplink in station.uplinks)
    names = [f"{which}-{uplink.name}" for uplink in station.uplinks for which in (ASKED, ANSWERED)]
    return (
        f"table inet {NFT_TABLE} {{\n"
        + "".join(f"  counter {name} {{ }}\n" for name in names)
        + "  chain postrouting {\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        f"    iifname {{ {lan} }} oifname {{ {wan} }} masquerade\n"
        "  }\n"
        "  chain count {\n"
        "    type filter hook postrouting priority srcnat + 1; policy accept;\n"
        f"    iifname {{ {lan} }} ct direction original"
        f" counter name oifname map {{ {_by_interface(station, ASKED)} }}\n"
        f"    ip ttl {{ {FRESH} }} return\n"
        f"    ip6 hoplimit {{ {FRESH} }} return\n"
        f"    oifname {{ {lan} }} ct direction reply ct state established"
        f" counter name iifname map {{ {_by_interface(station, ANSWERED)} }}\n"
        "  }\n"
        "}\n"
    )


def _by_interface(station: Station, counter: str) -> str:
    return ", ".join(f'"{uplink.interface}" : "{counter}-{uplink.name}"' for uplink in station.uplinks)


def text(wanted: Wish) -> str:
    """The wish as `ip rule` and `ip route` would print it: for logs, for people, for golden files."""
    lines = []
    for rule in sorted(wanted.rules, key=lambda rule: (rule.family, rule.priority, rule.source or "")):
        selector = f"from {rule.source or 'all'}" + (f" oif {rule.device}" if rule.device else "")
        suppress = f" suppress_prefixlength {rule.suppress_prefixlength}" if rule.suppress_prefixlength == 0 else ""
        table = "main" if rule.table == MAIN_TABLE else str(rule.table)
        lines.append(f"{rule.family} rule {rule.priority}: {selector} lookup {table}{suppress} proto {PROTOCOL}")
    for route in sorted(wanted.routes, key=lambda route: (route.family, route.table)):
        via = f" via {route.gateway}" if route.gateway else ""
        lines.append(f"{route.family} route default{via} dev {route.device} table {route.table} proto {PROTOCOL}")
    return "\n".join(lines) + "\n" + wanted.nft
