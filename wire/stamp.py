"""The packets of STAMP, by which an agent and the centre's reflector measure both ways of an uplink (RFC 8762).

Open, 44 bytes, or sealed, 112 bytes of which the last 16 are an HMAC-SHA-256 cut short over the first 96. The number of
the session (SSID) is that of RFC 8972; it is nought where only RFC 8762 is spoken. What follows a packet (RFC 8972 has
TLVs there) is carried back as it came and never read.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from struct import Struct

PORT = 862
OPEN_BYTES, SEALED_BYTES = 44, 112
COVERED_BYTES = 96  # by the HMAC: six blocks of sixteen
HMAC_BYTES = SEALED_BYTES - COVERED_BYTES
NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
NS = 1_000_000_000
KEY_BYTES_AT_LEAST = HMAC_BYTES  # a shorter one is easier to guess than the seal
LARGEST_ERROR_S = 255 * 2.0**31

REQUEST = {OPEN_BYTES: Struct("!IQHH28x"), SEALED_BYTES: Struct("!I12xQHH68x")}
REPLY = {OPEN_BYTES: Struct("!IQHHQIQH2xB3x"), SEALED_BYTES: Struct("!I12xQHH4xQ8xI12xQH6xB15x")}

KeyOf = Callable[[int], bytes | None]
"""The key of the session with this SSID; None for a stranger."""


class Refused(Exception):
    """What came is not what it should be; `str` says in one word why: malformed, reply or unauthentic."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of a clock: the error estimate of RFC 4656 4.1.2, with the format of timestamps of RFC 8186."""

    synchronised: bool = False
    """Somebody outside has set it."""
    is_ptp: bool = False
    """Timestamps are PTPv2's, else NTP's."""
    scale: int = 0
    multiplier: int = 1

    @property
    def error_s(self) -> float:
        return self.multiplier * 2.0 ** (self.scale - 32)


@dataclass(frozen=True, slots=True)
class Request:
    seq: int
    timestamp: int
    """When it was sent, as it stands on the wire; `nanoseconds` reads it."""
    accuracy: Accuracy
    ssid: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    seq: int
    """The reflector's own count of what it has answered in this session, from nought."""
    timestamp: int
    accuracy: Accuracy
    received: int
    """When the request came, by the same clock."""
    request: Request
    ttl: int
    """That the request had left when it came."""


def request_bytes(request: Request, key: bytes | None = None) -> bytes:
    """Sealed when there is a key."""
    size = SEALED_BYTES if key else OPEN_BYTES
    packed = REQUEST[size].pack(request.seq, request.timestamp, _packed(request.accuracy), request.ssid)
    return packed + _seal(packed, key) if key else packed


def reply_bytes(reply: Reply, key: bytes | None = None) -> bytes:
    """As many as the request had."""
    asked = reply.request
    packed = REPLY[SEALED_BYTES if key else OPEN_BYTES].pack(
        reply.seq,
        reply.timestamp,
        _packed(reply.accuracy),
        asked.ssid,
        reply.received,
        asked.seq,
        asked.timestamp,
        _packed(asked.accuracy),
        reply.ttl,
    )
    return packed + _seal(packed, key) if key else packed


def read_request(data: bytes, key_of: KeyOf | None = None) -> Request:
    """Only a sealed one when there are keys, else only an open one; raises Refused.

    A reply is refused, though RFC 8762 has the bytes that tell it ignored: two reflectors, of which somebody made one
    ask the other, would else answer each other for ever.
    """
    size = SEALED_BYTES if key_of else OPEN_BYTES
    if len(data) < size:
        raise Refused("malformed")
    seq, timestamp, accuracy, ssid = REQUEST[size].unpack_from(data)
    if key_of:
        _check_seal(data, key_of(ssid))
    if REPLY[size].unpack_from(data)[4]:  # where a reply says when it was received
        raise Refused("reply")
    return Request(seq, timestamp, _read_accuracy(accuracy), ssid)


def read_reply(data: bytes, key: bytes | None = None) -> Reply:
    """Raises Refused."""
    size = SEALED_BYTES if key else OPEN_BYTES
    if len(data) < size:
        raise Refused("malformed")
    if key:
        _check_seal(data, key)
    seq, timestamp, accuracy, ssid, received, asked, asked_at, asked_accuracy, ttl = REPLY[size].unpack_from(data)
    request = Request(asked, asked_at, _read_accuracy(asked_accuracy), ssid)
    return Reply(seq, timestamp, _read_accuracy(accuracy), received, request, ttl)


def read_key(text: str) -> bytes:
    """As `openssl rand -hex 32` prints it; raises ValueError with what is wrong."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError("does not hold hexadecimal digits alone, as `openssl rand -hex 32` prints them") from None
    if len(key) < KEY_BYTES_AT_LEAST:
        raise ValueError(f"holds {len(key)} bytes; a key has at least {KEY_BYTES_AT_LEAST}")
    return key


def timestamp(unix_ns: int, is_ptp: bool = False) -> int:
    """Seconds and fraction, 32 bits each: since 1900 and binary (NTP), or since 1970 and nanoseconds (PTPv2)."""
    seconds, ns = divmod(unix_ns, NS)
    if is_ptp:
        return (seconds & 0xFFFFFFFF) << 32 | ns
    return (seconds + NTP_EPOCH_S & 0xFFFFFFFF) << 32 | ((ns << 32) + NS // 2) // NS


def nanoseconds(timestamp: int, is_ptp: bool = False) -> int:
    """Since 1970; right until 2106, whatever NTP's era."""
    seconds, fraction = timestamp >> 32, timestamp & 0xFFFFFFFF
    if is_ptp:
        return seconds * NS + fraction
    return (seconds - NTP_EPOCH_S & 0xFFFFFFFF) * NS + (fraction * NS + (1 << 31) >> 32)


def accuracy(synchronised: bool, error_s: float) -> Accuracy:
    """The least that can be written and is not less than the error; timestamps are NTP's."""
    units = min(max(error_s, 0.0), LARGEST_ERROR_S) * 2.0**32
    scale = 0
    while units > 255:
        units /= 2
        scale += 1
    return Accuracy(synchronised, scale=scale, multiplier=max(1, ceil(units)))


def _packed(accuracy: Accuracy) -> int:
    return accuracy.synchronised << 15 | accuracy.is_ptp << 14 | accuracy.scale << 8 | accuracy.multiplier


def _read_accuracy(packed: int) -> Accuracy:
    if not packed & 0xFF:  # RFC 4656: such a packet is to be taken for corrupt
        raise Refused("malformed")
    return Accuracy(bool(packed >> 15), bool(packed >> 14 & 1), packed >> 8 & 0x3F, packed & 0xFF)


def _seal(covered: bytes, key: bytes) -> bytes:
    return hmac.digest(key, covered, "sha256")[:HMAC_BYTES]


def _check_seal(data: bytes, key: bytes | None) -> None:
    if not key or not hmac.compare_digest(_seal(data[:COVERED_BYTES], key), data[COVERED_BYTES:SEALED_BYTES]):
        raise Refused("unauthentic")
