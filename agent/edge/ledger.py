"""Which commands were begun and what came of them, on the card before they are begun: none is ever done twice."""

import logging
import threading
from pathlib import Path

import msgspec

from agent.edge.memory import replace
from agent.edge.spool_file import move_aside
from wire.command import Result, Status, Why

log = logging.getLogger(__name__)

KEPT = 32  # commands live an hour at most, and people give them
BYTES_AT_MOST = 1 << 20  # more was not written by us
CUT_OFF = "the agent was restarted before it was done"


class _Line(msgspec.Struct, frozen=True):
    id: str
    result: Result | None = None


class Ledger:
    """Used by the courier's thread, the loop and the card's thread; only `begin` and `end` wait for the card."""

    def __init__(self, path: Path, station: str) -> None:
        """Raises OSError when the directory cannot be used."""
        self._path, self._lock = path, threading.Lock()
        self._lines: dict[str, Result | None] = {}
        for line in _read(path):
            cut_off = Result(station, line.id, Status.FAILED, Why.INTERRUPTED, CUT_OFF)
            self._lines[line.id] = line.result or cut_off

    def knows(self, command: str) -> bool:
        with self._lock:
            return command in self._lines

    def result(self, command: str) -> Result | None:
        """None while it is at work, and for one that is not known."""
        with self._lock:
            return self._lines.get(command)

    def begin(self, command: str) -> None:
        """Before it is done. Raises OSError when the card does not take it; then it must not be done."""
        with self._lock:
            self._lines[command] = None
            over = [each for each, result in self._lines.items() if result is not None]
            for each in over[: max(0, len(self._lines) - KEPT)]:
                del self._lines[each]
            try:
                self._write()
            except OSError:
                del self._lines[command]
                raise

    def end(self, result: Result) -> None:
        """A card that takes nothing now forgets the result at a restart, and not that it was begun."""
        with self._lock:
            if result.id not in self._lines:
                return
            self._lines[result.id] = result
            try:
                self._write()
            except OSError as why:
                log.error("%s cannot be written: %s", self._path, why)

    def _write(self) -> None:
        replace(self._path, msgspec.json.encode([_Line(*each) for each in self._lines.items()]))


def _read(path: Path) -> list[_Line]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_AT_MOST), type=list[_Line])
    except FileNotFoundError:
        return []
    except (ValueError, RecursionError) as why:  # msgspec's errors are ValueErrors
        log.error("%s cannot be understood and is set aside as %s: %s", path, move_aside(path), why)
        return []
