"""The app's name in the database."""

from django.apps import AppConfig


class TablesConfig(AppConfig):
    name = "central.edge.tables"
    label = "siaga"
    default_auto_field = "django.db.models.BigAutoField"
