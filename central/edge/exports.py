"""Takes a station's records in a span of time out of the store, with the seals before and behind that prove them."""

from collections.abc import Sequence

from central.core import dating
from central.core.evidence import VERSION, Header, Part
from central.core.intake import Line
from central.edge import store
from central.edge.following import authority, stored_items
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
    for mark in Mark.objects.filter(station=number).order_by("id"):
        seqs = [seq for seq, at_s in _dated(mark, boots) if from_s <= at_s <= to_s]
        if not seqs:
            continue
        part = _part(mark, min(seqs), max(seqs))
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
    """From behind what the seal before it covers, or from where the epoch begins, to the first seal that covers it."""
    of_mark = {"station": mark.station, "epoch": mark.epoch}
    begin, end = 1, last
    for seq, data in Record.objects.filter(**of_mark, kind="seal").order_by("seq").values_list("seq", "data"):
        try:
            body = decode_record(bytes(data)).body
        except BadMessage:
            continue
        if isinstance(body, Seal) and body.upto < first:
            begin = body.upto + 1
        if isinstance(body, Seal) and body.upto >= last:
            end = seq
            break
    if begin == 1:
        begin = min(_lowest(Record, "seq", of_mark, first), _lowest(Gap, "first", of_mark, first))
    return Part(mark.epoch, begin, last, end)


def _lowest(table: type[Record] | type[Gap], column: str, of_mark: dict[str, str], otherwise: int) -> int:
    found = table.objects.filter(**of_mark).order_by(column).values_list(column, flat=True).first()
    return otherwise if found is None else int(found)
