"""A file of evidence: a station's records in a span of time, and all that is needed to check them. docs/evidence.md."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from central.core.chain import HARMLESS, Finding, Judge, Kind, Verdict, beginning, follow, midway, place_of, vouch
from central.core.intake import Line
from wire.messages import UNREADABLE, BadMessage, Former, Gap, Record, Seal, decode_envelope, decode_record

VERSION = 1
T = TypeVar("T")


class Bad(ValueError):
    """The file cannot be checked at all; the sentence says why."""


class Part(msgspec.Struct, frozen=True):
    """Of one epoch: records `first` to `last` were asked for; those up to `end` are there to prove them.

    The last of those is a seal; where no seal covers `last`, it is the last of its epoch, and the first record of
    another part says so, whose own seals prove that.
    """

    epoch: str
    first: int
    last: int
    end: int


class Header(msgspec.Struct, frozen=True):
    """The first line."""

    siaga_evidence: int
    station: str
    from_s: float
    to_s: float
    made_s: float
    ca: str
    """The authority's certificate, PEM: to be compared with one that came another way."""
    certificates: tuple[str, ...]
    """Of the station's devices."""
    parts: tuple[Part, ...]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Each further line: a record, byte for byte, or a gap."""

    epoch: str
    seq: int = 0
    record: str | None = None
    """None of one whose bytes an older centre did not keep."""
    gap: Gap | None = None


@dataclass(slots=True)
class Piece:
    """What a file holds of one part."""

    part: Part
    items: list[Line | Gap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def written(header: Header, pieces: Sequence[tuple[str, Sequence[Line | Gap]]]) -> Iterator[bytes]:
    """The lines of the file."""
    yield msgspec.json.encode(header)
    for epoch, items in pieces:
        for item in items:
            if isinstance(item, Gap):
                yield msgspec.json.encode(Entry(epoch, gap=item))
            else:
                yield msgspec.json.encode(Entry(epoch, item.seq, item.data.decode() if item.data else None))


def read(data: bytes) -> tuple[Header, list[Piece]]:
    """Raises Bad."""
    first, *lines = data.splitlines() or [b""]
    header = _decoded(first, Header, 1)
    if header.siaga_evidence != VERSION:
        raise Bad(f"it is of version {header.siaga_evidence}; this program reads {VERSION}")
    for named in (header.station, *(part.epoch for part in header.parts)):
        if not named.isprintable():  # it is shown in a terminal, and steers none
            raise Bad("line 1 names a station or an epoch that cannot be printed")
    pieces = {part.epoch: Piece(part) for part in header.parts}
    for number, line in enumerate(lines, 2):
        entry = _decoded(line, Entry, number)
        if entry.epoch not in pieces:
            raise Bad(f"line {number} is of epoch {entry.epoch[:64]!r}, which the first line does not name")
        _place(pieces[entry.epoch], entry)
    return header, list(pieces.values())


def _decoded(line: bytes, kind: type[T], number: int) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except UNREADABLE as why:
        raise Bad(f"line {number} is cut off or was changed: {why}") from None


def _place(piece: Piece, entry: Entry) -> None:
    """In the order of the file: what is not behind the one before it has no place."""
    item: Line | Gap = entry.gap or _line(entry)
    seq = place_of(item)
    before = piece.items[-1] if piece.items else None
    at = 0 if before is None else before.last if isinstance(before, Gap) else before.seq
    if seq <= at:
        piece.findings.append(Finding(Kind.MISPLACED, seq, seq))
        return
    if isinstance(item, Line) and item.data and _said(item.data) != (entry.epoch, entry.seq):
        piece.findings.append(Finding(Kind.MISPLACED, seq, seq))
    piece.items.append(item)


def _line(entry: Entry) -> Line:
    data = (entry.record or "").encode()
    try:
        return Line(entry.seq, data, decode_record(data))
    except BadMessage:
        return Line(entry.seq, data, None)


def _said(data: bytes) -> tuple[str, int] | None:
    try:
        envelope = decode_envelope(data)
    except BadMessage:
        return None
    return envelope.epoch, envelope.seq


def examine(station: str, pieces: Sequence[Piece], judge: Judge) -> list[list[Finding]]:
    """For each piece, everything in it that is not proven. The last comes first: it vouches for the one before."""
    formers: dict[str, Former] = {}
    found: list[list[Finding]] = []
    for piece in reversed(pieces):
        found.append(_examined(station, piece, judge, formers.get(piece.part.epoch)))
        if (former := _proven_former(piece, found[-1])) is not None:
            formers.setdefault(former.epoch, former)
    return found[::-1]


def _examined(station: str, piece: Piece, judge: Judge, former: Former | None) -> list[Finding]:
    part = piece.part
    start = beginning(station, part.epoch) if part.first == 1 else midway(part.first - 1)
    signed = {0}

    def noting(seal: Seal, text: bytes) -> Verdict:
        verdict = judge(seal, text)
        if verdict is Verdict.VALID:
            signed.add(seal.upto)
        return verdict

    trail, found = follow(station, part.epoch, start, piece.items, noting)
    if former is not None and (trail.sealed < part.last or trail.at.seq > former.seq):
        behind = [item for item in piece.items if place_of(item) > trail.anchor.seq]
        trail, of_end = vouch(station, part.epoch, trail, behind, former)
        signed |= {former.seq} if trail.sealed == former.seq else set()
        found += of_end
    found = [*piece.findings, *found, *_untied(part, piece.items, signed)]
    if trail.at.seq < part.end:
        found.append(Finding(Kind.MISSING, trail.at.seq + 1, part.end))
    if trail.sealed < part.last:
        found.append(Finding(Kind.UNSEALED, max(trail.sealed + 1, part.first), part.last))
    return found


def _proven_former(piece: Piece, found: Sequence[Finding]) -> Former | None:
    """What the first record says of the run before, where that record is proven itself."""
    if any(finding.first <= 1 <= finding.last for finding in found if finding.kind not in HARMLESS):
        return None
    match piece.items[:1]:
        case [Line(seq=1, record=Record(former=former))]:
            return former
    return None


def _untied(part: Part, items: Sequence[Line | Gap], signed: Container[int]) -> Iterator[Finding]:
    """Records that no seal covers, though one comes behind them: before a gap, and before the first seal of a part.

    A seal tells the chain behind a record. That of those before follows only while nothing between is unknown.
    """
    since = part.first  # behind the last place that a seal spoke of
    is_known = part.first - 1 in signed
    for item in items:
        first, last = place_of(item), item.last if isinstance(item, Gap) else item.seq
        if isinstance(item, Gap):
            if since < first and since <= part.last:
                yield Finding(Kind.UNSEALED, since, min(first - 1, part.last))
            since, is_known = last + 1, True
        if last in signed:
            if not is_known and since <= part.last:
                yield Finding(Kind.UNSEALED, since, min(last, part.last))
            since, is_known = last + 1, True
