"""The store by itself, and the collector when the store has trouble."""

import threading
import zlib
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from central.core.intake import opened
from central.edge.broker import Broker, find_program
from tests.central.centre import eventually, free_port
from tests.central.station import Station, delivery, fact, state, summary
from wire.messages import Delivery, State, Stored

NOW_S = 1_800_000_000.0


@pytest.fixture
def number(request: pytest.FixtureRequest) -> str:
    """A station of this test alone."""
    return f"6408{zlib.crc32(request.node.name.encode()) % 10**9:09d}"


def arrivals(store, *messages: State | Delivery) -> list:
    judged = [opened(message) if isinstance(message, Delivery) else message for message in messages]
    return [store.Arrival(message, is_retained=False) for message in judged]


def kept(store, batch: list) -> dict[str, list[tuple[str, int]]]:
    """The marks, without what they say of the record."""
    marks = store.keep(batch, NOW_S)
    return {number: [(mark.epoch, mark.seq) for mark in of_station] for number, of_station in marks.items()}


def test_doubled_records_are_absorbed_and_still_answered(store, number: str) -> None:
    said = delivery([fact(1), fact(2)], station=number)
    assert kept(store, arrivals(store, said, said)) == {number: [("epoch-1", 2)]}
    assert kept(store, arrivals(store, said)) == {number: [("epoch-1", 2)]}
    assert store.holdings(number) == [{"epoch": "epoch-1", "stored": 2, "first": 1, "count": 2, "out_of_order": 0}]


def test_the_first_copy_of_a_record_stays(store, number: str) -> None:
    store.keep(arrivals(store, delivery([fact(1, "UPLINK_DEAD")], station=number)), NOW_S)
    store.keep(arrivals(store, delivery([fact(1, "UPLINK_UP")], station=number)), NOW_S)
    assert [record.code for record in store.latest(store.station(number), 10)] == ["UPLINK_DEAD"]


def test_what_will_never_come_is_not_waited_for(store, number: str) -> None:
    marks = kept(store, arrivals(store, delivery([fact(50)], oldest=49, station=number)))
    assert marks == {number: [("epoch-1", 48)]}
    marks = kept(store, arrivals(store, delivery([summary(49)], oldest=40, station=number)))
    assert marks == {number: [("epoch-1", 50)]}


@given(order=st.permutations(range(1, 13)), sizes=st.lists(st.integers(1, 4), min_size=12, max_size=12))
@settings_of_hypothesis(max_examples=25, deadline=None)
def test_however_the_records_come_the_mark_is_what_the_rule_says(store, order: list[int], sizes: list[int]) -> None:
    number = next(numbers)
    stored: set[int] = set()
    while order:
        now, order = order[: sizes[0]], order[sizes[0] :]
        sizes = sizes[1:]
        stored |= set(now)
        marks = kept(store, arrivals(store, delivery([summary(seq) for seq in now], station=number)))
        expected = next(n for n in range(13) if n + 1 not in stored)
        assert marks == {number: [("epoch-1", expected)]}


numbers = (f"6409{n:09d}" for n in count())


def test_epochs_are_counted_apart(store, number: str) -> None:
    first, second = (delivery([fact(1, epoch=epoch)], station=number) for epoch in ("a", "b"))
    assert kept(store, arrivals(store, first, second)) == {number: [("a", 1), ("b", 1)]}
    assert [record.epoch for record in store.latest(store.station(number), 10)] == ["b", "a"]


def test_a_batch_is_stored_whole_or_not_at_all(store, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_views: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_keep_views", fail)
        with pytest.raises(RuntimeError):
            store.keep(arrivals(store, state(number), delivery([fact(1)], station=number)), NOW_S)
    assert store.holdings(number) == []
    assert store.station(number) is None


def test_a_view_survives_the_store_unchanged(store, number: str) -> None:
    store.keep(arrivals(store, state(number), delivery([fact(1), summary(2)], station=number)), NOW_S)
    view = store.station(number)
    assert (view.state, view.heard_s, view.news[0].fact) == (state(number), NOW_S, fact(1).body)
    assert view in store.fleet()


def test_nothing_is_acknowledged_while_the_database_takes_nothing(store, number: str, tmp_path: Path) -> None:
    from django.db.utils import OperationalError

    from central.edge.collector import Collector

    tried, works = [0], threading.Event()

    def keep(batch: Sequence[object], now_s: float) -> dict[str, list[Stored]]:
        tried[0] += 1
        if not works.is_set():
            raise OperationalError("disk full")
        return store.keep(batch, now_s)

    port = free_port()
    broker = Broker(find_program(None), tmp_path, "127.0.0.1", port)
    broker.prepare()
    broker.start()
    broker.wait_until_ready()
    collector = Collector("127.0.0.1", port, keep=keep)
    collector.start()
    collector.wait_until_ready()
    station = Station(port, number)
    try:
        station.tell(delivery([fact(1)], station=number))
        eventually(lambda: tried[0] >= 2)
        assert station.marks == []
        assert collector.is_alive()
        works.set()
        eventually(lambda: station.mark() == 1)
    finally:
        station.leave()
        collector.stop()
        broker.stop()


@pytest.mark.usefixtures("store")
def test_at_most_one_complaint_per_kind_and_minute() -> None:
    from central.edge.collector import Complaints

    complaints = Complaints()
    assert [complaints.due("topic", now_s) for now_s in (0, 1, 2, 59)] == [1, 0, 0, 0]
    assert complaints.due("size", 3) == 1
    assert complaints.due("topic", 61) == 4


def test_a_dead_part_is_started_again_with_growing_patience() -> None:
    from central.daemon import Care

    class Frail:
        name = "frail"
        starts = 0

        def start(self) -> None:
            self.starts += 1

        def wait_until_ready(self) -> None: ...

        def is_alive(self) -> bool:
            return False

        def stop(self) -> None: ...

    frail = Frail()
    care = Care(frail)
    started_at = []
    for tenth in range(600):
        before = frail.starts
        care.look(tenth / 10)
        if frail.starts > before:
            started_at.append(tenth / 10)
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(started_at)]
    assert gaps[:4] == sorted(gaps[:4])
    assert 9 <= gaps[-1] <= 11
