"""The configurations that the centre has given, on the card: one file each, and a note that says which is in force."""

import logging
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from agent.core.given import Note, Version
from agent.edge.memory import replace
from agent.edge.spool_file import move_aside
from wire.command import CONFIG_BYTES

log = logging.getLogger(__name__)

NOTE_BYTES = 16_384  # more was not written by us


class Given:
    """The note is replaced last, and whole: whatever file it names is there."""

    def __init__(self, state_dir: Path) -> None:
        """Reads only; a directory that is not there holds nothing."""
        self._path, self._folder = state_dir / "config.json", state_dir / "config"
        self.note = _read(self._path)

    def text(self, version: Version) -> str:
        """Raises OSError, ValueError when the card has spoilt it."""
        with self._file(version).open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
        if sha256(data).hexdigest() != version.hash:
            raise ValueError(f"{self._file(version)} is damaged")
        return data.decode()

    def put(self, version: Version, text: str) -> None:
        """On the card, and not in force yet. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        replace(self._file(version), text.encode())

    def change(self, how: Callable[[Note], Note]) -> Note:
        """Raises OSError; then nothing has changed."""
        note = how(self.note)
        if note != self.note:
            replace(self._path, msgspec.json.encode(note))
            self.note = note
            self._sweep()
        return note

    def _sweep(self) -> None:
        """Files that the note does not name."""
        kept = {self._file(each) for each in (self.note.current, self.note.previous) if each is not None}
        with suppress(OSError):  # then they lie there until the next time
            for file in set(self._folder.iterdir()) - kept:
                file.unlink()

    def _file(self, version: Version) -> Path:
        return self._folder / f"{version.number}.yaml"


def _read(path: Path) -> Note:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(NOTE_BYTES), type=Note)
    except (FileNotFoundError, NotADirectoryError):
        return Note()
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as why:  # msgspec's errors are ValueErrors
        log.error("%s cannot be understood; the device's own file is in force: %s", path, why)
        with suppress(OSError):
            move_aside(path)
        return Note()
