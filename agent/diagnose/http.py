"""The check page: any answer but the exact body is somebody else's, such as a login or quota page."""

import contextlib
import http.client
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from agent.diagnose.look import Facts, Layer, Look, Outcome, Purse, Subject, milliseconds
from agent.diagnose.tcp import WINDOW_BYTES, connection, reason

PORTAL_STATUS = 511  # RFC 6585, section 6
LOCATION_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Page:
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> "Page":
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.hostname or "", parts.port or 80, (parts.path or "/") + query)


def look(
    subject: Subject, page: Page, address: str, body: str, wait_s: float, purse: Purse
) -> tuple[Look, float | None]:
    """Also the centre's own time, seconds since 1970, when the page is the right one."""
    facts: Facts = {"host": page.host, "address": address}
    wanted = body.encode()
    if not purse.allows(WINDOW_BYTES):
        return Look(Layer.HTTP, Outcome.NO_BYTES, facts), None
    began_at = time.monotonic()
    try:
        with connection(subject, address, page.port, wait_s, purse) as opened:
            asking = http.client.HTTPConnection(page.host, page.port)
            asking.sock = opened.dup()  # it closes its own; the other is asked what it carried
            asking.request("GET", page.path, headers={"Connection": "close", "User-Agent": "siaga-diagnose"})
            with contextlib.closing(asking.getresponse()) as answer:
                got = answer.read(len(wanted) + 1)
    except (OSError, http.client.HTTPException) as why:
        told = reason(why) if isinstance(why, OSError) else "no HTTP"
        return Look(Layer.HTTP, Outcome.PAGE_SILENT, {**facts, "why": told}), None
    facts |= {"status": answer.status, "ms": milliseconds(time.monotonic() - began_at)}
    if answer.status == 200 and got == wanted:
        return Look(Layer.HTTP, Outcome.PAGE_RIGHT, facts), _time(answer.getheader("Date"))
    location = (answer.getheader("Location") or "another page")[:LOCATION_LETTERS]
    facts["location"] = "".join(c if c.isprintable() else "?" for c in location)
    return Look(Layer.HTTP, _outcome(answer.status), facts), None


def _outcome(status: int) -> Outcome:
    """An error of the page itself is the centre's; a portal sends elsewhere, or shows itself."""
    is_error = status >= 400 and status != PORTAL_STATUS
    return Outcome.PAGE_ERROR if is_error else Outcome.PAGE_OTHER


def _time(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
