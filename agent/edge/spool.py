"""Records on the card until the centre says that it has stored them: SQLite, bounded, one commit for each put.

The card is written when something happened, not each time something was measured: about one commit a minute.
A record is numbered, chained and made into bytes once, here, under the lock; after that only the bytes are handled.
"""

import logging
import secrets
import sqlite3
import threading
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from agent.core.report import Line, Numbering
from agent.core.room import STEPS, Room
from wire import chain
from wire.messages import BadMessage, Fact, Gap, Record, Seal, Stamp, Stored, Summary, decode_envelope, decode_record

log = logging.getLogger(__name__)

BYTES_AT_MOST = 24_000_000  # some two weeks of minutes with three uplinks, before anything becomes coarser
RECORDS_AT_MOST = 50_000  # a month of minutes
COUNTED_EVERY = 16  # records; to count them all takes a moment
LOW_WATER = 0.9  # of both, where making room ends
SLICE = 240  # records that are looked at together
SLICES_AT_ONCE = 20  # so that no record waits for a second until it is on the card
KEPT_NEWEST = 1500  # of which nothing goes but at the last step: a day of minutes
HELD_AT_MOST = 2_000  # in memory, while the card takes nothing
SCHEMA = """
CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, chain BLOB);
CREATE TABLE IF NOT EXISTS gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, link TEXT NOT NULL, chain BLOB);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records that no centre will ever see, and how many coarser ones took their place."""

    first: int
    last: int
    records: int
    instead: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A new epoch, and how many records were numbered anew in it."""

    former: str
    remade: int


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record that was numbered, and the chain after it."""

    epoch: str
    seq: int
    chain: bytes


class Spool:
    """Used by several threads; every call is short. Only committed records are ever handed out."""

    def __init__(self, path: Path, station: str, bytes_at_most: int = BYTES_AT_MOST) -> None:
        """Raises OSError or sqlite3.OperationalError when the directory cannot be written."""
        self._lock = threading.Lock()
        self._station, self._bytes_at_most = station, bytes_at_most
        self._held: deque[Line] = deque()
        self._lost: Gap | None = None
        """Was held, and had to go before the card took anything."""
        self.set_aside: Path | None = None
        """Where a damaged file was moved to at start."""
        self._crowded = False
        self._step = self._looked_at = 0
        """Of making room: which step, and up to which record it has been."""
        try:
            self._database = _open(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.set_aside = move_aside(path)
            self._database = _open(path)
        with self._database:
            if not self._number("SELECT count(*) FROM meta WHERE key = 'epoch'"):
                self._note_beginning(Numbering.begin(station, secrets.token_hex(8)))
            older = {"chain": b"", "link": "", "since": 0, "confirmed": 1}  # of an agent that knew no chain
            self._database.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", older.items())
        self.stored = self._number("SELECT value FROM meta WHERE key = 'stored'")
        self._numbering = self._restored()
        with self._database:
            if self._number("SELECT value FROM meta WHERE key = 'confirmed'"):  # if not, the first start still counts
                self._note(since=self._numbering.last_seq, confirmed=0)

    @property
    def epoch(self) -> str:
        return self._numbering.epoch

    @property
    def last_seq(self) -> int:
        """Of what is on the card, or was."""
        with self._lock:
            return self._last_on_card()

    @property
    def unsent(self) -> int:
        with self._lock:
            return self._number("SELECT count(*) FROM record") + len(self._held)

    def head(self) -> Head:
        with self._lock:
            return Head(self._numbering.epoch, self._numbering.last_seq, self._numbering.chain)

    def put(self, body: Fact | Summary | Seal, stamp: Stamp, only_in: str | None = None) -> Dropped | None:
        """Keep a record; tells what had to go for it. When the card takes nothing it is held in memory meanwhile.

        What is of one epoch only, a seal, is left out when another one has begun.
        """
        with self._lock:
            if only_in not in (None, self._numbering.epoch):
                return None
            self._held.append(self._numbering.record(body, stamp))
            if len(self._held) > HELD_AT_MOST:
                self._lose(self._held.popleft())
            try:
                with self._database:
                    self._insert(self._held)
                    if self._lost is not None:
                        self._insert_gap(self._lost)
            except sqlite3.Error as why:
                if len(self._held) == 1:
                    log.error("the spool cannot be written (%s); holding records in memory", why)
                return None
            self._held.clear()
            self._lost = None
            return self._make_room()

    def after(self, seq: int, limit: int) -> list[Line | Gap]:
        """Up to `limit` records above seq, oldest first, and the gaps between them; it ends with a record."""
        with self._lock:
            sql = "SELECT seq, data, chain FROM record WHERE seq > ? ORDER BY seq LIMIT ?"
            lines = [Line(at, data, of or b"") for at, data, of in self._database.execute(sql, (seq, limit))]
            if not lines:
                return []
            gaps = self._gaps("last > ? AND first < ?", seq, lines[-1].seq)
            before = self._chain_at(lines[0].seq - 1)
        handed: list[Line | Gap] = []
        held: list[Line | Gap] = [*lines, *gaps]
        for each in sorted(held, key=_place):
            if isinstance(each, Gap):
                handed.append(each)
                before = chain.binary(each.chain)
                continue
            handed.append(each if _is_whole(each, before, self.epoch) else _spoilt(each))
            before = each.chain
        return handed

    def floor(self) -> tuple[int, list[Gap]]:
        """The lowest seq still held, or the next one to come when none is, and the gaps below it."""
        with self._lock:
            oldest = self._number("SELECT min(seq) FROM record") or self.stored + 1
            return oldest, self._gaps("last < ? AND last > ?", oldest, self.stored)

    def contradicts(self, mark: Stored) -> bool:
        """Whether the centre has another history under this epoch: this card is an older copy of one that went on."""
        with self._lock:
            if mark.seq > self._last_on_card():
                return True
            row = self._database.execute("SELECT data FROM record WHERE seq = ?", (mark.seq,)).fetchone()
            return bool(mark.link and row) and chain.link(chain.digest(row[0])) != mark.link

    def forget(self, stored: int) -> None:
        """The centre has stored every record up to this one."""
        with self._lock:
            try:
                with self._database:
                    self._note(stored=stored, confirmed=1, **self._place_of(stored))
                    self._database.execute("DELETE FROM record WHERE seq <= ?", (stored,))
                    self._database.execute("DELETE FROM gap WHERE last <= ?", (stored,))
            except sqlite3.Error as why:
                log.error("the spool cannot be written (%s); it forgets later", why)
                return
            self.stored = stored

    def begin_epoch(self, mark: int) -> Begun | None:
        """After a contradiction: what was made since the copy is numbered anew, the rest the centre has already.

        Nothing new was confirmed since the copy was started, so that its first start is where the two part.
        """
        with self._lock:
            former = self._numbering
            begun = Numbering.begin(self._station, secrets.token_hex(8))
            parted = min(mark, self._number("SELECT value FROM meta WHERE key = 'since'"))
            sql = "SELECT data FROM record WHERE seq > ? ORDER BY seq"
            kept = [data for (data,) in self._database.execute(sql, (parted,))] + [line.data for line in self._held]
            lines = [line for data in kept if (line := _made_anew(begun, data)) is not None]
            try:
                with self._database:
                    self._database.execute("DELETE FROM record")
                    self._database.execute("DELETE FROM gap")
                    self._insert(lines)
                    self._note_beginning(Numbering.begin(self._station, begun.epoch))
            except sqlite3.Error as why:
                log.error("the spool cannot be written (%s); a new epoch begins later", why)
                return None
            self._numbering, self._lost, self.stored = begun, None, 0
            self._held.clear()
            return Begun(former.epoch, len(lines))

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _restored(self) -> Numbering:
        """Where the history stands. Behind records of an agent that knew no chain, one begins."""
        (epoch,) = self._database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        last_seq = self._last_on_card()
        place = dict(self._database.execute("SELECT key, value FROM meta WHERE key IN ('chain', 'link')"))
        if last_seq > self.stored:
            place = self._place_of(last_seq)
        if not place["chain"]:
            return Numbering.begin(self._station, str(epoch), last_seq)
        return Numbering(str(epoch), last_seq, place["chain"], place["link"])

    def _place_of(self, seq: int) -> dict[str, bytes | str]:
        """The chain after this record, and what the next one says of it."""
        row = self._database.execute("SELECT data, chain FROM record WHERE seq = ?", (seq,)).fetchone()
        if row is not None and row[1]:
            return {"chain": row[1], "link": chain.link(chain.digest(row[0]))}
        of_gap = self._chain_at(seq)  # of the record's own digest nothing is left, and behind a gap nobody asks
        return {"chain": of_gap, "link": chain.link(of_gap)}

    def _chain_at(self, seq: int) -> bytes:
        """After this record; empty where it is not known."""
        sql = "SELECT chain FROM record WHERE seq = ? UNION ALL SELECT chain FROM gap WHERE last = ?"
        row = self._database.execute(sql, (seq, seq)).fetchone()
        if row is None and seq == self.stored:
            row = self._database.execute("SELECT value FROM meta WHERE key = 'chain'").fetchone()
        return bytes(row[0] or b"") if row else b""

    def _last_on_card(self) -> int:
        of_records = self._number("SELECT max(seq) FROM record")
        return max(of_records, self._number("SELECT max(last) FROM gap"), self.stored)

    def _note_beginning(self, of: Numbering) -> None:
        self._note(epoch=of.epoch, stored=0, chain=of.chain, link=of.link, since=0, confirmed=0)

    def _note(self, **values: bytes | str | int) -> None:
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def _insert(self, lines: "deque[Line] | list[Line]") -> None:
        rows = [(line.seq, line.data, line.chain) for line in lines]
        self._database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", rows)

    def _gaps(self, where: str, *arguments: int) -> list[Gap]:
        rows = self._database.execute(f"SELECT * FROM gap WHERE {where} ORDER BY first", arguments)
        return [Gap(first, last, link, chain.text(after or b"")) for first, last, link, after in rows]

    def _insert_gap(self, gap: Gap) -> None:
        """Gaps that touch become one, which says what the first said of the record before it."""
        first, last, link, after = gap.first, gap.last, gap.link, chain.binary(gap.chain)
        if left := self._database.execute("SELECT first, link FROM gap WHERE last = ?", (first - 1,)).fetchone():
            first, link = left
        if right := self._database.execute("SELECT last, chain FROM gap WHERE first = ?", (last + 1,)).fetchone():
            last, after = right
        self._database.execute("DELETE FROM gap WHERE first BETWEEN ? AND ?", (first, last))
        self._database.execute("INSERT INTO gap VALUES (?, ?, ?, ?)", (first, last, link, after))

    def _cut(self, first: int, last: int) -> None:
        """Everything from record `first` to record `last`, both on the card, becomes one gap."""
        sql = "SELECT data FROM record WHERE seq = ?"
        link = _link_in(self._database.execute(sql, (first,)).fetchone()[0])
        gap = Gap(first, last, link, chain.text(self._chain_at(last)))
        self._database.execute("DELETE FROM record WHERE seq BETWEEN ? AND ?", (first, last))
        self._insert_gap(gap)

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
            room = next((room for room in rooms if room.gone), Room())
            with self._database:
                for first, last in room.runs:
                    self._cut(first, last)
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

    def _look_for_room(self) -> Room:
        is_last = self._step == len(STEPS) - 1
        newest = self._number("SELECT max(seq) FROM record") - (0 if is_last else KEPT_NEWEST)
        sql = "SELECT seq, data FROM record WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        rows = self._database.execute(sql, (self._looked_at, newest, SLICE)).fetchall()
        if not rows:
            self._step, self._looked_at = (self._step + 1) % len(STEPS), 0
            return Room()
        self._looked_at = rows[-1][0]
        if is_last:
            return Room(tuple(seq for seq, _ in rows))  # what a newer agent wrote too
        return STEPS[self._step]([record for _, data in rows if (record := _understood(data)) is not None])

    def _number(self, sql: str, *arguments: int) -> int:
        """The single figure that this asks for; 0 for none."""
        row = self._database.execute(sql, arguments).fetchone()
        return int(row[0] or 0)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # what is handed out must outlive a power cut, or its number would be given to another record
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(SCHEMA)
        if "chain" not in {name for _, name, *_ in database.execute("PRAGMA table_info(record)")}:
            database.execute("ALTER TABLE record ADD COLUMN chain BLOB")  # from before there was one
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _place(each: Line | Gap) -> int:
    return each.first if isinstance(each, Gap) else each.seq


def _is_whole(line: Line, before: bytes, epoch: str) -> bool:
    """Whether these are still the bytes that were written; older ones are in no chain that could tell."""
    if line.chain and before:
        return chain.advance(before, chain.digest(line.data)) == line.chain
    try:
        envelope = decode_envelope(line.data)
    except BadMessage:
        return False
    return (envelope.epoch, envelope.seq) == (epoch, line.seq)


def _spoilt(line: Line) -> Gap:
    log.error("record %s in the spool cannot be read and is left out", line.seq)
    return Gap(line.seq, line.seq, "", chain.text(line.chain))


def _made_anew(numbering: Numbering, data: bytes) -> Line | None:
    """None for what cannot be read, and for a seal: it is of the epoch that it was made in."""
    try:
        record = decode_record(data)
    except BadMessage:
        return None
    return None if isinstance(record.body, Seal) else numbering.record(record.body, record.stamp)


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


def move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
