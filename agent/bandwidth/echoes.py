"""Small echoes to the centre while an uplink is idle and while it is loaded: what a load adds to each way's delay.

A way's delay is the difference of two clocks that nobody has set to each other; what it is above the least one seen
while idle needs no common clock, and within some seconds no two clocks drift apart by what matters here.
"""

import math
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from agent.bandwidth.bound import SO_TIMESTAMPNS, Bound
from wire.bandwidth import HEADERS_BYTES, LEAST_BYTES, Kind, Packet, Way, packet_bytes, read_packet
from wire.messages import BadMessage

EVERY_S = 0.05
STEP_S = 0.005  # the clock was set when it has left the monotonic one by more


@dataclass(frozen=True, slots=True)
class Echo:
    sent_at: float
    """Monotonic."""
    up_s: float
    """There, from our clock to the server's."""
    down_s: float

    @property
    def rtt_s(self) -> float:
        return self.up_s + self.down_s

    def of(self, way: Way) -> float:
        return self.up_s if way is Way.UP else self.down_s


@dataclass(frozen=True, slots=True)
class Came:
    packet: Packet
    size: int
    """Of the IP packet."""
    received_ns: int


class Talk(AbstractContextManager["Talk"]):
    """The UDP side of a turn, once its cookie is known."""

    def __init__(self, bound: Bound, opened: socket.socket, turn: bytes, cookie: bytes) -> None:
        self.bound, self.opened, self.turn, self.cookie = bound, opened, turn, cookie
        self.headers_bytes = HEADERS_BYTES[6 if opened.family is socket.AF_INET6 else 4]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened.close()

    def send(self, packet: Packet, size: int = LEAST_BYTES) -> None:
        """The path's error that waits on a socket is not this packet's; loss will tell."""
        try:
            self.opened.send(packet_bytes(packet, size))
        except OSError:
            return
        self.bound.up.add(size + self.headers_bytes)

    def receive(self) -> Came | None:
        """What has come, if anything has; who sends nonsense is not heard."""
        while True:
            try:
                data, ancillary, _, _ = self.opened.recvmsg(2048, 128)
            except BlockingIOError:
                return None
            except OSError:  # as above
                continue
            now_ns = time.time_ns()
            self.bound.down.add(len(data) + self.headers_bytes)
            try:
                packet = read_packet(data)
            except BadMessage:
                continue
            if packet.turn == self.turn:
                return Came(packet, len(data) + self.headers_bytes, _stamp_ns(ancillary) or now_ns)

    def wait(self, until: float) -> Came | None:
        """The next that comes before that moment."""
        while (came := self.receive()) is None:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return None
            select.select([self.opened], [], [], left_s)
        return came


class Echoes:
    """One every EVERY_S while `step` is called; told of what came by `take`."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.sent = 0
        self.answered: list[Echo] = []
        self.due_at = time.monotonic()
        self._sent_at: dict[int, float] = {}
        self._offset_s = time.time() - time.monotonic()

    def step(self) -> None:
        now = time.monotonic()
        if now >= self.due_at:
            self.due_at = now + EVERY_S
            self._sent_at[self.sent & 0xFFFF] = now
            talk = self.talk
            talk.send(Packet(Kind.ECHO, talk.turn, talk.cookie, number=self.sent & 0xFFFF, sent_ns=time.time_ns()))
            self.sent += 1
        while (came := self.talk.receive()) is not None:
            self.take(came)

    def take(self, came: Came) -> None:
        packet = came.packet
        if packet.kind is not Kind.ECHOED or (sent_at := self._sent_at.pop(packet.number, None)) is None:
            return
        up_s, down_s = (packet.received_ns - packet.sent_ns) / 1e9, (came.received_ns - packet.returned_ns) / 1e9
        self.answered.append(Echo(sent_at, up_s, down_s))

    def watch(self, for_s: float, drain_s: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Send for so long, then wait for the last answers."""
        end = time.monotonic() + for_s
        while time.monotonic() < end and not is_over():
            self.step()
            select.select([self.talk.opened], [], [], max(0.0, min(self.due_at, end) - time.monotonic()))
        end = time.monotonic() + drain_s
        while self._sent_at and (came := self.talk.wait(end)) is not None:
            self.take(came)

    @property
    def stepped(self) -> bool:
        """Somebody has set the clock meanwhile; no delay of these is known."""
        return abs(time.time() - time.monotonic() - self._offset_s) > STEP_S


def added_ms(idle: list[Echo], loaded: list[Echo], way: Way) -> float | None:
    """At p95, above the least of the idle ones; None without both."""
    if not idle or not loaded:
        return None
    ordered = sorted(echo.of(way) for echo in loaded)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]  # nearest rank
    return max(0.0, p95 - min(echo.of(way) for echo in idle)) * 1e3


def _stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, ns = struct.unpack_from("@ll", data)
            return int(seconds * 1_000_000_000 + ns)
    return None
