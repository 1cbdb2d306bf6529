"""All reading and writing of the database; what is not committed here has not happened."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import msgspec
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Min, Q
from django.db.utils import DatabaseError

from central.core.chain import Finding as Told
from central.core.chain import Kind
from central.core.fleet import StationView, advance, hear, recall, take_in
from central.core.intake import Delivered, Line
from central.edge import commands
from central.edge.following import Fresh, follow_on, former_of, proven
from central.edge.tables.models import Finding, Gap, Mark, Record, Station
from wire.command import Result
from wire.messages import Fact, Former, Seal, State, Stored, Summary

CHECK_S = 2.0  # a large database is not read to its end at each start
ROWS_AT_A_TIME = 64
EPOCHS_SHOWN = 4
FINDINGS_SHOWN = 20
KINDS = {Fact: "fact", Summary: "sum", Seal: "seal", type(None): "unread"}


class StoreError(Exception):
    """The database cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A judged message on its way into the store."""

    message: State | Delivered | Result
    is_retained: bool


def open_store(file: Path) -> None:
    """Check the file and bring its tables up to date; raises StoreError."""
    try:
        if file.exists():
            _check(file)
        _refuse_the_future(file)
        call_command("migrate", verbosity=0, interactive=False)
    except (DatabaseError, sqlite3.Error) as why:
        raise StoreError(f"the database {file} is damaged or cannot be used: {why}") from None
    finally:
        connection.close()


def _check(file: Path) -> None:
    deadline_s = time.monotonic() + CHECK_S
    database = sqlite3.connect(file)
    try:
        database.set_progress_handler(lambda: time.monotonic() > deadline_s, 10_000)
        answer = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as why:
        if "interrupted" not in str(why):
            raise
        return
    finally:
        database.close()
    if answer != "ok":
        raise StoreError(f"the database {file} is damaged: {' '.join(answer.split())}; restore a copy or move it away")


def _refuse_the_future(file: Path) -> None:
    loader = MigrationLoader(connection)
    ours = {name for app, name in loader.disk_migrations if app == "siaga"}
    future = sorted(name for app, name in loader.applied_migrations if app == "siaga" and name not in ours)
    if future:
        raise StoreError(
            f"the database {file} was written by a newer version of Siaga ({future[-1]}); install that one"
        )


def keep(arrivals: Sequence[Arrival], now_s: float) -> dict[str, list[Stored]]:
    """Store a batch in one transaction; gives the high-water marks to send back, by station."""
    with transaction.atomic():
        for arrival in arrivals:
            if isinstance(arrival.message, Result):
                commands.settle(arrival.message, now_s)
        arrivals = [arrival for arrival in arrivals if not isinstance(arrival.message, Result)]
        views = _views(sorted({arrival.message.station for arrival in arrivals}))
        rows: list[Record] = []
        gaps: list[Gap] = []
        delivered: list[Delivered] = []
        oldest: dict[tuple[str, str], int] = {}
        for arrival in arrivals:
            message = arrival.message
            view = views[message.station]
            if isinstance(message, Delivered):
                views[message.station] = take_in(view, message, now_s)
                identity = (message.station, message.epoch)
                oldest[identity] = max(oldest.get(identity, 1), message.oldest)
                delivered.append(message)
                rows.extend(_row(message, line, now_s) for line in message.lines)
                gaps.extend(
                    Gap(station=identity[0], epoch=identity[1], **msgspec.structs.asdict(gap)) for gap in message.gaps
                )
            else:
                views[message.station] = recall(view, message) if arrival.is_retained else hear(view, message, now_s)
        marks = _keep_records(rows, gaps, oldest, delivered, now_s)
        _keep_views(list(views.values()))
    stored: dict[str, list[Stored]] = {}
    for mark in marks:
        stored.setdefault(mark.station, []).append(Stored(mark.epoch, mark.stored))
    return stored


def _views(stations: list[str]) -> dict[str, StationView]:
    views = {station: StationView(station) for station in stations}
    views.update((row.station, _view(row)) for row in Station.objects.filter(station__in=stations))
    return views


def _view(row: Station) -> StationView:
    return msgspec.json.decode(row.view, type=StationView)


def _row(delivered: Delivered, line: Line, now_s: float) -> Record:
    record = line.record
    body = record.body if record else None
    fact = body if isinstance(body, Fact) else None
    return Record(
        station=delivered.station,
        epoch=delivered.epoch,
        seq=line.seq,
        kind=KINDS[type(body)],
        code=fact.code if fact else "",
        uplink=(fact.uplink or "") if fact else "",
        boot=record.stamp.boot if record else "",
        uptime_s=record.stamp.uptime_s if record else 0.0,
        wall_s=record.stamp.wall_s if record else 0.0,
        synced=record.stamp.synced if record else False,
        data=line.data,
        arrived_s=now_s,
        is_late=False,
    )


def _keep_records(
    rows: list[Record],
    gaps: list[Gap],
    oldest: dict[tuple[str, str], int],
    delivered: list[Delivered],
    now_s: float,
) -> list[Mark]:
    stations, epochs = {station for station, _ in oldest}, {epoch for _, epoch in oldest}
    known = Mark.objects.filter(station__in=stations, epoch__in=epochs)
    marks = {(mark.station, mark.epoch): mark for mark in known}
    touched = [
        marks.setdefault((station, epoch), Mark(station=station, epoch=epoch, stored=0, highest=0))
        for station, epoch in oldest
    ]
    news = {identity: Fresh(marks[identity].stored, marks[identity].highest) for identity in oldest}
    for each in delivered:
        news[each.station, each.epoch].add(each.lines, each.gaps)
    fresh: dict[tuple[str, str], list[tuple[int, int]]] = {identity: [] for identity in oldest}
    for row in rows:
        mark = marks[row.station, row.epoch]
        row.is_late = row.seq < mark.highest
        mark.highest = max(mark.highest, row.seq)
        fresh[row.station, row.epoch].append((row.seq, row.seq))
    for gap in gaps:
        mark = marks[gap.station, gap.epoch]
        mark.highest = max(mark.highest, gap.last)
        fresh[gap.station, gap.epoch].append((gap.first, gap.last))
    Record.objects.bulk_create(rows, ignore_conflicts=True)
    _keep_gaps(gaps)
    for identity, mark in zip(oldest, touched, strict=True):
        floor = max(mark.stored, oldest[identity] - 1)
        is_all_here = news[identity].highest_before <= floor  # nothing above the mark was stored before this batch
        later = sorted(fresh[identity]) if is_all_here else _stored_above(mark, floor)
        mark.stored = advance(mark.stored, oldest[identity], later)
        follow_on(mark, news[identity], now_s)
    Mark.objects.bulk_create(
        touched, update_conflicts=True, unique_fields=["station", "epoch"], update_fields=["stored", "highest", "trail"]
    )
    return touched


def _keep_gaps(gaps: list[Gap]) -> None:
    by_identity = {(gap.station, gap.epoch, gap.first): gap for gap in sorted(gaps, key=lambda gap: gap.last)}
    Gap.objects.bulk_create(  # one that has grown since takes the place of what it was
        by_identity.values(),
        update_conflicts=True,
        unique_fields=["station", "epoch", "first"],
        update_fields=["last", "link", "chain"],
    )


def _stored_above(mark: Mark, floor: int) -> Iterator[tuple[int, int]]:
    of_mark = {"station": mark.station, "epoch": mark.epoch}
    above = Record.objects.filter(**of_mark, seq__gt=floor).order_by("seq").values_list("seq", flat=True)
    records = ((seq, seq) for seq in above.iterator(chunk_size=ROWS_AT_A_TIME))
    gaps = Gap.objects.filter(**of_mark, last__gt=floor).order_by("first").values_list("first", "last")
    return merge(records, gaps)


def _keep_views(views: list[StationView]) -> None:
    rows = [
        Station(
            station=view.station,
            session=view.state.session if view.state else "",
            heard_s=view.heard_s,
            silent_at_s=view.silent_at_s,
            view=msgspec.json.encode(view).decode(),
        )
        for view in views
    ]
    Station.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["station"],
        update_fields=["session", "heard_s", "silent_at_s", "view"],
    )


def fleet() -> list[StationView]:
    """Every station, in the order of their numbers."""
    return [_view(row) for row in Station.objects.order_by("station")]


def station(number: str) -> StationView | None:
    row = Station.objects.filter(station=number).first()
    return _view(row) if row else None


def latest(view: StationView, most: int) -> list[Record]:
    """A station's newest records by its own numbering, newest epoch first."""
    found: list[Record] = []
    for mark in Mark.objects.filter(station=view.station).order_by("-id"):
        records = Record.objects.filter(station=view.station, epoch=mark.epoch).order_by("-seq")
        found.extend(records[: most - len(found)])
        if len(found) >= most:
            break
    return found


@dataclass(frozen=True, slots=True)
class Proof:
    """How far one epoch's chain was followed and signed, and what that brought to light."""

    mark: Mark
    sealed: int
    """Up to this record the device has signed, in this run or at the beginning of the next."""
    findings: list[Told]
    more: int
    """Findings beyond these."""
    gaps: list[Gap]
    unread: int


def proofs(number: str) -> list[Proof]:
    """Newest epoch first."""
    found: list[Proof] = []
    formers: dict[str, Former] = {}
    for mark in Mark.objects.filter(station=number).order_by("-id")[:EPOCHS_SHOWN]:
        found.append(_proof(mark, formers.get(mark.epoch)))
        if found[-1].sealed and (former := former_of(mark)) is not None:
            formers.setdefault(former.epoch, former)
    return found


def _proof(mark: Mark, former: Former | None) -> Proof:
    of_mark = {"station": mark.station, "epoch": mark.epoch}
    findings = Finding.objects.filter(**of_mark).order_by("-first")
    gaps = list(Gap.objects.filter(**of_mark).order_by("-first")[:FINDINGS_SHOWN])
    unread = Record.objects.filter(**of_mark, kind="unread").count()
    sealed, of_end = proven(mark, former)
    shown = [Told(Kind(each.kind), each.first, each.last) for each in findings[:FINDINGS_SHOWN]]
    return Proof(mark, sealed, of_end + shown, findings.count() - len(shown), gaps, unread)


def holdings(number: str) -> list[dict[str, str | int]]:
    """What is stored of a station, epoch by epoch."""
    totals = (
        Record.objects.filter(station=number)
        .values("epoch")
        .annotate(first=Min("seq"), count=Count("id"), out_of_order=Count("id", filter=Q(is_late=True)))
    )
    by_epoch = {total["epoch"]: total for total in totals}
    return [
        {"epoch": mark.epoch, "stored": mark.stored, **{key: by_epoch[mark.epoch][key] for key in _TOTALS}}
        for mark in Mark.objects.filter(station=number).order_by("id")
    ]


_TOTALS = ("first", "count", "out_of_order")


def let_go() -> None:
    """Close this thread's connection to the database."""
    connection.close()
