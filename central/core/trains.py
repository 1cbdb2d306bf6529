"""What the centre answers to packets of bandwidth tests: told the time, it reads no clock and opens no socket.

Without a turn there is silence. In a turn the first packet is answered with a cookie of the same size; only for whom
has brought that back, trains are counted, echoes answered and trains sent, and these cost the turn what it was granted.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from central.core.turns import Turn, Turns
from wire.bandwidth import (
    COOKIE_BYTES,
    HEADERS_BYTES,
    LEAST_BYTES,
    PACKET_BYTES,
    TRAIN_AT_MOST,
    Kind,
    Packet,
    Seen,
    packet_bytes,
    read_packet,
)
from wire.messages import BadMessage
from wire.train import Arrival, estimate

TRAINS_AT_MOST = 100  # of one turn


@dataclass(frozen=True, slots=True)
class Came:
    """A datagram."""

    data: bytes
    host: str
    port: int
    received_ns: int


@dataclass(slots=True)
class Counts:
    answered: int = 0
    malformed: int = 0
    turnless: int = 0
    unproven: int = 0
    """Without the cookie of their address."""
    limited: int = 0
    """Beyond what the turn was granted."""


@dataclass(slots=True)
class _Train:
    arrivals: list[Arrival] = field(default_factory=list)
    last_at: float = 0.0


@dataclass(slots=True)
class _Of:
    """A turn's."""

    trains: dict[int, _Train] = field(default_factory=dict)
    sent: int = -1
    """Number of the last train that was sent: a question that comes twice is answered once."""


class Trains:
    def __init__(self, turns: Turns, secret: bytes) -> None:
        self.counts = Counts()
        self._turns, self._secret = turns, secret
        self._of: dict[bytes, _Of] = {}

    def answer(self, came: Came, sent_ns: int, now: float) -> Iterable[bytes]:
        """What to send back to where it came from. A train's packets are stamped by who sends them: see `stamped`."""
        try:
            packet = read_packet(came.data)
        except BadMessage:
            self.counts.malformed += 1
            return ()
        turn = self._turns.of(packet.turn, now)
        if turn is None:
            self.counts.turnless += 1
            return ()
        cookie = self._cookie(turn, came)
        if packet.kind is Kind.OPEN:
            self.counts.answered += 1
            return (packet_bytes(replace(packet, kind=Kind.COOKIE, cookie=cookie)),)
        if not hmac.compare_digest(packet.cookie, cookie):
            self.counts.unproven += 1
            return ()
        return self._proven(packet, came, turn, sent_ns, now)

    def seen(self, token: bytes, train: int, packets: int) -> Seen:
        """What came of it until now."""
        arrivals = self._of.setdefault(token, _Of()).trains.get(train, _Train()).arrivals
        packets = max(0, min(packets, TRAIN_AT_MOST))
        told = estimate(arrivals, packets)
        first_s = min((each.came_s for each in arrivals), default=0.0)
        came = tuple((each.number, round((each.came_s - first_s) * 1e6)) for each in arrivals)
        if told is None:
            return Seen(came, lost=max(0, packets - len(came)))
        return Seen(came, told.mbps, told.error, told.at_least, told.burst_bytes, told.lost)

    def quiet_since(self, token: bytes, train: int) -> tuple[int, float]:
        """How many came, and when the last did; nought of a train of which nothing came."""
        known = self._of.get(token, _Of()).trains.get(train)
        return (len(known.arrivals), known.last_at) if known else (0, 0.0)

    def forget(self, token: bytes) -> None:
        self._of.pop(token, None)

    def _proven(self, packet: Packet, came: Came, turn: Turn, sent_ns: int, now: float) -> Iterable[bytes]:
        of = self._of.setdefault(turn.token, _Of())
        match packet.kind:
            case Kind.TRAIN:
                self._count(of, packet, came, now)
            case Kind.ECHO if self._granted(turn, len(came.data)):
                echoed = replace(packet, kind=Kind.ECHOED, received_ns=came.received_ns, returned_ns=sent_ns)
                self.counts.answered += 1
                return (packet_bytes(echoed, len(came.data)),)
            case Kind.GO if packet.train > of.sent:
                return self._train(of, packet, turn)
        return ()

    def _count(self, of: _Of, packet: Packet, came: Came, now: float) -> None:
        train = of.trains.setdefault(packet.train, _Train()) if len(of.trains) < TRAINS_AT_MOST else None
        train = train or of.trains.get(packet.train)
        if train is None or len(train.arrivals) >= TRAIN_AT_MOST:
            self.counts.limited += 1
            return
        size = len(came.data) + HEADERS_BYTES[6 if _is_ipv6(came.host) else 4]
        train.arrivals.append(Arrival(packet.number, packet.sent_ns / 1e9, came.received_ns / 1e9, size))
        train.last_at = now

    def _train(self, of: _Of, packet: Packet, turn: Turn) -> Iterable[bytes]:
        packets, size = min(packet.packets, TRAIN_AT_MOST), max(LEAST_BYTES, min(packet.size, PACKET_BYTES))
        if not packets or not self._granted(turn, packets * size):
            return ()
        of.sent = packet.train
        self.counts.answered += 1
        one = replace(packet, kind=Kind.TRAIN, packets=packets, size=size)
        return tuple(packet_bytes(replace(one, number=number), size) for number in range(packets))

    def _granted(self, turn: Turn, size: int) -> bool:
        if size > turn.left_bytes:
            self.counts.limited += 1
            return False
        turn.left_bytes -= size
        return True

    def _cookie(self, turn: Turn, came: Came) -> bytes:
        who = f"{came.host} {came.port} ".encode() + turn.token
        return hmac.digest(self._secret, who, "sha256")[:COOKIE_BYTES]


def _is_ipv6(host: str) -> bool:
    return ":" in host and not host.startswith("::ffff:")
