"""The spool on a real database: nothing committed is lost, numbering goes on, what is full or broken is survived."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.core.report import Line
from agent.edge import spool as module
from agent.edge.spool import Dropped, Spool
from tests.edge.records import STAMP, begun, fact, fill, lines, seqs, waiting
from wire.messages import Active, Fact, Gap, Stamp, Summary, decode_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite3"


def filled(path: Path, count: int) -> Spool:
    spool = begun(path)
    fill(spool, count)
    return spool


def test_records_are_handed_out_as_they_were_put_oldest_first(path: Path) -> None:
    spool = filled(path, 5)
    load = spool.after(0, 2)
    assert load is not None
    load = spool.after(load.place(2), 2)
    assert load is not None
    handed = [decode_record(line.data) for line in load.found if isinstance(line, Line)]
    assert [(record.epoch, record.seq, record.body) for record in handed] == [
        (spool.epoch, 3, fact(3)),
        (spool.epoch, 4, fact(4)),
    ]
    assert seqs(spool) == [1, 2, 3, 4, 5]
    assert spool.after(load.place(5), 10) is None
    spool.close()


def test_an_empty_spool_begins_at_one(path: Path) -> None:
    spool = begun(path)
    assert (spool.head().seq, spool.oldest(), spool.unsent, spool.after(0, 10)) == (0, None, 0, None)
    spool.close()


def test_what_the_centre_has_stored_is_forgotten_and_nothing_else(path: Path) -> None:
    spool = filled(path, 5)
    assert spool.forget(spool.epoch, 3)
    assert not spool.forget(spool.epoch, 3), "that is no news"
    assert not spool.forget("another", 5)
    assert seqs(spool) == [4, 5]
    load = spool.after(0, 10)
    assert load is not None
    assert (load.oldest, load.below, spool.unsent) == (4, [], 2)
    spool.close()


def test_a_mark_beyond_the_last_record_is_not_believed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = filled(path, 5)
    assert not spool.forget(spool.epoch, 6)
    assert seqs(spool) == [1, 2, 3, 4, 5]
    assert "the centre confirms record 6, and 5 was the last" in caplog.text
    spool.close()


def test_each_run_numbers_its_own_epoch_and_hands_out_what_former_ones_left(path: Path) -> None:
    first = filled(path, 5)
    first.forget(first.epoch, 2)
    first.close()
    second = filled(path, 3)
    second.close()
    third = filled(path, 1)
    handed = [decode_record(line.data) for line in lines(third)]
    assert [(record.epoch, record.seq) for record in handed] == [
        *((first.epoch, seq) for seq in (3, 4, 5)),
        *((second.epoch, seq) for seq in (1, 2, 3)),
        (third.epoch, 1),
    ]
    assert third.forget(first.epoch, 4)
    assert third.forget(second.epoch, 3)
    assert [decode_record(line.data).epoch for line in lines(third)] == [first.epoch, third.epoch]
    third.close()


def test_a_load_is_of_one_epoch_and_says_what_of_it_will_never_come(path: Path) -> None:
    for _ in range(3):
        spool = filled(path, 4)
        spool.forget(spool.epoch, 2)
        spool.close()
    spool = begun(path)
    places, behind = [], 0
    while (load := spool.after(behind, 10)) is not None:
        assert (load.oldest, [each.seq for each in load.found if isinstance(each, Line)]) == (3, [3, 4])
        behind = load.place(4)
        places.append(behind)
    assert places == sorted(places) and len(places) == 3
    spool.close()


def test_runs_of_which_the_centre_has_everything_leave_nothing_behind(path: Path) -> None:
    for _ in range(5):
        spool = filled(path, 4)
        spool.forget(spool.epoch, 4)
        spool.close()
    spool = filled(path, 1)
    assert spool._number("SELECT count(*) FROM epoch") == 2, "this one and the one before"
    spool.close()


def test_a_kill_loses_no_record_that_was_handed_out(path: Path) -> None:
    writer = """
import sys
from pathlib import Path
from agent.edge.spool import Spool
from tests.edge.records import STAMP, fact
spool = Spool(Path(sys.argv[1]), "6408042001143", "killed")
place = 0
for seq in range(1, 1_000_000):
    spool.put(fact(seq), STAMP)
    load = spool.after(place, 1)
    place = load.place(load.found[0].seq)
    print(load.found[0].seq, flush=True)
"""
    command = [sys.executable, "-c", writer, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.stdout if line.endswith(b"\n")]
    spool = begun(path)
    assert spool.set_aside is None
    found = seqs(spool)
    assert found[-1] >= seen[-1] == len(seen)
    assert found == list(range(1, found[-1] + 1))
    spool.close()


def test_each_record_is_on_the_card_before_it_is_handed_out(path: Path) -> None:
    """A power cut may take what was not synced; the next run would then not know of what the centre has."""
    spool = begun(path)
    full = 2
    assert spool._database.execute("PRAGMA synchronous").fetchone() == (full,)
    spool.close()


@pytest.mark.parametrize("damage", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_a_new_epoch_begins(path: Path, damage: bytes) -> None:
    first = filled(path, 3)
    first.close()
    path.write_bytes(damage)
    spool = begun(path)
    assert spool.set_aside == path.with_name("spool.sqlite3.damaged-1")
    assert spool.set_aside.read_bytes() == damage
    spool.put(fact(1), STAMP)
    (line,) = lines(spool)
    assert decode_record(line.data).former is None, f"nothing of {first.epoch} can be read any more"
    spool.close()


def test_a_file_damaged_in_the_middle_is_set_aside_too(path: Path) -> None:
    filled(path, 2000).close()
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data) - 4096, 4096):
        data[at : at + 200] = b"\xa5" * 200
    path.write_bytes(data)
    spool = begun(path)
    assert spool.set_aside is not None
    spool.close()


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(b"nonsense" * 1000)
        spool = begun(path)
        assert spool.set_aside == path.with_name(f"spool.sqlite3.damaged-{number}")
        spool.close()


def test_a_record_that_cannot_be_read_is_passed_over(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = filled(path, 5)
    spool.close()
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE record SET data = ? WHERE place & 255 IN (2, 3)", (b'{"of":"a newer agent"}',))
    database.close()
    again = begun(path)
    assert seqs(again) == [1, 4, 5]
    assert [type(each) for each in waiting(again)] == [Line, Gap, Gap, Line, Line]
    assert "record 2 in the spool cannot be read and is left out" in caplog.text
    again.close()


def test_a_directory_that_cannot_be_written_is_the_operators_to_hear_of(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        begun(tmp_path / "nowhere" / "spool.sqlite3")


def test_a_full_card_loses_nothing_and_its_records_are_written_in_order_later(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = filled(path, 3)
    pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
    spool._database.execute(f"PRAGMA max_page_count = {pages}")
    large = {"what": "x" * 3000}
    for seq in range(4, 14):
        spool.put(fact(seq, evidence=large), STAMP)
    held = spool.unsent - len(seqs(spool))
    assert held > 0
    assert caplog.text.count("holding records in memory") == 1
    assert seqs(spool) == list(range(1, 14 - held))
    spool._database.execute("PRAGMA max_page_count = 100000")
    spool.put(fact(14), STAMP)
    assert seqs(spool) == list(range(1, 15))
    assert spool.unsent == 14
    spool.close()


def test_a_card_that_takes_nothing_keeps_what_the_centre_stored_until_it_does(path: Path) -> None:
    spool = filled(path, 3)
    spool._database.execute("PRAGMA query_only = 1")
    assert not spool.forget(spool.epoch, 2)
    assert seqs(spool) == [1, 2, 3]
    spool._database.execute("PRAGMA query_only = 0")
    assert spool.forget(spool.epoch, 2)
    assert seqs(spool) == [3]
    spool.close()


def test_what_is_held_in_memory_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_AT_MOST", 5)
    spool = filled(path, 1)
    spool._database.execute("PRAGMA query_only = 1")
    for seq in range(2, 20):
        spool.put(fact(seq), STAMP)
    assert spool.unsent == 1 + 5
    spool._database.execute("PRAGMA query_only = 0")
    spool.put(fact(20), STAMP)
    assert seqs(spool) == [1, 16, 17, 18, 19, 20]
    spool.close()


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for fifty records, all of which may go."""
    for name, value in (("RECORDS_AT_MOST", 50), ("COUNTED_EVERY", 1), ("SLICE", 10), ("KEPT_NEWEST", 0)):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("tight")
def test_a_full_spool_of_switches_drops_its_oldest_and_says_which(path: Path) -> None:
    spool = filled(path, 50)
    dropped = [spool.put(fact(n), STAMP) for n in range(51, 56)]
    assert [each for each in dropped if each] == [Dropped(1, 10, 10, 0)]
    assert seqs(spool) == list(range(11, 56))
    spool.close()


@pytest.mark.usefixtures("tight")
def test_in_a_full_spool_minutes_become_coarser_before_anything_is_lost(path: Path) -> None:
    spool = begun(path)
    for n in range(1, 200):
        body: Fact | Summary = fact(n) if n % 20 == 0 else Summary(60.0, Active("fibre"), ())
        spool.put(body, Stamp("boot", 60.0 * n, 0.0, False))
    left = [decode_record(each.data) for each in lines(spool)]
    facts = [each for each in left if isinstance(each.body, Fact)]
    spans = [each.body.span_s for each in left if isinstance(each.body, Summary)]
    assert [each.stamp.uptime_s for each in facts] == [1200.0 * n for n in range(1, 10)]
    assert max(spans) > 300.0
    assert sum(spans) == 60.0 * (199 - len(facts)), "no minute is lost, and none is counted twice"
    assert len(left) <= 60
    spool.close()


@pytest.mark.usefixtures("tight")
def test_the_newest_minutes_stay_as_they_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_NEWEST", 30)
    spool = begun(path)
    for n in range(1, 200):
        spool.put(Summary(60.0, Active("fibre"), ()), Stamp("boot", 60.0 * n, 0.0, False))
        left = [decode_record(each.data) for each in lines(spool)]
        minutes = [each.stamp.uptime_s for each in left if isinstance(each.body, Summary) and each.body.span_s == 60.0]
        assert minutes[-10:] == [60.0 * each for each in range(max(1, n - 9), n + 1)]
    spool.close()


@pytest.mark.usefixtures("tight")
def test_when_the_card_fails_while_room_is_made_nothing_is_numbered_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = begun(path)
    minute = Summary(60.0, Active("fibre"), ())
    for n in range(1, 51):
        spool.put(minute, Stamp("boot", 60.0 * n, 0.0, False))

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as failing:
        insert = spool._insert
        failing.setattr(spool, "_insert", lambda lines: insert(lines) if len(lines) == 1 else fail(lines))
        assert spool.put(minute, Stamp("boot", 60.0 * 51, 0.0, False)) is None
    assert seqs(spool)[-1] == spool.head().seq == 51
    assert spool.put(minute, Stamp("boot", 60.0 * 52, 0.0, False)) is not None
    held = seqs(spool)
    assert len(held) == len(set(held)) and held[-1] == spool.head().seq
    spool.close()


def test_two_threads_may_put_and_forget_at_once(path: Path) -> None:
    spool = begun(path)

    def forget() -> None:
        while spool.head().seq < 300 or spool.unsent:  # in this order, or the last may come in between
            if (load := spool.after(0, 20)) is not None:
                last = load.found[-1]
                assert isinstance(last, Line)
                spool.forget(spool.epoch, last.seq)

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    for seq in range(1, 301):
        spool.put(fact(seq), STAMP)
    forgetting.join(30)
    assert (spool.unsent, spool.head().seq, spool.forget(spool.epoch, 300)) == (0, 300, False)
    spool.close()
