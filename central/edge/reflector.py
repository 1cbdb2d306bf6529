"""Answers the stations' test packets (STAMP, RFC 8762) by UDP, in a thread of its own.

When a packet came is the kernel's stamp where it gives one. An answer leaves from the address that was asked.
"""

import asyncio
import contextlib
import logging
import socket
import struct
import sys
import threading
import time

from central.core.reflect import LARGEST_BYTES, Asked, Limits, Reflection
from wire.clock import clock_accuracy
from wire.stamp import KeyOf

SO_TIMESTAMPNS, SO_RXQ_OVFL = 35, 40
IP_PKTINFO, IP_RECVTTL = 8, 12
STAMPED, OVERFLOWED = (socket.SOL_SOCKET, SO_TIMESTAMPNS), (socket.SOL_SOCKET, SO_RXQ_OVFL)
TTL, HOPS = (socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)
HERE, HERE6 = (socket.IPPROTO_IP, IP_PKTINFO), (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
BUFFER_BYTES = 4_000_000  # what comes while Python is busy elsewhere; the kernel gives what net.core.rmem_max allows
AT_ONCE = 64  # packets, before the loop looks at anything else
NO_TTL = 255  # when the kernel does not tell
CLOCK_LOOKED_AT_EVERY_S = 1.0
COMPLAINT_EVERY_S = 60.0
STOP_PATIENCE_S = 2.0

Ancillary = list[tuple[int, int, bytes]]
Told = dict[tuple[int, int], bytes]
"""What the kernel says of a packet, by level and kind."""

log = logging.getLogger("siaga.reflector")


class Reflector:
    """On a socket that was opened before, and outlives the thread."""

    name = "reflector"

    def __init__(self, opened: socket.socket, key_of: KeyOf | None = None, limits: Limits | None = None) -> None:
        """`key_of` gives the key of a session's number (SSID); without it only open packets are answered."""
        self._opened = opened
        self._reflection = Reflection(key_of, limits)
        self.counts = self._reflection.counts
        self.overflowed = 0
        """Packets that came faster than they were read, and were never seen."""
        self._told = 0

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.call_soon(self._look_at_clock)
        self._loop.call_soon(self._complain)
        self._loop.add_reader(self._opened, self._read)
        self._thread = threading.Thread(target=self._run, name="reflector", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Nothing to wait for: the socket takes packets already, and they are answered in a moment."""

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_PATIENCE_S)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.remove_reader(self._opened)
            self._loop.close()

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, source = self._opened.recvmsg(LARGEST_BYTES + 1, 256)
            except BlockingIOError:
                return
            except OSError as why:  # what another packet of ours met on its way
                log.debug("%s", why)
                continue
            self._answer(data, ancillary, source)

    def _answer(self, data: bytes, ancillary: Ancillary, source: tuple[str, int]) -> None:
        told = {(level, kind): value for level, kind, value in ancillary}
        if OVERFLOWED in told:
            (self.overflowed,) = struct.unpack("@I", told[OVERFLOWED])
        if is_to_everybody(told):
            self.counts.malformed += 1
            return
        sent_ns = time.time_ns()
        asked = Asked(data, source[0], source[1], _ttl(told), received_ns(told) or sent_ns)
        answer = self._reflection.answer(asked, self._accuracy, sent_ns, time.monotonic())
        if answer is not None:
            with contextlib.suppress(OSError):  # port 0, or no way back: the asker sees a loss, and is right
                self._opened.sendmsg([answer], from_here(told), 0, source)

    def _look_at_clock(self) -> None:
        self._accuracy = clock_accuracy()
        self._loop.call_later(CLOCK_LOOKED_AT_EVERY_S, self._look_at_clock)

    def _complain(self) -> None:
        """One line a minute at most, whatever strangers send."""
        counts = self.counts
        bad = counts.malformed + counts.reply + counts.unauthentic + counts.limited + counts.evicted + self.overflowed
        if bad > self._told:
            log.warning("since the start: %s, %d overflowed", counts, self.overflowed)
            self._told = bad
        self._loop.call_later(COMPLAINT_EVERY_S, self._complain)


def is_to_everybody(told: Told) -> bool:
    """A broadcast: a whole network of reflectors would answer one packet."""
    value = told.get(HERE)
    return value is not None and value[4:8] != value[8:12]


def received_ns(told: Told) -> int | None:
    if STAMPED not in told:
        return None
    seconds, ns = struct.unpack_from("@ll", told[STAMPED])
    return int(seconds * 1_000_000_000 + ns)


def _ttl(told: Told) -> int:
    value = told.get(TTL) or told.get(HOPS)
    return int.from_bytes(value, sys.byteorder) if value else NO_TTL


def from_here(told: Told) -> Ancillary:
    """The answer's source is the address that was asked; by which interface it leaves is for the routes to say."""
    if HERE in told:
        return [(*HERE, bytes(4) + told[HERE][4:8] + bytes(4))]
    return [(*HERE6, told[HERE6][:16] + bytes(4))] if HERE6 in told else []


def listener(host: str, port: int) -> socket.socket:
    """A socket that hears test packets there; `::` hears IPv4 too. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    bound = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        bound.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        bound.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
