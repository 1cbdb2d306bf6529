"""What a station may say, and that nothing from outside stops the centre."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.intake import Delivered, Line, Refused, read
from tests.central.centre import Centre, eventually
from tests.central.station import SANGATTA, Station, delivery, fact, state, uplink
from wire.messages import LARGEST_BYTES, Delivery, Gap, Signal, State, UplinkState, encode
from wire.topics import Address, Up

STATE, LOG = (Address(SANGATTA, kind).topic for kind in (Up.STATE, Up.LOG))
OTHER = "6408042001999"


def hearing(signal: Signal) -> UplinkState:
    return msgspec.structs.replace(uplink("lte"), signal=signal)


def kind_of_refusal(topic: str, payload: bytes) -> str:
    with pytest.raises(Refused) as refused:
        read(topic, payload)
    return refused.value.kind


def test_good_messages_are_read() -> None:
    assert read(STATE, encode(state())) == state()
    line = Line(1, encode(fact(1)), fact(1))
    assert read(LOG, encode(delivery([fact(1)]))) == Delivered(SANGATTA, "epoch-1", 1, (line,))


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        ("siaga/1/6408/6408042001143/up/gossip", b"{}", "topic"),
        ("siaga/1/6408/6408042001143/dn/stored", b"{}", "topic"),
        ("", b"{}", "topic"),
        (STATE, b"", "content"),
        (STATE, b"\xff\xfe", "content"),
        (STATE, encode(delivery([fact(1)])), "content"),
        (LOG, encode(state()), "content"),
        (STATE, encode(state(OTHER)), "station"),
        (LOG, encode(delivery([fact(1)], station=OTHER)), "station"),
        (LOG, b" " * (LARGEST_BYTES + 1), "size"),
        (LOG, b"[" * 60_000, "content"),
        (LOG, encode(delivery([])), "content"),
        (LOG, encode(delivery([fact(0)])), "content"),
        (LOG, encode(delivery([fact(2**60)])), "content"),
        (LOG, encode(delivery([fact(1)], oldest=0)), "content"),
        (LOG, encode(delivery([fact(1)], oldest=2**60)), "content"),
        (LOG, encode(delivery([fact(1), fact(2, epoch="other")])), "content"),
        (LOG, encode(delivery([fact(1, epoch="e" * 65)])), "content"),
        (LOG, encode(delivery([fact(1)])).replace(b'"seq":1', b'"seq":"one"'), "content"),
        (LOG, encode(delivery([fact(1)], gaps=(Gap(3, 2),))), "content"),
        (LOG, encode(delivery([fact(1)], gaps=(Gap(0, 2),))), "content"),
        (LOG, encode(delivery([fact(1)], gaps=(Gap(1, 2**60),))), "content"),
        (LOG, encode(delivery([fact(1)], gaps=(Gap(1, 2, "l" * 65),))), "content"),
        (STATE, encode(state(session="s" * 65)), "content"),
        (STATE, encode(state(uplinks=tuple(uplink(f"u{n}") for n in range(17)))), "content"),
        (STATE, encode(state(uplinks=(hearing(Signal(operator="o" * 65)),))), "content"),
        (STATE, encode(state(uplinks=(hearing(Signal(cell_id="c" * 65)),))), "content"),
        (STATE, encode(state(uplinks=(hearing(Signal(rsrp_dbm=-1e300)),))), "content"),
        (STATE, encode(state()).replace(b'"loss":0.01', b'"loss":1.5'), "content"),
        (STATE, encode(state()).replace(b'"v":1', b'"v":' + b"9" * 30), "content"),
    ],
)
def test_a_mess_is_refused_under_its_kind(topic: str, payload: bytes, kind: str) -> None:
    assert kind_of_refusal(topic, payload) == kind


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"type":"fact"', b'"type":"of a newer agent"'),
        (b'"loss":1.0', b'"loss":true'),
        (b'"loss":1.0', b'"loss":' + b"9" * 30),
        (b'"loss":1.0', b'"loss": -9007199254740994'),
        (b'"loss":1.0', b'"loss":1.5E+30'),
        (b'"loss":1.0', b'"loss":\n1e17'),
        (b'"code":"UPLINK_DEAD"', b'"code":"' + b"C" * 65 + b'"'),
        (b'"code":"UPLINK_DEAD",', b""),
        (b'"stamp":{', b'"stamp":{"boot":7},"was":{'),
    ],
)
def test_a_record_that_is_not_understood_is_kept_as_it_came(was: bytes, becomes: bytes) -> None:
    spoilt = encode(fact(2)).replace(was, becomes)
    records = tuple(map(msgspec.Raw, (encode(fact(1)), spoilt, encode(fact(3)))))
    read_in = read(LOG, encode(Delivery(SANGATTA, 1, records)))
    assert isinstance(read_in, Delivered)
    assert [line.record for line in read_in.lines] == [fact(1), None, fact(3)]
    assert (read_in.lines[1].seq, read_in.lines[1].data) == (2, spoilt)
    assert read_in.lines[1].flaw


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_do_anything_but_be_refused(payload: bytes) -> None:
    for topic in (STATE, LOG):
        with pytest.raises(Refused):
            read(topic, payload)


@given(st.data())
def test_a_good_message_with_one_value_replaced_is_read_or_refused(data: st.DataObject) -> None:
    anything = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    good = data.draw(st.sampled_from([(STATE, state()), (LOG, delivery([fact(1)]))]))
    message = msgspec.json.decode(encode(good[1]))
    part = message
    while True:
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else list(range(len(part)))))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part = part if isinstance(part, dict | list) else message
    try:
        part[key] = data.draw(anything)
    except TypeError:
        return
    with contextlib.suppress(Refused):
        assert isinstance(read(good[0], msgspec.json.encode(message)), State | Delivered)


def test_nothing_from_outside_stops_the_centre(running: Centre, join) -> None:
    station = join(running)
    stranger = join(running, OTHER)
    for payload in (b"", b"\x00", b"[" * 60_000, b"{" + b" " * 100_000, encode(state(OTHER)), encode(delivery([]))):
        station.send(payload, "state")
        station.send(payload, "log")
        station.send(payload, "gossip", retain=True)
    stranger.tell(delivery([fact(1)], station=SANGATTA))
    station.tell(delivery([fact(1)]))
    eventually(lambda: station.mark() == 1)
    assert running.epochs(OTHER) == []
    assert running.errors.count("dropped a message") <= 4, "one line per kind and minute"
    assert "speaks for" in running.errors
    assert "Traceback" not in running.errors


def test_a_megabyte_costs_its_sender_the_connection_and_nobody_else_anything(running: Centre, join) -> None:
    loud = Station(running.mqtt_port, "6408042001900")
    loud.send(b"x" * 1_000_000)
    quiet = join(running, "6408042001901")
    quiet.tell(delivery([fact(1)], station=quiet.number))
    eventually(lambda: quiet.mark() == 1)
    loud.leave()
    assert running.process.poll() is None
