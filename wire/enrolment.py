"""How a device gets its identity: the code on a card, what is printed in its QR, and what is asked and answered.

docs/enrolment.md tells the story. The messages travel by HTTPS, or as files where there is no uplink.
"""

import hashlib
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from wire.messages import BadMessage

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no I, L, O, U
CODE_LETTERS = 20  # a hundred bits: nobody guesses one
GROUP_LETTERS = 4
FINGERPRINT_DIGITS = 64  # SHA-256
FINGERPRINT_AT_LEAST = 20  # eighty bits, the short form on a card: enough to find no second certificate that has them
LARGEST_BYTES = 32 * 1024  # of a message; a request for a certificate has one, an answer with its chain four
APPLY_PATH, RENEW_PATH, AUTHORITY_PATH = "/enrol", "/renew", "/ca.crt"
LINK_VERSION = "1"

_LIKE = str.maketrans("OIL", "011")
_BETWEEN = str.maketrans("", "", " -_.\t\n\r\u00a0\u2010\u2011\u2013\u2014")


class Application(msgspec.Struct, frozen=True, tag="application"):
    """A device asks for its first certificate."""

    code: str
    """Empty in a file: there the code comes by hand, beside it."""
    request: str
    """PKCS#10 in PEM; it proves that the device holds the key."""
    station: str = ""
    """What the device is configured to be, if it is; a card of another station is then refused and not used up."""
    device: str = ""
    """The board's serial number, an attribute and no identity."""
    v: int = 1


class Renewal(msgspec.Struct, frozen=True, tag="renewal"):
    """A device asks for the next certificate; by TLS it has shown the one that it has."""

    request: str
    v: int = 1


class Admission(msgspec.Struct, frozen=True, tag="admission"):
    """The answer to both."""

    station: str
    certificate: str
    """PEM: the device's own, then what leads to the authority's, which is not in it."""
    authority: str
    """PEM: whom the device trusts from now on, and nobody else."""
    serial: str
    not_before_s: float
    not_after_s: float
    broker: str
    """mqtts://host:port"""
    renew_at: str = ""
    """https://host:port; empty where this centre has no listener for it."""
    config: str = ""
    """The station's configuration in YAML; empty where the centre has none for it."""
    v: int = 1


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why not, in a sentence for who stands at the device."""

    why_id: str
    why_en: str
    v: int = 1


Message = TypeVar("Message", Application, Renewal, Admission)


def encode(message: Application | Renewal | Admission | Refusal) -> bytes:
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[Message]) -> Message:
    """Raises BadMessage."""
    if len(data) > LARGEST_BYTES:
        raise BadMessage(f"{len(data)} bytes; at most {LARGEST_BYTES} are taken")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise BadMessage(" ".join(str(why).split())) from None


def decode_answer(data: bytes) -> Admission | Refusal:
    """Raises BadMessage."""
    if len(data) > LARGEST_BYTES:
        raise BadMessage(f"{len(data)} bytes; at most {LARGEST_BYTES} are taken")
    try:
        return msgspec.json.decode(data, type=Admission | Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise BadMessage(" ".join(str(why).split())) from None


def read_code(typed: str) -> str:
    """What somebody typed or scanned, as twenty letters; raises BadMessage, which never repeats the code."""
    code = typed.translate(_BETWEEN).upper().translate(_LIKE)
    strange = sorted({letter for letter in code if letter not in ALPHABET})
    if strange:
        raise BadMessage(f"{', '.join(map(repr, strange[:3]))} is in no code; look at the card again")
    if len(code) != CODE_LETTERS:
        raise BadMessage(f"a code has {CODE_LETTERS} letters and figures, this one has {len(code)}")
    return code


def grouped(code: str) -> str:
    """As it is printed: 4F7K-…"""
    return "-".join(code[at : at + GROUP_LETTERS] for at in range(0, len(code), GROUP_LETTERS))


def hashed(code: str) -> str:
    """What the centre keeps of a code. A hundred random bits need no slow hash."""
    return hashlib.sha256(f"siaga card {code}".encode()).hexdigest()


def read_fingerprint(typed: str) -> str:
    """Hexadecimal, perhaps only its beginning; raises BadMessage."""
    digits = typed.translate(_BETWEEN).replace(":", "").lower()
    if any(digit not in "0123456789abcdef" for digit in digits):
        raise BadMessage("a fingerprint has only the digits 0-9 and a-f")
    if not FINGERPRINT_AT_LEAST <= len(digits) <= FINGERPRINT_DIGITS:
        raise BadMessage(f"a fingerprint has {FINGERPRINT_AT_LEAST} to {FINGERPRINT_DIGITS} digits, not {len(digits)}")
    return digits


@dataclass(frozen=True, slots=True)
class Link:
    """All that a device needs to enrol."""

    url: str
    """https://host:port of the centre's listener."""
    code: str
    fingerprint: str
    """Of the authority's certificate, or its beginning."""

    def __str__(self) -> str:
        """As in the QR. A browser that opens it sends nothing of what stands behind the #."""
        return f"{self.url}{APPLY_PATH}#{LINK_VERSION}.{self.code}.{self.fingerprint}"


def read_link(text: str) -> Link:
    """Raises BadMessage."""
    url, _, secret = text.strip().partition("#")
    parts = secret.split(".")
    if len(parts) != 3 or parts[0] != LINK_VERSION:
        raise BadMessage("this is not what a card's QR says; scan it again, or type the code beside it")
    base = url.rstrip("/").removesuffix(APPLY_PATH)
    return Link(read_url(base), read_code(parts[1]), read_fingerprint(parts[2]))


def read_url(text: str) -> str:
    """https://host[:port] and nothing else; raises BadMessage."""
    try:
        url = urlsplit(text)
        bare = url.path in ("", "/") and not (url.query or url.fragment or "@" in url.netloc)
        good = url.scheme == "https" and bool(url.hostname) and bare and (url.port is None or url.port > 0)
    except ValueError:
        good = False
    if not good or not text.isascii() or not text.isprintable():
        raise BadMessage("an address is https://host or https://host:port")
    return text.rstrip("/")
