"""What a station may say: every message is judged here before anything believes or stores it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wire import command, topics
from wire.command import NAME_LETTERS, TEXT_LETTERS, Result
from wire.messages import (
    LARGEST_BYTES,
    BadMessage,
    Delivery,
    Fact,
    Gap,
    Record,
    Signal,
    State,
    UplinkState,
    decode,
    decode_envelope,
    decode_record,
)

LONGEST_NAME = 64
MOST_UPLINKS = 16
MOST_EVIDENCE = 200
MAYBE_LARGE = re.compile(rb"[:,\[]\s*-?(?:\d{16}|[\d.]+[eE])")  # sixteen digits, or an exponent
LARGEST_FIGURE = 2**53  # JSON readers everywhere keep integers exact up to here, and no sum of a few overflows


class Refused(BadMessage):
    """A message that is counted under its kind and dropped."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Line:
    """One record: where it stands, the very bytes that the agent wrote, and what they say."""

    seq: int
    data: bytes
    record: Record | None
    """None where it is not understood: a newer agent's, or beyond all measure. The bytes are kept all the same."""
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery that may be stored."""

    station: str
    epoch: str
    oldest: int
    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...] = ()


def read(topic: str, payload: bytes) -> State | Delivered | Result:
    """Topic and bytes to a message that may be stored; raises Refused."""
    if len(payload) > LARGEST_BYTES:
        raise Refused("size", f"{len(payload)} bytes; at most {LARGEST_BYTES} are taken")
    try:
        address = topics.parse(topic)
    except BadMessage as why:
        raise Refused("topic", str(why)) from None
    message = _decoded(address, payload)
    if message.station != address.station:
        raise Refused("station", f"{address.station} speaks for {message.station[:LONGEST_NAME]!r}")
    try:
        return opened(message) if isinstance(message, Delivery) else _judged(message)
    except BadMessage as why:
        raise Refused("content", f"{address.station}: {why}") from None


def _decoded(address: topics.Address, payload: bytes) -> State | Delivery | Result:
    try:
        if address.kind is topics.Up.RESULT:
            return command.decode(payload, Result)
        if address.kind is topics.Up.STATE:
            return decode(payload, State)
        if isinstance(address.kind, topics.Up):
            return decode(payload, Delivery)
    except BadMessage as why:
        raise Refused("content", f"{address.station}: {why}") from None
    raise Refused("topic", f"{address.topic} is not for the centre")


def _judged(message: State | Result) -> State | Result:
    of_kind = _flaw_of_state(message) if isinstance(message, State) else _flaw_of_result(message)
    if flaw := _flaw_of_figures(message) or of_kind:
        raise BadMessage(flaw)
    return message


def _flaw_of_result(result: Result) -> str | None:
    if max(len(result.id), len(result.code)) > NAME_LETTERS or len(result.text) > TEXT_LETTERS:
        return "a result with too long an id, code or text"
    texts = [*result.evidence, *(value for value in result.evidence.values() if isinstance(value, str))]
    if len(texts) > MOST_EVIDENCE or any(len(text) > TEXT_LETTERS for text in texts):
        return "a result with too much evidence"
    return None


def opened(delivery: Delivery) -> Delivered:
    """The records of a delivery, each judged by itself: one that is not understood holds up no other."""
    if not delivery.records:
        raise BadMessage("a delivery without records")
    if not 1 <= delivery.oldest <= LARGEST_FIGURE:
        raise BadMessage(f"oldest {delivery.oldest}; numbers begin at 1")
    for gap in delivery.gaps:
        if not 1 <= gap.first <= gap.last <= LARGEST_FIGURE or max(len(gap.link), len(gap.chain)) > LONGEST_NAME:
            raise BadMessage(f"a gap from {gap.first} to {gap.last}, which is none")
    placed = [_line(bytes(data)) for data in delivery.records]
    if len({epoch for epoch, _ in placed}) > 1:
        raise BadMessage("records of two epochs in one delivery; its `oldest` can speak for one only")
    lines = tuple(line for _, line in placed)
    return Delivered(delivery.station, placed[0][0], delivery.oldest, lines, delivery.gaps)


def _line(data: bytes) -> tuple[str, Line]:
    """The record with its epoch; raises BadMessage when it cannot even be said where it stands."""
    flaw = ""
    try:
        record: Record | None = decode_record(data)
    except BadMessage as why:
        record, flaw = None, str(why)
    place = record or decode_envelope(data)
    if not 1 <= place.seq <= LARGEST_FIGURE:
        raise BadMessage(f"seq {place.seq}; numbers begin at 1")
    if len(place.epoch) > LONGEST_NAME or not is_text(data):
        raise BadMessage(f"record {place.seq}: its epoch is too long, or it is no text")
    if record is not None and (flaw := _flaw_of_bytes(data, record) or _flaw_of_record(record)):
        record = None
    return place.epoch, Line(place.seq, data, record, flaw)


def is_text(data: bytes) -> bool:
    """Whether the bytes can be shown, and exported, as they are."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _flaw_of_bytes(data: bytes, record: Record) -> str:
    """Looking at every figure takes four times as long as all the rest, and hardly any record has a large one."""
    return _flaw_of_figures(record) if MAYBE_LARGE.search(data) else ""


def _flaw_of_figures(message: State | Record | Result) -> str:
    return "a figure beyond 2^53" if any(abs(figure) > LARGEST_FIGURE for figure in _figures(message)) else ""


def _figures(part: object) -> Iterator[float]:
    """Every number in a message, however deep."""
    if isinstance(part, int | float):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _figures(item)
    elif isinstance(part, dict):
        yield from _figures(tuple(part.values()))
    else:
        for name in getattr(part, "__struct_fields__", ()):
            yield from _figures(getattr(part, name))


def _flaw_of_state(state: State) -> str | None:
    if len(state.uplinks) > MOST_UPLINKS:
        return f"{len(state.uplinks)} uplinks; at most {MOST_UPLINKS} are taken"
    for name in _names_of_state(state):
        if len(name) > LONGEST_NAME:
            return f"the name {name[:LONGEST_NAME]!r}… is longer than {LONGEST_NAME} characters"
    for uplink in state.uplinks:
        if uplink.loss is not None and not 0 <= uplink.loss <= 1:
            return f"uplink {uplink.name}: a loss of {uplink.loss} is no fraction"
    return None


def _names_of_state(state: State) -> Iterator[str]:
    yield from (state.session, state.agent, state.stamp.boot, state.active.ipv4 or "", state.active.ipv6 or "")
    for uplink in state.uplinks:
        yield from _names_of_uplink(uplink)


def _names_of_uplink(uplink: UplinkState) -> tuple[str, ...]:
    public = [name for each in uplink.public for name in (each.address, each.operator or "")]
    return (
        uplink.name,
        uplink.interface,
        uplink.kind,
        uplink.operator or "",
        *_names_of_signal(uplink.signal),
        *public,
    )


def _names_of_signal(signal: Signal | None) -> tuple[str, ...]:
    if signal is None:
        return ()
    named = (signal.technology, signal.operator, signal.operator_code, signal.cell_id, signal.registration)
    return tuple(name or "" for name in named)


def _flaw_of_record(record: Record) -> str:
    of_fact = (record.body.code, record.body.uplink or "") if isinstance(record.body, Fact) else ()
    of_former = (record.former.epoch, record.former.chain) if record.former else ()
    names = (record.stamp.boot, record.link, *of_fact, *of_former)
    return f"a name longer than {LONGEST_NAME} characters" if max(map(len, names)) > LONGEST_NAME else ""
