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
from tests.edge.records import STAMP, fact, fill
from wire.messages import Active, Fact, Gap, Stamp, Summary, decode_record

STATION = "6408042001143"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite3"


def filled(path: Path, count: int) -> Spool:
    spool = Spool(path, STATION)
    fill(spool, count)
    return spool


def seqs(spool: Spool, after: int = 0, limit: int = 10_000) -> list[int]:
    return [each.seq for each in spool.after(after, limit) if isinstance(each, Line)]


def test_records_are_handed_out_as_they_were_put_oldest_first(path: Path) -> None:
    spool = filled(path, 5)
    handed = [decode_record(line.data) for line in spool.after(2, 2)]
    assert [(record.epoch, record.seq, record.body) for record in handed] == [
        (spool.epoch, 3, fact(3)),
        (spool.epoch, 4, fact(4)),
    ]
    assert seqs(spool) == [1, 2, 3, 4, 5]
    assert spool.after(5, 10) == []
    spool.close()


def test_an_empty_spool_begins_at_one(path: Path) -> None:
    spool = Spool(path, STATION)
    assert (spool.last_seq, spool.floor()[0], spool.unsent, spool.stored) == (0, 1, 0, 0)
    assert len(spool.epoch) == 16
    spool.close()


def test_what_the_centre_has_stored_is_forgotten_and_nothing_else(path: Path) -> None:
    spool = filled(path, 5)
    spool.forget(3)
    assert seqs(spool) == [4, 5]
    assert (spool.floor()[0], spool.stored, spool.unsent, spool.last_seq) == (4, 3, 2, 5)
    spool.close()


def test_numbering_and_epoch_go_on_after_a_restart(path: Path) -> None:
    spool = filled(path, 5)
    spool.forget(2)
    epoch = spool.epoch
    spool.close()
    again = Spool(path, STATION)
    assert (again.epoch, again.last_seq, again.stored, again.floor()[0]) == (epoch, 5, 2, 3)
    again.close()


def test_numbering_goes_on_even_when_everything_was_stored(path: Path) -> None:
    spool = filled(path, 5)
    spool.forget(5)
    spool.close()
    again = Spool(path, STATION)
    assert (again.last_seq, again.floor()[0], again.unsent) == (5, 6, 0)
    again.close()


def test_a_kill_loses_no_record_that_was_handed_out(path: Path) -> None:
    writer = """
import sys
from pathlib import Path
from agent.edge.spool import Spool
from tests.edge.records import STAMP, fact
spool = Spool(Path(sys.argv[1]), "6408042001143")
for seq in range(1, 1_000_000):
    spool.put(fact(seq), STAMP)
    print(spool.after(seq - 1, 1)[0].seq, flush=True)
"""
    command = [sys.executable, "-c", writer, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.stdout if line.endswith(b"\n")]
    spool = Spool(path, STATION)
    assert spool.set_aside is None
    assert spool.last_seq >= seen[-1] == len(seen)
    assert seqs(spool, limit=1_000_000) == list(range(1, spool.last_seq + 1))
    spool.close()


def test_each_record_is_on_the_card_before_it_is_handed_out(path: Path) -> None:
    """A power cut may take what was not synced; its number would then be given to another record."""
    spool = Spool(path, STATION)
    full = 2
    assert spool._database.execute("PRAGMA synchronous").fetchone() == (full,)
    spool.close()


@pytest.mark.parametrize("damage", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_a_new_epoch_begins(path: Path, damage: bytes) -> None:
    first = filled(path, 3)
    first.close()
    path.write_bytes(damage)
    spool = Spool(path, STATION)
    assert spool.set_aside == path.with_name("spool.sqlite3.damaged-1")
    assert spool.set_aside.read_bytes() == damage
    assert spool.epoch != first.epoch
    assert spool.last_seq == 0
    spool.put(fact(1), STAMP)
    assert seqs(spool) == [1]
    spool.close()


def test_a_file_damaged_in_the_middle_is_set_aside_too(path: Path) -> None:
    filled(path, 2000).close()
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data) - 4096, 4096):
        data[at : at + 200] = b"\xa5" * 200
    path.write_bytes(data)
    spool = Spool(path, STATION)
    assert spool.set_aside is not None
    spool.close()


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(b"nonsense" * 1000)
        spool = Spool(path, STATION)
        assert spool.set_aside == path.with_name(f"spool.sqlite3.damaged-{number}")
        spool.close()


def test_a_record_that_cannot_be_read_is_passed_over(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = filled(path, 5)
    spool.close()
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE record SET data = ? WHERE seq IN (2, 3)", (b'{"of":"a newer agent"}',))
    database.close()
    again = Spool(path, STATION)
    assert seqs(again) == [1, 4, 5]
    assert [type(each) for each in again.after(0, 10)] == [Line, Gap, Gap, Line, Line]
    assert "record 2 in the spool cannot be read and is left out" in caplog.text
    again.close()


def test_a_directory_that_cannot_be_written_is_the_operators_to_hear_of(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Spool(tmp_path / "nowhere" / "spool.sqlite3", STATION)


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
    spool.forget(2)
    assert (spool.stored, seqs(spool)) == (0, [1, 2, 3])
    spool._database.execute("PRAGMA query_only = 0")
    spool.forget(2)
    assert (spool.stored, seqs(spool)) == (2, [3])
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
    spool = Spool(path, STATION)
    for n in range(1, 200):
        body: Fact | Summary = fact(n) if n % 20 == 0 else Summary(60.0, Active("fibre"), ())
        spool.put(body, Stamp("boot", 60.0 * n, 0.0, False))
    left = [decode_record(each.data) for each in spool.after(0, 1000) if isinstance(each, Line)]
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
    spool = Spool(path, STATION)
    for n in range(1, 200):
        spool.put(Summary(60.0, Active("fibre"), ()), Stamp("boot", 60.0 * n, 0.0, False))
        left = [decode_record(each.data) for each in spool.after(0, 1000) if isinstance(each, Line)]
        minutes = [each.stamp.uptime_s for each in left if isinstance(each.body, Summary) and each.body.span_s == 60.0]
        assert minutes[-10:] == [60.0 * each for each in range(max(1, n - 9), n + 1)]
    spool.close()


@pytest.mark.usefixtures("tight")
def test_when_the_card_fails_while_room_is_made_nothing_is_numbered_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(path, STATION)
    minute = Summary(60.0, Active("fibre"), ())
    for n in range(1, 51):
        spool.put(minute, Stamp("boot", 60.0 * n, 0.0, False))

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as failing:
        insert = spool._insert
        failing.setattr(spool, "_insert", lambda lines: insert(lines) if len(lines) == 1 else fail(lines))
        assert spool.put(minute, Stamp("boot", 60.0 * 51, 0.0, False)) is None
    assert spool.last_seq == spool.head().seq == 51
    assert spool.put(minute, Stamp("boot", 60.0 * 52, 0.0, False)) is not None
    held = seqs(spool)
    assert len(held) == len(set(held)) and held[-1] == spool.head().seq
    spool.close()


def test_two_threads_may_put_and_forget_at_once(path: Path) -> None:
    spool = Spool(path, STATION)

    def forget() -> None:
        while spool.stored < 300:
            if records := spool.after(spool.stored, 20):
                spool.forget(records[-1].seq)

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    for seq in range(1, 301):
        spool.put(fact(seq), STAMP)
    forgetting.join(30)
    assert (spool.stored, spool.unsent, spool.last_seq) == (300, 0, 300)
    spool.close()
