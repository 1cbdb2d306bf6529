"""Follows a station's chain of records: what is proven, and the name of what is not. docs/wire.md has the rules.

It judges what came and changes nothing of it. The same walk is done on ingest and over a file of evidence.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from central.core.intake import Line
from wire import chain
from wire.messages import BadMessage, Former, Gap, Seal, decode_envelope


class Kind(StrEnum):
    """What following a chain can bring to light."""

    ALTERED = "altered"
    CHANGED = "changed"
    MISSING = "missing"
    DROPPED = "dropped"
    FALSE_SEAL = "false_seal"
    FORKED = "forked"
    UNREAD = "unread"
    UNCHAINED = "unchained"
    UNSEALED = "unsealed"
    MISPLACED = "misplaced"
    FORGOTTEN = "forgotten"


# the device's own word, or an older or newer agent's
HARMLESS = frozenset({Kind.DROPPED, Kind.FORGOTTEN, Kind.UNREAD, Kind.UNCHAINED})
SAYS = {  # Indonesian, English
    Kind.ALTERED: ("bukan catatan yang mendahului {next}", "is not the record that {next} was written behind"),
    Kind.CHANGED: ("tidak semuanya yang ditandatangani perangkat", "not all of them what the device signed"),
    Kind.MISSING: ("tidak ada, dan perangkat tidak mengatakan mengapa", "not there, and the device does not say why"),
    Kind.DROPPED: ("dibuang perangkat karena penuh, menurut perangkat sendiri", "dropped by the device, which says so"),
    Kind.FALSE_SEAL: ("segel dengan tanda tangan yang salah", "a seal whose signature is wrong"),
    Kind.FORKED: ("datang lagi dengan isi lain", "came a second time and said something else"),
    Kind.UNREAD: ("tidak dimengerti pusat, disimpan apa adanya", "not understood by the centre, kept as it came"),
    Kind.UNCHAINED: ("dari agen lama, tanpa rantai", "of an older agent, in no chain"),
    Kind.UNSEALED: ("belum ditandatangani perangkat", "not signed by the device"),
    Kind.MISPLACED: ("tidak pada tempatnya", "not in its place"),
    Kind.FORGOTTEN: (
        "tidak dikenal lagi saat agen mulai berikutnya: kartu rusak, atau salinan lama",
        "not known any more when the agent started next: a damaged card, or an older copy of one",
    ),
}


class Verdict(StrEnum):
    """Of a signature."""

    VALID = "valid"
    FALSE = "false"
    UNKNOWN = "unknown"
    """There is no certificate of this key, or no authority to judge it by."""


Judge = Callable[[Seal, bytes], Verdict]
"""Whether the seal signs these bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """About records `first` to `last`."""

    kind: Kind
    first: int
    last: int

    def told_id(self) -> str:
        return f"catatan {self._which()}: {SAYS[self.kind][0].format(next=self.last + 1)}"

    def told_en(self) -> str:
        return f"record{'s' if self.last > self.first else ''} {self._which()}: " + SAYS[self.kind][1].format(
            next=self.last + 1
        )

    def _which(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Place(msgspec.Struct, frozen=True):
    """Behind a record."""

    seq: int = 0
    link: str | None = None
    """What the next record should say of this one; None where that is not known."""
    chain: str | None = None
    """h(seq), base64; None where it is not known."""


class Trail(msgspec.Struct, frozen=True):
    """How far an epoch was followed."""

    at: Place
    anchor: Place
    """The last place that a seal spoke of: from there the next seal is checked."""
    sealed: int = 0
    """Up to this record the device has signed."""


def beginning(station: str, epoch: str) -> Trail:
    origin = chain.origin(station, epoch)
    place = Place(0, chain.link(origin), chain.text(origin))
    return Trail(place, place)


def midway(seq: int) -> Trail:
    """Nothing is known of what was before."""
    return Trail(Place(seq), Place(seq))


def reach(trail: Trail, seals: Iterable[Seal]) -> int:
    """Behind which record to begin, so that each of these seals can be checked."""
    return trail.anchor.seq if any(seal.upto < trail.at.seq for seal in seals) else trail.at.seq


def follow(
    station: str, epoch: str, trail: Trail, items: Sequence[Line | Gap], judge: Judge
) -> tuple[Trail, list[Finding]]:
    """What lies behind the trail, or behind its anchor, in order of seq."""
    if not items:
        return trail, []
    start = trail.anchor if place_of(items[0]) <= trail.at.seq else trail.at
    walk = _Walk(station, epoch, judge, start, start, trail.anchor, trail.sealed)
    for item in items:
        walk.step(item)
    return Trail(walk.at, walk.anchor, walk.sealed), walk.findings


def vouch(
    station: str, epoch: str, trail: Trail, items: Iterable[Line | Gap], former: Former
) -> tuple[Trail, list[Finding]]:
    """What the next run says of the end of this one, itself under a seal, is as good as a seal.

    `items` are all that lie behind the trail's anchor; what following them brought to light is not told again.
    """
    walk = _Walk(station, epoch, _nobody, trail.anchor, trail.anchor, trail.anchor, trail.sealed)
    for item in items:
        walk.step(item)
    walk.findings.clear()
    walk.hear(former)
    return Trail(walk.at, walk.anchor, walk.sealed), walk.findings


def place_of(item: Line | Gap) -> int:
    return item.first if isinstance(item, Gap) else item.seq


def _nobody(_seal: Seal, _text: bytes) -> Verdict:
    return Verdict.UNKNOWN


@dataclass(slots=True)
class _Step:
    seq: int
    link: str | None
    digest: bytes | None
    """None of what is not in the chain: gaps, which say it themselves, what is missing, what is of an older agent."""
    chain: bytes | None


@dataclass(slots=True)
class _Walk:
    station: str
    epoch: str
    judge: Judge
    start: Place
    at: Place
    anchor: Place
    sealed: int
    findings: list[Finding] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)
    """Behind the start or the last anchor."""

    def step(self, item: Line | Gap) -> None:
        first, last = place_of(item), item.last if isinstance(item, Gap) else item.seq
        if last <= self.at.seq:
            return  # within a gap that was told later
        if first > self.at.seq + 1:
            self._find(Kind.MISSING, self.at.seq + 1, first - 1)
            self._put(_Step(first - 1, None, None, chain.binary(self.at.chain or "") or None))
        if isinstance(item, Gap):
            self._pass(item)
        else:
            self._take(item)

    def hear(self, former: Former) -> None:
        """Of the run that followed, about the end of this one."""
        if self.at.seq > former.seq:
            self._find(Kind.FORGOTTEN, former.seq + 1, self.at.seq)
        if self.at.seq < former.seq:
            self._find(Kind.MISSING, self.at.seq + 1, former.seq)
            return
        known = self._place(former.seq).chain
        if known is None or not former.chain or former.seq <= self.sealed:
            return
        if known != former.chain:
            self._find(Kind.CHANGED, self.anchor.seq + 1, former.seq)
        self.sealed = former.seq

    def _pass(self, gap: Gap) -> None:
        if gap.first == self.at.seq + 1 and gap.link:
            self._check(gap.link)
        self._find(Kind.DROPPED, gap.first, gap.last)
        self._put(_Step(gap.last, None, None, chain.binary(gap.chain) or None))

    def _take(self, line: Line) -> None:
        digest = chain.digest(line.data)
        link = _link_of(line)
        if link == "" and (self.at.chain is None or self.at.seq == 0):
            self._find(Kind.UNCHAINED, line.seq, line.seq)
            self._put(_Step(line.seq, chain.link(digest) if line.data else None, None, None))
            return
        origin = chain.origin(self.station, self.epoch)
        if self.at.chain is None and link == chain.link(origin):
            self.at = replace_chain(self.at, chain.text(origin))  # an agent that knew no chain was here before
        elif link is not None:
            self._check(link)
        before = chain.binary(self.at.chain or "")
        self._put(_Step(line.seq, chain.link(digest), digest, chain.advance(before, digest) if before else None))
        if line.record is not None and isinstance(line.record.body, Seal):
            self._weigh(line.seq, line.record.body)

    def _check(self, link: str) -> None:
        if self.at.link is not None and link != self.at.link:
            self._find(Kind.ALTERED, self.at.seq, self.at.seq)

    def _weigh(self, seq: int, seal: Seal) -> None:
        verdict = self.judge(seal, chain.sealed(self.station, self.epoch, seal.upto, chain.binary(seal.chain)))
        if verdict is Verdict.FALSE or seal.upto >= seq:
            self._find(Kind.FALSE_SEAL, seq, seq)
            return
        if seal.upto < self.anchor.seq:
            return  # the one before it spoke of more
        there = self._place(seal.upto)
        if verdict is Verdict.VALID:
            if there.chain not in (None, seal.chain):
                self._find(Kind.CHANGED, self.anchor.seq + 1, seal.upto)
            self.sealed = max(self.sealed, seal.upto)
            there = replace_chain(there, seal.chain)
        self._move(there)

    def _place(self, seq: int) -> Place:
        """Behind this record, as far as it is known."""
        for step in self.steps:
            if step.seq == seq:
                return Place(seq, step.link, chain.text(step.chain) if step.chain else None)
        return next((place for place in (self.start, self.anchor) if place.seq == seq), Place(seq))

    def _move(self, anchor: Place) -> None:
        """What lies behind the new anchor follows from it."""
        behind = [step for step in self.steps if step.seq > anchor.seq]
        self.anchor = self.at = anchor
        self.steps = []
        for step in behind:
            if step.digest is not None:
                before = chain.binary(self.at.chain or "")
                step.chain = chain.advance(before, step.digest) if before else None
            self._put(step)

    def _put(self, step: _Step) -> None:
        self.steps.append(step)
        self.at = Place(step.seq, step.link, chain.text(step.chain) if step.chain else None)

    def _find(self, kind: Kind, first: int, last: int) -> None:
        """Neighbours of one kind become one where there may be very many."""
        before = self.findings[-1] if self.findings else None
        if kind is Kind.UNCHAINED and before and before.kind is kind and before.last == first - 1:
            self.findings[-1] = replace(before, last=last)
        else:
            self.findings.append(Finding(kind, first, last))


def replace_chain(place: Place, to: str | None) -> Place:
    return Place(place.seq, place.link, to)


def _link_of(line: Line) -> str | None:
    """What a record says of the one before it; None where it cannot be read, empty where no bytes or no link are."""
    if not line.data:
        return ""
    if line.record is not None:
        return line.record.link
    try:
        return decode_envelope(line.data).link
    except BadMessage:
        return None
