"""Which configuration is in force: the technician's file, or the version that the centre has given for it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from agent.config import ConfigError, parse, read
from agent.core import given as rules
from agent.core.given import Note, Version
from agent.core.station import Station
from agent.edge import card
from agent.edge.given import Given

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    station: Station
    version: Version | None
    """None: the technician's file."""
    local: str
    """SHA-256 of that file."""
    given: Given

    @property
    def is_edited(self) -> bool:
        """The technician's file was edited after the centre gave a version for it."""
        current = self.given.note.current
        return current is not None and current.base != self.local

    def start(self) -> bool:
        """Note that the agent starts; whether another configuration is in force for that."""
        before = rules.in_force(self.given.note, self.local)
        try:
            self.given.change(self._started)
        except OSError as why:
            log.error("that a configuration is on trial cannot be put down: %s", why)
        return rules.in_force(self.given.note, self.local) != before

    def _started(self, note: Note) -> Note:
        if note.on_trial and self.version is None:
            return rules.roll_back(note, "the device's own file was edited" if self.is_edited else "it cannot be read")
        return rules.start(note)

    @property
    def told(self) -> str | None:
        """For who asks; None when the centre has given nothing."""
        current = self.given.note.current
        if current is None:
            return None
        if self.is_edited:
            return f"this file was edited after version {current.number} of the centre, so the file is in force"
        if self.version is None:
            return f"version {current.number} of the centre cannot be read, so the file is in force"
        trial = ", on trial" if self.given.note.on_trial else ""
        return f"version {current.number} of the centre is in force instead, by {current.by}{trial}"


def load(
    path: Path, settle: Callable[[Station], Path] = lambda station: card.current(Path(station.state_dir))
) -> InForce:
    """The file must be good in any case: it says where the rest is. Raises ConfigError with every mistake in it.

    `settle` decides where the state is, which is the state_dir of the station that is given back.
    """
    text = read(path)
    station, local = parse(text, str(path)), sha256(text.encode()).hexdigest()
    state_dir = settle(station)
    try:
        given = Given(state_dir)
    except PermissionError:
        raise ConfigError([f"{station.state_dir}: cannot be read: Permission denied; try as root"]) from None
    version = rules.in_force(given.note, local)
    if version is not None:
        try:
            return InForce(
                _at(state_dir, parse(given.text(version), f"version {version.number}")), version, local, given
            )
        except (OSError, ValueError, ConfigError) as why:
            log.error("version %s of the centre cannot be used, %s is in force: %s", version.number, path, why)
    return InForce(_at(state_dir, station), None, local, given)


def _at(state_dir: Path, station: Station) -> Station:
    return msgspec.structs.replace(station, state_dir=str(state_dir))
