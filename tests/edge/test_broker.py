"""The courier against a real broker, which is killed and started again."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.core.decide import Phase
from agent.core.events import ShowState
from agent.core.report import Numbering
from agent.edge import broker as module
from agent.edge import spool as spool_module
from agent.edge.broker import BACKLOG_BYTES_PER_S
from agent.edge.spool import Spool
from tests.edge.brokers import FIBRE, STATION, Broker, Listen, Listener, Start, mark
from tests.edge.conftest import wait_until
from tests.edge.records import LONGEST_NAME, STAMP, begun, fill, gaps, largest_fact, largest_summary, seqs
from wire import chain
from wire.messages import (
    LARGEST_BYTES,
    Active,
    Delivery,
    Fact,
    Gap,
    Health,
    State,
    Stored,
    Summary,
    UplinkState,
    decode_record,
    encode,
)
from wire.packing import unpack
from wire.topics import Address, Up


def test_the_birth_comes_before_the_backlog_and_is_retained(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    fill(spool, 120)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) == 120)
    assert listener.heard[0][0] == Address(STATION, Up.STATE).topic
    birth = listener.states[0]
    assert (birth.online, birth.agent, birth.active, birth.uplinks) == (True, "0.1.0", Active("fibre"), (FIBRE,))
    assert birth.session.startswith("5f0c3a9be211-")
    listener.close()
    listener.heard.clear()
    later = Listener.__new__(Listener)
    later.broker, later.heard = broker, []
    later.__post_init__()
    try:
        wait_until(lambda: any(retained for _, _, retained in later.heard))
        assert later.states[-1].online
    finally:
        later.close()


def test_the_backlog_arrives_in_order_and_in_batches(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    fill(spool, 333)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) >= 333)
    assert listener.seqs == list(range(1, 334))
    assert len(listener.deliveries) == 2
    assert {delivery.oldest for delivery in listener.deliveries} == {1}
    assert {topic.rsplit("/", 1)[1] for topic, _, _ in listener.heard} == {"state", "log"}


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.UPLOAD])
def test_while_results_are_sent_the_backlog_takes_little(
    phase: Phase, broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 40)
    fill(spool, 200)
    listener = listen(broker)
    courier = courier_to(broker.port)
    began = time.monotonic()
    courier.show(ShowState(Active("fibre", "fibre"), (FIBRE,), phase))
    wait_until(lambda: len(listener.seqs) >= 200, 60)
    backlog = [len(data) for topic, data, _ in listener.heard if topic.endswith("/log")]
    assert len(backlog) == 5
    assert time.monotonic() - began >= 0.99 * sum(backlog[1:-1]) / BACKLOG_BYTES_PER_S[phase]


def test_news_goes_out_at_once_under_its_own_kind(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: courier.connected)
    fill(spool, 1)
    courier.poke()
    wait_until(lambda: listener.seqs == [1])
    spool.put(largest_summary(), STAMP)
    courier.poke()
    wait_until(lambda: listener.seqs == [1, 2])
    assert [topic.rsplit("/", 1)[1] for topic, _, _ in listener.heard] == ["state", "fact", "sum"]


def test_a_state_that_changed_is_shown(broker: Broker, listen: Listen, courier_to: Start) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: bool(listener.states))
    courier.show(ShowState(Active(None, "fibre"), (FIBRE,)))
    wait_until(lambda: listener.states[-1].active == Active(None, "fibre"))
    assert len({state.session for state in listener.states}) == 1


def test_the_spool_keeps_what_the_broker_took_until_the_centre_has_stored_it(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    fill(spool, 100)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) == 100)
    assert spool.unsent == 100
    listener.give(mark(spool, 60))
    wait_until(lambda: spool.unsent == 40)
    listener.give(mark(spool, 100))
    wait_until(lambda: spool.unsent == 0)


def test_a_mark_that_was_left_while_the_station_was_away_is_heeded(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    fill(spool, 100)
    listener = listen(broker)
    listener.give(mark(spool, 90))
    courier_to(broker.port)
    wait_until(lambda: spool.unsent == 10)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b'{"type":"stored","epoch":"\xff","seq":3}',
        encode(Stored("another-epoch", 5)),
        b'{"type":"stored","epoch":"EPOCH","seq":-5}',
        b'{"type":"stored","epoch":"EPOCH","seq":0}',
        b'{"type":"stored","epoch":"EPOCH","seq":99999999999999999999999999}',
        b'{"type":"stored","epoch":"EPOCH","seq":"3"}',
        b"x" * (LARGEST_BYTES + 1),
    ],
    ids=lambda data: repr(data[:60]),
)
def test_a_mark_that_makes_no_sense_does_nothing(
    payload: bytes, broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    fill(spool, 10)
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) == 10)
    listener.give(payload.replace(b"EPOCH", spool.epoch.encode()))
    listener.give(mark(spool, 2))  # heard after it, so that it has been heard
    wait_until(lambda: spool.unsent < 10)
    assert spool.unsent == 8
    assert courier.connected


def heard_records(listener: Listener) -> list[tuple[str, int, object]]:
    records = [decode_record(data) for delivery in listener.deliveries for data in delivery.records]
    return [(record.epoch, record.seq, record.body) for record in records]


def test_what_former_runs_left_comes_first_each_run_by_itself(
    broker: Broker, listen: Listen, courier_to: Start, tmp_path: Path
) -> None:
    for many in (4, 3):
        spool = begun(tmp_path / "left.sqlite3")
        fill(spool, many)
        spool.close()
    spool = begun(tmp_path / "left.sqlite3")
    fill(spool, 2)
    listener = listen(broker)
    courier = courier_to(broker.port, of=spool)
    wait_until(lambda: len(listener.seqs) == 9)
    assert [len(delivery.records) for delivery in listener.deliveries] == [4, 3, 2]
    records = heard_records(listener)
    epochs = list(dict.fromkeys(epoch for epoch, _, _ in records))
    assert [(epochs.index(epoch), seq) for epoch, seq, _ in records] == [
        *((0, seq) for seq in range(1, 5)),
        *((1, seq) for seq in range(1, 4)),
        *((2, seq) for seq in range(1, 3)),
    ]
    for epoch, stored, left in ((epochs[1], 3, 6), (epochs[0], 3, 3), (epochs[0], 4, 2), (epochs[2], 2, 0)):
        listener.give(encode(Stored(epoch, stored)))
        wait_until(lambda left=left: spool.unsent == left)
    courier.stop()
    spool.close()


def test_what_was_dropped_travels_as_a_gap_with_the_records_behind_it(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RECORDS_AT_MOST", 50), ("COUNTED_EVERY", 1), ("SLICE", 10), ("KEPT_NEWEST", 0)):
        monkeypatch.setattr(spool_module, name, value)
    fill(spool, 10)
    last = spool.head()
    fill(spool, 50)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) == 50)
    assert listener.seqs == list(range(11, 61))
    origin = chain.link(chain.origin(STATION, spool.epoch))
    assert listener.deliveries[0].gaps == (Gap(1, 10, origin, chain.text(last.chain)),)
    fill(spool, 1)
    listener.give(mark(spool, 60))
    wait_until(lambda: (seqs(spool), gaps(spool)) == ([61], []))


def test_what_the_centre_does_not_confirm_is_sent_again(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESEND_S", 0.3)
    fill(spool, 3)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) >= 6)
    assert listener.seqs[:6] == [1, 2, 3, 1, 2, 3]


def test_everything_arrives_though_the_broker_is_killed_again_and_again(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    for _ in range(3):
        fill(spool, 200)
        courier.poke()
        known = len(set(listener.seqs))
        wait_until(lambda known=known: len(set(listener.seqs)) > known, patience_s=60)
        broker.kill()
        fill(spool, 50)
        courier.poke()
        broker.start()
    wait_until(lambda: len(set(listener.seqs)) == 750, patience_s=60)
    firsts = list(dict.fromkeys(listener.seqs))
    assert firsts == list(range(1, 751))


def test_when_traffic_moves_a_new_session_is_opened_at_once(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: bool(listener.states))
    fill(spool, 1)
    courier.move()
    wait_until(lambda: len({state.session for state in listener.states if state.online}) == 2, patience_s=20)
    wait_until(lambda: 1 in listener.seqs)


def test_the_will_speaks_when_the_connection_breaks_and_names_the_session(broker: Broker, listen: Listen) -> None:
    """The agent is killed: nobody says goodbye, so the broker does."""
    listener = listen(broker)
    program = f"""
import sys
from pathlib import Path
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge.broker import BACKLOG_BYTES_PER_S, Courier
from agent.edge.spool import Spool
from tests.edge.records import STAMP
uplinks = (Uplink("fibre", "eth0", Kind.FIBRE),)
station = Station("{STATION}", uplinks, ("198.51.100.1",), Centre("mqtt://127.0.0.1:{broker.port}"))
Courier(station, Spool(Path(sys.argv[1]), station.station, "killed"), "0.1.0", lambda: STAMP, print).start()
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(broker.folder / "other.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as agent:
        wait_until(lambda: bool(listener.states))
        agent.kill()
    wait_until(lambda: len(listener.states) == 2)
    birth, will = listener.states
    assert (birth.online, will.online) == (True, False)
    assert birth.session == will.session


def test_an_agent_that_stops_says_goodbye_itself(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: courier.connected)
    fill(spool, 1)
    courier.stop()
    wait_until(lambda: [state.online for state in listener.states] == [True, False])
    assert listener.seqs == [1]


def test_without_a_broker_the_courier_goes_on_trying_and_stops_when_told(courier_to: Start, tmp_path: Path) -> None:
    late = Broker(tmp_path)
    courier = courier_to(late.port)
    assert not courier.connected
    late.start()
    try:
        wait_until(lambda: courier.connected)
    finally:
        late.kill()


@pytest.mark.parametrize("largest", [largest_summary, largest_fact], ids=["summaries", "facts"])
def test_no_delivery_is_larger_than_a_message_may_be(
    largest: Callable[[], Fact | Summary], broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    for _ in range(150):
        spool.put(largest(), STAMP)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.seqs) >= 150)
    sizes = [len(unpack(data, LARGEST_BYTES)) for _, data, _ in listener.heard]
    assert max(sizes) <= LARGEST_BYTES
    assert listener.seqs == list(range(1, 151))
    assert max(sizes) > LARGEST_BYTES / 4  # and no smaller than it need be


def test_the_largest_state_and_the_largest_record_fit_into_a_message() -> None:
    uplink = UplinkState(LONGEST_NAME, "wwan-with-15-by", "fibre", Health.UNKNOWN, 1e9, True, "ü" * 64, 123456.789, 0.1)
    names = Active(LONGEST_NAME, LONGEST_NAME)
    state = State(STATION, "5f0c3a9be211-1000000", True, "10.10.10", STAMP, names, (uplink,) * 16)
    assert len(encode(state)) < LARGEST_BYTES / 4
    for body in (largest_summary(), largest_fact()):
        line = Numbering.begin(STATION, "0a1b2c3d4e5f6071", 2**53).record(body, STAMP)
        gap = Gap(2**53, 2**53, "l" * 12, "c" * 44)
        assert len(encode(Delivery(STATION, 2**53, (msgspec.Raw(line.data),), (gap,)))) < LARGEST_BYTES / 4
