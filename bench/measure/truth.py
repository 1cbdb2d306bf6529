"""Echoes as the kernel saw them on a cable: how long each really took between that point and its target and back."""

import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.namespace import within
from lab.netns import LabError

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
BUFFER_BYTES = 16_000_000  # nothing is read before the end, so that nobody is disturbed
BEGINS_TO_STAMP_S = 0.5  # the kernel does so a moment after the first socket has asked for it
REQUEST, REPLY = 8, 0
ICMP = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Passed:
    """An ICMP packet on the cable."""

    kind: int
    ident: int
    number: int
    at_ns: int


@dataclass(slots=True)
class Truth:
    took_s: dict[int, float] = field(default_factory=dict)
    """By an echo's number on the wire; filled when the watch has ended."""


@contextmanager
def watching(namespace: str, device: str) -> Iterator[Truth]:
    """The echoes that pass this device meanwhile. Raises LabError where stamps are no stamps."""
    truth = Truth()
    with within(namespace):
        eye = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    with eye:
        eye.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        eye.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        eye.bind((device, ETH_P_ALL))
        time.sleep(BEGINS_TO_STAMP_S)
        yield truth
        ended_ns = time.time_ns()
        truth.took_s = trips(_seen(eye, ended_ns))


def trips(passed: Iterable[Passed]) -> dict[int, float]:
    """From an echo's first request to its first reply; what was not answered is left out."""
    asked: dict[tuple[int, int], int] = {}
    took_s: dict[int, float] = {}
    idents = set()
    for each in passed:
        key = each.ident, each.number
        idents.add(each.ident)
        if each.kind == REQUEST:
            asked.setdefault(key, each.at_ns)
        elif each.kind == REPLY and key in asked:
            took_s.setdefault(each.number, (each.at_ns - asked[key]) / 1e9)
    if len(idents) > 1:
        raise LabError(f"{len(idents)} programs sent echoes, and their numbers cannot be told apart")
    return took_s


def read(packet: bytes, at_ns: int) -> Passed | None:
    """From an IPv4 packet; None when it is no echo."""
    head = 4 * (packet[0] & 15) if packet else 0
    if len(packet) < head + ICMP.size or head < 20 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_ICMP:
        return None
    kind, _, _, ident, number = ICMP.unpack_from(packet, head)
    return Passed(kind, ident, number, at_ns) if kind in (REQUEST, REPLY) else None


def _seen(eye: socket.socket, ended_ns: int) -> Iterator[Passed]:
    while True:
        try:
            packet, ancillary, _, _ = eye.recvmsg(2048, 64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        stamps = [value for level, kind, value in ancillary if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
        seconds, nanoseconds = struct.unpack("@ll", stamps[0])
        at_ns = seconds * 10**9 + nanoseconds
        if (found := read(packet, at_ns)) is None:
            continue
        if at_ns > ended_ns:
            raise LabError("the kernel stamped a packet when it was read, not when it passed")
        yield found
