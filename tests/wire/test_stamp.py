"""STAMP on the wire: open packets as scapy's own layer reads and writes them, sealed ones against RFC 8762 and 2104."""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.stamp import (
    ErrorEstimate,
    STAMPSessionReflectorTestUnauthenticated,
    STAMPSessionSenderTestUnauthenticated,
)
from scapy.fields import LongField

from wire.stamp import (
    LARGEST_ERROR_S,
    NS,
    OPEN_BYTES,
    SEALED_BYTES,
    Accuracy,
    Refused,
    Reply,
    Request,
    accuracy,
    nanoseconds,
    read_reply,
    read_request,
    reply_bytes,
    request_bytes,
    timestamp,
)

KEY = b"sixteen letters!"
YEAR_2106_NS = 2**32 * NS


class RawTimes:
    """scapy keeps NTP's times as floats, which lose the last bits; its layers with whole numbers in their place."""

    @staticmethod
    def of(layer: type) -> type:
        fields = []
        for field in layer.fields_desc:
            name = getattr(field, "dflt", field).name
            fields.append(LongField(name, 0) if name.startswith("ts") else field)
        return type(f"Raw{layer.__name__}", (layer,), {"fields_desc": fields})


Sender = RawTimes.of(STAMPSessionSenderTestUnauthenticated)
Reflector = RawTimes.of(STAMPSessionReflectorTestUnauthenticated)

accuracies = st.builds(Accuracy, st.booleans(), st.booleans(), st.integers(0, 63), st.integers(1, 255))
words, longs = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
requests = st.builds(Request, words, longs, accuracies, st.integers(0, 0xFFFF))
replies = st.builds(Reply, words, longs, accuracies, st.integers(1, 2**64 - 1), requests, st.integers(0, 255))


def estimate(given: Accuracy) -> ErrorEstimate:
    return ErrorEstimate(S=int(given.synchronised), Z=int(given.is_ptp), scale=given.scale, multiplier=given.multiplier)


def read_estimate(given: ErrorEstimate) -> Accuracy:
    return Accuracy(bool(given.S), bool(given.Z), given.scale, given.multiplier)


def scapys(given: Request | Reply) -> bytes:
    if isinstance(given, Request):
        return bytes(Sender(seq=given.seq, ts=given.timestamp, err_estimate=estimate(given.accuracy), ssid=given.ssid))
    return bytes(
        Reflector(
            seq=given.seq,
            ts=given.timestamp,
            err_estimate=estimate(given.accuracy),
            ssid=given.request.ssid,
            ts_rx=given.received,
            seq_sender=given.request.seq,
            ts_sender=given.request.timestamp,
            err_estimate_sender=estimate(given.request.accuracy),
            ttl_sender=given.ttl,
        )
    )


@settings(deadline=None)
@given(requests)
def test_a_request_is_what_scapy_writes_and_reads(request: Request) -> None:
    ours = request_bytes(request)
    assert len(ours) == OPEN_BYTES
    assert ours == scapys(request)
    assert read_request(scapys(request)) == request
    read = Sender(ours)
    assert Request(read.seq, read.ts, read_estimate(read.err_estimate), read.ssid) == request
    assert read.mbz == 0


@settings(deadline=None)
@given(replies)
def test_a_reply_is_what_scapy_writes_and_reads(reply: Reply) -> None:
    ours = reply_bytes(reply)
    assert len(ours) == OPEN_BYTES
    assert ours == scapys(reply)
    assert read_reply(scapys(reply)) == reply
    read = Reflector(ours)
    asked = Request(read.seq_sender, read.ts_sender, read_estimate(read.err_estimate_sender), read.ssid)
    told = Reply(read.seq, read.ts, read_estimate(read.err_estimate), read.ts_rx, asked, read.ttl_sender)
    assert told == reply
    assert (read.mbz1, read.mbz2) == (0, 0)


@given(st.integers(0, YEAR_2106_NS - 1))
def test_a_time_of_ntp_is_scapys(unix_ns: int) -> None:
    """scapy's untouched layer; its floats are good for a microsecond."""
    seconds, fraction = divmod(timestamp(unix_ns), 2**32)
    read = STAMPSessionSenderTestUnauthenticated(request_bytes(Request(0, timestamp(unix_ns), Accuracy())))
    assert read.ts == pytest.approx(seconds + fraction / 2**32, abs=1e-6)
    assert (seconds - unix_ns // NS) % 2**32 == 2_208_988_800


@given(st.integers(0, YEAR_2106_NS - 1), st.booleans())
def test_a_time_loses_no_nanosecond(unix_ns: int, is_ptp: bool) -> None:
    assert nanoseconds(timestamp(unix_ns, is_ptp), is_ptp) == unix_ns


def test_times_are_as_their_standards_have_them() -> None:
    assert timestamp(0) == 2_208_988_800 << 32
    assert timestamp(NS // 2) == 2_208_988_800 << 32 | 1 << 31
    assert timestamp(7 * NS + 9, is_ptp=True) == 7 << 32 | 9
    assert timestamp(2_085_978_496 * NS) == 0  # NTP's era ends on 7 February 2036
    assert nanoseconds(0) == 2_085_978_496 * NS


@given(st.booleans(), st.floats(0, LARGEST_ERROR_S))
def test_the_error_that_is_told_is_not_less_than_the_error_and_hardly_more(synchronised: bool, error_s: float) -> None:
    told = accuracy(synchronised, error_s)
    assert (told.synchronised, told.is_ptp) == (synchronised, False)
    assert error_s <= told.error_s <= error_s * (1 + 1 / 127) + 2**-32


@given(requests)
def test_a_sealed_request_is_as_the_rfc_draws_it(request: Request) -> None:
    ours = request_bytes(request, KEY)
    read = pieces(ours, seq=4, mbz0=12, timestamp=8, error=2, ssid=2, mbz1=68, hmac=16)
    assert whole(read, "seq", "timestamp", "ssid") == (request.seq, request.timestamp, request.ssid)
    assert read["error"] == bytes(estimate(request.accuracy))
    assert not any(read["mbz0"] + read["mbz1"])
    assert read["hmac"] == rfc2104(KEY, ours[:96])[:16]
    assert read_request(ours, lambda _: KEY) == request


@given(replies)
def test_a_sealed_reply_is_as_the_rfc_draws_it(reply: Reply) -> None:
    ours = reply_bytes(reply, KEY)
    first = {"seq": 4, "mbz0": 12, "timestamp": 8, "error": 2, "ssid": 2, "mbz1": 4, "received": 8, "mbz2": 8}
    second = {"asked": 4, "mbz3": 12, "asked_at": 8, "asked_error": 2, "mbz4": 6, "ttl": 1, "mbz5": 15, "hmac": 16}
    read = pieces(ours, **first, **second)
    assert whole(read, "seq", "timestamp", "received") == (reply.seq, reply.timestamp, reply.received)
    assert whole(read, "asked", "asked_at", "ttl") == (reply.request.seq, reply.request.timestamp, reply.ttl)
    assert read["error"] == bytes(estimate(reply.accuracy))
    assert read["asked_error"] == bytes(estimate(reply.request.accuracy))
    assert not any(b"".join(value for name, value in read.items() if name.startswith("mbz")))
    assert read["hmac"] == rfc2104(KEY, ours[:96])[:16]
    assert read_reply(ours, KEY) == reply


def pieces(packet: bytes, **sizes: int) -> dict[str, bytes]:
    assert len(packet) == sum(sizes.values()) == SEALED_BYTES
    return dict(zip(sizes, struct.unpack("".join(f"{size}s" for size in sizes.values()), packet), strict=True))


def whole(read: dict[str, bytes], *names: str) -> tuple[int, ...]:
    return tuple(int.from_bytes(read[name]) for name in names)


def rfc2104(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA-256 by hand, as the RFC has it."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


@given(requests, st.integers(0, SEALED_BYTES * 8 - 1))
def test_one_bit_turned_breaks_a_seal(request: Request, bit: int) -> None:
    broken = bytearray(request_bytes(request, KEY))
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Refused, match="unauthentic"):
        read_request(bytes(broken), lambda _: KEY)


@given(replies)
def test_the_wrong_key_and_no_key_open_nothing(reply: Reply) -> None:
    with pytest.raises(Refused, match="unauthentic"):
        read_reply(reply_bytes(reply, KEY), KEY[::-1])
    for key in (None, b"", KEY[::-1]):
        with pytest.raises(Refused, match="unauthentic"):
            read_request(request_bytes(reply.request, KEY), lambda _, key=key: key)
    with pytest.raises(Refused):
        read_reply(reply_bytes(reply), KEY)


@given(requests)
def test_the_key_is_that_of_the_session(request: Request) -> None:
    keys = {request.ssid: KEY}
    assert read_request(request_bytes(request, KEY), keys.get) == request


@given(replies)
def test_a_reply_is_never_taken_for_a_request(reply: Reply) -> None:
    for key in (None, KEY):
        with pytest.raises(Refused, match="reply"):
            read_request(reply_bytes(reply, key), (lambda _: KEY) if key else None)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_refused(data: bytes) -> None:
    readings = (
        lambda: read_request(data),
        lambda: read_request(data, lambda _: KEY),
        lambda: read_reply(data),
        lambda: read_reply(data, KEY),
    )
    for read in readings:
        try:
            read()
        except Refused as why:
            assert str(why) in ("malformed", "reply", "unauthentic")
        else:
            assert len(data) >= OPEN_BYTES


def test_an_error_of_nought_is_corrupt() -> None:
    with pytest.raises(Refused, match="malformed"):
        read_request(bytes(OPEN_BYTES))


def test_what_follows_a_packet_is_not_read() -> None:
    request = Request(1, 2, Accuracy(), 3)
    assert read_request(request_bytes(request) + b"more") == request
    assert read_request(request_bytes(request, KEY) + b"more", lambda _: KEY) == request
