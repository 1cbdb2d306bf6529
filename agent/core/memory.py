"""What one run of the agent leaves to the next: each uplink's history and spending, and the phase of the day."""

import msgspec

VERSION = 1


class Memory(msgspec.Struct, frozen=True):
    """Bounded: a few kilobytes an uplink, however long the agent has run."""

    phase: str = "normal"
    phase_left_s: float | None = None
    v: int = VERSION
