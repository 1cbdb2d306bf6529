"""Takes a station's records in a span of time out of the store, with the seals before and behind that prove them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from central.core import dating
from central.core.evidence import VERSION, Header, Part
from central.core.intake import Line
from central.edge import store
from central.edge.following import authority, former_of, stored_items
from central.edge.tables.models import DeviceKey, Gap, Mark, Record
from wire.messages import BadMessage, Seal, Stamp, decode_record
from wire.messages import Gap as Told


def evidence(
    number: str, from_s: float, to_s: float, now_s: float
) -> tuple[Header, list[tuple[str, Sequence[Line | Told]]]] | None:
    """None when nothing of the station is stored in this span."""
    view = store.station(number)
    boots = view.boots if view else ()
    parts: list[Part] = []
    pieces: list[tuple[str, Sequence[Line | Told]]] = []
    open_ended: set[str] = set()
    """Epochs whose last records the next run has to vouch for."""
    for mark in Mark.objects.filter(station=number).order_by("id"):
        seqs = [seq for seq, at_s in _dated(mark, boots) if from_s <= at_s <= to_s]
        former = former_of(mark)
        if former is not None and former.epoch in open_ended:
            seqs.append(1)
        if not seqs:
            continue
        part = _part(mark, min(seqs), max(seqs))
        if not _is_sealed(mark, part.last):
            open_ended.add(mark.epoch)
        parts.append(part)
        pieces.append((mark.epoch, stored_items(mark, part.first - 1, part.end)))
    if not parts:
        return None
    known = DeviceKey.objects.filter(station=number).order_by("id").values_list("certificate", flat=True)
    return Header(VERSION, number, from_s, to_s, now_s, authority() or "", tuple(known), tuple(parts)), pieces


def _dated(mark: Mark, boots: dating.Boots) -> list[tuple[int, float]]:
    rows = Record.objects.filter(station=mark.station, epoch=mark.epoch)
    columns = rows.values_list("seq", "boot", "uptime_s", "wall_s", "synced", "arrived_s")
    return [
        (seq, dating.happened_s(boots, Stamp(boot, uptime_s, wall_s, synced)) or arrived_s)
        for seq, boot, uptime_s, wall_s, synced, arrived_s in columns.iterator()
    ]


def _part(mark: Mark, first: int, last: int) -> Part:
    """From behind what the seal before it covers, or from where the epoch begins, to the first seal that covers it.

    While there is none, to the epoch's end.
    """
    of_mark = {"station": mark.station, "epoch": mark.epoch}
    begin, end = 1, max(last, mark.stored)
    for seq, seal in _seals(mark):
        if seal.upto < first:
            begin = seal.upto + 1
        if seal.upto >= last:
            end = seq
            break
    if begin == 1:
        begin = min(_lowest(Record, "seq", of_mark, first), _lowest(Gap, "first", of_mark, first))
    return Part(mark.epoch, begin, last, end)


def _is_sealed(mark: Mark, seq: int) -> bool:
    return any(seal.upto >= seq for _, seal in _seals(mark))


def _seals(mark: Mark) -> Iterator[tuple[int, Seal]]:
    rows = Record.objects.filter(station=mark.station, epoch=mark.epoch, kind="seal").order_by("seq")
    for seq, data in rows.values_list("seq", "data"):
        with suppress(BadMessage):
            body = decode_record(bytes(data)).body
            if isinstance(body, Seal):
                yield seq, body


def _lowest(table: type[Record] | type[Gap], column: str, of_mark: dict[str, str], otherwise: int) -> int:
    found = table.objects.filter(**of_mark).order_by(column).values_list(column, flat=True).first()
    return otherwise if found is None else int(found)
