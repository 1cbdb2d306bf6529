"""Whom the device trusts: the centre's authority alone, and its dates as far as the device can know the time.

A board without a battery starts in 1970, or wherever its clock stood; a good certificate then seems not yet valid.
While nobody has set the clock, dates are judged by the last time that was known: what ended before it is over, and
what begins long after it is not believed. Once the clock is set, OpenSSL judges by it, and nothing is forgiven.
"""

import math
import ssl
from pathlib import Path

from agent.edge import clock, identity, memory

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python's ssl has no name for
GRACE_S = 400 * 86_400.0  # a board may have lain in a store from one election to the next
KEPT_EVERY_S = 6 * 3600.0  # four small writes a day
LAST_TIME = "last-time"


class Misdated(ssl.SSLError):
    """The centre's certificate cannot be good at any time that it may be now."""


class Trust(ssl.SSLContext):
    """For one connection to the centre."""

    last_s: float
    """The time was this late, once."""
    forgiven: str = ""
    """What was wrong with the peer's dates by our own clock, which nobody has set."""


def trusting(authority: str, last_s: float) -> Trust:
    """Raises OSError (ssl.SSLError) for what is no authority."""
    context = Trust(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    context.last_s = last_s
    context.sslsocket_class = _Tidy
    if not clock.wall()[1]:
        context.verify_flags |= NO_CHECK_TIME
        context.sslsocket_class = _Dated
    return context


def of_device(state_dir: Path) -> Trust:
    """With the device's own certificate to show. Raises NoIdentity, OSError."""
    told = identity.read(state_dir)
    context = trusting((state_dir / identity.AUTHORITY).read_text(), max(told.not_before_s, last_time(state_dir)))
    context.load_cert_chain(state_dir / identity.CERTIFICATE, state_dir / identity.KEY)
    return context


class _Tidy(ssl.SSLSocket):
    """Closed when its handshake fails: paho forgets to."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
            self.judge()
        except OSError:
            self.close()
            raise

    def judge(self) -> None:
        """Raises ssl.SSLError. OpenSSL has judged everything."""


class _Dated(_Tidy):
    """The signatures were verified by OpenSSL, the dates are judged here."""

    def judge(self) -> None:
        assert isinstance(self.context, Trust)
        shown = self.getpeercert() or {}
        begins_s, ends_s = (ssl.cert_time_to_seconds(str(shown[key])) for key in ("notBefore", "notAfter"))
        mistake = misdated(begins_s, ends_s, self.context.last_s)
        if mistake is not None:
            raise Misdated(1, f"the centre's certificate is not good: {mistake}")
        wall_s, _ = clock.wall()
        if not begins_s <= wall_s <= ends_s:
            self.context.forgiven = "not yet valid" if wall_s < begins_s else "expired"


def misdated(begins_s: float, ends_s: float, last_s: float) -> str | None:
    """Why a certificate cannot be good, whatever the time is now, as the clock does not tell it."""
    if ends_s < last_s:
        return "it ended before the last time that this device knows of"
    if last_s and begins_s > last_s + GRACE_S:
        return f"it begins more than {GRACE_S / 86_400:g} days after the last time that this device knows of"
    return None


def last_time(state_dir: Path) -> float:
    """0 when nothing is known."""
    try:
        with (state_dir / LAST_TIME).open("rb") as file:
            known = float(file.read(64))
    except (OSError, ValueError):
        return 0.0
    return known if math.isfinite(known) and known > 0 else 0.0


class TimeKeeper:
    """Keeps the last known time, so that the next start has it; called in the card's thread."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / LAST_TIME
        self._kept_at = -math.inf

    def due(self, now: float) -> bool:
        """Whether it is time to keep it again; only when somebody has set the clock."""
        if now < self._kept_at + KEPT_EVERY_S or not clock.wall()[1]:
            return False
        self._kept_at = now
        return True

    def keep(self) -> None:
        try:
            memory.replace(self._file, f"{clock.wall()[0]:.0f}".encode())
        except OSError:
            self._kept_at = -math.inf  # a card that takes nothing is told of by others
