"""The certificates that stations sent with their seals."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("siaga", "0003_identity")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="DeviceKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("station", models.CharField(max_length=13)),
                ("key", models.CharField(max_length=64)),
                ("certificate", models.TextField()),
            ],
            options={
                "db_table": "device_key",
                "constraints": [models.UniqueConstraint(fields=("station", "key"), name="device_key_identity")],
            },
        ),
    ]
