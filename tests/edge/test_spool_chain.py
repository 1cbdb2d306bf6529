"""The chain of the records on the card: whatever happens to the card, it goes on from where it was, and never twice."""

import sqlite3
from pathlib import Path

import pytest

from agent.core.report import Line
from agent.edge import spool as module
from agent.edge.spool import Begun, Spool
from tests.edge.records import STAMP, fact, fill
from wire import chain
from wire.messages import Fact, Gap, Record, Seal, Stored, decode_record, encode

STATION = "6408042001143"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite3"


def follow(spool: Spool, at: bytes | None = None, link: str | None = None) -> bytes:
    """The chain as a reader would compute it from what is handed out; asserts every link."""
    at = chain.origin(STATION, spool.epoch) if at is None else at
    link = chain.link(at) if link is None else link
    for each in spool.after(0, 100_000):
        if isinstance(each, Gap):
            assert link in (None, each.link)
            at, link = chain.binary(each.chain), None
            continue
        digest = chain.digest(each.data)
        assert link in (None, decode_record(each.data).link)
        at, link = chain.advance(at, digest), chain.link(digest)
        assert each.chain == at
    return at


def test_each_record_is_linked_to_the_one_before_and_the_first_to_station_and_epoch(path: Path) -> None:
    spool = Spool(path, STATION)
    fill(spool, 20)
    assert follow(spool) == spool.head().chain
    spool.close()


def test_the_chain_goes_on_after_a_restart_wherever_the_centre_was(path: Path) -> None:
    spool = Spool(path, STATION)
    fill(spool, 4)
    expected = Spool(path.with_name("other"), STATION)
    for stored in (0, 2, 4, 6, 6):
        if stored:
            spool.forget(stored)
        head = spool.head()
        spool.close()
        spool = Spool(path, STATION)
        assert spool.head() == head
        fill(spool, 1)
    spool.close()
    expected.close()


def test_what_is_dropped_leaves_a_gap_that_proves_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RECORDS_AT_MOST", 50), ("COUNTED_EVERY", 1), ("SLICE", 10), ("KEPT_NEWEST", 0)):
        monkeypatch.setattr(module, name, value)
    spool = Spool(path, STATION)
    fill(spool, 95)
    (gap,) = spool.floor()[1]
    assert (gap.first, gap.last, gap.link) == (1, 50, chain.link(chain.origin(STATION, spool.epoch)))
    assert isinstance(spool.after(0, 10)[0], Gap)
    assert follow(spool) == spool.head().chain
    spool.close()


def test_gaps_that_touch_become_one(path: Path) -> None:
    spool = Spool(path, STATION)
    fill(spool, 30)
    whole = follow(spool)
    with spool._database:
        for first, last in ((5, 8), (13, 20), (9, 12), (22, 22)):
            spool._cut(first, last)
    assert [(each.first, each.last) for each in spool.after(0, 100) if isinstance(each, Gap)] == [(5, 20), (22, 22)]
    assert follow(spool) == whole
    spool.forget(22)
    assert (spool.floor(), spool.unsent) == ((23, []), 8)
    spool.close()


def test_what_had_to_go_from_memory_is_a_gap_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_AT_MOST", 5)
    spool = Spool(path, STATION)
    fill(spool, 1)
    spool._database.execute("PRAGMA query_only = 1")
    for seq in range(2, 20):
        spool.put(fact(seq), STAMP)
    spool._database.execute("PRAGMA query_only = 0")
    spool.put(fact(20), STAMP)
    assert [(each.first, each.last) for each in spool.after(0, 100) if isinstance(each, Gap)] == [(2, 15)]
    assert follow(spool) == spool.head().chain
    spool.close()


def test_a_crash_with_records_in_memory_gives_their_numbers_again_and_nobody_ever_saw_them(path: Path) -> None:
    spool = Spool(path, STATION)
    fill(spool, 3)
    head = spool.head()
    spool._database.execute("PRAGMA query_only = 1")
    spool.put(fact(4), STAMP)
    assert [each.seq for each in spool.after(0, 100) if isinstance(each, Line)] == [1, 2, 3]
    spool.close()
    again = Spool(path, STATION)
    assert again.head() == head
    again.close()


def test_a_bit_that_the_card_turned_over_is_a_gap_and_not_another_record(path: Path) -> None:
    spool = Spool(path, STATION)
    fill(spool, 9)
    whole = spool.head().chain
    with spool._database:
        sql = (
            "UPDATE record SET data = CAST(replace(CAST(data AS TEXT), 'dead', 'deaf') AS BLOB) WHERE seq IN (1, 5, 6)"
        )
        spool._database.execute(sql)
    handed = spool.after(0, 100)
    assert [each.first for each in handed if isinstance(each, Gap)] == [1, 5, 6]
    assert isinstance(handed[-1], Line) and handed[-1].chain == whole
    spool.forget(5)
    assert [each.first for each in spool.after(5, 100) if isinstance(each, Gap)] == [6]
    spool.close()


OLDER = """
CREATE TABLE record (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL);
INSERT INTO meta VALUES ('epoch', '0a1b2c3d4e5f6071'), ('stored', 2);
"""


@pytest.mark.parametrize("unsent", [0, 3])
def test_a_spool_from_before_the_chain_is_read_and_a_chain_begins_behind_it(path: Path, unsent: int) -> None:
    database = sqlite3.connect(path)
    database.executescript(OLDER)
    older = [encode(Record("0a1b2c3d4e5f6071", seq, STAMP, Fact("UPLINK_UP"))) for seq in range(3, 3 + unsent)]
    with database:
        database.executemany("INSERT INTO record VALUES (?, ?)", enumerate(older, 3))
    database.close()
    spool = Spool(path, STATION)
    assert (spool.set_aside, spool.epoch, spool.last_seq) == (None, "0a1b2c3d4e5f6071", 2 + unsent)
    fill(spool, 2)
    handed = spool.after(0, 10)
    assert [line.data for line in handed[:-2] if isinstance(line, Line)] == older
    data = [line.data for line in handed[-2:] if isinstance(line, Line)]
    first, second = map(decode_record, data)
    assert (first.seq, first.link) == (3 + unsent, chain.link(chain.origin(STATION, spool.epoch)))
    assert second.link == chain.link(chain.digest(data[0]))
    spool.close()
    Spool(path, STATION).close()


def parted(path: Path) -> tuple[Spool, Spool]:
    """A card that went on, and a copy of it from before, started again."""
    spool = Spool(path, STATION)
    fill(spool, 6)
    spool.forget(3)
    spool._database.execute("VACUUM INTO ?", (str(path.with_name("copy")),))
    fill(spool, 10)
    return spool, Spool(path.with_name("copy"), STATION)


def stored_in(spool: Spool, seq: int) -> Stored:
    line = next(each for each in spool.after(0, 100) if isinstance(each, Line) and each.seq == seq)
    return Stored(spool.epoch, seq, chain.link(chain.digest(line.data)))


def test_a_copy_of_the_card_finds_out_whatever_the_centre_has_stored(path: Path) -> None:
    spool, copy = parted(path)
    for seq in (4, 5, 6):
        assert not copy.contradicts(stored_in(spool, seq))
    for seq in (7, 12, 16):
        assert copy.contradicts(stored_in(spool, seq))
    copy.put(fact(70), STAMP)
    assert copy.contradicts(stored_in(spool, 7)), "record 7 of the copy is another one"
    assert not copy.contradicts(Stored(spool.epoch, 7)), "an older centre does not say which"
    assert not copy.contradicts(stored_in(spool, 6))
    spool.close()
    copy.close()


def test_of_a_copy_only_what_is_new_is_numbered_anew_however_often_it_was_started(path: Path) -> None:
    spool, copy = parted(path)
    for number in (70, 71, 72):
        copy.put(fact(number), STAMP)
        copy.put(Seal(6, "c", "s", "k"), STAMP)
        copy.close()
        copy = Spool(path.with_name("copy"), STATION)
    former = copy.epoch
    assert copy.begin_epoch(16) == Begun(former, 3)
    assert [decode_record(line.data).body for line in copy.after(0, 10) if isinstance(line, Line)] == [
        fact(70),
        fact(71),
        fact(72),
    ]
    assert follow(copy) == copy.head().chain
    assert (copy.stored, copy.floor(), copy.last_seq) == (0, (1, []), 3)
    copy.put(Seal(6, "c", "s", "k"), STAMP, former)
    assert copy.last_seq == 3, "a seal of the former epoch says nothing in this one"
    copy.close()
    again = Spool(path.with_name("copy"), STATION)
    assert (again.epoch, again.last_seq) == (copy.epoch, 3)
    spool.close()
    again.close()


def test_a_card_that_takes_nothing_begins_its_new_epoch_later(path: Path) -> None:
    spool, copy = parted(path)
    copy._database.execute("PRAGMA query_only = 1")
    assert copy.begin_epoch(16) is None
    assert copy.epoch == spool.epoch
    copy._database.execute("PRAGMA query_only = 0")
    assert copy.begin_epoch(16) is not None
    spool.close()
    copy.close()
