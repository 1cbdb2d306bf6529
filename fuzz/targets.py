"""Every reader of bytes from outside: what it is given, what it may refuse with, and examples to begin from."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent import config as agent_config
from agent import verify
from agent.core import signal
from agent.edge import memory
from agent.enrol import device
from central import config as central_config
from central import evidence as central_evidence
from central.core import cards, fleet, intake
from central.edge import authority
from wire import bandwidth, command, enrolment, evidence, stamp, topics
from wire.command import Result
from wire.messages import BadMessage, Delivery, Fact, State, Stored, decode, decode_record

GOLDEN = Path("tests/wire/golden")
COMMANDS = Path("tests/wire/golden_command")
EVIDENCE = "tests/central/golden_evidence.jsonl"
KEY = bytes(range(32))
STATION = "6408042001143"
TOPIC = topics.Address(STATION, topics.Up.LOG).topic
NOW_S = 1_780_000_000.0


@dataclass(frozen=True, slots=True)
class Target:
    read: Callable[[bytes], object]
    refuses_with: tuple[type[Exception], ...]
    seeds: Callable[[], Iterator[bytes]]


def _golden(*prefixes: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (path.read_bytes() for path in sorted(GOLDEN.glob("*.json")) if path.name.startswith(prefixes))


def _files(*paths: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (Path(path).read_bytes() for path in paths)


def _at_centre(data: bytes) -> None:
    """All that is done with a station's message before it is stored, and what the pages say of it."""
    topic, _, payload = data.partition(b"\n")
    message = intake.read(topic.decode("utf-8", "replace"), payload)
    if isinstance(message, Result):
        return
    view = fleet.StationView(message.station)
    if isinstance(message, State):
        view = fleet.recall(fleet.hear(view, message, NOW_S), message)
    else:
        view = fleet.take_in(view, message, NOW_S)
        for record in filter(None, (line.record for line in message.lines)):
            if isinstance(record.body, Fact):
                evidence.told_id(record.body), evidence.told_en(record.body)
    fleet.word(view, NOW_S)
    msgspec.json.encode(view)


def _said_to_centre() -> Iterator[bytes]:
    for name in ("delivery_fact", "delivery_log", "delivery_summary", "delivery_seal", "state", "will"):
        kind = topics.Up.STATE if name in ("state", "will") else topics.Up.LOG
        yield topics.Address(STATION, kind).topic.encode() + b"\n" + (GOLDEN / f"{name}.json").read_bytes()
    result = topics.Address(STATION, topics.Up.RESULT).topic.encode()
    yield result + b"\n" + (COMMANDS / "result.json").read_bytes()


def _commanded(data: bytes) -> None:
    """All that is done with a command before a child looks who has signed it, and what the child does."""
    signed = command.decode(data, command.Signed)
    command.decode(signed.body.encode(), command.Command)
    verify.check(signed, (COMMANDS / "authority.pem").read_text(), None)


def _records() -> Iterator[bytes]:
    for path in sorted(GOLDEN.glob("delivery_*.json")):
        yield from map(bytes, decode(path.read_bytes().strip(), Delivery).records)


def _remembered(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "memory.json")
        path.write_bytes(data)
        memory.read(path)


def _central(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "central.yaml")
        path.write_bytes(data)
        central_config.load(path, {})


def _verified(data: bytes) -> None:
    """As `siaga-central verify` does, to its last line."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder, "bukti.jsonl")
        path.write_bytes(data)
        central_evidence.verify(path, None)


def _stamps() -> Iterator[bytes]:
    request = stamp.Request(7, stamp.timestamp(int(NOW_S * 1e9)), stamp.accuracy(True, 0.01), 0)
    reply = stamp.Reply(9, request.timestamp, request.accuracy, request.timestamp, request, 64)
    for key in (None, KEY):
        yield stamp.request_bytes(request, key)
        yield stamp.reply_bytes(reply, key)


def _stamp(data: bytes) -> None:
    for read in (
        lambda: stamp.read_request(data, None),
        lambda: stamp.read_request(data, lambda _: KEY),
        lambda: stamp.read_reply(data, None),
        lambda: stamp.read_reply(data, KEY),
    ):
        try:
            read()
        except stamp.Refused:
            continue


def _bandwidth(data: bytes) -> None:
    for read in (bandwidth.read_packet, bandwidth.read_question, bandwidth.read_reply):
        try:
            read(data)
        except BadMessage:
            continue


def _questions() -> Iterator[bytes]:
    yield bandwidth.line(bandwidth.Ask("lte", 1_000_000, 20.0))
    yield bandwidth.line(bandwidth.HowMuch())
    yield bandwidth.line(bandwidth.Busy(3.0))
    yield bandwidth.line(bandwidth.Turn("00" * 8, 3.0, 4))


def _enrolment(data: bytes) -> None:
    """Messages both ways, and what people type or scan."""
    text = data.decode("utf-8", "replace")
    for read in (
        lambda: enrolment.decode(data, enrolment.Application),
        lambda: enrolment.decode(data, enrolment.Renewal),
        lambda: enrolment.decode_answer(data),
        lambda: enrolment.read_link(text),
        lambda: enrolment.read_code(text),
        lambda: enrolment.read_fingerprint(text),
    ):
        try:
            read()
        except BadMessage:
            continue


def _applications() -> Iterator[bytes]:
    code = "4F7K9Q2WZX8M3N5P6R70"
    yield enrolment.encode(enrolment.Application(code, "-----BEGIN CERTIFICATE REQUEST-----", STATION))
    yield enrolment.encode(enrolment.Renewal("-----BEGIN CERTIFICATE REQUEST-----"))
    yield enrolment.encode(enrolment.Admission(STATION, "a", "b", "c", NOW_S, NOW_S, "mqtts://x"))
    yield enrolment.encode(enrolment.Refusal("tidak", "no"))
    yield str(enrolment.Link("https://siaga.example:8443", code, "ab" * 32)).encode()


def _requests() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        yield device.request(Path(folder)).encode()


def _lists() -> Iterator[bytes]:
    yield f'station,name,village\n{STATION},"TPS 143, SDN",Sangatta Utara\n'.encode()


def _modem(data: bytes) -> None:
    for read in (signal.paths, signal.modem, signal.interface, signal.strengths, signal.cell_id):
        try:
            read(data)
        except signal.Unreadable:
            continue


TARGETS: dict[str, Target] = {
    "centre": Target(_at_centre, (BadMessage,), _said_to_centre),
    "command": Target(_commanded, (BadMessage, verify.Unsure), _files(str(COMMANDS / "signed.json"))),
    "stored": Target(lambda data: decode(data, Stored), (BadMessage,), _golden("stored")),
    "spool": Target(decode_record, (BadMessage,), _records),
    "agent-config": Target(
        lambda data: agent_config.parse(data.decode("utf-8", "replace")),
        (agent_config.ConfigError,),
        _files("config/agent.yaml"),
    ),
    "central-config": Target(_central, (central_config.ConfigError,), _files("config/central.yaml")),
    "stamp": Target(_stamp, (), _stamps),
    "bandwidth": Target(_bandwidth, (), _questions),
    "enrolment": Target(_enrolment, (), _applications),
    "certificate-request": Target(
        lambda data: authority.requested_key(data.decode("utf-8", "replace")), (authority.BadRequest,), _requests
    ),
    "card-list": Target(
        lambda data: cards.read_list(data.decode("utf-8", "replace").splitlines()), (cards.BadList,), _lists
    ),
    "evidence": Target(_verified, (), _files(EVIDENCE)),
    "modem": Target(_modem, (), lambda: iter((b'{"modem-list": []}', b'{"modem": {"generic": {}}}'))),
    "memory": Target(_remembered, (OSError,), lambda: iter((b"00000000\n{}",))),
}
