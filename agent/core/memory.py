"""What one run of the agent leaves to the next: each uplink's history, spending and plan, and the phase of the day."""

import msgspec

from agent.core.budget import Spent
from agent.core.history import History
from agent.core.plan import Used

VERSION = 1
REMEMBER_EVERY_S = 600  # a power cut costs ten minutes of learning; a few kilobytes are written 144 times a day


class Watched(msgspec.Struct):
    """What is known of one uplink."""

    history: History = msgspec.field(default_factory=History)
    spent: Spent = msgspec.field(default_factory=Spent)
    used: Used = msgspec.field(default_factory=Used)
    """Of its plan, if it is metered."""


class Memory(msgspec.Struct, frozen=True):
    """Bounded: a few kilobytes an uplink, however long the agent has run."""

    uplinks: dict[str, Watched] = {}
    """By name."""
    phase: str = "normal"
    phase_left_s: float | None = None
    v: int = VERSION
