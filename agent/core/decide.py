"""Which uplink carries traffic: leave one that is dead, or poor while a better one is proven; come home to proven good.

Pure, and for one family at a time: the candidates are the uplinks that have a default route of that family.
"""

from dataclasses import dataclass
from enum import StrEnum

from wire.messages import Health

STAY_S = 10  # after a move, before coming home; a flapping link must not take the traffic with it


class Phase(StrEnum):
    """Of the election's day. While votes are counted and sent, nothing moves that need not move."""

    NORMAL = "normal"
    COUNT = "count"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Candidate:
    uplink: str
    health: Health
    answers: bool = False
    """Its last echoes were answered, though it may not have proven good yet."""


@dataclass(frozen=True, slots=True)
class Choice:
    uplink: str | None
    reason: str


def choose(
    candidates: tuple[Candidate, ...], active: str | None, override: str | None, moved_at: float, now: float
) -> Choice:
    """Candidates in order of preference; never a move without a better choice."""
    known = {each.uplink: each for each in candidates}
    if override in known:
        return Choice(override, "an operator asked for it")
    if not candidates:
        return Choice(active, "no uplink has a default route")
    best = max(candidates, key=_worth)  # the first of equals: the preferred one
    current = known.get(active or "")
    if current is None:
        return Choice(best.uplink, "nothing was active" if active is None else f"{active} has no default route")
    if current.health is Health.UP:
        return _come_home(best, current, moved_at, now)
    leave_for = {Health.DEAD: _worth(best) > _worth(current), Health.POOR: best.health is Health.UP}
    if leave_for.get(current.health, False):
        return Choice(best.uplink, f"{current.uplink} is {current.health}")
    return Choice(current.uplink, "nothing is better")


def _come_home(best: Candidate, current: Candidate, moved_at: float, now: float) -> Choice:
    if best.uplink == current.uplink:
        return Choice(current.uplink, "it is the preferred one")
    if now < moved_at + STAY_S:
        return Choice(current.uplink, "it has only just been chosen")
    return Choice(best.uplink, f"{best.uplink} has proven good")


def _worth(candidate: Candidate) -> int:
    if candidate.health is Health.DEAD:
        return 1 if candidate.answers else 0
    return {Health.UP: 4, Health.POOR: 3, Health.UNKNOWN: 2}[candidate.health]
