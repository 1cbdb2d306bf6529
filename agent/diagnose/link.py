"""The link as the kernel has it: device, signal, address, gateway, and whether answers would be let in."""

import fcntl
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from agent.core.nft_table import NFT_TABLE
from agent.core.routes import ACTIVE_TABLE
from agent.core.station import Family, Uplink, family_of
from agent.diagnose.look import Layer, Look, Outcome, Subject
from agent.edge.lookup import device_to
from agent.edge.rawnetlink import FAMILY

IFF_UP, IFF_POINTOPOINT, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x10, 0x80, 0x10000
GLOBAL_SCOPE = 0
STRICT = 1  # of rp_filter; the greater of all and of the device counts
SIOCGIFHWADDR = 0x8927
ETHERNET = 1
RP_FILTER = "/proc/sys/net/ipv4/conf/{}/rp_filter"


def look(uplink: Uplink, family: Family | None, only_uplink: bool, target: str) -> tuple[Look, Subject]:
    """Without `family` the first in which the uplink has a gateway."""
    bare = Subject(uplink.name, uplink.interface, family or Family.IPV4, uplink.operator, only_uplink=only_uplink)
    with IPRoute() as kernel:
        found = kernel.link_lookup(ifname=uplink.interface)
        if not found:
            return Look(Layer.LINK, Outcome.LINK_GONE, {"interface": uplink.interface}), bare
        (link,) = kernel.get_links(found[0])
        addresses = _addresses(kernel, found[0])
        gateways = _gateways(kernel, found[0], uplink)
    chosen = family or next((each for each in Family if each in gateways), Family.IPV4)
    subject = Subject(
        uplink.name,
        uplink.interface,
        chosen,
        uplink.operator,
        addresses.get(chosen),
        gateways.get(chosen),
        link.get("mtu"),
        _mac(uplink.interface, link["flags"]),
        only_uplink,
    )
    facts = {"interface": subject.device, "address": subject.address, "gateway": subject.gateway, "mtu": subject.mtu}
    outcome = _outcome(link["flags"], subject, chosen in gateways)
    return Look(Layer.LINK, outcome, {**facts, "filter": _filter(subject, found[0], target)}), subject


def is_kept(device: str) -> bool:
    """Whether our own nft table refuses what is not essential, because this uplink's plan is nearly used up."""
    try:
        listed = subprocess.run(
            ["nft", "list", "table", "inet", NFT_TABLE], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return f'oifname "{device}" goto refuse' in listed.stdout


def _outcome(flags: int, subject: Subject, has_gateway: bool) -> Outcome:
    if not flags & IFF_UP:
        return Outcome.LINK_OFF
    if not flags & IFF_LOWER_UP:
        return Outcome.LINK_NO_CARRIER
    if subject.address is None:
        return Outcome.LINK_NO_ADDRESS
    return Outcome.LINK_READY if has_gateway else Outcome.LINK_NO_GATEWAY


def _addresses(kernel: Any, index: int) -> dict[Family, str]:
    found: dict[Family, str] = {}
    for message in kernel.get_addr(index=index):
        if message["scope"] == GLOBAL_SCOPE:
            address = message.get("local") or message.get("address")
            found.setdefault(family_of(address), address)
    return found


def _gateways(kernel: Any, index: int, uplink: Uplink) -> dict[Family, str | None]:
    """Of default routes by this device, in whatever table; of several the one that the operator named, or the best."""
    best: dict[Family, tuple[int, str | None]] = {}
    for family in Family:
        for route in kernel.get_routes(family=FAMILY[family]):
            if route.get("dst_len") or route.get("type") != 1 or route.get("table") == ACTIVE_TABLE:
                continue
            for device, gateway in _hops(route):
                metric = -1 if gateway == uplink.gateway else route.get("priority") or 0
                if device == index and (family not in best or metric < best[family][0]):
                    best[family] = metric, gateway
    return {family: gateway for family, (_, gateway) in best.items()}


def _hops(route: Any) -> list[tuple[int, str | None]]:
    if route.get("multipath"):
        return [(hop["oif"], hop.get("gateway")) for hop in route.get("multipath")]
    return [(route.get("oif"), route.get("gateway"))]


def _filter(subject: Subject, index: int, target: str) -> str | None:
    """`strict` when the kernel drops what comes back here, because it would go to the target by another device."""
    if subject.family is not Family.IPV4 or family_of(target) is not Family.IPV4:
        return None
    modes = [_read(RP_FILTER.format(name)) for name in ("all", subject.device)]
    return "strict" if max(modes) == STRICT and device_to(target) != index else None


def _read(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0


def _mac(device: str, flags: int) -> str | None:
    if flags & (IFF_NOARP | IFF_POINTOPOINT):
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("256s", device.encode()))
    kind, mac = struct.unpack_from("=16xH6s", answer)
    return mac.hex(":") if kind == ETHERNET else None
