"""One uplink's echoes, each to one target: what became of them; nothing is lost until somebody asks.

A late answer un-loses its echo (as in dpinger). An echo that the kernel did not take is counted apart: it says nothing
about the path.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from agent.core.history import History, Trip
from agent.core.span import Echo, Span, ms, quantile
from wire.messages import Health, UplinkSummary

REMEMBERED_S = 30  # an answer later than this is no longer looked for
WINDOW = 20  # echoes that loss and RTT "now" are computed over at least, if 30 s hold fewer
IDLE_S = 5.0  # an LTE radio falls asleep between 5 and 10 s without a packet


@dataclass(frozen=True, slots=True)
class Sample:
    """What the window shows. None where nothing was sent or nothing came back."""

    rtt_ms: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard since then, though something was asked."""

    since: float
    first: Echo
    newest: int

    @property
    def unanswered(self) -> int:
        return self.newest - self.first.seq + 1


class Echoes:
    """Bounded: it remembers REMEMBERED_S and WINDOW of echoes, and one span of counts."""

    def __init__(self, history: History, lost_after_s: float) -> None:
        self._history = history
        self._lost_after_s = lost_after_s
        self._echoes: deque[Echo] = deque()
        self._waiting: deque[Echo] = deque()
        """Sent after the newest answered one."""
        self._unsettled: deque[Echo] = deque()
        self.seq = 0
        self.sent_at: float | None = None
        self.heard_at: float | None = None
        self._span = Span()
        self._changed = False
        """What follows has to be looked at again."""
        self._silence: Silence | None = None
        self._overdue_at = self._missed_at = inf

    @property
    def silence(self) -> Silence | None:
        """From the first unanswered echo, or from the last sign of life after it."""
        if self._changed:
            self._look()
        return self._silence

    @property
    def overdue_at(self) -> float:
        """When the silence becomes remarkable, an answer should have come, or come again; inf without a silence."""
        if self._changed:
            self._look()
        return self._overdue_at

    @property
    def missed_at(self) -> float:
        """When the first unanswered echo should have been answered, whatever else was heard; inf without one."""
        if self._changed:
            self._look()
        return self._missed_at

    def _look(self) -> None:
        self._changed = False
        if not self._waiting:
            self._silence, self._overdue_at, self._missed_at = None, inf, inf
            return
        first, timeout_s = self._waiting[0], self.timeout_s(self._waiting[0])
        since = max(first.sent_at, self.heard_at or first.sent_at)
        self._silence = Silence(since, first, self.seq)
        self._overdue_at, self._missed_at = since + timeout_s, first.sent_at + timeout_s

    @property
    def could_send(self) -> bool:
        """Whether any echo that is unanswered now really left."""
        return any(each.sent for each in self._waiting)

    def send(self, target: str, now: float) -> int:
        """The number of the echo that is sent now."""
        idle = self.sent_at is not None and now - self.sent_at > IDLE_S
        self.seq += 1
        echo = Echo(self.seq, target, now, idle, self.trip(target).usual_s)
        for queue in (self._echoes, self._waiting, self._unsettled, self._span.echoes):
            queue.append(echo)
        self.sent_at = now
        self._changed = True
        self._span.sent += 1
        while len(self._waiting) > 1 and self._waiting[1].sent_at < now - REMEMBERED_S:
            del self._waiting[1]  # too old to be answered; the first still tells when the silence began
        while len(self._echoes) > WINDOW and self._echoes[0].sent_at < now - REMEMBERED_S and self._echoes[0].settled:
            self._echoes.popleft()
        return self.seq

    def returned(self, seq: int, target: str, rtt_s: float, now: float) -> Echo | None:
        """The echo that is answered by this, perhaps late; None for a second answer and for what is not remembered."""
        echo = self._echo(seq)
        if echo is None or target != echo.target or now > echo.sent_at + REMEMBERED_S:
            return None
        if echo.rtt_s is not None:
            self._span.duplicates += 1
            return None
        self._learn(echo, rtt_s, now)
        echo.rtt_s, self.heard_at = rtt_s, now
        self._changed = True
        self._span.answered += 1
        if echo.after_idle:
            self._span.after_idle_s.append(rtt_s)
        else:
            self._span.rtts_s.append(rtt_s)
        if echo.settled:
            self._span.late += 1
            self._span.lost -= 1
        while self._waiting and self._waiting[0].seq <= seq:
            self._waiting.popleft()
        return echo

    def heard(self, now: float) -> None:
        """A sign of life that is no answer to an echo."""
        self.heard_at = now
        self._changed = True

    def refused(self, seq: int) -> None:
        """A router on the way said that it cannot be delivered; the silence will tell, this explains it."""
        self._span.refused += self._echo(seq) is not None

    def not_sent(self, seq: int) -> None:
        echo = self._echo(seq)
        if echo is not None and echo.sent:
            self._span.lost -= echo.lost  # where the path went away first
            echo.sent = False
            self._span.sent -= 1
            self._span.not_sent += 1

    def abandon(self) -> None:
        """There is no path any more: what is on its way will not be answered."""
        self._waiting.clear()
        self._changed = True
        while self._unsettled:
            self._count(self._unsettled.popleft())

    def settle(self, now: float) -> Iterator[Echo]:
        """Echoes that are answered or whose time is up, once each and in order."""
        while self._unsettled:
            echo = self._unsettled[0]
            patience_s = max(self._lost_after_s, self.timeout_s(echo))
            if echo.sent and echo.rtt_s is None and now < echo.sent_at + patience_s:
                return
            self._unsettled.popleft()
            self._count(echo)
            yield echo

    def _count(self, echo: Echo) -> None:
        echo.settled = True
        self._span.lost += echo.lost

    def pass_over(self, times: int, sent_at: float, heard_at: float) -> None:
        """As so many echoes that were answered as usual; none may be unanswered, none unsettled."""
        assert not self._waiting and not self._unsettled
        self.seq += times
        self._span.sent += times
        self.sent_at, self.heard_at = sent_at, heard_at
        self._echoes.clear()

    def timeout_s(self, echo: Echo) -> float:
        known = self.trip(echo.target).timeout_s
        return max(known, self._history.after_idle.timeout_s) if echo.after_idle else known

    def trip(self, target: str) -> Trip:
        found = self._history.trips.get(target)
        if found is None:
            found = self._history.trips[target] = Trip()
        return found

    def sample(self, now: float, sent_since: float = -inf) -> Sample:
        """Loss is the lower median over targets, so that one dead target is not read as a bad link."""
        sent = [each for each in self._echoes if each.sent and each.sent_at >= sent_since]
        ended = [each for each in sent if each.settled or each.rtt_s is not None]
        recent = [each for each in ended if each.sent_at >= now - REMEMBERED_S]
        window = recent if len(recent) >= WINDOW else ended[-WINDOW:]
        by_target: dict[str, list[Echo]] = {}
        for each in window:
            by_target.setdefault(each.target, []).append(each)
        losses = sorted(sum(each.rtt_s is None for each in some) / len(some) for some in by_target.values())
        rtts_s = sorted(each.rtt_s for each in window if each.rtt_s is not None)
        return Sample(ms(quantile(rtts_s, 0.5)), losses[(len(losses) - 1) // 2] if losses else None)

    def summary(self, name: str, health: Health, skipped: int) -> UplinkSummary:
        """The figures since the last summary; begins the next one."""
        summary = self._span.summary(name, health, skipped)
        self._span = self._span.next()
        return summary

    def _learn(self, echo: Echo, rtt_s: float, now: float) -> None:
        trip = self._history.after_idle if echo.after_idle else self.trip(echo.target)
        trip.learn(rtt_s, now - (self.heard_at or now))

    def _echo(self, seq: int) -> Echo | None:
        if not self._echoes or not self._echoes[0].seq <= seq <= self.seq:
            return None
        return self._echoes[seq - self._echoes[0].seq]
