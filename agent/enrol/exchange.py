"""Speaks with the centre's enrolment desk: first to see whom to trust, then to ask."""

import hashlib
import http.client
import logging
import random
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

from agent.edge import trust
from wire import enrolment
from wire.enrolment import Admission, Application, Link, Refusal, Renewal
from wire.messages import BadMessage

log = logging.getLogger(__name__)

PATIENCE_S = 20.0
BUSY_FOR_S = 60.0  # 701 devices that enrol in one second behind one address are through in half of it
BUSY_PAUSE_S = (2.0, 6.0)
DEFAULT_PORT = 443


class Unreachable(Exception):
    """The centre cannot be asked now, or is not who it should be; the sentence says which."""


class _CutOff(Exception):
    """It took the connection and let it go without an answer: so does a desk that has its hands full."""


def apply(link: Link, application: Application) -> Admission | Refusal:
    """Raises Unreachable, BadMessage."""
    context = trust.trusting(_authority(link), 0.0)  # who enrols may know nothing of the time, but has the fingerprint
    return _ask(link.url, enrolment.APPLY_PATH, enrolment.encode(application), context)


def renew(url: str, state_dir: Path, renewal: Renewal) -> Admission | Refusal:
    """By TLS both sides show who they are. Raises NoIdentity, Unreachable, BadMessage."""
    try:
        context = trust.of_device(state_dir)
    except OSError as why:
        raise Unreachable(f"the files of this device's identity cannot be used: {why.strerror or why}") from None
    return _ask(url, enrolment.RENEW_PATH, enrolment.encode(renewal), context)


def _authority(link: Link) -> str:
    """Whoever answers may say what it likes: only what has the card's fingerprint is believed."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    anybody.minimum_version = ssl.TLSVersion.TLSv1_3
    _, pem = _talk(link.url, "GET", enrolment.AUTHORITY_PATH, b"", anybody)
    try:
        certificate = ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip())
    except ValueError:
        raise Unreachable(f"{link.url} is no enrolment desk of Siaga") from None
    if not hashlib.sha256(certificate).hexdigest().startswith(link.fingerprint):
        raise Unreachable(f"{link.url} is not the centre that this card is from: its fingerprint is another")
    return ssl.DER_cert_to_PEM_cert(certificate)


def _ask(url: str, path: str, body: bytes, context: ssl.SSLContext) -> Admission | Refusal:
    _, answer = _talk(url, "POST", path, body, context)
    return enrolment.decode_answer(answer)


def _talk(url: str, method: str, path: str, body: bytes, context: ssl.SSLContext) -> tuple[int, bytes]:
    """What is asked may be asked again: the desk knows who has been let in by this card."""
    until = time.monotonic() + BUSY_FOR_S
    while True:
        try:
            return _talk_once(url, method, path, body, context)
        except _CutOff as why:
            pause_s = random.uniform(*BUSY_PAUSE_S)
            if time.monotonic() + pause_s > until:
                raise Unreachable(f"{url} cannot be asked: {why}") from None
            log.warning("%s is busy (%s); asking again in %.0f s", url, why, pause_s)
            time.sleep(pause_s)


def _talk_once(url: str, method: str, path: str, body: bytes, context: ssl.SSLContext) -> tuple[int, bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPSConnection(
        place.hostname or "", place.port or DEFAULT_PORT, timeout=PATIENCE_S, context=context
    )
    try:
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        content = answer.read(enrolment.LARGEST_BYTES + 1)
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as why:
        raise _CutOff(_plain(why)) from None
    except (OSError, http.client.HTTPException, ValueError) as why:
        raise Unreachable(f"{url} cannot be asked: {_plain(why)}") from None
    finally:
        connection.close()
    if len(content) > enrolment.LARGEST_BYTES:
        raise BadMessage("the centre's answer is too long")
    return answer.status, content


def _plain(why: Exception) -> str:
    if isinstance(why, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {why.verify_message}"
    if isinstance(why, TimeoutError):
        return f"no answer within {PATIENCE_S:g} s"
    return (getattr(why, "strerror", None) or str(why) or type(why).__name__).strip()
