"""Notes which uplinks are chosen before the kernel is told, so that a run killed in between is taken up by the next.

Under systemd it stands in memory, in the service's runtime directory, and costs the card nothing.
"""

import logging
import os
from pathlib import Path

import msgspec

from agent.edge import card
from agent.edge.clock import boot_id
from wire.messages import Active

log = logging.getLogger(__name__)

FILE = "choice.json"
BYTES_AT_MOST = 4096  # two names; more was not written by us


def forget(state_dir: Path) -> None:
    """Of whatever run, for who has taken our routes away. Raises OSError."""
    for folder in (state_dir, Path(os.environ.get("RUNTIME_DIRECTORY", card.RUNTIME))):
        (folder / FILE).unlink(missing_ok=True)


class _Note(msgspec.Struct):
    boot: str
    active: Active


class Choice:
    """Of this boot only: after another one the kernel knows nothing of it either."""

    def __init__(self, state_dir: Path) -> None:
        self._path = Path(os.environ.get("RUNTIME_DIRECTORY", state_dir)) / FILE
        self._boot = boot_id()
        self._noted: Active | None = None

    def read(self) -> Active | None:
        try:
            with self._path.open("rb") as file:
                note = msgspec.json.decode(file.read(BYTES_AT_MOST), type=_Note)
        except (OSError, msgspec.MsgspecError):  # nothing was noted, or half of it: then the kernel alone tells
            return None
        return note.active if note.boot == self._boot else None

    def write(self, active: Active) -> None:
        """Not waiting for the card: killed is not powered off."""
        if active == self._noted:
            return
        beside = self._path.with_name(f"{FILE}.new")
        try:
            beside.write_bytes(msgspec.json.encode(_Note(self._boot, active)))
            beside.replace(self._path)
        except OSError as why:
            log.warning("%s cannot be written: %s", self._path, why)
        else:
            self._noted = active
