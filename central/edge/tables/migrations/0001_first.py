"""The first tables of the store."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="Station",
            fields=[
                ("station", models.CharField(max_length=13, primary_key=True, serialize=False)),
                ("session", models.CharField(default="", max_length=64)),
                ("heard_s", models.FloatField(null=True)),
                ("silent_at_s", models.FloatField(db_index=True, null=True)),
                ("view", models.TextField()),
            ],
            options={
                "db_table": "station",
            },
        ),
        migrations.CreateModel(
            name="Mark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("epoch", models.CharField(max_length=64)),
                ("stored", models.BigIntegerField()),
                ("highest", models.BigIntegerField()),
            ],
            options={
                "db_table": "mark",
                "constraints": [models.UniqueConstraint(fields=("station", "epoch"), name="mark_identity")],
            },
        ),
        migrations.CreateModel(
            name="Record",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("epoch", models.CharField(max_length=64)),
                ("seq", models.BigIntegerField()),
                ("kind", models.CharField(max_length=8)),
                ("code", models.CharField(default="", max_length=64)),
                ("uplink", models.CharField(default="", max_length=64)),
                ("boot", models.CharField(max_length=64)),
                ("uptime_s", models.FloatField()),
                ("wall_s", models.FloatField()),
                ("synced", models.BooleanField()),
                ("body", models.TextField()),
                ("arrived_s", models.FloatField()),
                ("is_late", models.BooleanField()),
            ],
            options={
                "db_table": "record",
                "constraints": [models.UniqueConstraint(fields=("station", "epoch", "seq"), name="record_identity")],
            },
        ),
    ]
