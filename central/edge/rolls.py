"""Whom the brokers let in, whom not any more, and what people must look at: read from the store, without any key."""

from dataclasses import dataclass

from django.db.models import Count, Max, Q

from central.edge.tables.models import Alarm, Certificate


@dataclass(frozen=True, slots=True)
class Live:
    """A certificate that a broker lets in."""

    station: str
    serial: str


def alarms() -> list[Alarm]:
    """Those that stand, newest first."""
    return list(Alarm.objects.filter(released_s=None).order_by("-raised_s"))


def live(now_s: float) -> list[Live]:
    """Every certificate that is good now, in a lasting order."""
    rows = Certificate.objects.filter(revoked_s=None, not_after_s__gt=now_s).order_by("station", "serial")
    return [Live(station, serial) for station, serial in rows.values_list("station", "serial")]


def revoked(now_s: float) -> list[tuple[str, float]]:
    """(serial, when) of those that would be good if they were not revoked."""
    rows = Certificate.objects.filter(revoked_s__isnull=False, not_after_s__gt=now_s).order_by("serial")
    return list(rows.values_list("serial", "revoked_s"))


def generation(now_s: float) -> tuple[object, ...]:
    """Another one whenever `live` or `revoked` are others."""
    good = Q(not_after_s__gt=now_s)
    found = Certificate.objects.aggregate(
        count=Count("serial", filter=good), ended=Count("serial", filter=good & Q(revoked_s__isnull=False)),
        newest=Max("issued_s"), revoked=Max("revoked_s"),
    )  # fmt: skip
    return tuple(found.values())
