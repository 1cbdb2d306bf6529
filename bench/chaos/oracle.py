"""What each station promised to keep, and whether the centre has exactly that."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from wire import chain
from wire.messages import BadMessage, decode_record

Identity = tuple[str, int]  # epoch and seq


@dataclass(frozen=True, slots=True)
class Line:
    """A record as a station wrote it, or as the centre has it."""

    epoch: str
    seq: int
    digest: str
    """Of what it says, without its number: the same under two numbers is double."""
    data: bytes
    """Byte for byte."""

    @property
    def identity(self) -> Identity:
        return self.epoch, self.seq


@dataclass(slots=True)
class Ledger:
    """One station's own account, as its agent told it line by line."""

    intents: set[Line] = field(default_factory=set)
    durable: dict[str, Line] = field(default_factory=dict)
    """By digest: under the number that it had last."""
    excused: set[str] = field(default_factory=set)
    """Was on a card that a fault then damaged, and not yet at the centre."""
    _open: list[Line] = field(default_factory=list)

    def hear(self, line: bytes) -> None:
        what, _, data = line.partition(b" ")
        match what:
            case b"intent":
                intended = line_of(data)
                self.intents.add(intended)
                self._open.append(intended)
            case b"found":
                with contextlib.suppress(BadMessage):  # what the card has spoilt is no record any more
                    self._keep(line_of(data))
            case b"durable":
                for each in self._open:
                    self._keep(each)
                self._open.clear()
            case b"undone":
                self._open.clear()
            case _:
                raise ValueError(f"an agent told {line[:80]!r}")

    def restart(self) -> None:
        """Whether an open commit was done is told by what the next run finds."""
        self._open.clear()

    def excuse(self, stored: Iterable[Line]) -> None:
        self.excused |= self.durable.keys() - {line.digest for line in stored}

    def _keep(self, line: Line) -> None:
        """What a damaged card shows as a record, and nobody ever wrote, is none."""
        if line in self.intents:
            self.durable[line.digest] = line
            self.excused.discard(line.digest)


@dataclass(frozen=True, slots=True)
class Verdict:
    durable: int
    stored: int
    excused: int
    """Durable, then lost by a fault that damaged the card."""
    held: int
    """Still on a card."""
    missing: list[str]
    double: list[str]
    foreign: list[str]
    marks: list[str]
    """High-water marks that say more than there is, or less than the station knows."""
    links: list[str]
    """Records whose link is not that of the record before them."""

    @property
    def is_good(self) -> bool:
        return not (self.missing or self.double or self.foreign or self.marks or self.links)


def line_of(data: bytes) -> Line:
    """Raises BadMessage."""
    record = decode_record(data)
    said = msgspec.json.encode((record.stamp, record.body))
    return Line(record.epoch, record.seq, hashlib.sha256(said).hexdigest()[:16], data)


def stored(database: Path, station: str | None = None) -> dict[str, list[Line]]:
    """What the centre has committed, by station."""
    found: dict[str, list[Line]] = defaultdict(list)
    where, arguments = ("WHERE station = ?", (station,)) if station else ("", ())
    for number, data in _ask(database, f"SELECT station, data FROM record {where} ORDER BY epoch, seq", arguments):
        found[number].append(line_of(data))
    return found


def on_card(spool: Path) -> list[Line]:
    return [line_of(data) for (data,) in _ask(spool, "SELECT data FROM record")]


def judge(ledgers: Mapping[str, Ledger], database: Path, spools: Mapping[str, Path]) -> Verdict:
    rows = stored(database)
    missing, double, foreign, marks, links = [], [], [], [], []
    excused = held = 0
    for station, ledger in ledgers.items():
        here, kept = set(rows[station]), set(on_card(spools[station]))
        for line in ledger.durable.values():
            if line in here:
                continue
            if line in kept:
                held += 1
            elif line.digest in ledger.excused:
                excused += 1
            else:
                missing.append(_named(station, line))
        double += [_named(station, line) for line in _doubles(rows[station])]
        foreign += [_named(station, line) for line in rows[station] if line not in ledger.intents]
        links += [_named(station, line) for line in _unlinked(station, rows[station])]
        marks += _wrong_marks(station, here, database, spools[station])
    strangers = [_named(station, line) for station in rows.keys() - ledgers.keys() for line in rows[station]]
    durable, count = (sum(map(len, each)) for each in ([one.durable for one in ledgers.values()], rows.values()))
    return Verdict(durable, count, excused, held, missing, double, foreign + strangers, marks, links)


def _doubles(lines: list[Line]) -> list[Line]:
    """The same number twice, or the same record under the numbers of two epochs."""
    numbers = Counter(line.identity for line in lines)
    epochs: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        epochs[line.digest].add(line.epoch)
    return [line for line in lines if numbers[line.identity] > 1 or len(epochs[line.digest]) > 1]


def _unlinked(station: str, in_order: list[Line]) -> Iterator[Line]:
    """As docs/wire.md defines it; who comes behind a gap has nobody to be compared with."""
    before: Line | None = None
    for line in in_order:
        if line.seq == 1:
            expected = chain.origin(station, line.epoch)
        elif before is not None and before.identity == (line.epoch, line.seq - 1):
            expected = chain.digest(before.data)
        else:
            expected = None
        if expected is not None and decode_record(line.data).link != chain.link(expected):
            yield line
        before = line


def _wrong_marks(station: str, here: set[Line], database: Path, spool: Path) -> list[str]:
    marks = dict(_ask(database, "SELECT epoch, stored FROM mark WHERE station = ?", (station,)))
    wrong = []
    for epoch, mark in marks.items():
        highest = max((line.seq for line in here if line.epoch == epoch), default=0)
        if mark > highest:
            wrong.append(f"{station} {epoch}: the mark says {mark}, the highest record is {highest}")
    for name, known in _ask(spool, "SELECT name, stored FROM epoch"):
        if known > marks.get(name.decode(), 0):
            wrong.append(f"{station}: forgot up to {known}, the centre has {marks.get(name.decode())}")
    return wrong


def _named(station: str, line: Line) -> str:
    return f"{station} {line.epoch} {line.seq} {line.digest}"


def _ask(database: Path, sql: str, arguments: tuple[str, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]
    reading = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        return reading.execute(sql, arguments).fetchall()
    finally:
        reading.close()
