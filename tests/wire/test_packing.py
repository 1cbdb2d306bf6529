"""Packed payloads: what comes out is what went in, it is small, and what a stranger packs does no harm."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import SAMPLES
from wire.messages import LARGEST_BYTES, BadMessage, Stored, decode, encode
from wire.packing import FIRST, PACKED, SECOND, pack, unpack


def packed(data: bytes, number: bytes = PACKED, dictionary: bytes = SECOND) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=dictionary)
    return number + packing.compress(data) + packing.flush()


@given(st.binary(max_size=2000).map(lambda data: b"{" + data))
def test_what_is_packed_is_unpacked(data: bytes) -> None:
    assert unpack(pack(data), LARGEST_BYTES) == data
    assert len(pack(data)) <= len(data)


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"delivery_seal"}))  # a signature does not shrink
def test_our_messages_shrink_to_less_than_half(name: str) -> None:
    data = encode(SAMPLES[name])
    assert unpack(pack(data), LARGEST_BYTES) == data
    if len(data) > 200 and name != "delivery_seal":  # a signature does not shrink
        assert len(pack(data)) < len(data) / 2


def test_plain_json_is_read_as_well() -> None:
    assert unpack(b'{"v":1}', LARGEST_BYTES) == b'{"v":1}'
    assert unpack(b"", LARGEST_BYTES) == b""


@pytest.mark.parametrize(
    ("number", "dictionary", "digest"), [(b"\x01", FIRST, "1b5aefd805138aec"), (b"\x02", SECOND, "31dd7cc98527dc8a")]
)
def test_a_dictionary_is_never_changed_and_what_was_packed_with_an_older_one_is_read(
    number: bytes, dictionary: bytes, digest: str
) -> None:
    assert hashlib.sha256(dictionary).hexdigest()[:16] == digest
    data = encode(SAMPLES["stored"])
    assert unpack(packed(data, number, dictionary), LARGEST_BYTES) == data


def test_a_payload_of_a_dictionary_that_is_not_known_is_a_bad_message() -> None:
    with pytest.raises(BadMessage):
        decode(packed(encode(SAMPLES["stored"]), b"\x03"), Stored)


@pytest.mark.parametrize(
    "payload",
    [PACKED, PACKED + b"\xff", pack(b"{" + bytes(500))[:-2], pack(b"{" + bytes(500)) + b"x"],
)
def test_what_is_not_packed_by_us_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(payload, LARGEST_BYTES)


def test_a_bomb_is_not_blown_up() -> None:
    bomb = packed(bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(ValueError, match="more than"):
        unpack(bomb, LARGEST_BYTES)
    assert unpack(packed(bytes(LARGEST_BYTES)), LARGEST_BYTES) == bytes(LARGEST_BYTES)


def test_a_message_is_read_packed_or_plain_and_a_bomb_is_a_bad_message() -> None:
    data = encode(SAMPLES["stored"])
    assert decode(data, Stored) == decode(pack(data), Stored) == SAMPLES["stored"]
    with pytest.raises(BadMessage, match="more than"):
        decode(packed(bytes(50_000_000)), Stored)
