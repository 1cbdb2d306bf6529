"""One uplink's echoes: sent on a fixed schedule, to all targets at once; nothing is lost until somebody asks.

A round is one echo to each target. A late answer un-loses its echo (as in dpinger). An echo that the kernel did not
take is counted apart: it says nothing about the path.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.core.station import Kind
from wire.messages import Health, UplinkSummary

REMEMBERED_S = 30  # an answer later than this is no longer looked for
WINDOW_S = 30  # what loss and RTT "now" are computed over


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to ask, and how long to wait for the answer before it counts as lost."""

    every_s: float
    lost_after_s: float


PACE = {
    Kind.FIBRE: Pace(every_s=0.2, lost_after_s=1.0),
    Kind.LTE: Pace(every_s=0.5, lost_after_s=1.5),  # radio scheduling and hand-over: tails of a second are ordinary
    Kind.LEO: Pace(every_s=0.5, lost_after_s=1.0),
    Kind.GEO: Pace(every_s=1.0, lost_after_s=2.0),  # healthy RTT is 0.55 to 0.7 s; narrow and metered, so half the pace
}


FIRST_TIMEOUT_S = 1.0  # RFC 6298 2.1, until an RTT is known
LONGEST_TIMEOUT_S = 3.0  # an LTE tail of ten seconds must not make the detector blind


@dataclass(frozen=True, slots=True)
class Sample:
    """What the window shows. None where nothing was sent or nothing came back."""

    rtt_ms: float | None = None
    loss: float | None = None


@dataclass(slots=True)
class Round:
    seq: int
    sent_at: float
    rtt_s: dict[str, float] = field(default_factory=dict)
    not_sent: set[str] = field(default_factory=set)
    settled: bool = False
    late: int = 0

    def left(self, targets: tuple[str, ...]) -> int:
        return len(targets) - len(self.not_sent)

    def lost(self, targets: tuple[str, ...]) -> int:
        return len(targets) - len(self.rtt_s) - len(self.not_sent) if self.settled else 0


class Echoes:
    """Bounded: it remembers REMEMBERED_S of rounds and one span of counts."""

    def __init__(self, targets: tuple[str, ...], pace: Pace, now: float) -> None:
        self.targets = targets
        self.pace = pace
        self._next_at = now
        self._seq = 0
        self._rounds: deque[Round] = deque()
        self.unanswered_since: float | None = None
        """When the first round after the newest answered one was sent; None when nothing is unanswered."""
        self._newest_answered = self._settled = 0
        self._rtt_s: float | None = None
        self._deviation_s = 0.0
        self._counts = _Counts()

    @property
    def timeout_s(self) -> float:
        """How long an answer may take on this link: smoothed RTT and four deviations (RFC 6298)."""
        if self._rtt_s is None:
            return FIRST_TIMEOUT_S
        return min(self._rtt_s + 4 * self._deviation_s, LONGEST_TIMEOUT_S)

    @property
    def beat_s(self) -> float:
        """The longest ordinary wait for news: what was on its way is gone; then the next round, and its answer."""
        return (self._rtt_s or 0) + self.pace.every_s + self.timeout_s

    @property
    def could_send(self) -> bool:
        """Whether any echo that is unanswered now really left."""
        since = self.unanswered_since
        return any(since is not None and each.sent_at >= since and each.left(self.targets) for each in self._rounds)

    def due(self, now: float) -> int | None:
        """The number of the round to be sent now. The schedule is fixed; beats that were missed are left out."""
        if not self._beat(now):
            return None
        self._seq += 1
        self._rounds.append(Round(self._seq, now))
        if self.unanswered_since is None:
            self.unanswered_since = now
        self._counts.sent += len(self.targets)
        return self._seq

    def skip(self, now: float) -> None:
        """Let a beat pass without an echo: there is no path to ask. What was on its way will not be answered."""
        self._beat(now)
        self.unanswered_since = None

    def returned(self, seq: int, target: str, rtt_s: float) -> None:
        """An answer, also a late or a second one; of what is not remembered nothing is made."""
        found = self._round(seq)
        if found is None or target in found.rtt_s or target not in self.targets:
            return
        found.rtt_s[target] = rtt_s
        self._counts.rtts_s.append(rtt_s)
        self._learn(rtt_s)
        if found.settled:
            found.late += 1
            self._counts.late += 1
            self._counts.lost -= 1
        if seq > self._newest_answered:
            self._newest_answered = seq
            later = (each for each in self._rounds if each.seq > seq)
            self.unanswered_since = next((each.sent_at for each in later), None)

    def not_sent(self, seq: int, target: str) -> None:
        found = self._round(seq)
        if found is not None and target not in found.not_sent:
            found.not_sent.add(target)
            self._counts.sent -= 1
            self._counts.not_sent += 1

    def settle(self, now: float) -> Iterator[dict[str, bool]]:
        """Rounds that are answered or whose time is up, once each, as {target: answered}; not-sent left out.

        In order, so that an answer is never judged before the losses that came before it.
        """
        while self._rounds and self._rounds[0].settled and self._rounds[0].sent_at < now - REMEMBERED_S:
            self._rounds.popleft()
        while (each := self._round(self._settled + 1)) is not None:
            complete = len(each.rtt_s) + len(each.not_sent) == len(self.targets)
            if not (complete or now >= each.sent_at + max(self.pace.lost_after_s, self.timeout_s)):
                return
            self._settled, each.settled = each.seq, True
            self._counts.lost += each.lost(self.targets)
            yield {target: target in each.rtt_s for target in self.targets if target not in each.not_sent}

    def _learn(self, rtt_s: float) -> None:
        if self._rtt_s is None:
            self._rtt_s, self._deviation_s = rtt_s, rtt_s / 2
        else:
            self._deviation_s += (abs(rtt_s - self._rtt_s) - self._deviation_s) / 4
            self._rtt_s += (rtt_s - self._rtt_s) / 8

    def _beat(self, now: float) -> bool:
        if now < self._next_at:
            return False
        missed = int((now - self._next_at) / self.pace.every_s)
        self._next_at += (missed + 1) * self.pace.every_s
        return True

    def wake_at(self) -> float:
        return self._next_at

    def sample(self, now: float) -> Sample:
        """Loss is the lower median over targets, so that one dead target is not read as a bad link."""
        losses: list[float] = []
        rtts_s: list[float] = []
        window = [each for each in self._rounds if each.sent_at >= now - WINDOW_S]
        for target in self.targets:
            sent = [each for each in window if target not in each.not_sent and (each.settled or target in each.rtt_s)]
            if sent:
                losses.append(sum(target not in each.rtt_s for each in sent) / len(sent))
        for each in window:
            rtts_s += each.rtt_s.values()
        return Sample(
            rtt_ms=_ms(_quantile(sorted(rtts_s), 0.5)),
            loss=sorted(losses)[(len(losses) - 1) // 2] if losses else None,
        )

    def summary(self, name: str, health: Health) -> UplinkSummary:
        """The counts since the last summary; begins the next one."""
        counts, self._counts = self._counts, _Counts()
        rtts_s = sorted(counts.rtts_s)
        return UplinkSummary(
            name=name,
            health=health,
            sent=counts.sent,
            answered=len(rtts_s),
            lost=counts.lost,
            late=counts.late,
            not_sent=counts.not_sent,
            rtt_min_ms=_ms(_quantile(rtts_s, 0.0)),
            rtt_p50_ms=_ms(_quantile(rtts_s, 0.5)),
            rtt_p95_ms=_ms(_quantile(rtts_s, 0.95)),
            rtt_p99_ms=_ms(_quantile(rtts_s, 0.99)),
            rtt_max_ms=_ms(_quantile(rtts_s, 1.0)),
        )

    def _round(self, seq: int) -> Round | None:
        if not self._rounds or not self._rounds[0].seq <= seq <= self._seq:
            return None
        return self._rounds[seq - self._rounds[0].seq]


@dataclass(slots=True)
class _Counts:
    """Of echoes, since the last summary. A late answer to the span before lowers this span's `lost`: sums stay true."""

    sent: int = 0
    lost: int = 0
    late: int = 0
    not_sent: int = 0
    rtts_s: list[float] = field(default_factory=list)


def _quantile(ordered: list[float], share: float) -> float | None:
    """Nearest rank: always a value that was measured."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
