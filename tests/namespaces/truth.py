"""What must be in a station's kernel at any moment, reckoned from what others put there; and what is there."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from agent.core.flows import Flows
from agent.core.nft_table import MARKS, NFT_TABLE
from agent.core.routes import (
    OLD_FLOWS,
    PROTOCOL,
    Link,
    Wish,
    text,
    wish,
)
from agent.core.station import Family
from agent.edge.rawnetlink import (
    NETFILTER,
    NETLINK_NETFILTER,
    NLM_F_DUMP,
    attributes,
    dump,
    message,
    netfilter,
    opened,
)
from tests.edge.link import ip, space
from tests.namespaces.ground import ELSEWHERE, NAMES, Ground
from wire.messages import Active

OPTION = {Family.IPV4: "-4", Family.IPV6: "-6"}
OURS = f" proto {PROTOCOL}"
IPCTNL_MSG_CT_GET = 1 << 8 | 1  # linux/netfilter/nfnetlink_conntrack.h, and what follows
CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_PROTO_NUM, CTA_MARK = 1, 2, 1, 8
NETWORK = Path("/proc/sys/net")
_TOLD_BY_KERNEL = re.compile(r" (metric 1024|pref medium|linkdown|dead|onlink)\b")
_VOLATILE = re.compile(r" (linkdown|dead|expires \d+sec)\b")


class Contradiction(Exception):
    """The rules are not as what the agent says of itself demands."""


def ours() -> list[str]:
    """Rules and routes with our number, in the words of `agent.core.routes.text`; a rule outlives its device."""
    lines = []
    for family, option in OPTION.items():
        rules = [" ".join(line.replace(" [detached]", "").split()) for line in ip(option, "rule").splitlines()]
        lines += [f"{family} rule {rule}" for rule in rules if rule.endswith(OURS)]
        for route in ip("-o", option, "route", "show", "table", "all", "proto", str(PROTOCOL)).splitlines():
            lines.append(f"{family} route {' '.join(_TOLD_BY_KERNEL.sub('', route).split())}{OURS}")
    return sorted(lines)


def others() -> dict[str, str]:
    """What is not ours and not the kernel's own: it may be changed by nobody but the test."""
    kept: dict[str, str] = {}
    for option in OPTION.values():
        kept[f"{option} rules"] = "\n".join(line for line in ip(option, "rule").splitlines() if OURS not in line)
        routes = ip("-N", "-o", option, "route", "show", "table", "all").splitlines()
        theirs = [line for line in routes if OURS not in line and " proto 2 " not in line and not _of_kernel(line)]
        kept[f"{option} routes"] = _VOLATILE.sub("", "\n".join(sorted(theirs)))
    tables = subprocess.run(
        ["nft", "--stateless", "list", "ruleset"], capture_output=True, text=True, check=True
    ).stdout
    kept["nft"] = "".join(table for table in re.split(r"(?m)^(?=table )", tables) if f" {NFT_TABLE} " not in table)
    return kept


def _of_kernel(route: str) -> bool:
    return route.startswith(("multicast", "anycast", "local", "broadcast", "fe80::/64"))


def wished(ground: Ground) -> Wish | None:
    """None while the agent does not answer. What old flows do is taken from the rules where both answers are right."""
    status = ground.status()
    if status is None:
        return None
    links = tuple(_link(wire.device) for wire in ground.wires)
    active = Active(**status["active"])
    health = {uplink["name"]: uplink["health"] for uplink in status["uplinks"]}
    flows_of = {family: tuple(_flows(family, active, health)) for family in Family}
    return wish(ground.station, tuple(links), active, flows_of)


def _flows(family: Family, active: Active, health: dict[str, str]) -> Iterator[Flows]:
    """Nobody leaves what carries the traffic, nor what is up; of the rest the other family's silence may decide."""
    chosen = active.ipv4 if family is Family.IPV4 else active.ipv6
    stays = {rule["priority"] for rule in _json(OPTION[family], "rule") if rule.get("protocol") == str(PROTOCOL)}
    for n, name in enumerate(NAMES):
        must_stay = name == chosen or chosen is None
        yield Flows.STAY if must_stay or OLD_FLOWS + n in stays else Flows.LEAVE
        if not must_stay and family is Family.IPV4 and health[chosen or ""] != "dead":
            leaves = health[name] in ("dead", "poor")
            if leaves == (OLD_FLOWS + n in stays):
                raise Contradiction(f"{name} is {health[name]}; the rules that its old flows need: {sorted(stays)}")


def _link(device: str) -> Link:
    shown = _json("-d", "address", "show")
    mine = next((each for each in shown if each["ifname"] == device), None)
    if mine is None:
        return Link(device)
    addresses = [each for each in mine["addr_info"] if each["scope"] == "global"]
    family = {"inet": Family.IPV4, "inet6": Family.IPV6}
    return Link(
        device,
        "LOWER_UP" in mine["flags"],
        tuple(sorted((family[each["family"]], each["local"]) for each in addresses)),
        tuple(_gateways(device)),
        mine["ifindex"],
    )


def _gateways(device: str) -> Iterator[tuple[Family, str | None]]:
    for family, option in OPTION.items():
        routes = [each for each in _json(option, "route", "show", "default", "table", "main") if each["dev"] == device]
        if routes:
            yield family, min(routes, key=lambda each: each.get("metric", 0)).get("gateway")


def flaws(ground: Ground) -> list[str]:
    """What is not as it must be while an agent runs."""
    try:
        wanted = wished(ground)
    except Contradiction as why:
        return [str(why)]
    if wanted is None:
        return ["the agent does not answer"]
    expected = sorted(line for line in text(wanted).splitlines() if line.endswith(OURS))
    found = [f"{sign} {line}" for sign, lines in _differences(expected, ours()) for line in lines]
    if listed() != as_listed(wanted.nft):
        found.append("the nft table is not as wished")
    for device in wanted.uplinks:
        checks = max(read(f"ipv4/conf/{name}/rp_filter") for name in ("all", device))
        if checks == "1":
            found.append(f"{device}: strict rp_filter")
    if (read("ipv4/ip_forward"), read("ipv6/conf/all/forwarding")) != ("1", "1"):
        found.append("nothing is forwarded")
    return found + missing_ways(ground)


def missing_ways(ground: Ground) -> list[str]:
    """Families for which the kernel finds no way out, though an uplink with a signal has a default route."""
    links = [_link(wire.device) for wire in ground.wires]
    return [
        f"no way out by {family}"
        for family, option in OPTION.items()
        if any(link.carrier and link.has(family) for link in links) and way(option) is None
    ]


def way(option: str) -> str | None:
    """The device by which the kernel would send to the outside."""
    asked = subprocess.run(
        ["ip", "-j", option, "route", "get", ELSEWHERE[option]], capture_output=True, text=True, check=False
    )
    return str(json.loads(asked.stdout)[0]["dev"]) if asked.returncode == 0 else None


def _differences(expected: list[str], found: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Doubles count."""
    yield "missing", [line for line in set(expected) if expected.count(line) > found.count(line)]
    yield "too much", [line for line in set(found) if found.count(line) > expected.count(line)]


def listed() -> str:
    command = ["nft", "--stateless", "list", "table", "inet", NFT_TABLE]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@cache
def as_listed(nft: str) -> str:
    """How nft lists a table of this text."""
    with space("as-listed") as there:
        subprocess.run(["ip", "netns", "exec", there, "nft", "-f", "-"], input=nft, text=True, check=True)
        command = ["ip", "netns", "exec", there, "nft", "--stateless", "list", "table", "inet", NFT_TABLE]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read(key: str) -> str | None:
    try:
        return (NETWORK / key).read_text().strip()
    except OSError:
        return None


def _json(*arguments: str) -> Any:
    return json.loads(ip("-j", *arguments) or "[]")


def flows_marked(mark: int) -> int:
    """UDP flows of IPv4 that the kernel tracks with this mark of ours."""
    with opened(NETLINK_NETFILTER) as asking:
        question = message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, netfilter(socket.AF_INET))
        entries = [dict(attributes(body[NETFILTER.size :])) for _, body in dump(asking, question)]
    marked = [entry for entry in entries if int.from_bytes(entry.get(CTA_MARK, b"")) & MARKS == mark]
    tuples = [dict(attributes(entry[CTA_TUPLE_ORIG])) for entry in marked]
    numbers = [dict(attributes(each[CTA_TUPLE_PROTO]))[CTA_PROTO_NUM][0] for each in tuples]
    return numbers.count(socket.IPPROTO_UDP)


class Ear:
    """Hears every echo that leaves this station: by which device, from which address, of which socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def close(self) -> None:
        self._socket.close()

    def echoes(self) -> Iterator[tuple[str, str, tuple[str, bytes]]]:
        """(device, source, (family, identifier)) of each since the last call; not those of a device that is gone."""
        while True:
            try:
                packet, (device, protocol, kind, *_) = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            if kind != socket.PACKET_OUTGOING or not device:
                continue
            if protocol == 0x0800 and packet[9] == socket.IPPROTO_ICMP and packet[20] == 8:
                yield device, socket.inet_ntop(socket.AF_INET, packet[12:16]), ("ipv4", packet[24:26])
            if protocol == 0x86DD and packet[6] == socket.IPPROTO_ICMPV6 and packet[40] == 128:
                yield device, socket.inet_ntop(socket.AF_INET6, packet[8:24]), ("ipv6", packet[44:46])
