"""What a station may say: every message is judged here before anything believes or stores it."""

from collections.abc import Iterator

from wire import topics
from wire.messages import LARGEST_BYTES, BadMessage, Delivery, Fact, Record, Signal, State, UplinkState, decode

LONGEST_NAME = 64
MOST_UPLINKS = 16
LARGEST_FIGURE = 2**53  # JSON readers everywhere keep integers exact up to here, and no sum of a few overflows


class Refused(BadMessage):
    """A message that is counted under its kind and dropped."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def read(topic: str, payload: bytes) -> State | Delivery:
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
    if any(abs(figure) > LARGEST_FIGURE for figure in _figures(message)):
        raise Refused("content", f"{address.station}: a figure beyond 2^53")
    flaw = _flaw_of_state(message) if isinstance(message, State) else _flaw_of_delivery(message)
    if flaw:
        raise Refused("content", f"{address.station}: {flaw}")
    return message


def _decoded(address: topics.Address, payload: bytes) -> State | Delivery:
    try:
        if address.kind is topics.Up.STATE:
            return decode(payload, State)
        if isinstance(address.kind, topics.Up):
            return decode(payload, Delivery)
    except BadMessage as why:
        raise Refused("content", f"{address.station}: {why}") from None
    raise Refused("topic", f"{address.topic} is not for the centre")


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


def _flaw_of_delivery(delivery: Delivery) -> str | None:
    if not delivery.records:
        return "a delivery without records"
    if delivery.oldest < 1:
        return f"oldest {delivery.oldest}; numbers begin at 1"
    epoch = delivery.records[0].epoch
    for record in delivery.records:
        if record.epoch != epoch:
            return "records of two epochs in one delivery; its `oldest` can speak for one only"
        if record.seq < 1:
            return f"seq {record.seq}; numbers begin at 1"
        if max(map(len, _names_of_record(record))) > LONGEST_NAME:
            return f"record {record.seq}: a name longer than {LONGEST_NAME} characters"
    return None


def _names_of_record(record: Record) -> tuple[str, ...]:
    of_fact = (record.body.code, record.body.uplink or "") if isinstance(record.body, Fact) else ()
    return (record.epoch, record.stamp.boot, *of_fact)
