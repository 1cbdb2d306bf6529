"""What people at the centre may ask of a station, how it is signed, and what the station answers.

docs/commands.md tells the rules. A command is never retained; only the configuration, a state to be reached, is.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

from wire.messages import LARGEST_BYTES, UNREADABLE, VERSION, BadMessage, Evidence

SIGNER = "siaga-command"  # the name in the certificate of who may command; a station's name is its number
CONTEXT = b"siaga command 1\n"  # stands before what is signed, so that a signature is good for nothing else
LIFE_AT_MOST_S = 3600.0
NAME_LETTERS = 64  # of a person, an id
TEXT_LETTERS = 240  # of an answer
CONFIG_BYTES = 24 * 1024  # twice quoted, it still fits into one message


class Kind(StrEnum):
    MEASURE = "measure"
    DIAGNOSE = "diagnose"
    MOVE = "move"
    AUTO = "auto"
    DRILL = "drill"
    CONFIG = "config"


class Status(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"


class Why(StrEnum):
    """Why a command was not done, by name; wire/codes.py has the words."""

    NOT_ENROLLED = "NOT_ENROLLED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    BAD_ARGUMENTS = "BAD_ARGUMENTS"
    UNKNOWN_KIND = "UNKNOWN_KIND"
    NO_SUCH_UPLINK = "NO_SUCH_UPLINK"
    PHASE_FORBIDS = "PHASE_FORBIDS"
    BUDGET_FORBIDS = "BUDGET_FORBIDS"
    UPLINK_NOT_UP = "UPLINK_NOT_UP"
    UPLINK_IN_USE = "UPLINK_IN_USE"
    NO_STANDBY = "NO_STANDBY"
    OPERATOR_DECIDES = "OPERATOR_DECIDES"
    BUSY = "BUSY"
    CARD_REFUSES = "CARD_REFUSES"
    TOO_LATE = "TOO_LATE"
    INTERRUPTED = "INTERRUPTED"
    NO_RESULT = "NO_RESULT"
    DRILL_FAILED = "DRILL_FAILED"
    CONFIG_REJECTED = "CONFIG_REJECTED"
    CONFIG_ROLLED_BACK = "CONFIG_ROLLED_BACK"


Arguments = dict[str, float | str | None]


class Command(msgspec.Struct, frozen=True):
    """What is signed, as JSON."""

    station: str
    id: str
    """Of the wish: the same in every repetition."""
    kind: str
    by: str
    """The person who gave it."""
    issued_s: float
    expires_s: float | None
    """Labels for people, by the centre's clock: a station may have none. None for a configuration."""
    boot: str = ""
    """The run of the agent that it is for, as its newest state named it; another run does not obey."""
    until_s: float = 0.0
    """By that run's own uptime: after this it is too late."""
    arguments: Arguments = {}
    v: int = VERSION


class Signed(msgspec.Struct, frozen=True, tag="signed"):
    """A command on its way."""

    body: str
    """JSON of a Command, to the letter: this text is signed."""
    signature: str
    """Base64 of ECDSA with SHA-256 over CONTEXT and the body's UTF-8."""
    certificate: str
    """PEM; by the centre's authority, for SIGNER."""
    v: int = VERSION


class Result(msgspec.Struct, frozen=True, tag="result"):
    """A station's answer; it comes again whenever the command does."""

    station: str
    id: str
    status: Status
    code: str
    """COMMAND_DONE, CONFIG_APPLIED, or one of Why."""
    text: str = ""
    evidence: Evidence = {}
    v: int = VERSION


M = TypeVar("M", Command, Signed, Result)


def encode(message: Command | Signed | Result) -> bytes:
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Bytes to a message of this kind; raises BadMessage with the reason."""
    if len(data) > LARGEST_BYTES:
        raise BadMessage(f"{len(data)} bytes; at most {LARGEST_BYTES} are taken")
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as why:
        raise BadMessage(f"not a {kind.__name__}: {why}") from None


def config_id(version: int) -> str:
    """A configuration is known by its version."""
    return f"config-{version}"
