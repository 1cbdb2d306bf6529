"""Keeps what one run of the agent leaves to the next in one small file on the card, whole or not at all.

A line with the checksum, then JSON: a bit that fell over on the card must not become a limit of the judge.
"""

import errno
import logging
import os
import threading
import zlib
from pathlib import Path

import msgspec

from agent.core.memory import VERSION, Memory
from agent.edge.spool_file import move_aside

log = logging.getLogger(__name__)

BYTES_AT_MOST = 65_536  # sixteen uplinks of a few kilobytes; more was not written by us


def read(path: Path) -> tuple[Memory | None, Path | None]:
    """What is remembered, if anything; and where a file was put that cannot be understood. Raises OSError."""
    try:
        with path.open("rb") as file:
            memory = msgspec.json.decode(_checked(_small(file.read(BYTES_AT_MOST + 1))), type=Memory)
        if memory.v > VERSION:
            raise ValueError("a newer agent has written it")
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, RecursionError) as why:  # msgspec's errors are ValueErrors
        log.error("%s cannot be understood and is set aside: %s", path, why)
        return None, move_aside(path)
    return memory, None


class Writer:
    """`hold` is for the loop, `write` for the card's thread: what the card is too slow for is overtaken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._latest: bytes | None = None
        self._failed = False

    def hold(self, memory: Memory) -> bool:
        """Take the latest, as it is at this moment; whether to ask for a write, as none is asked for."""
        text = msgspec.json.encode(memory)
        data = b"%08x\n" % zlib.crc32(text) + text
        with self._lock:
            is_asked, self._latest = self._latest is not None, data
        return not is_asked

    def write(self) -> None:
        """The latest, if it is not written yet. A card that takes nothing is told of once, until it does."""
        with self._lock:
            data, self._latest = self._latest, None
        if data is None:
            return
        try:
            replace(self._path, _small(data))
        except OSError as why:
            if not self._failed:
                log.error("%s cannot be written (%s); what is learnt now is lost at a restart", self._path, why)
            self._failed = True
        else:
            self._failed = False


def _checked(data: bytes) -> bytes:
    checksum, _, text = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("its checksum does not fit")
    return text


def _small(data: bytes) -> bytes:
    if len(data) > BYTES_AT_MOST:
        raise OSError(errno.EFBIG, f"more than {BYTES_AT_MOST} bytes")
    return data


def replace(path: Path, data: bytes) -> None:
    """After a power cut there is the old file or the new one; only its owner may read it. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # else the new name may not have reached the card, though the file has
    finally:
        os.close(directory)
