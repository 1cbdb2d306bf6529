"""Django's settings, made from ours: no settings module, no environment variables."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import django
from django.conf import settings

from central.core.networks import Networks

PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000"  # FULL: a mark must be true
LOCK_PATIENCE_S = 10


def configure(data: Path, hosts: Sequence[str], networks: Networks) -> None:
    """Once per process, before anything touches the database or a page."""
    is_open = bool({"0.0.0.0", "::"} & set(hosts))
    settings.configure(
        DEBUG=False,
        SECRET_KEY=_secret(data / "secret-key"),
        ALLOWED_HOSTS=["*"] if is_open else list(hosts),  # on every address: guard.known_host judges instead
        OWN_NAMES=list(hosts),
        NETWORKS=networks,
        ROOT_URLCONF="central.edge.web.urls",
        INSTALLED_APPS=["central.edge.tables", "central.edge.web"],
        MIDDLEWARE=[
            "central.edge.web.guard.content_policy",
            "central.edge.web.guard.known_host",
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "django.middleware.gzip.GZipMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(data / "siaga.sqlite3"),
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": LOCK_PATIENCE_S, "init_command": PRAGMAS},
            }
        },
        USE_TZ=True,
        LANGUAGE_CODE="id",
        USE_I18N=False,
        LOGGING_CONFIG=None,
        X_FRAME_OPTIONS="DENY",
        SECURE_REFERRER_POLICY="same-origin",
    )
    django.setup()


def _secret(file: Path) -> str:
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            new.write(secrets.token_urlsafe(50))
    return file.read_text()
