"""The store follows chains as records come: in any order and in any parts, and a broken one is kept and marked."""

import json
import sqlite3
from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from central.core.chain import SAYS, Kind
from central.core.intake import Delivered, Line
from tests.central.centre import Centre, eventually
from tests.central.chained import EPOCH, Device
from tests.central.station import fact
from wire import chain
from wire.messages import BadMessage, Gap, Stored, decode_record, encode

NOW_S = 1_800_000_000.0
numbers = (f"6410{n:09d}" for n in count())


def line(seq: int, data: bytes) -> Line:
    try:
        return Line(seq, data, decode_record(data))
    except BadMessage:
        return Line(seq, data, None)


def bring(store, device: Device, *seqs: int, gaps: tuple[Gap, ...] = (), oldest: int = 1) -> Stored:
    lines = tuple(line(seq, device.made[seq - 1].data) for seq in seqs)
    return bring_lines(store, device, lines, gaps, oldest)


def bring_lines(store, device: Device, lines: tuple[Line, ...], gaps: tuple[Gap, ...] = (), oldest: int = 1) -> Stored:
    arrival = store.Arrival(Delivered(device.station, device.epoch, oldest, lines, gaps), is_retained=False)
    return store.keep([arrival], NOW_S)[device.station][0]


def found(store, device: Device) -> list[tuple[str, int, int]]:
    (proof,) = store.proofs(device.station)
    return sorted((finding.kind, finding.first, finding.last) for finding in proof.findings)


def sealed(store, device: Device) -> int:
    from central.edge.following import trail_of

    (proof,) = store.proofs(device.station)
    return trail_of(proof.mark, proof.mark.stored).sealed


def history() -> Device:
    return Device(next(numbers)).note(3).seal().note(4).seal(behind=1, with_certificate=False).note(2).seal()


def test_what_is_whole_is_proven_and_the_mark_says_which_record_it_means(store) -> None:
    device = history()
    mark = bring(store, device, *range(1, 13))
    assert mark == Stored(EPOCH, 12)
    assert (found(store, device), sealed(store, device)) == ([], 11)


@given(order=st.permutations(range(1, 13)), sizes=st.lists(st.integers(1, 5), min_size=12, max_size=12))
@settings_of_hypothesis(max_examples=40, deadline=None)
def test_in_whatever_order_and_parts_it_comes_the_chain_is_proven(store, order: list[int], sizes: list[int]) -> None:
    device = history()
    while order:
        now, order, sizes = order[: sizes[0]], order[sizes[0] :], sizes[1:]
        bring(store, device, *now)
        bring(store, device, *now[:1])  # and once more
    assert (found(store, device), sealed(store, device)) == ([], 11)


@given(altered=st.integers(1, 11), parts=st.integers(1, 12))
@settings_of_hypothesis(max_examples=30, deadline=None)
def test_an_altered_record_is_stored_and_named_however_the_records_come(store, altered: int, parts: int) -> None:
    device = history()
    data = device.made[altered - 1].data.replace(b"uptime_s", b"uptime_S" if altered % 2 else b"downtime")
    lines = [line(made.seq, data if made.seq == altered else made.data) for made in device.made]
    for begin in range(0, 12, parts):
        mark = bring_lines(store, device, tuple(lines[begin : begin + parts]))
    assert mark.seq == 12, "a broken chain holds up nothing"
    assert ("altered", altered, altered) in found(store, device)
    from central.edge.tables.models import Record

    row = Record.objects.get(station=device.station, seq=altered)
    assert (bytes(row.data), row.kind) == (data, "unread")


def test_what_the_device_dropped_is_passed_and_proven(store) -> None:
    device = history()
    record = decode_record(device.made[5].data)
    gap = Gap(6, 8, record.link, chain.text(device.made[7].chain))
    bring(store, device, 1, 2, 3, 4, 5)
    mark = bring(store, device, 9, 10, 11, 12, gaps=(gap,))
    assert mark.seq == 12
    assert (found(store, device), sealed(store, device)) == ([], 11)
    (proof,) = store.proofs(device.station)
    assert [(gap.first, gap.last) for gap in proof.gaps] == [(6, 8)]


def test_a_gap_that_has_grown_takes_the_place_of_what_it_was(store) -> None:
    device = history()
    link = decode_record(device.made[0].data).link
    bring(store, device, 9, gaps=(Gap(1, 4, link, chain.text(device.made[3].chain)),))
    mark = bring(store, device, 10, 11, 12, gaps=(Gap(1, 8, link, chain.text(device.made[7].chain)),))
    assert (mark.seq, found(store, device), sealed(store, device)) == (12, [], 11)


def test_what_is_missing_without_a_word_is_named(store) -> None:
    device = history()
    bring(store, device, 1, 2, 3, 4, 5)
    assert bring(store, device, 8, 9, 10, 11, 12, oldest=8).seq == 12
    assert found(store, device) == [("changed", 4, 7), ("missing", 6, 7)]


def test_a_record_that_comes_again_as_another_one_is_a_fork_and_the_first_stays(store) -> None:
    device = history()
    bring(store, device, 1, 2, 3)
    other = Device(device.station).note(2)
    other.made[1] = type(other.made[1])(2, other.made[1].data.replace(b"dead", b"poor"), b"")
    assert bring(store, other, 1, 2) == Stored(EPOCH, 3)
    assert found(store, device) == [("forked", 2, 2)]


def told(store, device: Device) -> dict[str, tuple[int, list[str]]]:
    """By epoch: up to which record it is signed for, and what is said to be wrong."""
    return {
        proof.mark.epoch: (proof.sealed, [finding.told_en() for finding in proof.findings])
        for proof in store.proofs(device.station)
    }


def bring_whole(store, *runs: Device) -> None:
    for run in runs:
        bring(store, run, *(made.seq for made in run.made))


def test_what_a_run_left_unsigned_is_signed_for_at_the_beginning_of_the_next_that_signs(store) -> None:
    first = Device(next(numbers)).note(3).seal().note(2)
    second = first.next_run("run-2").note(1)
    third = second.next_run("run-3").note(2)
    bring_whole(store, first, second, third)
    assert told(store, first) == {EPOCH: (3, []), "run-2": (0, []), "run-3": (0, [])}
    third.seal()
    bring(store, third, 3)
    assert told(store, first) == {EPOCH: (6, []), "run-2": (1, []), "run-3": (2, [])}


def test_an_altered_end_of_a_run_is_found_by_what_the_next_run_says_of_it(store) -> None:
    first = Device(next(numbers)).note(3).seal().note(2)
    second = first.next_run("run-2").note(1).seal()
    first.made[5] = type(first.made[5])(6, first.made[5].data.replace(b"dead", b"poor"), b"")
    bring_whole(store, first, second)
    said = "records 4-6: not all of them what the device signed"
    assert told(store, first)[EPOCH] == (6, [said])


def test_a_missing_end_of_a_run_and_one_that_the_next_run_does_not_know_are_named(store) -> None:
    first = Device(next(numbers)).note(3).seal().note(2)
    second = first.next_run("run-2").note(1).seal()
    bring(store, first, 1, 2, 3, 4)
    bring_whole(store, second)
    assert told(store, first)[EPOCH] == (3, ["records 5-6: not there, and the device does not say why"])
    bring_whole(store, first)
    back = second.next_run("run-3", known=1).note(1).seal()
    bring_whole(store, back)
    assert told(store, first)[EPOCH] == (6, [])
    assert told(store, first)["run-2"] == (1, ["record 2: " + SAYS[Kind.FORGOTTEN][1]])


def test_a_seal_by_another_key_is_named(store) -> None:
    device = Device(next(numbers)).note(2)
    device.key = Device().key
    bring(store, device.seal(), 1, 2, 3)
    assert (found(store, device), sealed(store, device)) == ([("false_seal", 3, 3)], 0)


def test_a_store_from_before_the_chain_keeps_its_records_and_follows_from_there(tmp_path: Path) -> None:
    """As an operator would see it: the centre is updated, the station goes on in the same epoch."""
    centre = Centre(tmp_path)
    centre.data.mkdir()
    older(centre.data / "siaga.sqlite3")
    centre.start()
    try:
        _, _, page = centre.get("/stations/6408042001143/")
        assert "UPLINK_DEAD" in page
        assert "Penomoran epoch-1: 2 catatan, belum ada tanda tangan" in page
    finally:
        centre.end()


def older(path: Path) -> None:
    """As the first migration left it, with two records."""
    database = sqlite3.connect(path)
    database.executescript(Path("tests/central/older_store.sql").read_text())
    body = json.dumps(json.loads(encode(fact(1)))["body"])
    with database:
        for seq in (1, 2):
            row = ("6408042001143", "epoch-1", seq, "fact", "UPLINK_DEAD", "fibre", "boot-1", 1.0, 2.0, 0, body, 3.0, 0)
            columns = "station,epoch,seq,kind,code,uplink,boot,uptime_s,wall_s,synced,body,arrived_s,is_late"
            database.execute(f"INSERT INTO record ({columns}) VALUES ({','.join('?' * 13)})", row)
        database.execute("INSERT INTO mark (station,epoch,stored,highest) VALUES ('6408042001143','epoch-1',2,2)")
        view = json.dumps({"station": "6408042001143", "epochs": ["epoch-1"]})
        database.execute("INSERT INTO station VALUES ('6408042001143', '', NULL, NULL, ?)", (view,))
    database.close()


def test_a_broken_chain_is_seen_on_the_stations_page(running: Centre, join) -> None:
    device = Device().note(4)
    station = join(running)
    from tests.central.station import delivery

    said = delivery([])
    altered = device.made[1].data.replace(b"dead", b"poor")
    import msgspec

    raw = tuple(map(msgspec.Raw, (device.made[0].data, altered, device.made[2].data, device.made[3].data)))
    station.tell(msgspec.structs.replace(said, records=raw))
    eventually(lambda: station.mark(EPOCH) == 4)
    _, _, page = running.get(f"/stations/{device.station}/")
    assert "catatan 2: bukan catatan yang mendahului 3" in page
    assert "is not the record that 3 was written behind" in page
