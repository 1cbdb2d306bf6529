"""Where the agent keeps its state: on the card, or in memory while the card takes nothing. Decided at start.

In memory is a folder of the system's runtime directory, a tmpfs. It begins as a copy of what the card held, so that a
run goes on where the last one was; the identity is read from the card, through links. A later start at which the card
takes writes again puts all of it back. In the midst of a run only the spool leaves a card, so that reports go on.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.edge import identity, owner
from agent.edge.spool_file import move_aside

log = logging.getLogger(__name__)

CARD_FAILS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EUCLEAN)  # the last: ext4 finds itself damaged
RUNTIME = "/run/siaga"  # as the unit has it; /run is a tmpfs, on Debian of a tenth of the memory or more
ROOM_BYTES = 1 << 20  # with less, the spool could be opened and not be used: its journal alone takes a few 100 kB
IN_MEMORY_BYTES = 8_000_000
"""Of records: five days of minutes with three uplinks. With SQLite's pages and journal that is 15 MB of a board's
memory, measured full: a third of the /run of one with 512 MB."""
SHARE = 0.5  # of what is free there a copied spool may take: others live in /run too
SPOOL, JOURNAL = "spool.sqlite3", "spool.sqlite3-wal"
NOT_COPIED = "spool.not-copied"
LINKED = (identity.KEY, identity.CERTIFICATE, identity.TOLD, identity.AUTHORITY)
CARRIED = ("memory.json", "commands.json", "last-time", "sysctls-before.json", "choice.json", "config.json", owner.FILE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the state of this run is, and which card it should be on."""

    card: Path
    state_dir: Path
    why: str = ""
    """The card cannot be written, so that it is in memory; empty while it is on the card."""
    is_back: bool = False
    """What the last run kept in memory has been put on the card."""


def current(card: Path) -> Path:
    """Where the state of this state directory is now, for every command but `run`."""
    instead = _instead(card)
    try:
        return instead if (instead / owner.FILE).exists() else card
    except OSError:  # who may not look there may not look at the card either, and is told so
        return card


def settle(card: Path) -> Place:
    """To be called by who holds the state directory. Raises OSError when there is no place.

    A directory in which no agent has ever run is not replaced by memory: whoever installs it is there to be told.
    """
    instead = _instead(card)
    try:
        _try(card)
        if not instead.exists():
            return Place(card, card)
        _put_back(instead, card)
        return Place(card, card, is_back=True)
    except OSError as why:
        if why.errno not in CARD_FAILS or _is_new(card):
            raise
        reason = why.strerror or str(why)
    if not (instead / owner.FILE).exists():
        _take_over(card, instead)
    return Place(card, instead, reason)


def leave(card: Path) -> Place | None:
    """What is in the spool goes on in memory, and all else stays; None while the card takes writes. Raises OSError."""
    try:
        _try(card)
    except OSError as why:
        if why.errno not in CARD_FAILS:
            raise
        instead, reason = _instead(card), why.strerror or str(why)
    else:
        return None
    instead.mkdir(mode=0o750, parents=True, exist_ok=True)
    if not _take_spool(card, instead):
        raise OSError(errno.ENOSPC, f"there is no room for the spool in {instead}")
    return Place(card, instead, reason)


def _instead(card: Path) -> Path:
    name = hashlib.sha256(str(card).encode()).hexdigest()[:8]
    return Path(os.environ.get("RUNTIME_DIRECTORY", RUNTIME)) / f"memory-{name}"


def _try(card: Path) -> None:
    """Whether it takes what is written, and gives what was. Raises OSError."""
    tried = card / "agent.try"
    try:
        with _create(tried) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(OSError):
            tried.unlink(missing_ok=True)
    for name in (SPOOL, JOURNAL, *_carried(card)):
        with contextlib.suppress(FileNotFoundError), (card / name).open("rb", buffering=0) as reading:
            while reading.read(1 << 20):
                pass


def _is_new(card: Path) -> bool:
    try:
        (card / owner.FILE).lstat()
    except FileNotFoundError:
        return True
    except OSError:  # it cannot even tell
        return False
    return False


def _take_over(card: Path, instead: Path) -> None:
    """Whole when the last file is there, which says whose it is. Raises OSError when memory does not take it."""
    instead.mkdir(mode=0o750, parents=True, exist_ok=True)
    (instead / "config").mkdir(mode=0o700, exist_ok=True)
    for name in LINKED:
        (instead / name).unlink(missing_ok=True)
        (instead / name).symlink_to(card / name)
    if not _take_spool(card, instead):
        (instead / NOT_COPIED).touch()
        log.error("%s stays on the card, and is not sent from there", card / SPOOL)
    for name in _carried(card):
        _copy_out(card / name, instead / name)


def _take_spool(card: Path, instead: Path) -> bool:
    """Whether it is in memory, with its journal, which comes first. Raises OSError when memory does not take it."""
    if (instead / SPOOL).exists():
        return True  # it left in the midst of the last run
    try:
        size = sum((card / name).stat().st_size for name in (JOURNAL, SPOOL) if (card / name).exists())
    except OSError:
        return False
    room = os.statvfs(instead)
    fits = size <= SHARE * room.f_bavail * room.f_frsize
    return fits and all(_copy_out(card / name, instead / name) for name in (JOURNAL, SPOOL))


def _copy_out(source: Path, target: Path) -> bool:
    """False for what the card does not give any more. Raises OSError when memory does not take it."""
    try:
        _copy(source, target)
    except FileNotFoundError:
        return True
    except OSError as why:
        if why.errno not in (errno.EIO, errno.EUCLEAN):
            raise
        log.error("%s cannot be read: %s", source, why.strerror)
        return False
    return True


def _put_back(instead: Path, card: Path) -> None:
    """Any number of times, until all of it is there. Raises OSError; then memory still has it.

    Links are not followed: a certificate that was renewed meanwhile is renewed once more.
    """
    for name in _carried(instead):
        (card / name).parent.mkdir(mode=0o700, exist_ok=True)
        _copy(instead / name, card / name)
    if (instead / NOT_COPIED).exists() and (card / SPOOL).exists():
        log.error("the spool that stayed on the card is set aside as %s", move_aside(card / SPOOL))
    if (instead / SPOOL).exists():
        _copy_database(instead / SPOOL, card / SPOOL)
    shutil.rmtree(instead)


def _copy_database(source: Path, target: Path) -> None:
    """In one transaction, so that a power cut leaves the old one or the new one. Raises OSError."""
    try:
        with closing(sqlite3.connect(source)) as reading:
            reading.execute("PRAGMA schema_version")  # before the other one is blamed
            try:
                _replace(target, reading)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                log.error("%s is damaged and set aside as %s", target, move_aside(target))
                _replace(target, reading)
    except sqlite3.Error as why:
        raise OSError(errno.EIO, str(why)) from None


def _replace(target: Path, reading: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


def _carried(state_dir: Path) -> Iterator[str]:
    """The configurations come before the note that names them."""
    with contextlib.suppress(OSError):
        yield from (f"config/{name}" for name in sorted(file.name for file in (state_dir / "config").iterdir()))
    yield from (name for name in CARRIED if os.path.lexists(state_dir / name))


def _copy(source: Path, target: Path) -> None:
    beside = target.with_name(f"{target.name}.new")
    try:
        with source.open("rb") as reading, _create(beside) as writing:
            shutil.copyfileobj(reading, writing)
            writing.flush()
            os.fsync(writing.fileno())
        beside.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")
