"""Echoes by one device only, as many at once as wanted, and what comes back: answers and the errors of routers.

icmplib makes and reads the packets; its sockets are bound to the device by their public `.sock`.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from icmplib import ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import ICMPSocketError, TimeoutExceeded

from agent.core.station import Family
from agent.diagnose.look import HEADERS, Purse, Subject, left_s

ANSWER = {Family.IPV4: 0, Family.IPV6: 129}
PASSED_TOO_FAR = {Family.IPV4: 11, Family.IPV6: 3}
TOO_BIG = {Family.IPV4: (3, 4), Family.IPV6: (2, 0)}
UNREACHABLE = {Family.IPV4: 3, Family.IPV6: 1}
ICMP_HEADER = 8
MTU_DISCOVER = {Family.IPV4: (socket.IPPROTO_IP, 10), Family.IPV6: (socket.IPPROTO_IPV6, 23)}
PROBE = 3  # never fragment, and ask nobody's memory how large a packet may be (ip(7), IP_PMTUDISC_PROBE)
SPACING_S = 0.005  # a burst of twenty packets at once fills a modem's queue
LATE_S = 0.05


@dataclass(frozen=True, slots=True)
class Probe:
    target: str
    ttl: int = 64
    size: int = 36
    """At the IP layer; an empty payload some carriers drop."""


@dataclass(frozen=True, slots=True)
class Back:
    """What a probe brought back."""

    source: str
    kind: str
    """answer, passed (a hop on the way), too big, unreachable"""
    took_s: float


Done = Callable[[dict[Probe, Back]], bool]


class Echoes:
    """One raw socket; raises OSError."""

    def __init__(self, subject: Subject, purse: Purse) -> None:
        self._family, self._own, self._purse = subject.family, subject.address, purse
        try:
            self._icmp = ICMPv4Socket() if subject.family is Family.IPV4 else ICMPv6Socket()
        except ICMPSocketError as why:
            raise OSError(str(why)) from None
        self._icmp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, subject.device.encode())
        self._icmp.sock.setsockopt(*MTU_DISCOVER[subject.family], PROBE)
        self._ident = int.from_bytes(os.urandom(2))
        self._next = 0
        self._sent: dict[int, tuple[Probe, float]] = {}
        self._back: dict[Probe, Back] = {}

    def close(self) -> None:
        """What is still on its way back is waited for a moment: it is paid for too."""
        with contextlib.suppress(OSError):
            self._hear_all(LATE_S)
        self._icmp.close()

    def ask(self, probes: list[Probe], wait_s: float, done: Done) -> dict[Probe, Back]:
        """Sends all, then listens for so long or until `done` says that enough is known. Raises OSError."""
        self._back = {}
        for probe in probes:
            self._send(probe)
            self._hear(SPACING_S)
        deadline = time.monotonic() + wait_s
        while not done(self._back) and (rest_s := left_s(deadline)) > 0:
            self._hear(min(rest_s, 0.05))
        return self._back

    def _hear_all(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while (rest_s := left_s(deadline)) > 0:
            self._hear(rest_s)

    def _send(self, probe: Probe) -> None:
        self._next += 1
        payload = probe.size - HEADERS[self._family] - ICMP_HEADER
        request = ICMPRequest(probe.target, self._ident, self._next, payload=b"\0" * max(payload, 8), ttl=probe.ttl)
        self._sent[self._next] = probe, time.monotonic()
        try:
            self._icmp.send(request)
        except ICMPSocketError as why:
            raise OSError(str(why)) from None
        self._purse.spend(probe.size)

    def _hear(self, wait_s: float) -> None:
        """One message of ours, if there is one; others may be heard meanwhile."""
        try:
            reply = self._icmp.receive(timeout=wait_s)
        except TimeoutExceeded:
            return
        except ICMPSocketError as why:
            raise OSError(str(why)) from None
        if reply.id != self._ident or reply.sequence not in self._sent or reply.source == self._own:
            return  # of others, or of our own kernel: nobody answered its ARP
        probe, sent_at = self._sent[reply.sequence]
        kind = self._kind(reply.type, reply.code, reply.source == probe.target)
        if kind is None:
            return
        self._purse.spend(probe.size if kind == "answer" else HEADERS[self._family] + reply.bytes_received)
        self._back.setdefault(probe, Back(reply.source.partition("%")[0], kind, time.monotonic() - sent_at))

    def _kind(self, number: int, code: int, is_target: bool) -> str | None:
        if number == ANSWER[self._family]:
            return "answer" if is_target else None
        if number == PASSED_TOO_FAR[self._family]:
            return "passed"
        if (number, code) == TOO_BIG[self._family]:
            return "too big"
        return "unreachable" if number == UNREACHABLE[self._family] else None
