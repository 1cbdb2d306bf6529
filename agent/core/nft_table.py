"""The text of our nft table: by which uplink a flow goes, what is masqueraded, what is counted."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network

from agent.core import nft_lanes
from agent.core.lanes import Lanes
from agent.core.station import Nat, Station

NFT_TABLE = "siaga"
ASKED, ANSWERED = "asked", "answered"  # counters of our table, one of each for every uplink: asked-fibre
FRESH = "31, 63, 127, 254"  # hops left when no router but us has passed a packet on: systems send with one more
MARKS = 0xFF000000  # the byte of packet and flow marks that is ours; wg-quick, Tailscale and mwan3 use lower ones
OTHERS_MARKS = 0xFFFFFFFF ^ MARKS


def mark(n: int) -> int:
    """Of the n-th uplink, under the mask MARKS."""
    return n + 1 << 24


def text(station: Station, interfaces: tuple[str, ...], lanes: Sequence[Lanes] = ()) -> str:
    """The whole table, for one transaction; it does not depend on which uplink is active, nor on any address.

    `interfaces` are those of the uplinks, as they are called now; without `lanes` nothing is limited. Empty where there
    is neither a LAN nor a limit.
    """
    body = [*(_of_lan(station, interfaces) if station.lan.interfaces else ())]
    body += nft_lanes.chains(station, interfaces, lanes or (Lanes(),) * len(interfaces))
    return "".join([f"table inet {NFT_TABLE} {{\n", *body, "}\n"]) if body else ""


def _of_lan(station: Station, interfaces: tuple[str, ...]) -> Iterator[str]:
    lan = _set(station.lan.interfaces)
    yield from (f"  counter {name} {{ }}\n" for name in _counters(station))
    yield from _chain("keep", "filter hook prerouting priority mangle", _keep(lan, interfaces))
    yield from _chain("note", "filter hook postrouting priority mangle", _mark(interfaces))
    yield from _chain("postrouting", "nat hook postrouting priority srcnat", _nat(station, lan, interfaces))
    yield from _chain("count", "filter hook postrouting priority srcnat + 1", _count(station, lan, interfaces))


def _keep(lan: str, interfaces: tuple[str, ...]) -> Iterator[str]:
    """A packet of a flow that an uplink carries asks for that uplink; a rule grants it or not.

    A flow that comes from outside belongs to the uplink by which it came, before its first answer leaves.
    """
    for n, interface in enumerate(interfaces):
        yield f'iifname "{interface}" ct state new ct mark set ct mark and {OTHERS_MARKS:#010x} or {mark(n):#x}'
    for n in range(len(interfaces)):
        of_uplink = f"ct mark and {MARKS:#x} == {mark(n):#x}"
        yield f"iifname {lan} {of_uplink} meta mark set meta mark and {OTHERS_MARKS:#010x} or {mark(n):#x}"


def _mark(interfaces: tuple[str, ...]) -> Iterator[str]:
    """A flow belongs to the uplink by which its first packet left, until it is forgotten.

    Not to the one by which its last packet left: between a new route and the forgetting a packet goes the new way with
    the old uplink's address, and a firewall's static NAT would keep that address for as long as the flow lasts.
    """
    for n, interface in enumerate(interfaces):
        nobodys = f"ct mark and {MARKS:#x} == 0"
        yield f'oifname "{interface}" {nobodys} ct mark set ct mark and {OTHERS_MARKS:#010x} or {mark(n):#x}'


def _nat(station: Station, lan: str, interfaces: tuple[str, ...]) -> Iterator[str]:
    if station.lan.nat is Nat.MANAGED:
        yield from _prefixes(station, lan, interfaces)
        yield f"iifname {lan} oifname {_set(interfaces)} masquerade"


def _prefixes(station: Station, lan: str, interfaces: tuple[str, ...]) -> Iterator[str]:
    """What an uplink gave to the LAN leaves by it as it is; by another that gave as much, host for host under its own.

    A host that has no such address is masqueraded.
    """
    pairs = zip(station.uplinks, interfaces, strict=True)
    given = [(IPv6Network(uplink.prefix6), interface) for uplink, interface in pairs if uplink.prefix6 is not None]
    for own, interface in given:
        leaves = f'iifname {lan} oifname "{interface}"'
        yield f"{leaves} ip6 saddr {own} accept"
        others = [f"{each} : {own}" for each, _ in given if each != own and each.prefixlen == own.prefixlen]
        if others:
            yield f"{leaves} snat ip6 prefix to ip6 saddr map {{ {', '.join(others)} }}"


def _count(station: Station, lan: str, interfaces: tuple[str, ...]) -> Iterator[str]:
    """Behind the masquerade: what another filter forbids, or the kernel drops because its uplink has changed, was
    not asked. An error message is no answer (it is `related`), and neither is what no router has passed on to us: a
    modem whose own uplink is dead still speaks, even in the name of others, for DNS and for its page.
    """
    yield (f"iifname {lan} ct direction original counter name oifname map {_by_interface(station, interfaces, ASKED)}")
    yield f"ip ttl {{ {FRESH} }} return"
    yield f"ip6 hoplimit {{ {FRESH} }} return"
    answered = _by_interface(station, interfaces, ANSWERED)
    yield f"oifname {lan} ct direction reply ct state established counter name iifname map {answered}"


def _counters(station: Station) -> list[str]:
    return [f"{which}-{uplink.name}" for uplink in station.uplinks for which in (ASKED, ANSWERED)]


def _by_interface(station: Station, interfaces: tuple[str, ...], counter: str) -> str:
    pairs = zip(station.uplinks, interfaces, strict=True)
    return "{ " + ", ".join(f'"{interface}" : "{counter}-{uplink.name}"' for uplink, interface in pairs) + " }"


def _chain(name: str, hook: str, rules: Iterator[str]) -> Iterator[str]:
    body = [f"    {rule}\n" for rule in rules]
    if body:
        yield f"  chain {name} {{\n    type {hook}; policy accept;\n"
        yield from body
        yield "  }\n"


def _set(names: tuple[str, ...]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"
