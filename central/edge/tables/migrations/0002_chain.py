"""Records keep their very bytes; gaps, how far each chain was followed, and what that brought to light."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("siaga", "0001_first")]

    operations: ClassVar = [
        migrations.AddField("record", "data", models.BinaryField(null=True)),
        migrations.AlterField("record", "body", models.TextField(default="")),
        migrations.AddField("mark", "trail", models.TextField(default="")),
        migrations.CreateModel(
            name="Gap",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("epoch", models.CharField(max_length=64)),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("link", models.CharField(max_length=64)),
                ("chain", models.CharField(max_length=64)),
            ],
            options={
                "db_table": "gap",
                "constraints": [models.UniqueConstraint(fields=("station", "epoch", "first"), name="gap_identity")],
            },
        ),
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("epoch", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=16)),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("noticed_s", models.FloatField()),
            ],
            options={
                "db_table": "finding",
                "constraints": [
                    models.UniqueConstraint(fields=("station", "epoch", "kind", "first"), name="finding_identity")
                ],
            },
        ),
    ]
