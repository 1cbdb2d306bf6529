"""Sends echoes through one uplink only and times them by the kernel's own send and receive stamps.

RAW sockets (CAP_NET_RAW). RTT is receive stamp less send stamp, so that a busy interpreter does not lengthen it.
"""

import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from agent.core.events import EchoNotSent, EchoRefused, EchoReturned, Event, KernelSeen, SendEchoes
from agent.core.station import Family, Station, family_of
from agent.edge.stamps import RECVERR, Flight, Line, Message, errno_name, is_possible

SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1
ECHO_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
ECHO_REPLY = {Family.IPV4: 0, Family.IPV6: 129}
HEADER = struct.Struct("!BBHHH")
PAYLOAD = struct.Struct("!4sI")  # token of this run, round; 36 bytes with IPv4: an empty payload some carriers drop


@dataclass(slots=True)
class _Echo(Flight):
    round: int
    target: str


@dataclass(slots=True)
class _Line(Line[_Echo]):
    ident: int = field(default_factory=lambda: int.from_bytes(os.urandom(2)))


class Prober:
    """`send` is called from the loop and does not wait; what comes of it is emitted as events."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._token = os.urandom(4)
        self._next = 0
        self._uplinks = tuple(uplink.name for uplink in station.uplinks)
        self._source = {target: str(ip_address(target)) for target in station.targets}
        self._lines = {
            (uplink.name, family): _Line(uplink.name, uplink.interface, family, _listening, self._take)
            for uplink in station.uplinks
            for family in Family
        }

    def send(self, order: SendEchoes) -> None:
        for target in order.targets:
            line = self._lines[order.uplink, family_of(target)]
            self._next = (self._next + 1) & 0xFFFF
            payload = PAYLOAD.pack(self._token, order.seq & 0xFFFFFFFF)
            packet = _request(line.family, line.ident, self._next, payload)
            try:
                line.send(self._next, _Echo(time.monotonic(), order.seq, target), packet, (target, 0))
            except OSError as why:
                self._emit(EchoNotSent(order.uplink, order.seq, target, errno_name(why)))

    def see(self, picture: KernelSeen) -> None:
        for uplink, link in zip(self._uplinks, picture.links, strict=True):
            for family in Family:
                self._lines[uplink, family].follow(link)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def _take(self, line: _Line, message: Message) -> None:
        if message.refusal is not None:
            self._take_refusal(line, message.data, message.refusal)
            return
        packet = message.data
        icmp = packet[(packet[0] & 15) * 4 :] if line.family is Family.IPV4 and packet else packet
        if len(icmp) < HEADER.size + PAYLOAD.size:
            return
        kind, _, _, ident, number = HEADER.unpack_from(icmp)
        token, seq = PAYLOAD.unpack_from(icmp, HEADER.size)
        echo = line.flights.get(number)
        ours = kind == ECHO_REPLY[line.family] and ident == line.ident and token == self._token
        if not ours or echo is None or (self._source[echo.target], echo.round & 0xFFFFFFFF) != (message.source[0], seq):
            return
        rtt_s = time.monotonic() - echo.sent_at
        if message.stamp_s is not None and echo.sent_stamp_s is not None:
            stamped_s = message.stamp_s - echo.sent_stamp_s
            if is_possible(stamped_s, echo):
                rtt_s = stamped_s
        self._emit(EchoReturned(line.uplink, echo.round, echo.target, rtt_s))

    def _take_refusal(self, line: _Line, packet: bytes, reason: str) -> None:
        """A router on the way sent our echo back with an error (IP_RECVERR)."""
        if len(packet) < HEADER.size:
            return
        _, _, _, ident, number = HEADER.unpack_from(packet)
        echo = line.flights.get(number)
        if ident == line.ident and echo is not None:
            self._emit(EchoRefused(line.uplink, echo.round, echo.target, reason))


def _listening(family: Family) -> socket.socket:
    """A RAW socket that hears echo replies only. Raises OSError."""
    if family is Family.IPV4:
        opened = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    else:
        opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
    try:
        opened.setsockopt(*RECVERR[family], 1)
        if family is Family.IPV4:
            opened.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("@I", ~(1 << ECHO_REPLY[family]) & 0xFFFFFFFF))
        else:
            blocked = [0xFFFFFFFF] * 8
            blocked[ECHO_REPLY[family] // 32] ^= 1 << ECHO_REPLY[family] % 32
            opened.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("@8I", *blocked))
    except OSError:
        opened.close()
        raise
    return opened


def _request(family: Family, ident: int, number: int, payload: bytes) -> bytes:
    """The kernel fills in ICMPv6's checksum, not ICMP's."""
    header = HEADER.pack(ECHO_REQUEST[family], 0, 0, ident, number)
    if family is Family.IPV6:
        return header + payload
    return HEADER.pack(ECHO_REQUEST[family], 0, checksum(header + payload), ident, number) + payload


def checksum(data: bytes) -> int:
    """RFC 1071; data of even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
