"""What people command, in the store: asked, sent, answered or expired."""

import secrets
from hashlib import sha256

import msgspec
from django.db import transaction
from django.db.models import Max, Q

from central.edge.tables.models import Command, Station
from wire.command import Arguments, Kind, Result, Status, config_id

WAITING = "waiting"
FORGOTTEN_TEXT = "a newer version was given"
AT_A_TIME = 200


def give(station: str, kind: str, arguments: Arguments, by: str, life_s: float, now_s: float) -> str:
    """Store a command, to be sent by the centre that runs; its id."""
    name = secrets.token_hex(8)
    Command.objects.create(
        station=station,
        name=name,
        kind=kind,
        arguments=_text(arguments),
        by=by,
        asked_s=now_s,
        expires_s=now_s + life_s,
        status=WAITING,
    )
    return name


def give_config(station: str, text: str, by: str, now_s: float) -> int:
    """Store a configuration as the station's next version; older ones that wait are forgotten."""
    with transaction.atomic():
        ours = Command.objects.filter(station=station, kind=Kind.CONFIG)
        number = (ours.aggregate(last=Max("number"))["last"] or 0) + 1
        ours.filter(status=WAITING).update(status=Status.EXPIRED, text=FORGOTTEN_TEXT, answered_s=now_s)
        arguments: Arguments = {"version": number, "hash": sha256(text.encode()).hexdigest(), "text": text}
        Command.objects.create(
            station=station,
            name=config_id(number),
            kind=Kind.CONFIG,
            number=number,
            arguments=_text(arguments),
            by=by,
            asked_s=now_s,
            status=WAITING,
        )
    return number


def waiting(now_s: float) -> list[Command]:
    """Those that are to be sent or repeated; what is over is marked so."""
    over = Command.objects.filter(status=WAITING, expires_s__lte=now_s)
    if over.exists():  # else the store is not to be locked for nothing, twice a second
        over.update(status=Status.EXPIRED, code="TOO_LATE", answered_s=now_s)
    return list(Command.objects.filter(status=WAITING).order_by("sent_s", "id")[:AT_A_TIME])


def note_sent(command: Command, to: str, now_s: float) -> None:
    ours = Command.objects.filter(id=command.id, status=WAITING)
    ours.update(sent=command.sent + 1, sent_s=now_s, sent_to=to)


def settle(result: Result, now_s: float) -> None:
    """A station's answer. The first one stays; one that comes after all is truer than that it was too late."""
    open_yet = Q(status=WAITING) | Q(status=Status.EXPIRED, code="TOO_LATE")
    Command.objects.filter(open_yet, station=result.station, name=result.id).update(
        status=result.status,
        code=result.code,
        text=result.text,
        evidence=msgspec.json.encode(result.evidence).decode(),
        answered_s=now_s,
    )


def one(station: str, name: str) -> Command:
    return Command.objects.get(station=station, name=name)


def recent(station: str, most: int) -> list[Command]:
    """Newest first."""
    return list(Command.objects.filter(station=station).order_by("-id")[:most])


def is_known(station: str) -> bool:
    return Station.objects.filter(station=station).exists()


def arguments_of(command: Command) -> Arguments:
    return msgspec.json.decode(command.arguments, type=Arguments)


def evidence_of(command: Command) -> Arguments:
    return msgspec.json.decode(command.evidence, type=Arguments)


def _text(arguments: Arguments) -> str:
    return msgspec.json.encode(arguments).decode()
