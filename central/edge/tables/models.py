"""The tables: stations, their records and what the chain of these proves; cards, certificates, alarms; commands."""

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


class Election(models.Model):
    """What stations are counted for; the same village has others in the next one."""

    name = models.CharField(max_length=64, unique=True)
    created_s = models.FloatField()

    class Meta:
        db_table = "election"


class Card(models.Model):
    """One printed Kartu Pasang: whoever has its code may be this station, once. The code itself is not kept."""

    election = models.ForeignKey(Election, on_delete=models.PROTECT)
    station = models.CharField(max_length=13, db_index=True)
    code_hash = models.CharField(max_length=64, unique=True)
    printed_s = models.FloatField()
    valid_until_s = models.FloatField()
    withdrawn_s = models.FloatField(null=True)
    """A newer card of this station was printed, or the station was revoked."""
    used_s = models.FloatField(null=True)
    used_by_key = models.CharField(max_length=64, default="")
    used_from = models.CharField(max_length=64, default="")
    device = models.CharField(max_length=64, default="")

    class Meta:
        db_table = "card"


class Certificate(models.Model):
    """One certificate that the centre has signed for a device. The row is kept when it has expired."""

    serial = models.CharField(max_length=40, primary_key=True)
    station = models.CharField(max_length=13, db_index=True)
    card = models.ForeignKey(Card, on_delete=models.PROTECT)
    key_id = models.CharField(max_length=64)
    pem = models.TextField()
    issued_s = models.FloatField()
    not_before_s = models.FloatField()
    not_after_s = models.FloatField(db_index=True)
    revoked_s = models.FloatField(null=True)

    class Meta:
        db_table = "certificate"


class Alarm(models.Model):
    """Something that people must look at; it stands until one of them releases it."""

    station = models.CharField(max_length=13, db_index=True)
    code = models.CharField(max_length=64)
    evidence = models.TextField()
    raised_s = models.FloatField()
    released_s = models.FloatField(null=True)
    released_by = models.CharField(max_length=64, default="")

    class Meta:
        db_table = "alarm"


class DeviceKey(models.Model):
    """A certificate that a station sent with a seal, by the name of its key."""

    station = models.CharField(max_length=13)
    key = models.CharField(max_length=64)
    certificate = models.TextField()

    class Meta:
        db_table = "device_key"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "key"], name="device_key_identity"),
        ]


class Command(models.Model):
    """What somebody wants of a station, and what came of it. A configuration is one too."""

    station = models.CharField(max_length=13)
    name = models.CharField(max_length=64)
    """Its id on the wire."""
    kind = models.CharField(max_length=16)
    number = models.IntegerField(default=0)
    """The version of a configuration."""
    arguments = models.TextField()
    by = models.CharField(max_length=64)
    asked_s = models.FloatField()
    expires_s = models.FloatField(null=True)
    status = models.CharField(max_length=16, db_index=True)
    """waiting, or as the station says: done, refused, failed, expired."""
    code = models.CharField(max_length=64, default="")
    text = models.TextField(default="")
    evidence = models.TextField(default="{}")
    answered_s = models.FloatField(null=True)
    sent = models.IntegerField(default=0)
    sent_s = models.FloatField(default=0.0)
    sent_to = models.CharField(max_length=64, default="")
    """The run of the agent that it was addressed to last."""

    class Meta:
        db_table = "command"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["station", "name"], name="command_identity"),
        ]
