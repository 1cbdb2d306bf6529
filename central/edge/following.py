"""Follows the chains of what was just stored, in the same transaction, and keeps what that brought to light."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from central.core.chain import HARMLESS, Finding, Kind, Trail, beginning, follow, midway, place_of, reach, vouch
from central.core.intake import Line
from central.edge import signatures
from central.edge.signatures import BadCertificate, Signatures
from central.edge.tables import models
from wire.messages import BadMessage, Former, Gap, Seal, decode_record

_authority: list[Path] = []


def judge_by(authority: Path) -> None:
    """Where the authority's certificate is, or will be once there is an authority."""
    _authority[:] = [authority]


@dataclass(slots=True)
class Fresh:
    """What one batch brought of one epoch."""

    stored_before: int
    highest_before: int
    lines: dict[int, Line] = field(default_factory=dict)
    """The first of each number."""
    again: list[Line] = field(default_factory=list)
    """With a number that was there before, in the store or in this batch."""
    gaps: list[Gap] = field(default_factory=list)

    def add(self, lines: Iterable[Line], gaps: Iterable[Gap]) -> None:
        for line in lines:
            if line.seq <= self.highest_before or line.seq in self.lines:
                self.again.append(line)
            self.lines.setdefault(line.seq, line)
        self.gaps.extend(gaps)


def follow_on(mark: models.Mark, fresh: Fresh, now_s: float) -> None:
    """Up to the mark. It is the store's caller who saves the mark, with its trail."""
    known = trail_of(mark, fresh.stored_before)
    trail, findings = known, _forked(mark, fresh)
    if mark.stored > known.at.seq:
        items = _items(mark, fresh, known)
        judge = _Judge(mark.station)
        trail, more = follow(mark.station, mark.epoch, known, items, judge)
        judge.remember()
        findings += more
    mark.trail = msgspec.json.encode(trail).decode()
    _keep(mark, findings, now_s)


def trail_of(mark: models.Mark, stored: int) -> Trail:
    """What was stored before there were chains is behind us."""
    if mark.trail:
        return msgspec.json.decode(mark.trail, type=Trail)
    return beginning(mark.station, mark.epoch) if stored == 0 else midway(stored)


def proven(mark: models.Mark, former: Former | None) -> tuple[int, list[Finding]]:
    """Up to which record this epoch is signed for, when the next run says that of its end; and what is wrong with it.

    `former` is None while there is no next run, or nothing of it is signed.
    """
    trail = trail_of(mark, mark.stored)
    if former is None:
        return trail.sealed, []
    behind = stored_items(mark, trail.anchor.seq, mark.stored)
    trail, findings = vouch(mark.station, mark.epoch, trail, behind, former)
    return trail.sealed, findings


def former_of(mark: models.Mark) -> Former | None:
    """What the first record of this epoch says of the run before it."""
    first = models.Record.objects.filter(station=mark.station, epoch=mark.epoch, seq=1).values_list("data", flat=True)
    try:
        return decode_record(bytes(first[0] or b"")).former if first else None
    except BadMessage:
        return None


def _items(mark: models.Mark, fresh: Fresh, known: Trail) -> Sequence[Line | Gap]:
    """What is to be followed: from the batch itself where it is all there, as it nearly always is."""
    wanted = range(known.at.seq + 1, mark.stored + 1)
    is_ours = fresh.highest_before <= known.at.seq and not fresh.gaps
    if is_ours and len(fresh.lines) >= len(wanted) and all(seq in fresh.lines for seq in wanted):
        here = [fresh.lines[seq] for seq in wanted]
        if reach(known, _seals(here)) == known.at.seq:
            return here
    stored = stored_items(mark, known.at.seq, mark.stored)
    begin = reach(known, _seals(stored))
    return stored if begin == known.at.seq else stored_items(mark, begin, mark.stored)


def _seals(items: Iterable[Line | Gap]) -> Iterator[Seal]:
    for item in items:
        if isinstance(item, Line) and item.record is not None and isinstance(item.record.body, Seal):
            yield item.record.body


def stored_items(mark: models.Mark, behind: int, upto: int) -> list[Line | Gap]:
    """Records and gaps as the store has them, in order."""
    of_mark = {"station": mark.station, "epoch": mark.epoch}
    rows = models.Record.objects.filter(**of_mark, seq__gt=behind, seq__lte=upto).values_list("seq", "data", "kind")
    found: list[Line | Gap] = [_line(seq, bytes(data or b""), kind) for seq, data, kind in rows]
    told = models.Gap.objects.filter(**of_mark, last__gt=behind, first__lte=upto)
    found += [Gap(gap.first, gap.last, gap.link, gap.chain) for gap in told]
    return sorted(found, key=place_of)


def _line(seq: int, data: bytes, kind: str) -> Line:
    """Only a seal is read again: of the others the bytes are enough."""
    if kind != "seal":
        return Line(seq, data, None)
    try:
        return Line(seq, data, decode_record(data))
    except BadMessage:
        return Line(seq, data, None)


class _Judge:
    """Asked for certificates only when there is a seal, which is once in ten minutes."""

    def __init__(self, station: str) -> None:
        self._station = station
        self._signatures: Signatures | None = None
        self._sent: dict[str, str] = {}

    def __call__(self, seal: Seal, text: bytes) -> signatures.Verdict:
        if self._signatures is None:
            known = models.DeviceKey.objects.filter(station=self._station).values_list("certificate", flat=True)
            self._signatures = Signatures(self._station, authority(), known)
        if seal.certificate is not None:
            self._sent[seal.key] = seal.certificate
        return self._signatures.judge(seal, text)

    def remember(self) -> None:
        rows = []
        for name, certificate in self._sent.items():
            try:
                is_its_own = signatures.key_of(signatures.read(certificate))[0] == name
            except BadCertificate:
                continue
            if is_its_own:
                rows.append(models.DeviceKey(station=self._station, key=name, certificate=certificate))
        models.DeviceKey.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["station", "key"], update_fields=["certificate"]
        )


def authority() -> str | None:
    """The authority's certificate; None while there is none, or none that can be read."""
    for path in _authority:
        try:
            text = path.read_text()
            signatures.read(text)
        except (OSError, ValueError):
            continue
        return text
    return None


def _forked(mark: models.Mark, fresh: Fresh) -> list[Finding]:
    """The same number with other bytes: no device does that by itself, for no run gives a number twice."""
    if not fresh.again:
        return []
    seqs = {line.seq for line in fresh.again}
    rows = models.Record.objects.filter(station=mark.station, epoch=mark.epoch, seq__in=seqs)
    stored = {seq: bytes(data) for seq, data in rows.values_list("seq", "data") if data is not None}
    other = {line.seq for line in fresh.again if stored.get(line.seq, line.data) != line.data}
    return [Finding(Kind.FORKED, seq, seq) for seq in sorted(other)]


def _keep(mark: models.Mark, findings: list[Finding], now_s: float) -> None:
    rows = [
        models.Finding(
            station=mark.station,
            epoch=mark.epoch,
            kind=finding.kind.value,
            first=finding.first,
            last=finding.last,
            noticed_s=now_s,
        )
        for finding in findings
        if finding.kind not in HARMLESS  # gaps have their table, and an older or a newer agent would fill this one
    ]
    models.Finding.objects.bulk_create(rows, ignore_conflicts=True)
