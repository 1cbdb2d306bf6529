"""Sends echoes through one uplink only and times them by the kernel's own send and receive stamps.

RAW sockets (CAP_NET_RAW) bound to the device; a socket per uplink and family, opened anew when the device returns with
another index. RTT is receive stamp less send stamp, so that a busy interpreter does not lengthen it (SO_TIMESTAMPING,
Documentation/networking/timestamping.rst).
"""

import asyncio
import errno
import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from agent.core.events import EchoNotSent, EchoRefused, EchoReturned, Event, KernelSeen, SendEchoes
from agent.core.measure import REMEMBERED_S
from agent.core.station import Family, Station, family_of

log = logging.getLogger(__name__)

SO_TIMESTAMPING = 37
SOFTWARE_STAMPS = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 11  # TX, RX, report software; number them; without payload
SCM_TIMESTAMPING = SO_TIMESTAMPING
RECVERR = {Family.IPV4: (socket.SOL_IP, 11), Family.IPV6: (socket.IPPROTO_IPV6, 25)}
EXTENDED = struct.Struct("@IBBBBII")  # sock_extended_err: errno, origin, type, code, padding, info, data
ORIGIN_ICMP = {Family.IPV4: 2, Family.IPV6: 3}
ORIGIN_TIMESTAMPING = 4
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1
ECHO_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
ECHO_REPLY = {Family.IPV4: 0, Family.IPV6: 129}
HEADER = struct.Struct("!BBHHH")
PAYLOAD = struct.Struct("!4sI")  # token of this run, round; 36 bytes with IPv4: an empty payload some carriers drop
CLOCK_SLACK_S = 0.001  # stamps are wall time; an RTT longer than monotonic time allows was bent by a clock step


@dataclass(slots=True)
class _Flight:
    """One echo on its way."""

    round: int
    target: str
    sent_at: float
    sent_stamp_s: float | None = None


@dataclass(slots=True)
class _Line:
    """One uplink in one family. Its socket may be replaced while echoes are on their way; they are still known."""

    uplink: str
    device: str
    family: Family
    ident: int
    index: int | None = None
    """Of the device, when it was seen last."""
    opened: socket.socket | None = None
    stamps: int = 0
    """How many packets the kernel has numbered on this socket."""
    flights: dict[int, _Flight] = field(default_factory=dict)
    """By the 16 bits of sequence on the wire."""
    by_stamp: dict[int, _Flight] = field(default_factory=dict)

    def forget_before(self, moment: float) -> None:
        for table in (self.flights, self.by_stamp):
            for number in [number for number, flight in table.items() if flight.sent_at < moment]:
                del table[number]


class Prober:
    """`send` is called from the loop and does not wait; what comes of it is emitted as events."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._token = os.urandom(4)
        self._next = 0
        self._uplinks = tuple(uplink.name for uplink in station.uplinks)
        self._source = {target: str(ip_address(target)) for target in station.targets}
        self._lines = {
            (uplink.name, family): _Line(uplink.name, uplink.interface, family, int.from_bytes(os.urandom(2)))
            for uplink in station.uplinks
            for family in Family
        }

    def send(self, order: SendEchoes) -> None:
        for target in order.targets:
            line = self._lines[order.uplink, family_of(target)]
            try:
                self._send(line, order.seq, target)
            except OSError as why:
                self._close(line)  # the kernel may have numbered the packet or not; a new socket counts from nought
                reason = errno.errorcode.get(why.errno or 0, str(why))
                self._emit(EchoNotSent(order.uplink, order.seq, target, reason))

    def see(self, picture: KernelSeen) -> None:
        """A device that came back has another index; a socket bound to the old one would be deaf for ever."""
        for uplink, link in zip(self._uplinks, picture.links, strict=True):
            for family in Family:
                line = self._lines[uplink, family]
                line.device = link.interface
                if link.index != line.index:
                    line.index = link.index
                    self._close(line)

    def close(self) -> None:
        for line in self._lines.values():
            self._close(line)

    def _send(self, line: _Line, seq: int, target: str) -> None:
        opened = line.opened or self._open(line)
        now = time.monotonic()
        line.forget_before(now - REMEMBERED_S)
        self._next = (self._next + 1) & 0xFFFF
        payload = PAYLOAD.pack(self._token, seq & 0xFFFFFFFF)
        flight = _Flight(seq, target, now)
        line.flights[self._next] = line.by_stamp[line.stamps] = flight
        try:
            opened.sendto(_request(line.family, line.ident, self._next, payload), (target, 0))
        except OSError:
            del line.flights[self._next]
            raise
        line.stamps += 1

    def _open(self, line: _Line) -> socket.socket:
        line.opened = _listening(line.device, line.family)
        line.stamps, line.by_stamp = 0, {}
        asyncio.get_running_loop().add_reader(line.opened, self._read, line, line.opened)
        return line.opened

    def _close(self, line: _Line) -> None:
        if line.opened is not None:
            asyncio.get_running_loop().remove_reader(line.opened)
            line.opened.close()
            line.opened = None

    def _read(self, line: _Line, opened: socket.socket) -> None:
        """Send stamps first, then answers: an answer needs its echo's stamp."""
        while (message := _receive(opened, socket.MSG_ERRQUEUE)) is not None:
            _note_stamp(line, message[1])
            self._note_refusal(line, message[0], message[1])
        while (message := _receive(opened, 0)) is not None:
            self._take(line, *message)

    def _take(self, line: _Line, packet: bytes, ancillary: list[tuple[int, int, bytes]], source: str) -> None:
        now = time.monotonic()
        icmp = packet[(packet[0] & 15) * 4 :] if line.family is Family.IPV4 and packet else packet
        if len(icmp) < HEADER.size + PAYLOAD.size:
            return
        kind, _, _, ident, number = HEADER.unpack_from(icmp)
        token, seq = PAYLOAD.unpack_from(icmp, HEADER.size)
        flight = line.flights.get(number)
        ours = kind == ECHO_REPLY[line.family] and ident == line.ident and token == self._token
        if not ours or flight is None or self._source[flight.target] != source or flight.round & 0xFFFFFFFF != seq:
            return
        rtt_s = longest_s = now - flight.sent_at
        received_stamp_s = _stamp_s(ancillary)
        if received_stamp_s is not None and flight.sent_stamp_s is not None:
            stamped_s = received_stamp_s - flight.sent_stamp_s
            if 0 <= stamped_s <= longest_s + CLOCK_SLACK_S:
                rtt_s = stamped_s
        self._emit(EchoReturned(line.uplink, flight.round, flight.target, rtt_s))

    def _note_refusal(self, line: _Line, echo: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        """A router on the way sent our echo back with an error (IP_RECVERR)."""
        reason = _refusal(line.family, ancillary)
        if reason is None or len(echo) < HEADER.size:
            return
        _, _, _, ident, number = HEADER.unpack_from(echo)
        flight = line.flights.get(number)
        if ident == line.ident and flight is not None:
            self._emit(EchoRefused(line.uplink, flight.round, flight.target, reason))


def _listening(device: str, family: Family) -> socket.socket:
    """A non-blocking RAW socket that leaves by this device only and hears echo replies only. Raises OSError."""
    if family is Family.IPV4:
        opened = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    else:
        opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE_STAMPS)
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


def _receive(line: socket.socket, flags: int) -> tuple[bytes, list[tuple[int, int, bytes]], str] | None:
    try:
        data, ancillary, _, source = line.recvmsg(2048, 512, flags)
    except BlockingIOError:
        return None
    except OSError as why:  # an error of the path that was waiting on the socket; the silence will tell
        log.debug("%s", why)
        return b"", [], ""
    return data, ancillary, source[0] if source else ""


def _note_stamp(line: _Line, ancillary: list[tuple[int, int, bytes]]) -> None:
    """The kernel returns each packet's send stamp on the error queue, with the packet's number."""
    stamp_s = _stamp_s(ancillary)
    for level, kind, data in ancillary:
        if (level, kind) in RECVERR.values():
            _, origin, _, _, _, _, number = EXTENDED.unpack_from(data)
            flight = line.by_stamp.pop(number, None) if origin == ORIGIN_TIMESTAMPING else None
            if flight is not None:
                flight.sent_stamp_s = stamp_s


def _refusal(family: Family, ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """The kernel's name for the error that came back, as EHOSTUNREACH; None for what is none."""
    for level, kind, data in ancillary:
        if (level, kind) == RECVERR[family]:
            number, origin, *_ = EXTENDED.unpack_from(data)
            if origin == ORIGIN_ICMP[family]:
                return errno.errorcode.get(number, str(number))
    return None


def _stamp_s(ancillary: list[tuple[int, int, bytes]]) -> float | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SCM_TIMESTAMPING:
            seconds, nanoseconds = struct.unpack_from("@ll", data)  # a timespec of C longs, on 32 bits too
            return float(seconds + nanoseconds * 1e-9) if seconds else None
    return None
