"""One watch lived by hand: a link that answers after its RTT or not at all, and users whose traffic is counted."""

import heapq
from collections.abc import Callable
from itertools import count, pairwise

from agent.core.events import TrafficCounted
from agent.core.memory import Watched
from agent.core.pace import PACES, Mood
from agent.core.station import Kind, Metered, Spending, Uplink
from agent.core.watch import Ask, Role, Watch
from tests.core.driven import RTT_S, SETTLED_S, TARGETS
from wire.messages import Fact, Health

COUNTED_EVERY_S = 0.25


class Lived:
    """Seconds pass because we say so; `begin_s` is what the clock shows at the start."""

    def __init__(
        self,
        kind: Kind = Kind.FIBRE,
        role: Role = Role.CARRYING,
        known: Watched | None = None,
        day_mb: float | None = None,
        metered_mb: float | None = None,
        targets: tuple[str, ...] = TARGETS,
        begin_s: float = 0.0,
    ) -> None:
        self.kind, self.now = kind, begin_s
        uplink = Uplink(
            "link",
            "wan0",
            kind,
            metered=None if metered_mb is None else Metered(metered_mb),
            budget=None if day_mb is None else Spending(mb_per_day=day_mb),
        )
        self.known = known or Watched()
        self.watch = Watch(uplink, targets, begin_s, self.known)
        self.watch.wake(role, begin_s)
        self.cut = False
        """Everything is swallowed, there or back."""
        self.rtt_s: Callable[[Ask], float | None] = lambda _: RTT_S[kind]
        """None for an echo that is lost."""
        self.asked: list[tuple[float, Ask]] = []
        self.answered = 0
        self.facts: list[tuple[float, Fact]] = []
        self.users: tuple[int, int, int] | None = None
        """In each quarter of a second: packets asked, packets answered, bytes received."""
        self._counts = [0, 0, 0]
        self._count_at = begin_s
        self._coming: list[tuple[float, int, Ask, float]] = []
        self._order = count()

    @property
    def codes(self) -> list[str]:
        return [fact.code for _, fact in self.facts]

    @property
    def pauses_s(self) -> list[float]:
        return [round(after - before, 6) for (before, _), (after, _) in pairwise(self.asked)]

    @property
    def limit_s(self) -> float:
        return self.watch.judge.silence_limit_s(0.0)

    def pace(self, mood: Mood) -> float:
        return PACES[self.kind][mood]

    def run(self, seconds: float) -> None:
        end, stood = self.now + seconds, 0
        while True:
            coming_at = self._coming[0][0] if self._coming else end
            count_at = end if self.users is None else max(self._count_at, self.now)
            tick_at = max(self.watch.wake_at(self.now), self.now)
            moment = min(coming_at, count_at, tick_at)
            if moment >= end:
                break
            stood = 0 if moment > self.now else stood + 1
            assert stood < 100, "time stands still"
            self.now = moment
            if moment == coming_at:
                self._hear()
            elif moment == count_at:
                self.count()
            else:
                self.tick()
        self.now = end

    def cut_for(self, seconds: float) -> None:
        self.cut = True
        self.run(seconds)
        self.cut = False

    def quiet(self) -> None:
        """To the next moment at which nothing is on its way."""
        while self._coming:
            self.now = self._coming[0][0]
            self._hear()
        self.facts += [(self.now, fact) for fact in self.watch.look(self.now)]

    def one(self) -> None:
        """The next echo and its answer."""
        count = len(self.asked)
        while len(self.asked) == count:
            self.now = max(self.watch.wake_at(self.now), self.now)
            self.tick()
        self.quiet()

    def tick(self) -> Ask | None:
        self.facts += [(self.now, fact) for fact in self.watch.look(self.now)]
        ask = self.watch.ask(self.now)
        if ask is not None:
            self.asked.append((self.now, ask))
            rtt_s = self.rtt_s(ask)
            if rtt_s is not None and not self.cut:
                heapq.heappush(self._coming, (self.now + rtt_s, next(self._order), ask, rtt_s))
        return ask

    def count(self) -> None:
        assert self.users is not None
        self._counts = [before + more for before, more in zip(self._counts, self.users, strict=True)]
        asked, answered, rx_bytes = self._counts
        self.watch.count(TrafficCounted("link", rx_bytes, 0, asked, answered), self.now)
        self._count_at = self.now + COUNTED_EVERY_S

    def _hear(self) -> None:
        _, _, ask, rtt_s = heapq.heappop(self._coming)
        if not self.cut:
            self.answered += 1
            self.watch.returned(ask.seq, ask.target, rtt_s, self.now)


def settled(kind: Kind = Kind.FIBRE, role: Role = Role.CARRYING, **others: object) -> Lived:
    """A link that has proven good, and whose answers are expected within milliseconds of their time."""
    lived = Lived(kind, role, **others)  # type: ignore[arg-type]
    lived.run(4 * SETTLED_S)
    assert lived.watch.health is Health.UP
    lived.facts.clear()
    lived.asked.clear()
    lived.watch.summary()
    return lived
