"""The tables: stations as they are, records as they came, how far they are complete, and what their chain proves."""

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
    data = models.BinaryField(null=True)
    """Byte for byte as the agent wrote it; None of what came before this was kept."""
    body = models.TextField(default="")
    """Of a record without `data`."""
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
    trail = models.TextField(default="")
    """How far the chain was followed, as JSON of central.core.chain.Trail."""

    class Meta:
        db_table = "mark"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "epoch"], name="mark_identity"),
        ]


class Gap(models.Model):
    """Records that the station dropped, by its own word."""

    station = models.CharField(max_length=13)
    epoch = models.CharField(max_length=64)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    link = models.CharField(max_length=64)
    chain = models.CharField(max_length=64)

    class Meta:
        db_table = "gap"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "epoch", "first"], name="gap_identity"),
        ]


class Finding(models.Model):
    """What following a chain brought to light, once each."""

    station = models.CharField(max_length=13)
    epoch = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    noticed_s = models.FloatField()

    class Meta:
        db_table = "finding"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "epoch", "kind", "first"], name="finding_identity"),
        ]
