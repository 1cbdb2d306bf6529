"""Which uplink carries traffic: leave one that is dead, or poor while a better one is proven; come home to proven good.

Pure, and for one family at a time: the candidates are the uplinks that have a default route of that family.
"""

from dataclasses import dataclass
from enum import StrEnum

from wire.messages import Health

HOLD_S = 5.0  # after an uplink has proven good for the second time and before the traffic comes home to it
HOLD_AT_MOST_S = 1800.0
RELAPSES_HALVE_IN_S = 600.0  # a link that flaps once a minute is held for half an hour, one that fails daily for 5 s
CLEARLY_FASTER = 0.7  # of the RTT, for a move that is made for delay alone


class Phase(StrEnum):
    """Of the election's day."""

    NORMAL = "normal"
    COUNT = "count"
    UPLOAD = "upload"


COMES_HOME = {Phase.NORMAL: True, Phase.COUNT: False, Phase.UPLOAD: False}
"""While votes are counted and sent nothing moves that need not move: a session that works is worth more than a better
uplink.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    uplink: str
    health: Health
    answers: bool = False
    """Its last echoes were answered, though it may not have proven good yet."""
    verified: bool = True
    """It has answered what it was asked last; False for one that must first be asked."""
    fresh: bool = True
    """It has answered just now; what moves without need waits for that."""
    home_at: float = 0.0
    """Before this moment the traffic does not come home to it."""
    delayed: bool = False
    """It is poor for its delay alone."""
    rtt_ms: float | None = None
    spent: bool = False
    """Only the reserve of its plan is left: it refuses what is not essential."""


@dataclass(frozen=True, slots=True)
class Choice:
    uplink: str | None
    reason: str


@dataclass(slots=True)
class Relapses:
    """How often an uplink fell after it had been good: each fall doubles the hold, and time forgives (RFC 2439)."""

    count: float = 0.0
    _at: float = 0.0

    def fall(self, now: float) -> None:
        self.count = self._faded(now) + 1
        self._at = now

    def hold_s(self, now: float) -> float:
        """How long to wait after it has proven good."""
        count = self._faded(now)
        return 0.0 if count == 0 else min(HOLD_S * 2 ** (count - 1), HOLD_AT_MOST_S)

    def _faded(self, now: float) -> float:
        return self.count * 2 ** (-(now - self._at) / RELAPSES_HALVE_IN_S) if self.count else 0.0


def choose(
    candidates: tuple[Candidate, ...], active: str | None, override: str | None, phase: Phase, now: float
) -> Choice:
    """Candidates in order of preference; never a move without a better choice, never to one that does not answer."""
    known = {each.uplink: each for each in candidates}
    if override in known:
        return Choice(override, "an operator asked for it")
    if not candidates:
        return Choice(active, "no uplink has a default route")
    current = known.get(active or "")
    if current is None:
        best = max(candidates, key=lambda each: _worth(each, now))  # the first of equals: the preferred one
        return Choice(best.uplink, "nothing was active" if active is None else f"{active} has no default route")
    others = [each for each in candidates if each is not current and each.verified]
    if not others:
        return Choice(current.uplink, "nothing else answers")
    if current.health is Health.UP:
        return _come_home(candidates, current, phase, now)
    best = max(others, key=lambda each: _worth(each, now))
    leaves = {Health.DEAD: _worth(best, now) > _worth(current, now), Health.POOR: _is_better(best, current)}
    if leaves.get(current.health, False):
        return Choice(best.uplink, f"{current.uplink} is {current.health}")
    return Choice(current.uplink, "nothing is better")


def _come_home(candidates: tuple[Candidate, ...], current: Candidate, phase: Phase, now: float) -> Choice:
    """Home is a preferred uplink; from one whose plan is spent, any other."""
    sought = candidates if current.spent else candidates[: candidates.index(current)]
    good = [each for each in sought if each.health is Health.UP and each.verified and not each.spent]
    if not good:
        return Choice(current.uplink, "it is the preferred one that is good")
    if not COMES_HOME[phase]:
        return Choice(current.uplink, f"nothing moves by itself in the phase {phase}")
    home = next((each for each in good if now >= each.home_at and each.fresh), None)
    if home is None:
        return Choice(current.uplink, f"{good[0].uplink} has only just recovered")
    reason = f"the plan of {current.uplink} is spent" if current.spent else f"{home.uplink} has proven good"
    return Choice(home.uplink, reason)


def _is_better(other: Candidate, current: Candidate) -> bool:
    if other.health is not Health.UP:
        return False
    if current.delayed and other.rtt_ms is not None and current.rtt_ms is not None:
        return other.rtt_ms < CLEARLY_FASTER * current.rtt_ms
    return True


def _worth(candidate: Candidate, now: float) -> int:
    if not candidate.verified:
        return 0
    match candidate.health:
        case Health.UP:
            return 4 if candidate.spent else 6 if now >= candidate.home_at else 5
        case Health.POOR:
            return 3
        case Health.UNKNOWN:
            return 2
        case Health.DEAD:
            return 1 if candidate.answers else 0
