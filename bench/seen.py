"""What is seen from outside: by which uplink the kernel sends, and what passes at an uplink's provider."""

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bench.loop import Call, Loop
from lab.judgement import NOWHERE
from lab.lookup import Lookup
from lab.namespace import within
from lab.netns import Station
from lab.programs import BROKER_PORT
from lab.topology import LAN_CLIENT, LAN_CLIENT6, SERVER, SERVER6

RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE = 0x40, 0x400
ETH_P_ALL = 3
CONNACK = 0x20  # how the broker's answer to an MQTT session begins (3.1.1, section 3.2)
SYN_ONLY = 0x02


class Moves:
    """By which uplink the LAN's traffic to the server goes, asked of the kernel whenever it tells of a route."""

    def __init__(self, loop: Loop, station: Station, ipv6: bool = False) -> None:
        topology = station.topology
        self._ends = (LAN_CLIENT6, "lan0", SERVER6) if ipv6 else (LAN_CLIENT, "lan0", SERVER)
        self._names = {topology.line(name).device: name for name in topology.uplinks}
        self._lookup = Lookup(topology.name("tps"))
        with within(topology.name("tps")):
            self._ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._ear.bind((0, RTMGRP_IPV6_ROUTE if ipv6 else RTMGRP_IPV4_ROUTE))
        self.seen = [(time.monotonic(), self._ask())]
        self.then: Call = lambda _: None
        loop.hear(self._ear, self._hear)

    @property
    def active(self) -> str:
        return self.seen[-1][1]

    @property
    def at_s(self) -> float:
        """When it last moved."""
        return self.seen[-1][0]

    def close(self) -> None:
        self._lookup.close()

    def _hear(self, now_s: float) -> None:
        with suppress(OSError):  # more was told than the socket holds; what counts is how it is now
            self._ear.recv(65536)
        if (active := self._ask()) != self.active:
            self.seen.append((now_s, active))
            self.then(now_s)

    def _ask(self) -> str:
        way = self._lookup.forwarded(*self._ends)
        return NOWHERE if way is None else self._names.get(way.device, NOWHERE)


@dataclass(slots=True)
class Passed:
    """What has passed at the first hop of one uplink, by the server's port."""

    last_up_s: dict[int, float] = field(default_factory=dict)
    last_down_s: dict[int, float] = field(default_factory=dict)
    syns: dict[int, set[str]] = field(default_factory=dict)
    """Of each port of a client: the addresses from which it began."""
    accepted_s: list[float] = field(default_factory=list)
    """When a broker's answer to a new session came by."""


def watch_provider(loop: Loop, station: Station, uplink: str) -> Passed:
    """TCP and UDP in IPv4, until the loop is closed."""
    passed = Passed()
    with within(station.topology.name(station.topology.line(uplink).provider)):
        eye = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        eye.bind(("cust", ETH_P_ALL))
    loop.hear(eye, _looker(eye, passed))
    return passed


def _looker(eye: socket.socket, passed: Passed) -> Callable[[float], None]:
    def look(now_s: float) -> None:
        packet, (_, _, direction, *_) = eye.recvfrom(65536)
        if len(packet) >= 28 and packet[0] >> 4 == 4 and packet[9] in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            note(passed, packet, direction != socket.PACKET_OUTGOING, now_s)

    return look


def note(passed: Passed, packet: bytes, up: bool, now_s: float) -> None:
    """An IPv4 packet, up from the station or down to it."""
    head = 4 * (packet[0] & 15)
    source, destination = struct.unpack_from("!HH", packet, head)
    last_s, port = (passed.last_up_s, destination) if up else (passed.last_down_s, source)
    last_s[port] = now_s
    if packet[9] != socket.IPPROTO_TCP:
        return
    flags, payload = packet[head + 13], packet[head + 4 * (packet[head + 12] >> 4) :]
    if up and flags == SYN_ONLY:
        passed.syns.setdefault(source, set()).add(socket.inet_ntoa(packet[12:16]))
    if not up and payload[:1] == bytes([CONNACK]) and source == BROKER_PORT:
        passed.accepted_s.append(now_s)
