"""Records on the card until the centre says that it has stored them: SQLite, bounded, one commit for each put.

The card is written when something happened, not each time something was measured: about one commit a minute.
"""

import logging
import secrets
import sqlite3
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from wire.messages import BadMessage, Record, decode_record, encode

log = logging.getLogger(__name__)

RECORDS_AT_MOST = 50_000  # a month of minutes; some 30 MB on the card
DROPPED_AT_ONCE = 1_000  # so that dropping is told a few times, not at each record
HELD_AT_MOST = 2_000  # in memory, while the card takes nothing
SCHEMA = """
CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records that no centre will ever see."""

    first: int
    last: int


class Spool:
    """Used by several threads; every call is short. Only committed records are ever handed out."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or sqlite3.OperationalError when the directory cannot be written."""
        self._lock = threading.Lock()
        self._held: deque[Record] = deque(maxlen=HELD_AT_MOST)
        self.set_aside: Path | None = None
        """Where a damaged file was moved to at start."""
        try:
            self._database = _open(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.set_aside = move_aside(path)
            self._database = _open(path)
        with self._database:
            fresh = ("epoch", secrets.token_hex(8))
            self._database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?), ('stored', 0)", fresh)
        self.epoch = _epoch(self._database)
        self.stored = self._number("SELECT value FROM meta WHERE key = 'stored'")

    @property
    def last_seq(self) -> int:
        with self._lock:
            return max(self._number("SELECT max(seq) FROM record"), self.stored)

    @property
    def oldest(self) -> int:
        """The lowest seq still held; the next one to come when none is."""
        with self._lock:
            return self._number("SELECT min(seq) FROM record") or self.stored + 1

    @property
    def unsent(self) -> int:
        with self._lock:
            return self._number("SELECT count(*) FROM record") + len(self._held)

    def put(self, record: Record) -> Dropped | None:
        """Keep a record; tells what had to go for it. When the card takes nothing it is held in memory meanwhile."""
        with self._lock:
            self._held.append(record)
            try:
                with self._database:
                    rows = [(each.seq, encode(each)) for each in self._held]
                    self._database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", rows)
                    dropped = self._make_room()
            except sqlite3.Error as why:
                if len(self._held) == 1:
                    log.error("the spool cannot be written (%s); holding records in memory", why)
                return None
            self._held.clear()
            return dropped

    def after(self, seq: int, limit: int) -> list[Record]:
        """Up to `limit` records above seq, oldest first."""
        records: list[Record] = []
        with self._lock:
            while not records:
                sql = "SELECT seq, data FROM record WHERE seq > ? ORDER BY seq LIMIT ?"
                rows = self._database.execute(sql, (seq, limit)).fetchall()
                if not rows:
                    break
                records = [record for row in rows if (record := _readable(*row)) is not None]
                seq = rows[-1][0]
        return records

    def forget(self, stored: int) -> None:
        """The centre has stored every record up to this one."""
        with self._lock:
            try:
                with self._database:
                    self._database.execute("DELETE FROM record WHERE seq <= ?", (stored,))
                    self._database.execute("UPDATE meta SET value = ? WHERE key = 'stored'", (stored,))
            except sqlite3.Error as why:
                log.error("the spool cannot be written (%s); it forgets later", why)
                return
            self.stored = stored

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _make_room(self) -> Dropped | None:
        count = self._number("SELECT count(*) FROM record")
        if count <= RECORDS_AT_MOST:
            return None
        first = self._number("SELECT min(seq) FROM record")
        last = self._number("SELECT seq FROM record ORDER BY seq LIMIT 1 OFFSET ?", DROPPED_AT_ONCE - 1)
        self._database.execute("DELETE FROM record WHERE seq <= ?", (last,))
        return Dropped(first, last)

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
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _readable(seq: int, data: bytes) -> Record | None:
    """None for what the card has spoilt, or a newer agent has written: a gap, which the centre passes over in time."""
    try:
        return decode_record(data)
    except BadMessage as why:
        log.error("record %s in the spool cannot be read and is left out: %s", seq, why)
        return None


def _epoch(database: sqlite3.Connection) -> str:
    (epoch,) = database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return str(epoch)


def move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
