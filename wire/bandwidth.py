"""How an agent and the centre talk about bandwidth: lines of JSON by TCP, and packets of UDP beside them.

One TCP connection is one turn: it asks, waits, is granted, and ends the turn by closing. Packets are answered only in a
turn; before the cookie has come back from the address it was sent to, an answer is never longer than its question.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from struct import Struct
from typing import TypeVar

import msgspec

from wire.messages import BadMessage

VERSION = 1
LINE_BYTES_AT_MOST = 16_384
MAGIC = b"SGB1"
TURN_BYTES, COOKIE_BYTES = 8, 16
NO_COOKIE = bytes(COOKIE_BYTES)
TRAIN_PACKETS, PACKET_BYTES = 60, 1200  # of UDP's payload
TRAIN_AT_MOST = 240
HEADERS_BYTES = {4: 28, 6: 48}  # IP and UDP, by the version of IP
_PACKET = Struct("!4sBxHHHH8s16sQQQ")
LEAST_BYTES = _PACKET.size
_SENT_AT = LEAST_BYTES - 24

Message = TypeVar("Message")


class Way(StrEnum):
    """Seen from the station."""

    UP = "up"
    DOWN = "down"


class Kind(IntEnum):
    OPEN = 0
    """The agent's first: prove that I am here. As long as its answer."""
    COOKIE = 1
    GO = 2
    """Send me a train."""
    TRAIN = 3
    ECHO = 4
    ECHOED = 5


@dataclass(frozen=True, slots=True)
class Packet:
    kind: Kind
    turn: bytes
    cookie: bytes = NO_COOKIE
    train: int = 0
    """Its number in this turn; each is sent once."""
    number: int = 0
    """Place in the train, from nought; of an echo."""
    packets: int = 0
    """In the train."""
    size: int = 0
    """Of each packet's payload."""
    sent_ns: int = 0
    """By the sender's clock, whatever it shows."""
    received_ns: int = 0
    """When the echo came there, by that one's clock."""
    returned_ns: int = 0


def packet_bytes(packet: Packet, size: int = 0) -> bytes:
    """Filled with noughts up to `size`."""
    packed = _PACKET.pack(
        MAGIC,
        packet.kind,
        packet.train,
        packet.number,
        packet.packets,
        packet.size,
        packet.turn,
        packet.cookie,
        packet.sent_ns,
        packet.received_ns,
        packet.returned_ns,
    )
    return packed.ljust(size, b"\0")


def stamped(data: bytes, sent_ns: int) -> bytes:
    """The same packet, sent at that moment."""
    return data[:_SENT_AT] + sent_ns.to_bytes(8) + data[_SENT_AT + 8 :]


def read_packet(data: bytes) -> Packet:
    """Raises BadMessage."""
    if len(data) < LEAST_BYTES:
        raise BadMessage("short")
    magic, kind, train, number, packets, size, turn, cookie, *moments_ns = _PACKET.unpack_from(data)
    if magic != MAGIC or kind not in list(Kind):
        raise BadMessage("not a packet of ours")
    return Packet(Kind(kind), turn, cookie, train, number, packets, size, *moments_ns)


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """May I test? The connection stays open until the turn is over."""

    group: str
    """Who shares the beam or cell with me; one of them tests at a time."""
    bytes: int
    """What it will cost at most, both ways."""
    lasts_s: float
    v: int = VERSION


class Await(msgspec.Struct, frozen=True, tag="await"):
    """What came of that train?"""

    train: int
    packets: int


class HowMuch(msgspec.Struct, frozen=True, tag="how_much"):
    """What came of the upload, by Transfer or by HTTP?"""


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    """First line of a connection that is then filled, one way, until who receives closes it."""

    turn: str
    way: Way
    bytes: int
    rtt_s: float = 0.0
    """Samples must cover more than a round trip."""


Question = Ask | Await | HowMuch | Transfer


class Turn(msgspec.Struct, frozen=True, tag="turn"):
    turn: str
    lasts_s: float
    bytes: int


class Busy(msgspec.Struct, frozen=True, tag="busy"):
    """Somebody else of your group tests, or too many test, or nobody may; the connection is closed."""

    again_s: float
    quiet: bool = False
    """These are hours in which nobody tests."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    why: str


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A train as it came, and what it tells; all by the receiver's count."""

    came: tuple[tuple[int, int], ...]
    """Place in the train, and microseconds after the first that came."""
    mbps: float | None = None
    """As wire.train.Estimate; None when too little came."""
    error: float = 1.0
    at_least: bool = True
    burst_bytes: int = 0
    lost: int = 0


class Received(msgspec.Struct, frozen=True, tag="received"):
    """An upload as it came: payload of TCP or of HTTP."""

    bytes: int
    mbps: float | None
    """Of what was settled; else of the last second."""
    settled: bool
    seconds: float


Reply = Turn | Busy | Refused | Seen | Received

_questions: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def line(message: Question | Reply) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def read_question(data: bytes) -> Question:
    """Raises BadMessage."""
    return _read(_questions, data)


def read_reply(data: bytes) -> Reply:
    """Raises BadMessage."""
    return _read(_replies, data)


def _read(decoder: msgspec.json.Decoder[Message], data: bytes) -> Message:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise BadMessage(str(why)) from None
