"""Topic names: who speaks to whom, built and parsed in one place."""

from dataclasses import dataclass
from enum import StrEnum

from wire.messages import BadMessage

ROOT = "siaga/1"  # the figure is the version of the topic tree
STATION_DIGITS = 13  # ten of the village code, three of the polling station's number
REGENCY_DIGITS = 4


class Up(StrEnum):
    """What a station says."""

    STATE = "state"  # retained: birth, every change, last will
    SUM = "sum"
    FACT = "fact"
    LOG = "log"  # the backlog after a silence, oldest first
    RESULT = "result"  # what came of a command


class Down(StrEnum):
    """What the centre says to one station."""

    STORED = "stored"  # retained: the high-water mark
    COMMAND = "command"  # never retained: nobody is to be surprised by what was wanted yesterday
    CONFIG = "config"  # retained: the configuration that should be in force


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed topic."""

    station: str
    kind: Up | Down

    @property
    def topic(self) -> str:
        way = "up" if isinstance(self.kind, Up) else "dn"
        return f"{ROOT}/{self.station[:REGENCY_DIGITS]}/{self.station}/{way}/{self.kind}"


def from_every_station(kind: str = "#") -> str:
    """The filter by which the centre hears every station."""
    return f"{ROOT}/+/+/up/{kind}"


def parse(topic: str) -> Address:
    """Read a topic; raises BadMessage when it is none of ours."""
    parts = topic.split("/")
    if len(parts) != 6 or "/".join(parts[:2]) != ROOT:
        raise BadMessage(f"topic {topic!r} is not {ROOT}/<regency>/<station>/<up or dn>/<kind>")
    regency, station, way, kind = parts[2:]
    if not is_station(station) or not station.startswith(regency) or len(regency) != REGENCY_DIGITS:
        raise BadMessage(f"topic {topic!r}: {station!r} is no station of regency {regency!r}")
    try:
        return Address(station, _KINDS[way](kind))
    except (KeyError, ValueError):
        raise BadMessage(f"topic {topic!r}: no such kind of message") from None


_KINDS: dict[str, type[Up] | type[Down]] = {"up": Up, "dn": Down}


def is_station(text: str) -> bool:
    """Thirteen digits: village code (10) and polling station number (3)."""
    return len(text) == STATION_DIGITS and text.isascii() and text.isdigit()
