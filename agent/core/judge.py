"""One uplink's health: death by silence, poverty by a quickest-change test, recovery by a sequential test.

The seam: settled echoes, silence and what the kernel says go in; a verdict with its evidence comes out. Time is an
argument and nothing here knows which uplink carries traffic.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log

from agent.core.station import Kind
from wire.messages import Evidence, Health

GOOD_LOSS = 0.02  # what a healthy link may lose
BAD_LOSS = 0.20  # from here on an election's forms are slow enough to move (pfSense's limit, found sooner)
WORSE = log(BAD_LOSS / GOOD_LOSS)
BETTER = log((1 - BAD_LOSS) / (1 - GOOD_LOSS))
ALARM = log(10_000_000)  # CUSUM, Page 1954: at least so many echoes between false alarms on independent losses
PROOF = log(1000)  # SPRT, Wald 1945: a bad link passes once in a thousand tries
ANSWERS_AGAIN = 3  # answered rounds in a row; fewer may be the tail of a burst


@dataclass(frozen=True, slots=True)
class Limits:
    survives_s: float
    """An outage up to this length is never read as death."""
    first_proof: float = log(4)
    """A link without history needs seven good echoes in a row, not thirty-four."""


LIMITS = {
    Kind.FIBRE: Limits(survives_s=1.0),  # a one-second cut moves nothing
    Kind.LTE: Limits(survives_s=1.4),  # hand-over between cells
    Kind.LEO: Limits(survives_s=1.4),  # hand-over between satellites
    Kind.GEO: Limits(survives_s=1.4),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    before: Health
    after: Health
    evidence: Evidence


@dataclass(slots=True)
class _Track:
    """One target, seen over this uplink."""

    cusum: float = 0.0
    sprt: float = 0.0
    failed: bool = False
    """The sequential test has once said: bad."""

    def take(self, answered: bool) -> None:
        step = BETTER if answered else WORSE
        self.cusum = max(0.0, self.cusum + step)
        self.sprt += step
        if self.sprt >= PROOF:
            self.sprt, self.failed = 0.0, True


@dataclass(slots=True)
class Judge:
    limits: Limits
    since: float
    health: Health = Health.UNKNOWN
    answers: bool = False
    """The last rounds were answered, proven or not: enough when everything else is dead."""
    _in_a_row: int = 0
    _tracks: dict[str, _Track] = field(default_factory=dict)

    def settle(self, outcome: dict[str, bool]) -> None:
        """One settled round: {target: answered}. Losses of an outage count no more once the link answers again."""
        if self.health is Health.DEAD and not self._tracks and not any(outcome.values()):
            return
        for target, answered in outcome.items():
            self._tracks.setdefault(target, _Track()).take(answered)
        if outcome:
            self._in_a_row = self._in_a_row + 1 if any(outcome.values()) else 0
            self.answers = self._in_a_row >= ANSWERS_AGAIN

    def judge(self, trouble: str | None, silent_since: float | None, beat_s: float, now: float) -> Verdict | None:
        """`trouble` is what makes the link unusable whatever its echoes do: no carrier, no gateway.

        `beat_s` is how much longer than an outage the silence may be that it leaves: see Echoes.beat_s.
        """
        if trouble is not None:
            return self._become(Health.DEAD, now, {"cause": trouble})
        if silent_since is not None and now >= self.dead_at(silent_since, beat_s):
            silence_s, limit_s = now - silent_since, self.limits.survives_s + beat_s
            evidence: Evidence = {"cause": "silence", "silence_s": round(silence_s, 2), "limit_s": round(limit_s, 2)}
            return self._become(Health.DEAD, now, evidence)
        if self.health in (Health.UP, Health.UNKNOWN) and self._most(lambda track: track.cusum >= ALARM):
            return self._become(Health.POOR, now, {"cause": "loss", "loss_above": BAD_LOSS})
        if self.health is Health.DEAD and self.answers and self._most(lambda track: track.failed):
            return self._become(Health.POOR, now, {"cause": "answers again, with loss", "loss_above": BAD_LOSS})
        proof = self.limits.first_proof if self.health is Health.UNKNOWN else PROOF
        if self.health is not Health.UP and self._half(lambda track: -track.sprt >= proof):
            return self._become(Health.UP, now, {"cause": "proven good", "loss_below": BAD_LOSS})
        return None

    def dead_at(self, silent_since: float, beat_s: float) -> float:
        """The moment from which so long a silence is death; relative to the link's own RTT, learnt."""
        return silent_since + self.limits.survives_s + beat_s

    def _most(self, holds: Callable[[_Track], bool]) -> bool:
        """More than half of the targets: one dead target of two is no bad link."""
        return sum(map(holds, self._tracks.values())) > len(self._tracks) // 2

    def _half(self, holds: Callable[[_Track], bool]) -> bool:
        """At least half of the targets, so that one dead target of two does not keep a link from being good."""
        return bool(self._tracks) and 2 * sum(map(holds, self._tracks.values())) >= len(self._tracks)

    def _become(self, health: Health, now: float, evidence: Evidence) -> Verdict | None:
        if health is Health.DEAD:
            self._tracks = {}
            self._in_a_row, self.answers = 0, False
        if health is self.health:
            return None
        evidence["after_s"] = round(now - self.since, 1)
        verdict = Verdict(self.health, health, evidence)
        self.health, self.since = health, now
        self._tracks = {}
        return verdict
