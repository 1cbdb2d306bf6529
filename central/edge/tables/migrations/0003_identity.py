"""Elections, cards, certificates, alarms."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("siaga", "0002_chain"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(db_index=True, max_length=13)),
                ("code", models.CharField(max_length=64)),
                ("evidence", models.TextField()),
                ("raised_s", models.FloatField()),
                ("released_s", models.FloatField(null=True)),
                ("released_by", models.CharField(default="", max_length=64)),
            ],
            options={
                "db_table": "alarm",
            },
        ),
        migrations.CreateModel(
            name="Card",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(db_index=True, max_length=13)),
                ("code_hash", models.CharField(max_length=64, unique=True)),
                ("printed_s", models.FloatField()),
                ("valid_until_s", models.FloatField()),
                ("withdrawn_s", models.FloatField(null=True)),
                ("used_s", models.FloatField(null=True)),
                ("used_by_key", models.CharField(default="", max_length=64)),
                ("used_from", models.CharField(default="", max_length=64)),
                ("device", models.CharField(default="", max_length=64)),
            ],
            options={
                "db_table": "card",
            },
        ),
        migrations.CreateModel(
            name="Election",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("created_s", models.FloatField()),
            ],
            options={
                "db_table": "election",
            },
        ),
        migrations.CreateModel(
            name="Certificate",
            fields=[
                ("serial", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("station", models.CharField(db_index=True, max_length=13)),
                ("key_id", models.CharField(max_length=64)),
                ("pem", models.TextField()),
                ("issued_s", models.FloatField()),
                ("not_before_s", models.FloatField()),
                ("not_after_s", models.FloatField(db_index=True)),
                ("revoked_s", models.FloatField(null=True)),
                ("card", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="siaga.card")),
            ],
            options={
                "db_table": "certificate",
            },
        ),
        migrations.AddField(
            model_name="card",
            name="election",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="siaga.election"),
        ),
    ]
