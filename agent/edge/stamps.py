"""Sockets that leave by one uplink only, and the kernel's own stamps of what they send and receive.

A socket per uplink and family, bound to the device and opened anew when the device returns with another index. What a
stamp says does not depend on how busy the interpreter is (SO_TIMESTAMPING, Documentation/networking/timestamping.rst).
"""

import asyncio
import errno
import logging
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from agent.core.measure import REMEMBERED_S
from agent.core.routes import Link
from agent.core.station import Family

log = logging.getLogger(__name__)

SO_TIMESTAMPING = 37
SOFTWARE_STAMPS = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 11  # TX, RX, report software; number them; without payload
SCM_TIMESTAMPING = SO_TIMESTAMPING
RECVERR = {Family.IPV4: (socket.SOL_IP, 11), Family.IPV6: (socket.IPPROTO_IPV6, 25)}
EXTENDED = struct.Struct("@IBBBBII")  # sock_extended_err: errno, origin, type, code, padding, info, data
ORIGIN_ICMP = {Family.IPV4: 2, Family.IPV6: 3}
ORIGIN_TIMESTAMPING = 4
CLOCK_SLACK_S = 0.001  # stamps are wall time; a trip longer than monotonic time allows was bent by a clock step


@dataclass(slots=True)
class Flight:
    """One packet on its way."""

    sent_at: float
    sent_stamp_s: float | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What a socket had for us: a packet, or from its error queue a send stamp or a packet that was refused."""

    data: bytes
    source: tuple[str, int]
    stamp_s: float | None
    stamped: int | None
    """The number of the packet that the stamp is of."""
    refusal: str | None
    """The kernel's name for the error that came back, as EHOSTUNREACH."""


Known = TypeVar("Known", bound=Flight)


@dataclass(slots=True)
class Line(Generic[Known]):
    """One uplink in one family. Its socket may be replaced while packets are on their way; they are still known."""

    uplink: str
    device: str
    family: Family
    listening: Callable[[Family], socket.socket]
    """Makes a socket that does not block; may raise OSError."""
    take: Callable[[Any, Message], None]
    """Called with this line and each packet that came, and each that was refused."""
    index: int | None = None
    """Of the device, when it was seen last."""
    opened: socket.socket | None = None
    stamps: int = 0
    """How many packets the kernel has numbered on this socket."""
    flights: dict[int, Known] = field(default_factory=dict)
    """By the number on the wire."""
    by_stamp: dict[int, Known] = field(default_factory=dict)

    def send(self, number: int, flight: Known, packet: bytes, to: tuple[str, int]) -> None:
        """Raises OSError."""
        try:
            opened = self.opened or self._open()
            self._forget_before(flight.sent_at - REMEMBERED_S)
            self.flights[number] = self.by_stamp[self.stamps] = flight
            opened.sendto(packet, to)
        except OSError:
            self.flights.pop(number, None)
            self.close()  # the kernel may have numbered the packet or not; a new socket counts from nought
            raise
        self.stamps += 1

    def follow(self, link: Link) -> None:
        """A device that came back has another index; a socket bound to the old one would be deaf for ever."""
        self.device = link.interface
        if link.index != self.index:
            self.index = link.index
            self.close()

    def close(self) -> None:
        if self.opened is not None:
            asyncio.get_running_loop().remove_reader(self.opened)
            self.opened.close()
            self.opened = None

    def _open(self) -> socket.socket:
        opened = self.listening(self.family)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
            opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE_STAMPS)
        except OSError:
            opened.close()
            raise
        self.opened, self.stamps, self.by_stamp = opened, 0, {}
        asyncio.get_running_loop().add_reader(opened, self._read, opened)
        return opened

    def _read(self, opened: socket.socket) -> None:
        """Send stamps first, then answers: an answer needs its packet's stamp."""
        while (message := _received(opened, self.family, socket.MSG_ERRQUEUE)) is not None:
            if message.stamped is not None and (flight := self.by_stamp.pop(message.stamped, None)) is not None:
                flight.sent_stamp_s = message.stamp_s
            elif message.refusal is not None:
                self.take(self, message)
        while (message := _received(opened, self.family, 0)) is not None:
            self.take(self, message)

    def _forget_before(self, moment: float) -> None:
        for table in (self.flights, self.by_stamp):
            for number in [number for number, flight in table.items() if flight.sent_at < moment]:
                del table[number]


def errno_name(why: OSError) -> str:
    return errno.errorcode.get(why.errno or 0, str(why))


def is_possible(trip_s: float, flight: Flight) -> bool:
    """Of the time between two stamps; it is not when the clock was set in between."""
    return 0 <= trip_s <= time.monotonic() - flight.sent_at + CLOCK_SLACK_S


def _received(opened: socket.socket, family: Family, flags: int) -> Message | None:
    try:
        data, ancillary, _, source = opened.recvmsg(2048, 512, flags)
    except BlockingIOError:
        return None
    except OSError as why:  # an error of the path that was waiting on the socket; the silence will tell
        log.debug("%s", why)
        return Message(b"", ("", 0), None, None, None)
    stamp_s = stamped = refusal = None
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SCM_TIMESTAMPING):
            seconds, nanoseconds = struct.unpack_from("@ll", value)  # a timespec of C longs, on 32 bits too
            stamp_s = seconds + nanoseconds * 1e-9 if seconds else None
        elif (level, kind) == RECVERR[family]:
            error, origin, _, _, _, _, number = EXTENDED.unpack_from(value)
            if origin == ORIGIN_TIMESTAMPING:
                stamped = number
            elif origin == ORIGIN_ICMP[family]:
                refusal = errno.errorcode.get(error, str(error))
    return Message(data, source[:2] if source else ("", 0), stamp_s, stamped, refusal)
