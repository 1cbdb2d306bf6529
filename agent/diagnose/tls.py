"""A full TLS handshake with the centre: the right name, a trusted issuer, valid now, and for how long still."""

import ssl
import time

from agent.diagnose.look import Facts, Layer, Look, Outcome, Purse, Subject, milliseconds
from agent.diagnose.tcp import connection, reason

COST = 10_000  # a chain of three certificates is 4 kB, and the other side may send as much as our window is wide
DAY_S = 86_400
NOT_YET, EXPIRED, WRONG_NAME, WRONG_ADDRESS = 9, 10, 62, 64  # openssl's X509_V_ERR_…
WHY_LETTERS = 60


def look(
    subject: Subject, host: str, address: str, port: int, authority: str | None, wait_s: float, purse: Purse
) -> Look:
    """Raises OSError when the file of the authority cannot be read."""
    facts: Facts = {"host": host, "address": address}
    if not purse.allows(COST):
        return Look(Layer.TLS, Outcome.NO_BYTES, facts)
    context = ssl.create_default_context(cafile=authority)
    began_at = time.monotonic()
    try:
        with (
            connection(subject, address, port, wait_s, purse) as opened,
            context.wrap_socket(opened.dup(), server_hostname=host) as safe,  # the other is asked what it carried
        ):
            certificate, version = safe.getpeercert() or {}, safe.version()
    except ssl.SSLCertVerificationError as why:
        return Look(Layer.TLS, _outcome(why.verify_code), {**facts, "why": str(why.verify_message)[:WHY_LETTERS]})
    except ssl.SSLError as why:
        return Look(Layer.TLS, Outcome.TLS_BROKEN, {**facts, "why": str(why.reason or "no TLS")[:WHY_LETTERS]})
    except OSError as why:
        return Look(Layer.TLS, Outcome.TLS_SILENT, {**facts, "why": reason(why)})
    ends_s = ssl.cert_time_to_seconds(str(certificate.get("notAfter")))
    took_ms = milliseconds(time.monotonic() - began_at)
    left_days = int((ends_s - time.time()) // DAY_S)
    return Look(Layer.TLS, Outcome.TLS_RIGHT, {**facts, "version": version, "days_left": left_days, "ms": took_ms})


def _outcome(code: int) -> Outcome:
    if code in (NOT_YET, EXPIRED):
        return Outcome.TLS_NOT_NOW
    return Outcome.TLS_WRONG_NAME if code in (WRONG_NAME, WRONG_ADDRESS) else Outcome.TLS_UNTRUSTED
