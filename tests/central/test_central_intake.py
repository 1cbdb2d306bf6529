"""What a station may say, and that nothing from outside stops the centre."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.intake import Refused, read
from tests.central.centre import Centre, eventually
from tests.central.station import SANGATTA, Station, delivery, fact, stamp, state, uplink
from wire.messages import LARGEST_BYTES, Delivery, Record, Signal, State, Summary, UplinkState, UplinkSummary, encode
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
    assert read(LOG, encode(delivery([fact(1)]))) == delivery([fact(1)])


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
        (LOG, encode(delivery([fact(1, code="C" * 65)])), "content"),
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


def test_a_figure_that_no_sum_survives_is_refused() -> None:
    measured = UplinkSummary("fibre", "up", 2**40, 0, 0, 0, 0)
    payload = encode(delivery([Record("e", 1, stamp(1), Summary(60, state().active, (measured,)))]))
    assert kind_of_refusal(LOG, payload.replace(str(2**40).encode(), b"9" * 30)) == "content"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_do_anything_but_be_refused(payload: bytes) -> None:
    for topic in (STATE, LOG):
        with pytest.raises(Refused):
            read(topic, payload)


@given(st.data())
def test_a_good_message_with_one_value_replaced_is_read_or_refused(data: st.DataObject) -> None:
    anything = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    good = data.draw(st.sampled_from([(STATE, state()), (LOG, delivery([fact(1)]))]))
    message = msgspec.to_builtins(good[1])
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
        assert isinstance(read(good[0], msgspec.json.encode(message)), State | Delivery)


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
