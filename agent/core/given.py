"""Configurations that the centre gives: which is in force, which is on trial, and to which one goes back.

A note says so; it changes only by the functions here, and each change is one write.
"""

import msgspec
from msgspec.structs import replace

from wire.command import Status, Why

TRIAL_S = 120.0  # to reach the centre with a new configuration
STARTS_AT_MOST = 3  # of a trial: one that ends the agent at once must not be tried for ever


class Question(msgspec.Struct, frozen=True):
    """What a child is asked of a signed command."""

    signed: str
    authority: str
    """PEM of the only one whose word counts."""
    station: str
    state_dir: str
    wall_s: float | None
    """None: nobody has set this board's clock."""


class Verdict(msgspec.Struct, frozen=True):
    forged: str = ""
    """Why it is not surely the centre's; empty when it is."""
    flaws: tuple[str, ...] = ()
    """Of the configuration in it."""


class Version(msgspec.Struct, frozen=True):
    number: int
    hash: str
    """SHA-256 of its text."""
    base: str
    """SHA-256 of the technician's file when it came; once that file is edited, the edit counts."""
    by: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of the newest version that was heard of."""

    number: int
    status: Status
    code: str
    text: str = ""
    by: str = ""


class Note(msgspec.Struct, frozen=True):
    current: Version | None = None
    """None: the technician's file is in force."""
    previous: Version | None = None
    """To this a trial goes back; None: to the technician's file."""
    on_trial: bool = False
    starts: int = 0
    """Of the agent, in this trial."""
    outcome: Outcome | None = None
    untold: bool = False
    """The outcome is not in the history yet."""
    local: str = ""
    """The edited file that was told of."""


def begin_trial(note: Note, version: Version) -> Note:
    """Another trial that runs has not proven anything: it is passed over."""
    fallback = note.previous if note.on_trial else note.current
    return replace(note, current=version, previous=fallback, on_trial=True, starts=0, outcome=None, untold=False)


def start(note: Note) -> Note:
    """The agent starts, and the trial with it."""
    if not note.on_trial:
        return note
    if note.starts >= STARTS_AT_MOST:
        return roll_back(note, f"the agent ended {note.starts} times with it")
    return replace(note, starts=note.starts + 1)


def keep(note: Note) -> Note:
    """The centre was reached with it."""
    if not note.on_trial or note.current is None:
        return note
    done = Outcome(note.current.number, Status.DONE, "CONFIG_APPLIED", "", note.current.by)
    return replace(note, previous=None, on_trial=False, starts=0, outcome=done, untold=True)


def roll_back(note: Note, why: str) -> Note:
    if not note.on_trial or note.current is None:
        return note
    failed = Outcome(note.current.number, Status.FAILED, Why.CONFIG_ROLLED_BACK, why, note.current.by)
    return replace(note, current=note.previous, previous=None, on_trial=False, starts=0, outcome=failed, untold=True)


def refuse(note: Note, outcome: Outcome) -> Note:
    """That version is not tried; what is in force stays. It is in the history already."""
    return replace(note, outcome=outcome, untold=False)


def told(note: Note) -> Note:
    return replace(note, untold=False)


def tell_local(note: Note, local: str) -> Note:
    """That the technician's file was edited is in the history."""
    return replace(note, local=local)


def is_news(note: Note, number: int) -> bool:
    """Only a higher version than any that was heard of is tried."""
    heard = [each.number for each in (note.current, note.previous) if each is not None]
    heard += [note.outcome.number] if note.outcome is not None else []
    return number > max(heard, default=0)


def in_force(note: Note, local: str) -> Version | None:
    """None: the technician's file, whose hash is `local`."""
    return note.current if note.current is not None and note.current.base == local else None
