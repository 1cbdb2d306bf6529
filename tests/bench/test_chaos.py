"""The oracle of the chaos run: what it is told, what it then looks for, and that it finds what is wrong."""

import sqlite3
from pathlib import Path
from random import Random

import pytest

from agent.core.report import Numbering
from bench.chaos import faults, oracle
from bench.chaos.oracle import Ledger, Verdict
from wire.messages import Fact, Stamp

STATION = "6408042001001"


def lines(count: int, epoch: str = "e1", boot: str = "b1") -> list[bytes]:
    numbering = Numbering.begin(STATION, epoch)
    return [numbering.record(Fact("UPLINK_UP"), Stamp(boot, float(n), 0.0, False)).data for n in range(count)]


class Scene:
    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger()
        self._centre, self._spool = folder / "centre.sqlite3", folder / "spool.sqlite3"
        with sqlite3.connect(self._centre) as database:
            database.execute("CREATE TABLE record (station, epoch, seq, data)")
            database.execute("CREATE TABLE mark (station, epoch, stored)")
        with sqlite3.connect(self._spool) as database:
            database.execute("CREATE TABLE record (seq, data)")
            database.execute("CREATE TABLE epoch (name, stored)")
        self.know("e1", 0)

    def put(self, *records: bytes) -> None:
        for data in records:
            self.ledger.hear(b"intent " + data)
        self.ledger.hear(b"durable")

    def store(self, *records: bytes, station: str = STATION) -> None:
        with sqlite3.connect(self._centre) as database:
            for each in map(oracle.line_of, records):
                database.execute("INSERT INTO record VALUES (?, ?, ?, ?)", (station, each.epoch, each.seq, each.data))

    def know(self, epoch: str, stored: int) -> None:
        with sqlite3.connect(self._spool) as database:
            database.execute("DELETE FROM epoch")
            database.execute("INSERT INTO epoch VALUES (?, ?)", (epoch.encode(), stored))

    def keep(self, *records: bytes) -> None:
        with sqlite3.connect(self._spool) as database:
            for each in map(oracle.line_of, records):
                database.execute("INSERT INTO record VALUES (?, ?)", (each.seq, each.data))

    def mark(self, epoch: str, stored: int) -> None:
        with sqlite3.connect(self._centre) as database:
            database.execute("INSERT INTO mark VALUES (?, ?, ?)", (STATION, epoch, stored))

    def stored(self) -> list[oracle.Line]:
        return oracle.stored(self._centre)[STATION]

    def judge(self) -> Verdict:
        return oracle.judge({STATION: self.ledger}, self._centre, {STATION: self._spool})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_all_that_was_kept_and_nothing_else_is_good(scene: Scene) -> None:
    scene.put(*lines(3))
    scene.store(*lines(3))
    scene.mark("e1", 3)
    scene.know("e1", 3)
    assert scene.judge() == Verdict(3, 3, 0, 0, [], [], [], [], [])
    assert scene.judge().is_good


def test_a_record_that_was_durable_is_missed(scene: Scene) -> None:
    scene.put(*lines(3))
    scene.store(*lines(3)[:2])
    assert len(scene.judge().missing) == 1
    assert not scene.judge().is_good


def test_what_was_only_intended_is_not_missed_but_may_be_there(scene: Scene) -> None:
    for data in lines(2):
        scene.ledger.hear(b"intent " + data)
    scene.ledger.hear(b"undone")
    assert scene.judge().is_good
    scene.store(*lines(2))
    assert scene.judge().is_good


def test_a_commit_whose_end_nobody_told_counts_when_the_next_run_finds_it(scene: Scene) -> None:
    scene.ledger.hear(b"intent " + lines(1)[0])
    scene.ledger.restart()
    scene.ledger.hear(b"durable")
    assert scene.judge().is_good
    scene.ledger.hear(b"found " + lines(1)[0])
    assert len(scene.judge().missing) == 1


def test_what_a_damaged_card_took_with_it_is_excused_and_what_the_centre_had_is_not(scene: Scene) -> None:
    scene.put(*lines(3))
    scene.store(*lines(3)[:1])
    scene.ledger.excuse(scene.stored())
    assert (scene.judge().excused, scene.judge().is_good) == (2, True)
    scene.put(*lines(2, boot="b2"))
    assert len(scene.judge().missing) == 2


def test_a_number_that_was_given_twice_is_found_by_what_it_says(scene: Scene) -> None:
    scene.put(*lines(3))
    scene.store(*lines(3))
    scene.put(*lines(1, boot="b2"))
    assert scene.judge().missing == [f"{STATION} e1 1 {oracle.line_of(lines(1, boot='b2')[0]).digest}"]


def test_the_same_record_under_the_numbers_of_two_epochs_is_double(scene: Scene) -> None:
    scene.put(*lines(1), *lines(1, epoch="e2"))
    scene.store(*lines(1), *lines(1, epoch="e2"))
    assert len(scene.judge().double) == 2


def test_the_same_number_twice_is_double(scene: Scene) -> None:
    scene.put(*lines(1))
    scene.store(*lines(1), *lines(1))
    assert len(scene.judge().double) == 2


def test_a_record_that_was_numbered_anew_is_looked_for_under_its_new_number(scene: Scene) -> None:
    scene.put(*lines(1))
    scene.put(*lines(1, epoch="e2"))
    scene.store(*lines(1))
    assert len(scene.judge().missing) == 1


def test_other_bytes_under_a_known_number_are_nobodys(scene: Scene) -> None:
    scene.put(*lines(1))
    scene.store(lines(1)[0].replace(b"UPLINK_UP", b"UPLINK_UQ"))
    assert len(scene.judge().foreign) == len(scene.judge().missing) == 1


def test_a_station_that_nobody_runs_is_nobodys(scene: Scene) -> None:
    scene.store(*lines(2), station="6408042001009")
    assert len(scene.judge().foreign) == 2


def test_what_is_still_on_the_card_is_not_lost(scene: Scene) -> None:
    scene.put(*lines(2))
    scene.keep(*lines(2))
    assert (scene.judge().held, scene.judge().is_good) == (2, True)


def test_a_mark_above_all_records_is_wrong_and_so_is_one_that_the_centre_never_gave(scene: Scene) -> None:
    scene.put(*lines(2))
    scene.store(*lines(2))
    scene.mark("e1", 3)
    assert len(scene.judge().marks) == 1
    scene.know("e1", 4)
    assert len(scene.judge().marks) == 2


def test_a_broken_link_is_named(scene: Scene) -> None:
    one, other = lines(3), lines(3, boot="b2")
    scene.put(*one, *other)
    scene.store(one[0], other[1], other[2])
    assert [line.split()[2] for line in scene.judge().links] == ["2"]


def test_a_deck_has_every_kind_and_the_same_order_for_a_seed() -> None:
    assert {kind.name for kind in faults.deck(300, Random(1))} == {kind.name for kind in faults.KINDS}
    assert len(faults.deck(300, Random(1))) == 300
    assert faults.deck(300, Random(1)) == faults.deck(300, Random(1)) != faults.deck(300, Random(2))
