"""One uplink, watched: when it is asked, what it answers, what that costs, and what is thought of it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from agent.core.budget import Budget, caps
from agent.core.events import TrafficCounted
from agent.core.history import HOUR_S
from agent.core.judge import Judge, Verdict
from agent.core.measure import IDLE_S, REMEMBERED_S, Echoes, Sample, Silence
from agent.core.memory import Watched
from agent.core.pace import BURST, BURST_EVERY, ECHO_BYTES, LOST_AFTER_S, PACES, PATIENT, Mood, Rotation
from agent.core.span import Echo
from agent.core.station import Family, Uplink, family_of
from agent.core.traffic import Sign, Traffic
from wire.messages import Evidence, Fact, Health, UplinkSummary

UNSENDABLE_S = 60  # a target of a family that this uplink does not have is tried again after a minute
DOUBLINGS_AT_MOST = 6  # of the pause between echoes of an uplink that failed its proof again and again
PROOF_EVERY_AT_MOST_S = 0.8 * IDLE_S  # an echo after a longer pause says nothing of delay, so it proves nothing
FRESH_S = 2.0  # an answer that is older does not show that the uplink still lives


class Role(Enum):
    CARRYING = auto()
    STANDBY = auto()
    WOKEN = auto()
    """The traffic may have to move here within a second."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An echo to be sent."""

    seq: int
    target: str
    mood: Mood
    """What it is sent for."""


class Watch:
    """Told what happens, asked what is due; `wake_at` names the next moment at which something is."""

    def __init__(self, uplink: Uplink, targets: tuple[str, ...], now: float, known: Watched) -> None:
        self.uplink, self.known = uplink, known
        trips = known.history.trips
        known.history.trips = {target: trips[target] for target in targets if target in trips}
        self.role = Role.STANDBY
        self.pace = PACES[uplink.kind]
        self.trouble: str | None = None
        """What makes it unusable whatever its echoes do."""
        self.echoes = Echoes(known.history, LOST_AFTER_S[uplink.kind])
        self.judge = Judge(uplink.kind, targets, known.history, now)
        self.budget = Budget(caps(uplink), known.spent, now)
        self.traffic = Traffic(uplink.kind)
        self._rotation = Rotation(targets)
        self._unsendable: dict[str, float] = {}
        self._family = {target: family_of(target) for target in targets}
        self._heard_at = dict.fromkeys(self._family.values(), now - HOUR_S)
        self._bytes = {target: ECHO_BYTES[family] for target, family in self._family.items()}
        self._largest = max(self._bytes.values())
        self._beat_at = self._doubted_at = self._woken_at = now - HOUR_S
        self._standby_beats = self._skipped = 0
        self._owed: deque[Echo] = deque()
        """Lost; what was paid for their answers comes back when none can come any more."""
        self._refused = self._refusal_told = False
        self._silent_families: frozenset[Family] = frozenset()
        self._tuned_at = self._passed_at = now
        self._tune_after_s = 60.0

    @property
    def health(self) -> Health:
        return self.judge.health

    def health_of(self, family: Family) -> Health:
        """Of one family's traffic: an uplink may answer by one and not by the other."""
        return Health.DEAD if family in self._silent_families else self.judge.health

    @property
    def usual_rtt_ms(self) -> float | None:
        """Of its nearest target."""
        known = [trip.usual_s for trip in self.known.history.trips.values() if trip.heard]
        return 1e3 * min(known) if known else None

    def wake(self, role: Role, now: float) -> None:
        """What it is needed for, from now on."""
        if role is Role.WOKEN and self.role is not Role.WOKEN:
            self._woken_at = now
        self.role = role

    def silent(self, now: float) -> bool:
        """An answer is overdue."""
        return now >= self.echoes.overdue_at

    def doubtful(self, now: float) -> bool:
        """It may have to be left soon: a second echo is overdue, or half of what an alarm takes has been seen."""
        silence = self.echoes.silence
        return self.judge.suspects or (silence is not None and silence.unanswered > 1 and self.silent(now))

    def verified(self, now: float) -> bool:
        """It has answered, since it was woken if it was; where nothing may be asked, nothing is held against it."""
        if self.silent(now):
            return False
        heard_at = self.echoes.heard_at
        return self._refused or (heard_at is not None and (self.role is not Role.WOKEN or heard_at > self._woken_at))

    def answers_in(self, family: Family, now: float) -> bool:
        """A target of this family has answered just now, or there is none to be asked."""
        heard_at = self._heard_at.get(family)
        return self._refused or heard_at is None or now - heard_at <= FRESH_S

    def fresh(self, now: float) -> bool:
        """It has answered just now, or may not be asked."""
        heard_at = self.echoes.heard_at
        return self._refused or (heard_at is not None and now - heard_at <= FRESH_S)

    # measure

    def ask(self, now: float) -> Ask | None:
        """The echo that is due now, if the budget allows it."""
        if self.trouble is not None:
            self.echoes.abandon()
            self._beat_at = now
            return None
        mood, wanted_s, spread_s = self._spacing(now)
        if now < self._beat_at + spread_s:
            return None
        target = self._next_target(now)
        self._standby_beats += mood in (Mood.STANDBY, Mood.BURST)
        self._beat_at = now
        self._skipped += int(spread_s / wanted_s) - 1
        self._refused = not self.budget.allows(self._bytes[target], now)
        if self._refused:
            self._skipped += 1
            return None
        self.budget.charge(self._bytes[target])  # its answer too: what is on its way cannot be refused any more
        return Ask(self.echoes.send(target, now), target, mood)

    def returned(self, seq: int, target: str, rtt_s: float, now: float) -> None:
        silence = self._open_silence(now)
        echo = self.echoes.returned(seq, target, rtt_s, now)
        if echo is None:
            return
        self._heard_at[self._family[target]] = now
        if echo.settled:
            self.judge.unlose(echo)
        self._survive(silence, now)

    def not_sent(self, seq: int, target: str, now: float) -> None:
        self._unsendable[target] = now
        self.echoes.not_sent(seq)

    def count(self, counted: TrafficCounted, now: float) -> None:
        """What users' traffic says: life ends a silence, doubt asks at once."""
        match self.traffic.take(counted, now):
            case Sign.LIFE:
                silence = self._open_silence(now)
                self.echoes.heard(now)
                self._survive(silence, now)
            case Sign.DOUBT:
                self._doubted_at = now

    def _next_target(self, now: float) -> str:
        absent = self.judge.set_aside
        if self._unsendable:
            absent |= {target for target, at in self._unsendable.items() if now < at + UNSENDABLE_S}
        return self._rotation.next(absent)

    def _spacing(self, now: float) -> tuple[Mood, float, float]:
        """Of echoes: for what, how far apart they should be, and how far apart the budget lets them be."""
        mood = self._mood(now)
        wanted_s = self.pace[mood]
        if mood in (Mood.PROOF, Mood.ABSENCE) and self.health is not Health.UNKNOWN:
            wanted_s *= 2 ** min(self.judge.proof.failed, DOUBLINGS_AT_MOST)
        if mood is Mood.PROOF:
            wanted_s = min(wanted_s, PROOF_EVERY_AT_MOST_S)
        if mood not in PATIENT:
            return mood, wanted_s, wanted_s
        return mood, wanted_s, self.budget.calm_spacing_s(wanted_s, self._largest, now)

    def _mood(self, now: float) -> Mood:
        judge = self.judge
        if now >= self.echoes.overdue_at:
            silence = self.echoes.silence
            assert silence is not None
            return Mood.DOUBT if now < silence.since + judge.limits.ceiling_s else Mood.ABSENCE
        if judge.health is Health.DEAD:
            return Mood.PROOF if judge.in_a_row else Mood.ABSENCE
        if self.role is Role.WOKEN or self._doubted_at > (self.echoes.heard_at or now):
            return Mood.DOUBT
        if judge.health is not Health.UP:
            return Mood.PROOF
        if self.role is Role.CARRYING:
            if not judge.calm or now >= self.echoes.missed_at:
                return Mood.SUSPICION
            return Mood.SPARED if self.traffic.answers(now) else Mood.CARRYING
        return Mood.BURST if 0 < self._standby_beats % (BURST_EVERY + BURST) <= BURST else Mood.STANDBY

    def _open_silence(self, now: float) -> Silence | None:
        return self.echoes.silence if self.silent(now) else None

    def _survive(self, silence: Silence | None, now: float) -> None:
        """A silence that ended within the ceiling is what this uplink does; a longer one was an outage.

        Those of a standby are not counted: an echo in twelve seconds meets one silence in many.
        """
        if silence is None or silence.first.after_idle:
            return
        length_s = now - silence.since
        if length_s <= self.judge.limits.ceiling_s + self._beat_s(silence):
            self.known.history.silences.take(length_s)
            self.judge.survived()

    # judge

    def look(self, now: float) -> Iterator[Fact]:
        """What follows from all that was heard up to now."""
        self._pass_time(now)
        busy = self.traffic.busy(now)
        self._refund(now)
        for echo in self.echoes.settle(now):
            if not echo.sent or echo.lost:
                self._owed.append(echo)
            if busy and self.health is Health.UP:
                continue  # its own users fill it
            for target in self.judge.settle(echo):
                code = "TARGET_SILENT" if target in self.judge.set_aside else "TARGET_ANSWERS"
                yield Fact(code, self.uplink.name, evidence={"target": target})
        yield from self._tell_families()
        silence = self.echoes.silence
        beat_s = 0.0 if silence is None else self._beat_s(silence)
        verdict = self.judge.judge(self.trouble, silence, beat_s, now)
        if verdict is not None:
            yield self._told(verdict, now)
        yield from self._tell_refusal()

    def _tell_families(self) -> Iterator[Fact]:
        silent = self.judge.silent_families
        for family in sorted(silent ^ self._silent_families):
            code = "FAMILY_SILENT" if family in silent else "FAMILY_ANSWERS"
            yield Fact(code, self.uplink.name, evidence={"family": family})
        self._silent_families = silent

    def _refund(self, now: float) -> None:
        """An answer was paid for when its echo was sent; what was not sent, or not answered, costs nothing."""
        while self._owed and now > self._owed[0].sent_at + REMEMBERED_S:
            echo = self._owed.popleft()
            if not echo.sent:
                self.budget.charge(-self._bytes[echo.target])
            elif echo.lost:
                self.budget.charge(-self._bytes[echo.target] // 2)

    def _beat_s(self, silence: Silence) -> float:
        """What was on its way is gone; then the wait for the next echo, and for its answer."""
        trip = self.echoes.trip(silence.first.target)
        return (trip.smoothed_s or 0) + self.pace[Mood.DOUBT] + self.echoes.timeout_s(silence.first)

    def _pass_time(self, now: float) -> None:
        if self.health is Health.UP and self.role is Role.CARRYING:
            self.known.history.silences.watched_s += now - self._passed_at
        self._passed_at = now
        if now >= self.tune_at:
            self.known.history.fade(now - self._tuned_at)
            self._tuned_at = now
            self._tune_after_s = min(2 * self._tune_after_s, HOUR_S)
            self.judge.retune()

    def _told(self, verdict: Verdict, now: float) -> Fact:
        sample = self.echoes.sample(now)
        evidence: Evidence = {**verdict.evidence, "rtt_ms": sample.rtt_ms, "loss": sample.loss}
        if evidence["cause"] == "silence" and not self.echoes.could_send:
            evidence["cause"] = "nothing could be sent"
        return Fact(f"UPLINK_{verdict.after.upper()}", self.uplink.name, verdict.before, verdict.after, evidence)

    def _tell_refusal(self) -> Iterator[Fact]:
        if self._refused and not self._refusal_told:
            spent, limits = self.budget.spent, self.budget.limits
            evidence: Evidence = {
                "day_mb": round(spent.day_bytes / 1e6, 3),
                "day_cap_mb": limits.day_bytes / 1e6,
                "month_mb": round(spent.month_bytes / 1e6, 3),
                "month_cap_mb": limits.month_bytes / 1e6,
            }
            yield Fact("BUDGET_SPENT", self.uplink.name, evidence=evidence)
        self._refusal_told = self._refused or (self._refusal_told and self.budget.scarce)

    def pass_over(self, times: int) -> float:
        """As so many echoes at the pace of now, each answered as usual; what a simulation of months skips over.

        Nothing may be on its way. Returns the moment of the last answer.
        """
        spacing_s = self._spacing(self._beat_at)[2]
        self._beat_at += times * spacing_s
        answered_at = self._beat_at + (self.usual_rtt_ms or 0) / 1e3
        self.budget.charge(times * next(iter(self._bytes.values())))
        self.echoes.pass_over(times, self._beat_at, answered_at)
        self.judge.pass_over(times)
        self._pass_time(answered_at)
        return answered_at

    # what others ask

    @property
    def tune_at(self) -> float:
        """When the limits follow the history next: soon while the uplink is new, then each hour."""
        return self._tuned_at + self._tune_after_s

    def spacing_s(self, now: float) -> float:
        """How far apart its echoes are now."""
        return self._spacing(now)[2]

    def wake_at(self, now: float) -> float:
        moment = self._beat_at + self._spacing(now)[2]
        silence = self.echoes.silence
        if silence is not None:
            if now < self.echoes.missed_at:
                moment = min(moment, self.echoes.missed_at)
            elif now < self.echoes.overdue_at:
                moment = min(moment, self.echoes.overdue_at)
            elif self.health is not Health.DEAD:
                moment = min(moment, silence.since + self.judge.silence_limit_s(self._beat_s(silence)))
        return min(moment, self.traffic.answers_until) if self.traffic.answers(now) else moment

    def sample(self, now: float) -> Sample:
        return self.echoes.sample(now)

    def loss_while_so(self, now: float) -> float | None:
        """What was lost before an uplink has proven good says nothing of how it is now; None while nothing does."""
        return self.echoes.sample(now, self.judge.since if self.health is Health.UP else -inf).loss

    def summary(self) -> UplinkSummary:
        """The counts since the last one; begins the next."""
        skipped, self._skipped = self._skipped, 0
        return self.echoes.summary(self.uplink.name, self.health, skipped)
