"""Which station a state directory belongs to: its records and its certificate are that station's, and nobody else's."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from agent.edge import identity, memory
from agent.edge.identity import NoIdentity
from wire.topics import is_station

FILE = "station"
BYTES_AT_MOST = 64  # thirteen digits; more was not written by us


def of(state_dir: Path) -> tuple[str, ...]:
    """The stations that an agent has run for there, or that the certificate there is of: one, if all is well."""
    found = [_noted(state_dir)]
    with contextlib.suppress(NoIdentity):
        found.append(identity.read(state_dir).station)
    return tuple(dict.fromkeys(filter(is_station, found)))


def claim(state_dir: Path, station: str) -> None:
    """From the first start on. Raises OSError."""
    if _noted(state_dir) != station:
        memory.replace(state_dir / FILE, f"{station}\n".encode())


def set_aside(state_dir: Path, station: str) -> Path:
    """What was another station's, so that nothing of it is ever sent or shown again; where it lies. Raises OSError.

    The device's key stays, for it is the device's. Cut off in between, the next attempt does the rest.
    """
    aside = next(folder for folder in _folders(state_dir, station) if not folder.exists())
    aside.mkdir(mode=0o700)
    stays = {identity.KEY, "agent.lock"}
    last = (identity.TOLD, FILE)  # by which it is known that there is something to put aside
    found = sorted(file.name for file in state_dir.iterdir() if not file.name.startswith("of-"))
    names = [name for name in found if name not in stays | set(last)]
    for name in [*names, *last]:  # a database comes before its journal, which is nothing without it
        with contextlib.suppress(FileNotFoundError):
            (state_dir / name).replace(aside / name)
    return aside


def _folders(state_dir: Path, station: str) -> Iterator[Path]:
    """A device may come back to a station and leave it again."""
    yield state_dir / f"of-{station}"
    yield from (state_dir / f"of-{station}-{number}" for number in itertools.count(2))


def _noted(state_dir: Path) -> str:
    """Empty where nobody has noted it, or nobody can read it."""
    try:
        with (state_dir / FILE).open("rb") as file:
            return file.read(BYTES_AT_MOST).decode(errors="replace").strip()
    except OSError:
        return ""
