"""Records on the card until the centre says that it has stored them: SQLite, bounded, one commit for each put.

The card is written when something happened, not each time something was measured: about one commit a minute.
A record is numbered, chained and made into bytes once, here, under the lock; after that only the bytes are handled.
Each run of the agent numbers its own epoch and only hands out what former runs have left: no number is ever given
twice, whatever older state the card may have fallen back to.
"""

import logging
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agent.core.report import Line, Numbering
from agent.core.room import STEPS, Room
from agent.edge.spool_file import HELD, SEQ_BITS, SEQ_MASK, move_aside, open_database
from wire import chain
from wire.messages import BadMessage, Fact, Former, Gap, Record, Seal, Stamp, Summary, decode_envelope, decode_record

log = logging.getLogger(__name__)

BYTES_AT_MOST = 24_000_000  # some two weeks of minutes with three uplinks, before anything becomes coarser
RECORDS_AT_MOST = 50_000  # a month of minutes
COUNTED_EVERY = 16  # records; to count them all takes a moment
LOW_WATER = 0.9  # of both, where making room ends
SLICE = 240  # records that are looked at together
SLICES_AT_ONCE = 20  # so that no record waits for a second until it is on the card
KEPT_NEWEST = 1500  # of which nothing goes but at the last step: a day of minutes
HELD_AT_MOST = 2_000  # in memory, while the card takes nothing
R = TypeVar("R", tuple[int, bytes], tuple[int, bytes, bytes])
"""What is read of a record, behind its place."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records of one epoch that no centre will ever see, and how many coarser ones took their place."""

    first: int
    last: int
    records: int
    instead: int


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record that was numbered, and the chain after it."""

    epoch: str
    seq: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """What can be delivered together: records of one epoch, oldest first, and the gaps between them."""

    oldest: int
    """The lowest seq of the epoch that is still held."""
    below: list[Gap]
    """The gaps below that one."""
    found: list[Line | Gap]
    """With one record at least."""
    begin: int
    """The place before the first of the epoch."""

    def place(self, seq: int) -> int:
        """Of a record of this epoch: to be asked for what comes behind it."""
        return self.begin + seq


class Spool:
    """Used by several threads; every call is short. Only committed records are ever handed out.

    A place is a number for epoch and seq together, in which all that is on the card has one order.
    """

    def __init__(self, path: Path, station: str, epoch: str, bytes_at_most: int = BYTES_AT_MOST) -> None:
        """`epoch` is this run's name. Raises OSError or sqlite3.OperationalError when the directory takes no file."""
        self._lock = threading.Lock()
        self._bytes_at_most = bytes_at_most
        self._held: deque[Line] = deque()
        self._lost: Gap | None = None
        """Was held, and had to go before the card took anything."""
        self.set_aside: Path | None = None
        """Where a damaged file was moved to at start."""
        self._crowded = False
        self._step = self._looked_at = 0
        """Of making room: which step, and up to which place it has been."""
        try:
            self._database = open_database(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.set_aside = move_aside(path)
            self._database = open_database(path)
        former = self._number("SELECT max(id) FROM epoch")
        with self._database:
            self._database.execute(f"DELETE FROM epoch WHERE id < ? AND NOT {HELD}", (former,))
            self._database.execute(f"DELETE FROM gap WHERE last >> {SEQ_BITS} NOT IN (SELECT id FROM epoch)")
        self._id = former + 1
        self._origin = chain.origin(station, epoch)
        self._numbering = Numbering.begin(station, epoch, self._former(former) if former else None)

    @property
    def epoch(self) -> str:
        return self._numbering.epoch

    @property
    def unsent(self) -> int:
        with self._lock:
            return self._number("SELECT count(*) FROM record") + len(self._held)

    def head(self) -> Head:
        with self._lock:
            return Head(self._numbering.epoch, self._numbering.last_seq, self._numbering.chain)

    def put(self, body: Fact | Summary | Seal, stamp: Stamp) -> Dropped | None:
        """Keep a record; tells what had to go for it. When the card takes nothing it is held in memory meanwhile."""
        with self._lock:
            self._held.append(self._numbering.record(body, stamp))
            if len(self._held) > HELD_AT_MOST:
                self._lose(self._held.popleft())
            try:
                with self._database:
                    self._insert(self._held)
                    if self._lost is not None:
                        self._insert_gap(self._id, self._lost)
            except sqlite3.Error as why:
                if len(self._held) == 1:
                    log.error("the spool cannot be written (%s); holding records in memory", why)
                return None
            self._held.clear()
            self._lost = None
            return self._make_room()

    def oldest(self) -> int | None:
        """The place of the oldest record on the card."""
        with self._lock:
            return self._number("SELECT min(place) FROM record") or None

    def after(self, place: int, limit: int) -> Load | None:
        """Up to `limit` records behind this place, of the first epoch that has some; None when there is none."""
        with self._lock:
            sql = "SELECT place, data, chain FROM record WHERE place > ? ORDER BY place LIMIT ?"
            while rows := self._database.execute(sql, (place, limit)).fetchall():
                rows = _of_one_epoch(rows)
                load = self._load(place, rows)
                if any(isinstance(each, Line) for each in load.found):
                    return load
                if rows[0][0] >> SEQ_BITS == self._id:
                    return None  # the next record takes these gaps along
                self._give_up(rows[0][0], rows[-1][0])
                place = rows[-1][0]
        return None

    def _load(self, behind: int, rows: list[tuple[int, bytes, bytes]]) -> Load:
        id_ = rows[0][0] >> SEQ_BITS
        name, stored = self._epoch(id_)
        begin = id_ << SEQ_BITS
        oldest = self._number("SELECT min(place) FROM record WHERE place > ?", begin) - begin
        between = self._gaps(id_, max(behind - begin, oldest), rows[-1][0] - begin)
        before = self._chain_at(rows[0][0] - 1)
        found: list[Line | Gap] = []
        held: list[Line | Gap] = [Line(place - begin, data, of) for place, data, of in rows]
        for each in sorted([*held, *between], key=_seq):
            if isinstance(each, Gap):
                found.append(each)
                before = chain.binary(each.chain)
            else:
                found.append(each if _is_whole(each, before, name) else _spoilt(each))
                before = each.chain
        return Load(oldest, self._gaps(id_, stored, oldest), found, begin)

    def _give_up(self, first: int, last: int) -> None:
        """What is spoilt at the end of a former run: no record of it comes any more that could tell."""
        with suppress(sqlite3.Error), self._database:
            self._database.execute("DELETE FROM record WHERE place BETWEEN ? AND ?", (first, last))

    def forget(self, epoch: str, stored: int) -> bool:
        """The centre has stored every record of this epoch up to this one; whether that was news."""
        with self._lock:
            row = self._database.execute("SELECT id, stored FROM epoch WHERE name = ?", (epoch.encode(),)).fetchone()
            if row is None or stored <= row[1]:
                return False
            if row[0] == self._id and stored > self._numbering.last_seq:
                log.error("the centre confirms record %s, and %s was the last", stored, self._numbering.last_seq)
                return False
            begin = row[0] << SEQ_BITS
            try:
                with self._database:
                    news = (stored, self._chain_at(begin + stored), row[0])
                    self._database.execute("UPDATE epoch SET stored = ?, chain = ? WHERE id = ?", news)
                    self._database.execute("DELETE FROM record WHERE place BETWEEN ? AND ?", (begin, begin + stored))
                    self._database.execute("DELETE FROM gap WHERE last BETWEEN ? AND ?", (begin, begin + stored))
            except sqlite3.Error as why:
                log.error("the spool cannot be written (%s); it forgets later", why)
                return False
            return True

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _former(self, id_: int) -> Former:
        """Where the run before this one stands, as the card has it."""
        name, stored = self._epoch(id_)
        begin = id_ << SEQ_BITS
        of_records = self._number("SELECT max(place) FROM record WHERE place > ?", begin)
        last = max(of_records, self._number("SELECT max(last) FROM gap WHERE last > ?", begin), begin + stored)
        return Former(name, last - begin, chain.text(self._chain_at(last)))

    def _epoch(self, id_: int) -> tuple[str, int]:
        """Its name, and up to which record the centre has it."""
        row = self._database.execute("SELECT name, stored FROM epoch WHERE id = ?", (id_,)).fetchone()
        return row[0].decode(errors="replace"), row[1]

    def _chain_at(self, place: int) -> bytes:
        """After this record; empty where it is not known."""
        id_, seq = place >> SEQ_BITS, place & SEQ_MASK
        sql = (
            "SELECT chain FROM record WHERE place = ? UNION ALL SELECT chain FROM gap WHERE last = ? "
            "UNION ALL SELECT chain FROM epoch WHERE id = ? AND stored = ?"
        )
        row = self._database.execute(sql, (place, place, id_, seq)).fetchone()
        return bytes(row[0]) if row else b""

    def _insert(self, lines: "deque[Line] | list[Line]") -> None:
        """The epoch comes to the card with its first record, and so never without one."""
        epoch = (self._id, self.epoch.encode(), self._origin)
        self._database.execute("INSERT OR IGNORE INTO epoch VALUES (?, ?, 0, ?)", epoch)
        rows = [((self._id << SEQ_BITS) + line.seq, line.data, line.chain) for line in lines]
        self._database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", rows)

    def _gaps(self, id_: int, above: int, below: int) -> list[Gap]:
        """Of this epoch, between these two records."""
        begin = id_ << SEQ_BITS
        sql = "SELECT * FROM gap WHERE last > ? AND first < ? ORDER BY first"
        rows = self._database.execute(sql, (begin + above, begin + below))
        return [Gap(first - begin, last - begin, chain.text(link), chain.text(of)) for first, last, link, of in rows]

    def _insert_gap(self, id_: int, gap: Gap) -> None:
        """Gaps that touch become one, which says what the first said of the record before it."""
        begin, link, after = id_ << SEQ_BITS, chain.binary(gap.link), chain.binary(gap.chain)
        first, last = begin + gap.first, begin + gap.last
        if left := self._database.execute("SELECT first, link FROM gap WHERE last = ?", (first - 1,)).fetchone():
            first, link = left
        if right := self._database.execute("SELECT last, chain FROM gap WHERE first = ?", (last + 1,)).fetchone():
            last, after = right
        self._database.execute("DELETE FROM gap WHERE first BETWEEN ? AND ?", (first, last))
        self._database.execute("INSERT INTO gap VALUES (?, ?, ?, ?)", (first, last, link, after))

    def _cut(self, id_: int, first: int, last: int) -> None:
        """Everything from record `first` to record `last`, both on the card, becomes one gap."""
        ends = ((id_ << SEQ_BITS) + first, (id_ << SEQ_BITS) + last)
        (data,) = self._database.execute("SELECT data FROM record WHERE place = ?", ends[:1]).fetchone()
        gap = Gap(first, last, _link_in(data), chain.text(self._chain_at(ends[1])))
        self._database.execute("DELETE FROM record WHERE place BETWEEN ? AND ?", ends)
        self._insert_gap(id_, gap)

    def _lose(self, line: Line) -> None:
        begun = self._lost or Gap(line.seq, line.seq, _link_in(line.data))
        self._lost = Gap(begun.first, line.seq, begun.link, chain.text(line.chain))

    def _make_room(self) -> Dropped | None:
        """A slice of it, where more is held than may be; the next records make the rest."""
        before = replace(self._numbering)
        try:
            if not self._is_crowded():
                return None
            rooms = (self._look_for_room() for _ in range(SLICES_AT_ONCE))
            id_, room = next((found for found in rooms if found[1].gone), (0, Room()))
            with self._database:
                for first, last in room.runs:
                    self._cut(id_, first, last)
                self._insert([self._numbering.record(body, stamp) for body, stamp in room.instead])
        except sqlite3.Error as why:
            self._numbering = before
            log.error("the spool cannot be written (%s); room is made later", why)
            return None
        return Dropped(room.gone[0], room.gone[-1], len(room.gone), len(room.instead)) if room.gone else None

    def _is_crowded(self) -> bool:
        if not self._crowded and self._numbering.last_seq % COUNTED_EVERY:
            return False
        (count, size) = self._database.execute("SELECT count(*), sum(length(data)) FROM record").fetchone()
        filled = max(count / RECORDS_AT_MOST, (size or 0) / self._bytes_at_most)
        self._crowded = filled > (LOW_WATER if self._crowded else 1.0)
        if not self._crowded:
            self._step = self._looked_at = 0
        return self._crowded

    def _look_for_room(self) -> tuple[int, Room]:
        """In the next records of one epoch, whose number comes with it."""
        is_last = self._step == len(STEPS) - 1
        rows = self._next_slice(0 if is_last else KEPT_NEWEST)
        if not rows:
            self._step, self._looked_at = (self._step + 1) % len(STEPS), 0
            return 0, Room()
        self._looked_at, id_ = rows[-1][0], rows[-1][0] >> SEQ_BITS
        if is_last:
            return id_, Room(tuple(place & SEQ_MASK for place, _ in rows))  # what a newer agent wrote too
        last = self._number("SELECT max(place) FROM record WHERE place < ?", (id_ + 1) << SEQ_BITS)
        looked_at = [data for place, data in rows if place != last]  # the gaps before it are told with the last
        return id_, STEPS[self._step]([record for data in looked_at if (record := _understood(data)) is not None])

    def _next_slice(self, kept: int) -> list[tuple[int, bytes]]:
        """Of one epoch, behind what was looked at, and not among the newest that are kept."""
        newest = self._number("SELECT place FROM record ORDER BY place DESC LIMIT 1 OFFSET ?", kept)
        sql = "SELECT place, data FROM record WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"
        rows = self._database.execute(sql, (self._looked_at, newest, SLICE)).fetchall()
        return _of_one_epoch(rows)

    def _number(self, sql: str, *arguments: int) -> int:
        """The single figure that this asks for; 0 for none."""
        row = self._database.execute(sql, arguments).fetchone()
        return int(row[0] or 0) if row else 0


def _of_one_epoch(rows: list[R]) -> list[R]:
    """As many of the first."""
    return [row for row in rows if row[0] >> SEQ_BITS == rows[0][0] >> SEQ_BITS]


def _seq(each: Line | Gap) -> int:
    return each.first if isinstance(each, Gap) else each.seq


def _is_whole(line: Line, before: bytes, epoch: str) -> bool:
    """Whether these are still the bytes that were written."""
    if before:
        return chain.advance(before, chain.digest(line.data)) == line.chain
    try:
        envelope = decode_envelope(line.data)
    except BadMessage:
        return False
    return (envelope.epoch, envelope.seq) == (epoch, line.seq)


def _spoilt(line: Line) -> Gap:
    log.error("record %s in the spool cannot be read and is left out", line.seq)
    return Gap(line.seq, line.seq, "", chain.text(line.chain))


def _understood(data: bytes) -> Record | None:
    try:
        return decode_record(data)
    except BadMessage:
        return None


def _link_in(data: bytes) -> str:
    try:
        return decode_envelope(data).link
    except BadMessage:
        return ""
