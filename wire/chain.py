"""The chain of a station's records: what ties each to the one before it, and what the device signs. docs/wire.md."""

from binascii import Error as BinasciiError
from binascii import a2b_base64, b2a_base64
from hashlib import sha256

LINK_BYTES = 9  # twelve letters without padding: too many to meet by accident; the seals cover all 32


def origin(station: str, epoch: str) -> bytes:
    """The chain before the first record, and what that record is linked to."""
    return sha256(f"siaga chain 1\n{station}\n{epoch}\n".encode()).digest()


def digest(data: bytes) -> bytes:
    """Of one record: the very bytes that the agent wrote."""
    return sha256(data).digest()


def advance(chain: bytes, of_record: bytes) -> bytes:
    """The chain after the record with this digest."""
    return sha256(chain + of_record).digest()


def link(of_record: bytes) -> str:
    """What the next record says of this one, so that the one that was altered can be named."""
    return text(of_record[:LINK_BYTES])


def sealed(station: str, epoch: str, upto: int, chain: bytes) -> bytes:
    """The bytes that a seal signs: this is the chain after record `upto`."""
    return f"siaga seal 1\n{station}\n{epoch}\n{upto}\n{text(chain)}\n".encode()


def text(data: bytes) -> str:
    """As standard base64."""
    return b2a_base64(data, newline=False).decode()


def binary(encoded: str) -> bytes:
    """What `text` wrote; empty for what it did not."""
    try:
        return a2b_base64(encoded, strict_mode=True)
    except (BinasciiError, ValueError):
        return b""
