"""The device's identity on the card: its key, its certificate, whom it trusts. Read here; made in agent/enrol.

device.key       made on the device, and never leaves it
device.crt       the centre's certificate for it
device.json      what is to be known of that certificate without reading it
centre-ca.crt    the only authority that is trusted
"""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from agent.edge import memory

KEY, CERTIFICATE, TOLD, AUTHORITY = "device.key", "device.crt", "device.json", "centre-ca.crt"
BYTES_AT_MOST = 65_536


class Told(msgspec.Struct, frozen=True):
    """Beside the certificate."""

    station: str
    serial: str
    not_before_s: float
    not_after_s: float
    renew_at: str = ""


class NoIdentity(Exception):
    """There is no certificate that could be shown; the sentence says why."""


def read(state_dir: Path) -> Told:
    """Raises NoIdentity."""
    missing = [name for name in (KEY, CERTIFICATE, AUTHORITY) if not (state_dir / name).exists()]
    if missing:
        raise NoIdentity(f"this device has no certificate yet ({missing[0]} is missing): siaga-agent enrol CODE")
    try:
        with (state_dir / TOLD).open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_AT_MOST), type=Told)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as why:
        raise NoIdentity(f"{state_dir / TOLD} cannot be understood ({_line(why)}): enrol again") from None


def session_name(state_dir: Path) -> str:
    """Another session with the same name ends ours: nobody else can guess it, and a renewal does not change it."""
    return "-" + hashlib.sha256(b"session" + (state_dir / KEY).read_bytes()).hexdigest()[:16]


def install(state_dir: Path, told: Told, certificate: str, authority: str) -> None:
    """The certificate last but one: until it is there, the old one is used as a whole. Raises OSError."""
    memory.replace(state_dir / AUTHORITY, authority.encode())
    memory.replace(state_dir / CERTIFICATE, certificate.encode())
    memory.replace(state_dir / TOLD, msgspec.json.encode(told))
    with contextlib.suppress(OSError):
        (state_dir / AUTHORITY).chmod(0o644)


def _line(why: Exception) -> str:
    return getattr(why, "strerror", None) or " ".join(str(why).split())[:80]
