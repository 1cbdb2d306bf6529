"""What goes first when the spool is full: summaries become coarser, then they go, then facts, and switches at the last.

A step is given some records in order and says which of them go and what takes their place. Pure, and bounded by what it
is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agent.core.thin import groups, merge, stamp
from wire.messages import Fact, Record, Stamp, Summary

SWITCHES = frozenset(
    {
        "UPLINK_UP",
        "UPLINK_POOR",
        "UPLINK_DEAD",
        "TRAFFIC_MOVED",
        "HANDED_OVER",
        "NO_UPLINK",
        "PHASE_SET",
        "OVERRIDE_SET",
    }
)
"""What a provider's guarantee is judged by."""


@dataclass(frozen=True, slots=True)
class Room:
    gone: tuple[int, ...] = ()
    """Numbers of records, in order."""
    instead: tuple[tuple[Summary, Stamp], ...] = ()

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The same as runs of consecutive numbers, first and last."""
        runs: list[tuple[int, int]] = []
        for seq in self.gone:
            if runs and runs[-1][1] == seq - 1:
                runs[-1] = runs[-1][0], seq
            else:
                runs.append((seq, seq))
        return runs


def _coarser(span_s: float, records: Sequence[Record]) -> Room:
    finer = [each for each in records if isinstance(each.body, Summary) and each.body.span_s < span_s]
    together = [group for group in groups(finer, span_s) if len(group) > 1]
    instead = tuple(
        (merge([each.body for each in group if isinstance(each.body, Summary)]), stamp(group)) for group in together
    )
    return Room(tuple(each.seq for group in together for each in group), instead)


def _without(goes: Callable[[Record], bool], records: Sequence[Record]) -> Room:
    return Room(tuple(each.seq for each in records if goes(each)))


STEPS: tuple[Callable[[Sequence[Record]], Room], ...] = (
    partial(_coarser, 300.0),
    partial(_coarser, 3600.0),
    partial(_without, lambda each: isinstance(each.body, Summary)),
    partial(_without, lambda each: isinstance(each.body, Fact) and each.body.code not in SWITCHES),
    partial(_without, lambda _: True),
)
"""In their order; the next one begins when the one before has been through all."""
