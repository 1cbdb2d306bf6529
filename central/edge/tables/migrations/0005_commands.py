"""What people command, and what came of it."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("siaga", "0004_device_key")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Command",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("name", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=16)),
                ("number", models.IntegerField(default=0)),
                ("arguments", models.TextField()),
                ("by", models.CharField(max_length=64)),
                ("asked_s", models.FloatField()),
                ("expires_s", models.FloatField(null=True)),
                ("status", models.CharField(db_index=True, max_length=16)),
                ("code", models.CharField(default="", max_length=64)),
                ("text", models.TextField(default="")),
                ("evidence", models.TextField(default="{}")),
                ("answered_s", models.FloatField(null=True)),
                ("sent", models.IntegerField(default=0)),
                ("sent_s", models.FloatField(default=0.0)),
                ("sent_to", models.CharField(default="", max_length=64)),
            ],
            options={
                "db_table": "command",
                "constraints": [models.UniqueConstraint(fields=("station", "name"), name="command_identity")],
            },
        ),
    ]
