"""What both sides say to each other, held byte for byte by the golden files."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import FACT, SAMPLES, SEAL, SUMMARY
from wire.messages import (
    LARGEST_BYTES,
    BadMessage,
    Delivery,
    Envelope,
    State,
    Stored,
    Summary,
    decode,
    decode_envelope,
    decode_record,
    encode,
)

GOLDEN = Path("tests/wire/golden")
KINDS = (State, Delivery, Stored)


def golden(name: str) -> bytes:
    """The message as it goes over the wire; the file ends with a newline because it is a text file."""
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


def changed(name: str, **fields: Any) -> bytes:
    return json.dumps(json.loads(golden(name)) | fields, separators=(",", ":"), ensure_ascii=False).encode()


def test_every_golden_file_has_its_value() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_golden_file_is_read_as_the_value_written_here(name: str) -> None:
    assert decode(golden(name), type(SAMPLES[name])) == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_value_written_here_is_sent_as_the_golden_file(name: str) -> None:
    assert encode(SAMPLES[name]) == golden(name)


@pytest.mark.parametrize("name", [path.stem for path in (GOLDEN / "older").iterdir()])
def test_what_an_agent_or_centre_said_that_knew_no_chain_is_read(name: str) -> None:
    said = decode(golden(f"older/{name}"), type(SAMPLES[name]))
    if isinstance(said, Delivery):
        assert said.gaps == ()
        assert [decode_record(data).link for data in said.records] == [""] * len(said.records)
    else:
        assert said == Stored("0a1b2c3d4e5f6071", 42)


def test_the_bytes_of_a_record_travel_as_they_are() -> None:
    written = b'{ "seq" : 1, "epoch":"e" ,"of":[1.50, "\\u00e9"]}'
    sent = encode(Delivery("6408042001143", 1, (msgspec.Raw(written),)))
    assert written in sent
    assert bytes(decode(sent, Delivery).records[0]) == written


@pytest.mark.parametrize("record", [FACT, SUMMARY, SEAL], ids=["fact", "summary", "seal"])
def test_a_record_comes_back_from_the_spool_as_it_was_put(record: Any) -> None:
    assert decode_record(encode(record)) == record


@pytest.mark.parametrize("name", SAMPLES)
def test_an_older_centre_reads_a_newer_agent(name: str) -> None:
    newer = changed(name, signal_dbm=-97, nested={"a": [1, 2, {"b": None}]}, v=2)
    read = decode(newer, type(SAMPLES[name]))
    assert read.v == 2
    assert encode(read).replace(b'"v":2', b'"v":1') == golden(name)


def test_an_unknown_field_deep_inside_is_ignored_too() -> None:
    message = json.loads(golden("state"))
    message["uplinks"][0]["signal_dbm"] = -97
    message["stamp"]["leap"] = True
    assert decode(json.dumps(message).encode(), State) == SAMPLES["state"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_without_one_of_its_fields_is_refused(name: str) -> None:
    optional = {"v", "active", "uplinks", "gaps", "link"}
    whole = json.loads(golden(name))
    for field in whole.keys() - optional:
        rest = {key: value for key, value in whole.items() if key != field}
        if field == "type":
            continue  # who knows what it wants may leave the tag out: msgspec's rule, and harmless
        with pytest.raises(BadMessage, match=field):
            decode(json.dumps(rest).encode(), type(SAMPLES[name]))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("state", {"online": "yes"}),
        ("state", {"station": 6408042001143}),
        ("state", {"uplinks": {}}),
        ("state", {"active": "fibre"}),
        ("state", {"stamp": None}),
        ("state", {"type": "stored"}),
        ("delivery_fact", {"records": 1}),
        ("delivery_fact", {"gaps": [{"first": 1, "last": "9"}]}),
        ("delivery_fact", {"oldest": 1.5}),
        ("delivery_fact", {"oldest": "1"}),
        ("stored", {"seq": "42"}),
        ("stored", {"epoch": 7}),
        ("stored", {"v": "one"}),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        decode(changed(name, **fields), type(SAMPLES[name]))


@pytest.mark.parametrize(
    "fields", [{"body": {"type": "gossip"}}, {"body": {"type": "fact", "code": 7}}, {"seq": None}, {"link": 7}], ids=str
)
def test_a_record_with_a_field_of_another_type_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        decode_record(json.dumps(json.loads(encode(FACT)) | fields).encode())


def test_of_a_record_that_is_not_understood_at_least_its_place_is_known() -> None:
    newer = json.dumps(json.loads(encode(FACT)) | {"body": {"type": "gossip"}}).encode()
    assert decode_envelope(newer) == Envelope(FACT.epoch, FACT.seq, FACT.link)
    with pytest.raises(BadMessage):
        decode_envelope(b'{"epoch":"e"}')


def test_an_unknown_health_is_refused() -> None:
    with pytest.raises(BadMessage):
        decode(golden("state").replace(b'"health":"dead"', b'"health":"sleepy"'), State)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\x00\x01",
        b"\xff",
        b'{"type":"stored","epoch":"\xff\xfe","seq":1}',
        b'{"type":"stored","epoch":"\\ud800","seq":1}',
        b'{"type":"stored","epoch":"e","seq":1e999}',
        b'{"x":' * 9000,
        b"[" * 60000,
    ],
    ids=lambda data: repr(data[:40]),
)
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_no_message_are_refused(kind: Any, data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(data, kind)
    with pytest.raises(BadMessage):
        decode_record(data)


@given(data=st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_message_or_refused(data: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(BadMessage):
            decode(data, kind)


@given(at=st.integers(0, 2000), byte=st.integers(0, 255), name=st.sampled_from(list(SAMPLES)))
def test_a_message_with_one_byte_spoilt_is_read_or_refused_and_harms_nothing(at: int, byte: int, name: str) -> None:
    data = bytearray(golden(name))
    data[at % len(data)] = byte
    with contextlib.suppress(BadMessage):
        decode(bytes(data), type(SAMPLES[name]))


def test_a_message_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    largest = golden("stored").ljust(LARGEST_BYTES)
    assert decode(largest, Stored) == SAMPLES["stored"]
    with pytest.raises(BadMessage, match="65537 bytes"):
        decode(largest + b" ", Stored)


def test_a_refusal_says_what_was_expected() -> None:
    with pytest.raises(BadMessage, match=r"not a Stored: .*`seq`"):
        decode(b'{"type":"stored","epoch":"e"}', Stored)


def test_a_state_of_an_agent_that_knew_no_signal_is_read_and_the_other_way_round() -> None:
    told = json.loads(golden("state"))
    signals = [uplink.pop("signal") for uplink in told["uplinks"]]
    read = decode(json.dumps(told).encode(), State)
    assert [uplink.signal for uplink in read.uplinks] == [None, None, None]
    told["uplinks"][1]["signal"] = signals[1] | {"band": 3, "carriers": [{"pci": 7}]}
    assert decode(json.dumps(told).encode(), State) == SAMPLES["state"]


def test_a_summary_of_an_agent_that_knew_less_is_read() -> None:
    older = golden("delivery_summary").replace(b',"skipped":3,"after_idle_ms":912.5', b"")
    body = decode_record(decode(older, Delivery).records[0]).body
    assert isinstance(body, Summary)
    assert (body.uplinks[0].skipped, body.uplinks[0].after_idle_ms) == (0, None)
