"""Three tables: stations as they are, records as they came, and how far each station's records are complete."""

from typing import ClassVar

from django.db import models


class Station(models.Model):
    """One station's view: the columns that are searched, and the whole of it as JSON."""

    station = models.CharField(max_length=13, primary_key=True)
    session = models.CharField(max_length=64, default="")
    heard_s = models.FloatField(null=True)
    silent_at_s = models.FloatField(null=True, db_index=True)
    view = models.TextField()

    class Meta:
        db_table = "station"


class Record(models.Model):
    """One numbered line of a station's history. The id is the order of arrival."""

    station = models.CharField(max_length=13)
    epoch = models.CharField(max_length=64)
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=8)
    code = models.CharField(max_length=64, default="")
    uplink = models.CharField(max_length=64, default="")
    boot = models.CharField(max_length=64)
    uptime_s = models.FloatField()
    wall_s = models.FloatField()
    synced = models.BooleanField()
    body = models.TextField()
    arrived_s = models.FloatField()
    is_late = models.BooleanField()
    """It arrived after a record of the same epoch with a higher seq."""

    class Meta:
        db_table = "record"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "epoch", "seq"], name="record_identity"),
        ]


class Mark(models.Model):
    """How far the records of (station, epoch) are complete: the word that is given back to the station."""

    station = models.CharField(max_length=13)
    epoch = models.CharField(max_length=64)
    stored = models.BigIntegerField()
    highest = models.BigIntegerField()

    class Meta:
        db_table = "mark"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "epoch"], name="mark_identity"),
        ]
