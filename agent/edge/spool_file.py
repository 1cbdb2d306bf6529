"""How the spool lies on the card: its tables, what makes a file sound, and where a damaged one goes."""

import sqlite3
from pathlib import Path

SEQ_BITS = 32  # of a place, which is the number of an epoch on this card, and a seq; no run gives so many
SEQ_MASK = (1 << SEQ_BITS) - 1
EPOCHS_AT_MOST = 1 << 30  # an agent that dies three times a second gets there in eleven years
LAYOUT = 2  # 1 held one epoch
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE epoch (id INTEGER PRIMARY KEY, name BLOB NOT NULL, stored INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE record (place INTEGER PRIMARY KEY, data BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, link BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
PRAGMA user_version = {LAYOUT};
COMMIT;
"""
HELD = f"EXISTS (SELECT 1 FROM record WHERE place BETWEEN id << {SEQ_BITS} AND (id + 1) << {SEQ_BITS})"
"""Of an epoch: whether something of it is on the card."""


def open_database(path: Path) -> sqlite3.Connection:
    """Raises OSError or sqlite3.OperationalError when there can be no file, sqlite3.DatabaseError for a damaged one."""
    database = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # what is handed out must outlive a power cut, or the next run would not know of it
        database.execute("PRAGMA synchronous = FULL")
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            database.executescript(SCHEMA)
        if database.execute("PRAGMA user_version").fetchone() != (LAYOUT,):
            raise sqlite3.DatabaseError("of another layout")
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",) or not _is_sound(database):
            raise sqlite3.DatabaseError("damaged")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _is_sound(database: sqlite3.Connection) -> bool:
    """Whether every record and gap is of a known epoch, with a number that can be."""
    ids = {id_ for (id_,) in database.execute("SELECT id FROM epoch")}
    sql = f"SELECT DISTINCT place >> {SEQ_BITS} FROM record UNION SELECT DISTINCT last >> {SEQ_BITS} FROM gap"
    held = {id_ for (id_,) in database.execute(sql)}
    return held <= ids and all(0 < id_ <= EPOCHS_AT_MOST for id_ in ids)


def move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
