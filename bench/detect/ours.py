"""Siaga's own detector under test: the agent's Watch itself, stepped from one trouble to the next.

Between troubles every echo is answered in time and Watch takes a whole stretch of them at once (`pass_over`), which a
test holds against the same stretch echo by echo. In trials nothing is skipped.
"""

import heapq
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

import msgspec

from agent.core.memory import Watched
from agent.core.pace import Mood
from agent.core.station import Kind, Uplink
from agent.core.watch import Role, Watch
from bench.detect.rule import Change, Seen
from bench.detect.weather import Day, Link
from wire.messages import Health

TARGETS = ("198.51.100.1", "198.51.100.2", "203.0.113.1")
SETTLING_S = 30.0  # seven good echoes before anything is judged
TRAINING_DAYS = 10
AHEAD_S = 3.0  # what was lost is settled so much before its time, so that it need not be waited for
ALARMS = (Health.DEAD, Health.POOR)


@dataclass(slots=True)
class Ours:
    """In trials with a history of TRAINING_DAYS of the same weather; at the pace as shipped, or at an even one."""

    name: str = "Siaga"
    source: str = "agent/core, as shipped"
    even_s: float | None = None
    warm_s: float = 60.0
    repaired_after_s: float = 60.0

    def watch(self, link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        steps: Steps | None = None
        for day in days:
            if steps is None:
                known = Watched()
                if day.failure is not None:
                    known = msgspec.json.decode(_trained(link, self.even_s), type=Watched)
                steps = Steps(link, known, day.start_s, seed, self.even_s)
            yield steps.live(day)


@lru_cache(maxsize=32)
def _trained(link: Link, even_s: float | None) -> bytes:
    """What the agent would remember of this link after TRAINING_DAYS."""
    other = Link(link.weather, link.seed + 1_000_000)
    known = Watched()
    steps = Steps(other, known, 0.0, link.seed, even_s)
    for day in other.days(TRAINING_DAYS):
        steps.live(day)
    known.spent.day_bytes = known.spent.month_bytes = 0
    return msgspec.json.encode(known)


@dataclass(slots=True)
class Steps:
    """One Watch and the packets on their way."""

    link: Link
    known: Watched
    now: float
    seed: int
    even_s: float | None = None
    watch: Watch = field(init=False)
    _chance: random.Random = field(init=False)
    _coming: list[tuple[float, int, int, str, float]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)
    _good_left: float = -1
    """Echoes that are answered in time before the next one that is not; drawn anew when below nought."""

    def __post_init__(self) -> None:
        weather = self.link.weather
        self.watch = Watch(Uplink("link", "wan0", Kind(weather.kind)), TARGETS, self.now, self.known)
        self.watch.wake(Role.CARRYING if weather.role == "active" else Role.STANDBY, self.now)
        if self.even_s is not None:
            self.watch.pace = dict.fromkeys(Mood, self.even_s)
            self.watch.judge.limits = replace(self.watch.judge.limits, echo_every_s=self.even_s)
            self.watch.judge.retune()
        self._chance = random.Random(self.seed)

    def live(self, day: Day) -> Seen:
        """Until the day's end; a trial ends with its answer."""
        seen = Seen()
        spent = self.known.spent.month_bytes
        while self.now < day.stop_s and not self._answered(day, seen):
            if day.failure is None and self._skip(day, seen):
                continue
            self.step(day, seen)
        seen.octets = float(self.known.spent.month_bytes - spent)
        self.known.spent.month_bytes = self.known.spent.day_bytes = 0  # what is spent is counted here, not capped
        return seen

    def _answered(self, day: Day, seen: Seen) -> bool:
        if day.failure is None or not seen.changes:
            return False
        newest = seen.changes[-1]
        repaired_s = day.failure.until_s
        if math.isinf(repaired_s):
            return newest.is_alarm and newest.at_s >= day.failure.at_s
        return not newest.is_alarm and newest.at_s >= repaired_s

    def until(self, day: Day, moment: float, seen: Seen) -> None:
        """Step by step to this moment."""
        while min(self._next_at(), day.stop_s) < moment:
            self.step(day, seen)
        self.now = moment

    def _next_at(self) -> float:
        tick_at = max(self.watch.wake_at(self.now), self.now)
        return min(tick_at, self._coming[0][0]) if self._coming else tick_at

    def step(self, day: Day, seen: Seen) -> None:
        """The next answer, or the next moment that the watch asks for."""
        tick_at = max(self.watch.wake_at(self.now), self.now)
        if self._coming and self._coming[0][0] <= tick_at:
            self.now, _, number, target, rtt_s = heapq.heappop(self._coming)
            self.watch.returned(number, target, rtt_s, self.now)
            return
        self.now = tick_at
        self._look(self.now, seen)
        ask = self.watch.ask(self.now)
        if ask is not None:
            rtt_s = self._fate(day)
            if rtt_s is not None:
                heapq.heappush(self._coming, (self.now + rtt_s, next(self._order), ask.seq, ask.target, rtt_s))

    def _look(self, at_s: float, seen: Seen) -> None:
        for fact in self.watch.look(at_s):
            if fact.after in ALARMS and fact.before not in ALARMS:
                seen.changes.append(Change(self.now, True))
            elif fact.after == Health.UP and fact.before in ALARMS:
                seen.changes.append(Change(self.now, False))

    def _fate(self, day: Day) -> float | None:
        if day.failure is not None or day.next_trouble(self.now) <= self.now:
            return day.fate(self.now, self._chance)
        if self._good_left < 0:
            self._draw(day)
        self._good_left -= 1
        late = self._late(day)
        if self._good_left >= 0:
            return day.rtt_s - day.jitter_s * math.log(1 - self._chance.uniform(0, 1 - late))
        if self._chance.random() * (day.loss + late) < day.loss:
            return None
        return day.rtt_s - day.jitter_s * math.log(late) + day.jitter_s * self._chance.expovariate(1)

    def _draw(self, day: Day) -> None:
        bad = day.loss + self._late(day)
        self._good_left = math.inf if not bad else int(math.log(1 - self._chance.random()) / math.log(1 - bad))

    def _late(self, day: Day) -> float:
        """The share of answers that jitter alone brings after their time."""
        slack_s = max(0.0, self.watch.echoes.trip(TARGETS[0]).timeout_s - day.rtt_s)
        return math.exp(-slack_s / day.jitter_s) if slack_s < 30 * day.jitter_s else 0.0

    def _skip(self, day: Day, seen: Seen) -> bool:
        """A stretch of echoes that are all answered in time, if one begins here."""
        watch = self.watch
        if self._coming or watch.role is not Role.CARRYING or watch.health is not Health.UP or watch.echoes.silence:
            return False
        if self._times(day) < 3:
            return False
        self._look(self.now + AHEAD_S, seen)
        if watch.health is not Health.UP:
            return True
        times = int(self._times(day))  # a loss that has just been settled has made it dense
        if times < 3:
            return False
        self._good_left -= times
        self.now = watch.pass_over(times)
        return True

    def _times(self, day: Day) -> float:
        """So many echoes from now on leave at one pace and are answered in time."""
        if self._good_left < 0:
            self._draw(day)
        watch = self.watch
        horizon_s = min(day.next_trouble(self.now), watch.tune_at) - self.now - 1.0
        return min(self._good_left, watch.judge.until_calm or math.inf, horizon_s / watch.spacing_s(self.now))
