"""The chains of our nft table that tell the essential from the rest, and limit, queue or refuse the rest.

They stand at forward and output, not behind: there a program can be told of a refusal, and one list of what is
essential serves the refusal, the limit and the queue.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from agent.core.lanes import ESSENTIAL, FIRST, PACKET_BYTES, REST, Lanes
from agent.core.station import Centre, Essential, Station

FIRST_UDP = "53, 67, 123, 547"  # names, leases, time
FIRST_TCP = "53, 853"
PIECE_BYTES = 65_536  # what a network card puts together; a limit with less room would never let it pass
BEHIND_OTHERS = "filter + 10"  # what another filter forbids is neither counted against a limit nor answered by us


def chains(station: Station, interfaces: Sequence[str], lanes: Sequence[Lanes]) -> Iterator[str]:
    """Nothing where nothing is limited. `interfaces` and `lanes` in the order of the uplinks."""
    pairs = list(zip(interfaces, lanes, strict=True))
    out = [interface for interface, lane in pairs if lane.queued or lane.refused or lane.up_kbps]
    into = [interface for interface, lane in pairs if lane.down_kbps]
    if any(lane.refused for lane in lanes):
        yield from _block("refuse", _refuse())
    if out:
        yield from _block("outward", _outward(station, pairs))
    if into:
        yield from _block("inward", _inward(station, pairs))
    to_out = [f"oifname {names(out)} goto outward"] if out else []
    to_in = [f"iifname {names(into)} goto inward"] if into else []
    for hook, rules in (("forward", to_out + to_in), ("output", to_out), ("input", to_in)):
        if rules:
            yield from _block(hook, rules, f"type filter hook {hook} priority {BEHIND_OTHERS}; policy accept;")


def names(interfaces: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in interfaces) + " }"


def _outward(station: Station, pairs: list[tuple[str, Lanes]]) -> Iterator[str]:
    """From here on a packet is of the class that was said last."""
    queued = names([interface for interface, lane in pairs if lane.queued])
    has_queues = any(lane.queued for _, lane in pairs)
    for name, matches in ((FIRST, _first("d")), (ESSENTIAL, _essential(station, "d")), (REST, iter(()))):
        if has_queues:
            yield f"oifname {queued} meta priority set {name}"
        for match in matches:
            yield f"{match} return"
    for interface, lane in pairs:
        if lane.refused:
            yield f'oifname "{interface}" goto refuse'
        elif lane.up_kbps:
            yield f'oifname "{interface}" {_over(lane.up_kbps)} drop'


def _inward(station: Station, pairs: list[tuple[str, Lanes]]) -> Iterator[str]:
    for match in (*_first("s"), *_essential(station, "s")):
        yield f"{match} return"
    for interface, lane in pairs:
        if lane.down_kbps:
            yield f'iifname "{interface}" {_over(lane.down_kbps)} drop'


def _refuse() -> Iterator[str]:
    """Programs are told at once. A reset of their own may pass: then the far end stops sending too."""
    yield "tcp flags & rst == rst return"
    yield "meta l4proto tcp reject with tcp reset"
    yield "reject with icmpx type admin-prohibited"


def _first(end: str) -> Iterator[str]:
    """`end` is d for what goes to them, s for what comes from them."""
    yield "meta l4proto { icmp, ipv6-icmp }"
    yield f"udp {end}port {{ {FIRST_UDP} }}"
    yield f"tcp {end}port {{ {FIRST_TCP} }}"


def _essential(station: Station, end: str) -> Iterator[str]:
    for each in (_broker(station.centre), *station.essential):
        to = f"{_family(each.to)} {end}addr {ip_network(each.to)}" if each.to else ""
        if not each.ports:
            yield to
        for protocol, _, port in (port.partition("/") for port in each.ports):
            yield f"{to} {protocol} {end}port {port}".strip()


def _broker(centre: Centre) -> Essential:
    """By its port alone where it has a name: what that will mean is not known here."""
    try:
        to: str | None = str(ip_address(centre.broker_host))
    except ValueError:
        to = None
    return Essential(to, (f"tcp/{centre.broker_port}",))


def _family(network: str) -> str:
    return "ip" if ip_network(network).version == 4 else "ip6"


def _over(kbps: int) -> str:
    """The bucket holds what the rate gives in a second, and the burst."""
    rate_bps = kbps * 125
    return f"limit rate over {rate_bps} bytes/second burst {max(PIECE_BYTES - rate_bps, PACKET_BYTES)} bytes"


def _block(name: str, rules: Iterator[str] | list[str], hook: str = "") -> Iterator[str]:
    yield f"  chain {name} {{\n" + (f"    {hook}\n" if hook else "")
    yield from (f"    {rule}\n" for rule in rules)
    yield "  }\n"
