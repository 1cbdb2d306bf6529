"""The chain of the records on the card: whatever happens to the card, it goes on from where it was, and never twice."""

import sqlite3
from pathlib import Path

import pytest

from agent.core.report import Line
from agent.edge import spool as module
from agent.edge.spool import Spool
from tests.edge.records import STAMP, STATION, begun, fact, fill, gaps, lines, seqs, waiting
from wire import chain
from wire.messages import Active, Former, Gap, Record, Stamp, Summary, decode_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite3"


def follow(spool: Spool) -> bytes:
    """The chain of this run as a reader would compute it from what is handed out; asserts every link."""
    at = chain.origin(STATION, spool.epoch)
    link: str | None = chain.link(at)
    for each in waiting(spool):
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
    spool = begun(path)
    fill(spool, 20)
    assert follow(spool) == spool.head().chain
    spool.close()


@pytest.mark.parametrize("stored", [0, 2, 4])
def test_the_first_record_of_a_run_says_where_the_run_before_it_ended(path: Path, stored: int) -> None:
    former = begun(path)
    fill(former, 4)
    head = former.head()
    former.forget(former.epoch, stored)
    former.close()
    spool = begun(path)
    fill(spool, 2)
    said = [record.former for record in map(_decoded, lines(spool)) if record.epoch == spool.epoch]
    assert said == [Former(head.epoch, 4, chain.text(head.chain)), None]
    spool.close()


def test_a_run_that_wrote_nothing_is_no_former(path: Path) -> None:
    former = begun(path)
    fill(former, 1)
    head = former.head()
    former.close()
    begun(path).close()
    spool = begun(path)
    fill(spool, 1)
    assert _decoded(lines(spool)[-1]).former == Former(head.epoch, 1, chain.text(head.chain))
    spool.close()


def test_what_is_dropped_leaves_a_gap_that_proves_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RECORDS_AT_MOST", 50), ("COUNTED_EVERY", 1), ("SLICE", 10), ("KEPT_NEWEST", 0)):
        monkeypatch.setattr(module, name, value)
    spool = begun(path)
    fill(spool, 95)
    load = spool.after(0, 10)
    assert load is not None and load.oldest == 51
    (gap,) = load.below
    assert (gap.first, gap.last, gap.link) == (1, 50, chain.link(chain.origin(STATION, spool.epoch)))
    assert follow(spool) == spool.head().chain
    spool.close()


def test_gaps_that_touch_become_one(path: Path) -> None:
    spool = begun(path)
    fill(spool, 30)
    whole = follow(spool)
    with spool._database:
        for first, last in ((5, 8), (13, 20), (9, 12), (22, 22)):
            spool._cut(1, first, last)
    assert [(each.first, each.last) for each in gaps(spool)] == [(5, 20), (22, 22)]
    assert follow(spool) == whole
    spool.forget(spool.epoch, 22)
    assert (gaps(spool), seqs(spool)) == ([], [*range(23, 31)])
    spool.close()


def test_what_had_to_go_from_memory_is_a_gap_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_AT_MOST", 5)
    spool = begun(path)
    fill(spool, 1)
    spool._database.execute("PRAGMA query_only = 1")
    for seq in range(2, 20):
        spool.put(fact(seq), STAMP)
    spool._database.execute("PRAGMA query_only = 0")
    spool.put(fact(20), STAMP)
    assert [(each.first, each.last) for each in gaps(spool)] == [(2, 15)]
    assert follow(spool) == spool.head().chain
    spool.close()


def test_a_bit_that_the_card_turned_over_is_a_gap_and_not_another_record(path: Path) -> None:
    spool = begun(path)
    fill(spool, 9)
    whole = spool.head().chain
    with spool._database:
        other = "CAST(replace(CAST(data AS TEXT), 'dead', 'deaf') AS BLOB)"
        sql = f"UPDATE record SET data = {other} WHERE place & 255 IN (1, 5, 6)"
        spool._database.execute(sql)
    handed = waiting(spool)
    assert [each.first for each in handed if isinstance(each, Gap)] == [1, 5, 6]
    assert isinstance(handed[-1], Line) and handed[-1].chain == whole
    spool.forget(spool.epoch, 5)
    assert [each.first for each in gaps(spool)] == [6]
    spool.close()


def test_what_is_spoilt_at_the_end_of_a_former_run_holds_up_nothing(path: Path) -> None:
    former = begun(path)
    fill(former, 4)
    former.forget(former.epoch, 2)
    with former._database:
        former._database.execute("UPDATE record SET data = ?", (b"spoilt",))
    former.close()
    spool = begun(path)
    fill(spool, 2)
    assert [_decoded(line).epoch for line in lines(spool)] == [spool.epoch] * 2
    assert spool.unsent == 2
    spool.close()


def test_what_is_spoilt_at_the_end_of_this_run_is_told_with_the_next_record(path: Path) -> None:
    spool = begun(path)
    fill(spool, 3)
    spool.forget(spool.epoch, 2)
    with spool._database:
        spool._database.execute("UPDATE record SET data = ?", (b"spoilt",))
    assert spool.after(0, 10) is None
    fill(spool, 1)
    assert [each.first for each in gaps(spool)] == [3]
    assert seqs(spool) == [4]
    spool.close()


def test_the_last_record_of_a_former_run_stays_to_tell_of_what_was_dropped_before_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RECORDS_AT_MOST", 50), ("COUNTED_EVERY", 1), ("SLICE", 10), ("KEPT_NEWEST", 0)):
        monkeypatch.setattr(module, name, value)
    former = begun(path)
    for n in range(30):
        former.put(Summary(60.0, Active("fibre"), ()), Stamp("boot", 60.0 * n, 0.0, False))
    former.close()
    spool = begun(path)
    for n in range(200):
        spool.put(fact(n, "AGENT_STARTED"), STAMP)
        of_former = [_decoded(line).seq for line in lines(spool) if _decoded(line).epoch == former.epoch]
        assert of_former[-1:] == [30]
        if len(of_former) == 1:
            break
    else:
        pytest.fail("room was made nowhere")
    assert [(each.first, each.last) for each in gaps(spool)][:1] == [(1, 29)]
    spool.close()


def test_a_card_that_fell_back_gives_no_number_again(path: Path) -> None:
    """Its older state is a whole database, so that nothing of it looks wrong."""
    spool = begun(path)
    fill(spool, 6)
    spool.forget(spool.epoch, 3)
    older = path.with_name("older")
    spool._database.execute("VACUUM INTO ?", (str(older),))
    before = lines(spool)
    fill(spool, 10)
    of_both = {line.seq for line in lines(spool)}
    spool.close()
    again = begun(older)
    fill(again, 4)
    handed = lines(again)
    assert handed[:3] == before, "byte for byte: the centre knows them as doubles"
    assert {_decoded(line).epoch for line in handed[3:]} == {again.epoch}
    assert _decoded(handed[3]).former == Former(spool.epoch, 6, chain.text(before[-1].chain))
    assert again.forget(spool.epoch, max(of_both)), "the centre has more of that run than the card"
    assert [_decoded(line).epoch for line in lines(again)] == [again.epoch] * 4
    again.close()


DAMAGES = (
    "UPDATE record SET place = place + (5 << 32)",
    "INSERT INTO epoch VALUES (1 << 40, 'far', 0, '')",
    "DELETE FROM epoch",
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_card_on_which_records_are_of_no_known_run_is_set_aside(path: Path, damage: str) -> None:
    spool = begun(path)
    fill(spool, 3)
    with spool._database:
        spool._database.execute(damage.replace("'far', 0, ''", "x'66', 0, x''"))
    spool.close()
    again = begun(path)
    assert again.set_aside is not None
    again.close()


def test_a_file_of_another_layout_is_set_aside(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE record (seq INTEGER PRIMARY KEY, data BLOB); CREATE TABLE meta (key, value);")
    database.close()
    spool = begun(path)
    assert spool.set_aside is not None
    fill(spool, 1)
    assert seqs(spool) == [1]
    spool.close()


def _decoded(line: Line) -> Record:
    return decode_record(line.data)
