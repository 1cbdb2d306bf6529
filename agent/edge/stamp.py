"""Asks the centre's reflector (STAMP, RFC 8762) through one uplink only; times are the kernel's where it gives them.

A UDP socket per uplink and family. When one is opened anew its port is another, and the reflector counts from nought:
agent/core/twoway.py knows such an answer.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from agent.core.events import KernelSeen, SendStamp, StampNotSent, StampReturned
from agent.core.station import Family, Station, family_of
from agent.core.twoway import Reflected
from agent.edge.stamps import Flight, Line, Message, errno_name, is_possible
from wire.clock import clock_accuracy
from wire.stamp import NS, Accuracy, Refused, Reply, Request, nanoseconds, read_reply, request_bytes, timestamp

CLOCK_LOOKED_AT_EVERY_S = 1.0


@dataclass(slots=True)
class _Asked(Flight):
    seq: int
    target: str
    request: Request
    to: tuple[str, int]


class Asker:
    """`send` is called from the loop and does not wait; what comes of it is emitted as events."""

    def __init__(
        self,
        station: Station,
        emit: Callable[[StampReturned | StampNotSent], None],
        key: bytes | None = None,
        ssid: int = 0,
    ) -> None:
        """With a key only sealed packets are sent and believed; `ssid` tells the reflector whose key it is."""
        self._emit, self._key, self._ssid = emit, key, ssid
        self._uplinks = tuple(uplink.name for uplink in station.uplinks)
        self._lines = {
            (uplink.name, family): Line[_Asked](uplink.name, uplink.interface, family, _listening, self._take)
            for uplink in station.uplinks
            for family in Family
        }
        self._accuracy, self._looked_at = clock_accuracy(), time.monotonic()
        self.refused = 0
        """Packets that came and were no answers to ours."""

    def send(self, order: SendStamp) -> None:
        line = self._lines[order.uplink, family_of(order.target)]
        to = (str(ip_address(order.target)), order.port)
        now = time.monotonic()
        accuracy = self._clock(now)
        request = Request(order.seq & 0xFFFFFFFF, timestamp(time.time_ns()), accuracy, self._ssid)
        try:
            asked = _Asked(now, order.seq, order.target, request, to)
            line.send(request.seq, asked, request_bytes(request, self._key), to)
        except OSError as why:
            self._emit(StampNotSent(order.uplink, order.seq, order.target, errno_name(why)))

    def see(self, picture: KernelSeen) -> None:
        for uplink, link in zip(self._uplinks, picture.links, strict=True):
            for family in Family:
                self._lines[uplink, family].follow(link)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def _take(self, line: Line[_Asked], message: Message) -> None:
        try:
            reply = read_reply(message.data, self._key)
        except Refused:
            self.refused += 1
            return
        asked = line.flights.get(reply.request.seq)
        if asked is None or (asked.request, asked.to) != (reply.request, message.source):
            self.refused += 1
            return
        self._emit(StampReturned(line.uplink, asked.target, _reflected(asked, reply, message.stamp_s or time.time())))

    def _clock(self, now: float) -> Accuracy:
        if now >= self._looked_at + CLOCK_LOOKED_AT_EVERY_S:
            self._accuracy, self._looked_at = clock_accuracy(), now
        return self._accuracy


def _listening(family: Family) -> socket.socket:
    number = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    return socket.socket(number, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def _reflected(asked: _Asked, reply: Reply, returned_s: float) -> Reflected:
    """From the four times of RFC 8762; where a clock was set meanwhile only the monotonic one is left."""
    sent_s = asked.sent_stamp_s or nanoseconds(asked.request.timestamp) / NS
    received_s = nanoseconds(reply.received, reply.accuracy.is_ptp) / NS
    replied_s = nanoseconds(reply.timestamp, reply.accuracy.is_ptp) / NS
    is_synchronised = asked.request.accuracy.synchronised and reply.accuracy.synchronised
    there_s, here_s = replied_s - received_s, returned_s - sent_s
    if is_possible(here_s, asked) and 0 <= there_s <= here_s:
        ways = received_s - sent_s, returned_s - replied_s
        return Reflected(asked.seq, reply.seq, received_s, here_s - there_s, *ways, is_synchronised)
    return Reflected(asked.seq, reply.seq, received_s, time.monotonic() - asked.sent_at)
