"""One uplink's health: dead by a silence that its history does not explain, poor by a change, good again by proof.

The seam: settled echoes, silences and what the kernel says go in; a verdict with its evidence comes out. Time is an
argument, and nothing here knows which uplink carries traffic.
"""

from dataclasses import dataclass

from agent.core.change import Cusum, Proof, Rates
from agent.core.history import DAY_S, MONTH_S, USUAL, History
from agent.core.measure import Silence
from agent.core.span import Echo
from agent.core.station import Family, Kind, family_of
from wire.messages import Evidence, Health

BASE_LOSS, GOT_USED_TO_LOSS = 0.01, 0.05  # a healthy link may lose one in a hundred; nobody gets used to one in ten
BAD_LOSS = 0.20  # a form of many small requests becomes too slow to fill in
LOSS_FAST, LOSS_SLOW = Rates(BAD_LOSS, BAD_LOSS), Rates(0.10, 0.10)  # a call breaks up from one in ten
BASE_DELAY, GOT_USED_TO_DELAY = 0.02, 0.05
DELAY_FAST, DELAY_SLOW = Rates(0.10, 0.98), Rates(0.30, 0.30)  # slow and so it stays; slow again and again
SLOWER_BY_S = 0.2  # ten round trips of a web page take two seconds more; and at least twice the usual time
ONE_RUN = 0.5  # of an alarm: a link of single losses may be out for a second now and then; how long, silence judges
ALARM_EVERY_S = 150 * DAY_S  # each of two detectors of loss; all five together once in 43 days
RARE_EVERY_S = 300 * DAY_S  # each of two detectors of delay, and the limit of silence
SILENT_PER_MONTH = MONTH_S / RARE_EVERY_S
PROOF_ODDS = 1000  # a bad link passes once in a thousand tries
FIRST_ODDS = 4  # a link without history needs seven good echoes in a row, not thirty-three
ANSWERS_AGAIN = 3  # echoes in a row; fewer may be the tail of a burst


@dataclass(frozen=True, slots=True)
class Limits:
    """Between these the limit of silence follows the uplink's own history."""

    floor_s: float
    """A cut up to this length is never read as death: a cable replugged, a cell handed over."""
    ceiling_s: float
    """No uplink is waited for longer: by now a stalled upload costs more than one begun anew on another uplink."""
    echo_every_s: float
    """What the rates of false alarms are computed for."""


LIMITS = {
    Kind.FIBRE: Limits(floor_s=1.0, ceiling_s=20.0, echo_every_s=0.2),
    Kind.LTE: Limits(floor_s=1.4, ceiling_s=20.0, echo_every_s=0.4),
    Kind.LEO: Limits(floor_s=1.4, ceiling_s=16.0, echo_every_s=0.4),  # dishes are without a satellite for up to 15 s
    Kind.GEO: Limits(floor_s=1.4, ceiling_s=20.0, echo_every_s=0.8),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    before: Health
    after: Health
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Mark:
    """What must be known to take a loss back."""

    after_loss: bool
    resets: tuple[int, ...]


class Judge:
    def __init__(self, kind: Kind, targets: tuple[str, ...], history: History, now: float) -> None:
        self.limits, self.usual = LIMITS[kind], USUAL[kind]
        self.history = history
        self.since = now
        self.health = Health.UNKNOWN
        self.delayed = False
        """It is poor for its delay alone."""
        self.proof = Proof(BASE_LOSS, BAD_LOSS, FIRST_ODDS)
        self.in_a_row = 0
        """Answered echoes since the last lost one."""
        self._losses = (Cusum(LOSS_FAST, ONE_RUN), Cusum(LOSS_SLOW, ONE_RUN))
        self._delays = (Cusum(DELAY_FAST), Cusum(DELAY_SLOW))
        self._votes = Votes(targets)
        self._lost = self._slow = False
        """The newest outcome of each chain."""
        self._silence_limit_s = 0.0
        self.retune()

    @property
    def answers(self) -> bool:
        """The last echoes were answered, proven or not: enough when everything else is dead."""
        return self.in_a_row >= ANSWERS_AGAIN

    @property
    def calm(self) -> bool:
        """Nothing that was seen lately speaks against the link."""
        return not self.until_calm

    @property
    def until_calm(self) -> int:
        """So many good outcomes in a row leave no suspicion."""
        (loss, slow_loss), (delay, slow_delay) = self._losses, self._delays
        return max(loss.score, slow_loss.score, delay.score, slow_delay.score)

    @property
    def suspects(self) -> bool:
        """Half of what an alarm takes has been seen."""
        return any(2 * each.score >= each.limit for each in (*self._losses, *self._delays))

    @property
    def set_aside(self) -> frozenset[str]:
        return self._votes.set_aside

    def retune(self) -> None:
        """Follow the history: limits for the rates that were learnt, and for the silences that were survived."""
        losses = self.history.losses.rates(BASE_LOSS, GOT_USED_TO_LOSS, self.usual.loss_goes_on)
        delays = self.history.delays.rates(BASE_DELAY, GOT_USED_TO_DELAY, self.usual.delay_goes_on)
        for cusum in self._losses:
            cusum.suit(losses, ALARM_EVERY_S / self.limits.echo_every_s)
        for cusum in self._delays:
            cusum.suit(delays, RARE_EVERY_S / self.limits.echo_every_s)
        self._votes.suit(self._losses[0])
        self.survived()

    def survived(self) -> None:
        self._silence_limit_s = self.history.silences.length_s(SILENT_PER_MONTH, self.usual)

    def silence_limit_s(self, beat_s: float) -> float:
        """`beat_s` is what a silence is longer than the cut behind it: its first echo's way, the next echo's wait."""
        limits = self.limits
        return min(max(self._silence_limit_s, limits.floor_s + beat_s), limits.ceiling_s + beat_s)

    @property
    def silent_families(self) -> frozenset[Family]:
        """Of their targets none is trusted any more: the uplink is good, but not in this family."""
        return self._votes.silent_families

    def settle(self, echo: Echo) -> tuple[str, ...]:
        """One settled echo. Returns the targets that were set aside or taken in again by it.

        What an outage swallowed before the first answer says nothing of the link that comes after it.
        """
        if not echo.sent or (self.health is Health.DEAD and echo.lost and not self.proof.begun):
            return ()
        moved = self._votes.take(echo)
        if moved:
            self._explain()
        if echo.target in self._votes.set_aside:
            return moved
        self.in_a_row = 0 if echo.lost else self.in_a_row + 1
        slow = _is_slow(echo)
        counts = not echo.lost or self.proof.begun or not self.proof.failed  # all that is lost in a row fails it once
        if self.health is not Health.UP and counts:
            self.proof.take(echo.lost or slow)
        if self.health is not Health.DEAD:
            self._take_loss(echo)
            if not echo.lost:
                self._take_delay(slow, echo.seq)
        return moved

    def unlose(self, echo: Echo) -> None:
        """Its answer came late: late is not lost."""
        if isinstance(echo.mark, _Mark):
            for cusum, resets in zip(self._losses, echo.mark.resets, strict=True):
                cusum.take_back(echo.mark.after_loss, resets)
            self._votes.take_back(echo.target)
            echo.mark = None

    def pass_over(self, times: int) -> None:
        """As so many echoes answered as usual."""
        for cusum in (*self._losses, *self._delays):
            cusum.take_good(times)
        if self.health is not Health.UP:
            for _ in range(times):
                self.proof.take(False)
        self._votes.pass_over(times)
        self.in_a_row += times
        self._lost = self._slow = False
        if self.health is Health.UP:
            self.history.losses.after_good += times
            self.history.delays.after_good += times

    def judge(self, trouble: str | None, silence: Silence | None, beat_s: float, now: float) -> Verdict | None:
        """`trouble` is what makes the link unusable whatever its echoes do: no carrier, no gateway."""
        if trouble is not None:
            return self._become(Health.DEAD, {"cause": trouble}, now)
        if silence is not None and now >= silence.since + (limit_s := self.silence_limit_s(beat_s)):
            return self._become(Health.DEAD, self._of_silence(silence, limit_s, now), now)
        if self.health in (Health.UP, Health.UNKNOWN):
            if (loss := self._alarmed(self._losses)) is not None and self._votes.agree():
                return self._become(Health.POOR, self._of_change("loss", "lost", loss), now)
            if (delay := self._alarmed(self._delays)) is not None:
                return self._become(Health.POOR, self._of_change("delay", "slow", delay), now)
        if self.health is not Health.UP and self.proof.passed and self.answers:
            return self._become(Health.UP, {"cause": "proven good", "odds": self.proof.sure}, now)
        if self.health is Health.DEAD and self.answers and self.proof.failed:
            return self._become(Health.POOR, {"cause": "answers again, with loss"}, now)
        return None

    def _take_loss(self, echo: Echo) -> None:
        if self.health is Health.UP:
            self.history.losses.take(echo.lost, self._lost)
        for cusum in self._losses:
            cusum.take(echo.lost, self._lost, echo.seq)
        if echo.lost:
            echo.mark = _Mark(self._lost, tuple(cusum.resets for cusum in self._losses))
        self._lost = echo.lost

    def _take_delay(self, slow: bool, number: int) -> None:
        if self.health is Health.UP:
            self.history.delays.take(slow, self._slow)
        for cusum in self._delays:
            cusum.take(slow, self._slow, number)
        self._slow = slow

    def _alarmed(self, cusums: tuple[Cusum, ...]) -> Cusum | None:
        return next((cusum for cusum in cusums if cusum.alarmed), None)

    def _of_silence(self, silence: Silence, limit_s: float, now: float) -> Evidence:
        length_s = now - silence.since
        return {
            "cause": "silence",
            "silence_s": round(length_s, 2),
            "limit_s": round(limit_s, 2),
            "unanswered": silence.unanswered,
            "first_echo": silence.first.seq,
            "last_echo": silence.newest,
            "per_month": round(self.history.silences.per_month(length_s, self.usual), 3),
        }

    def _of_change(self, cause: str, what: str, cusum: Cusum) -> Evidence:
        return {
            "cause": cause,
            what: cusum.bad,
            "of": cusum.taken,
            "first_echo": cusum.began,
            "score": cusum.score,
            "limit": cusum.limit,
            "per_month": round(MONTH_S / (ALARM_EVERY_S if cause == "loss" else RARE_EVERY_S), 3),
        }

    def _become(self, health: Health, evidence: Evidence, now: float) -> Verdict | None:
        if health is Health.DEAD:
            self.in_a_row = 0
        if health is self.health:
            return None
        evidence["after_s"] = round(now - self.since, 1)
        verdict = Verdict(self.health, health, evidence)
        self.health, self.since = health, now
        self.delayed = evidence["cause"] == "delay"
        self._begin_anew()
        return verdict

    def _explain(self) -> None:
        """What one target brought up was its own."""
        for cusum in self._losses:
            cusum.forget()
        self.proof = Proof(BASE_LOSS, BAD_LOSS, self.proof.sure, self.proof.goes_on)

    def _begin_anew(self) -> None:
        for cusum in (*self._losses, *self._delays):
            cusum.forget()
        self._lost = self._slow = False
        self._votes.forget()
        self.proof = Proof(BASE_LOSS, BAD_LOSS, PROOF_ODDS, self.history.losses.known_to_go_on())


def _is_slow(echo: Echo) -> bool:
    """The first echo after a pause wakes the radio; its delay is no news."""
    if echo.rtt_s is None or echo.after_idle or not echo.usual_s:
        return False
    return echo.rtt_s > echo.usual_s + max(SLOWER_BY_S, echo.usual_s)


class Votes:
    """One dead or rate-limited target is not a bad link: others must have lost echoes too. It is set aside when they
    have lost nothing that is not forgotten; and so are all targets of a family when the other one has lost nothing.
    """

    def __init__(self, targets: tuple[str, ...]) -> None:
        self._scores = {target: Cusum(LOSS_FAST) for target in targets}
        self._family = {target: family_of(target) for target in targets}
        self._returns: dict[str, Proof] = {}

    @property
    def set_aside(self) -> frozenset[str]:
        return frozenset(self._returns)

    @property
    def silent_families(self) -> frozenset[Family]:
        trusted = {self._family[target] for target in self._scores if target not in self._returns}
        return frozenset(self._family.values()) - trusted

    def suit(self, cusum: Cusum) -> None:
        for each in self._scores.values():
            each.scores, each.limit = cusum.scores, cusum.limit

    def take(self, echo: Echo) -> tuple[str, ...]:
        """Returns the targets that this echo set aside or took in again."""
        proof = self._returns.get(echo.target)
        if proof is not None:
            proof.take(echo.lost)
            if not proof.passed:
                return ()
            del self._returns[echo.target]
            return (echo.target,)
        score = self._scores[echo.target]
        score.take(echo.lost, False, echo.seq)
        guilty = self._guilty(echo.target) if score.alarmed else ()
        for target in guilty:
            self._scores[target].forget()
            self._returns[target] = Proof(BASE_LOSS, BAD_LOSS, PROOF_ODDS)
        return guilty

    def _guilty(self, alarmed: str) -> tuple[str, ...]:
        """Whose losses nobody else shares: this target alone, or its whole family."""
        trusted = [target for target in self._scores if target not in self._returns]
        losing = tuple(target for target in trusted if self._scores[target].score)
        if len(losing) < len(trusted) and losing == (alarmed,):
            return losing
        kin = tuple(target for target in trusted if self._family[target] is self._family[alarmed])
        return kin if losing == kin and len(kin) < len(trusted) else ()

    def take_back(self, target: str) -> None:
        score = self._scores[target]
        score.take_back(False, score.resets)

    def pass_over(self, times: int) -> None:
        for score in self._trusted():
            score.take_good(times // len(self._scores))

    def agree(self) -> bool:
        """Without its worst witness, a family where there are two and else a target, the case still stands: a loss just
        now, or several that are not forgotten.
        """
        trusted = [target for target in self._scores if target not in self._returns]
        if len(trusted) == 1:
            return True
        families = {self._family[target] for target in trusted}
        said: dict[str, int] = {}
        for target in trusted:
            witness = self._family[target] if len(families) > 1 else target
            said[witness] = said.get(witness, 0) + self._scores[target].score
        return sum(said.values()) - max(said.values()) >= self._scores[trusted[0]].scores.begins

    def forget(self) -> None:
        for each in self._scores.values():
            each.forget()

    def _trusted(self) -> list[Cusum]:
        return [score for target, score in self._scores.items() if target not in self._returns]
