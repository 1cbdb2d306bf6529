"""How long each way takes above its recent minimum, by two clocks that agree on nothing (RFC 7679, relative).

A difference of two clocks is delay, offset and drift in one. Over minutes its lower envelope is a straight line: the
path when it is idle, and the clocks' drift. Drift raises one way by what it lowers the other by, and a queue does not;
so both lines have one slope, and it is found from both ways together: the one with which both lie highest.

Together the two lines then reach the shortest round trip. Where they do not, the clocks did not run straight: one was
set, or is being slewed. The older half is forgotten until they do; after a step nothing is left, and all begins anew.
"""

from collections import deque
from dataclasses import dataclass, replace

BUCKET_S = 10.0  # of each only the lowest points are kept
WINDOW_S = 600.0  # a path that has become longer is delay for so long; a queue that stands so long is path
SLOPE_AT_MOST = 500e-6  # adjtime(3) slews no faster; a crystal drifts 20e-6, a bad one 100e-6
SLOPE_COSTS = 0.1  # of what a true slope wins when both ways are idle; a queue that grows steadily wins nothing
SLOPE_STEPS = 24  # of a search that narrows to two thirds in each; 18 us over the window
STEP_AT_LEAST_S = 0.005  # that the lines may lie below the shortest round trip, besides the link's own jitter


@dataclass(frozen=True, slots=True)
class Above:
    """Of one packet, in seconds above the envelope."""

    up_s: float
    down_s: float
    known_s: float
    """How long the envelope has been learnt; in its first minutes it may still be too high, and this too low."""


class OneWay:
    """Bounded: WINDOW_S of buckets. `at` is monotonic, when the packet was sent."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque()
        self._line = _Line(0.0, 0.0, 0.0, 0.0)

    def take(self, at: float, up_s: float, down_s: float) -> Above:
        while self._buckets and self._buckets[0].began_at < at - WINDOW_S:
            self._buckets.popleft()
        if not self._buckets:
            self._begin(at, up_s, down_s)
        elif at < self._buckets[-1].began_at + BUCKET_S:
            self._buckets[-1].take(at, up_s, down_s)
        else:
            self._fit(at)  # before the new bucket, whose first point is seldom low
            self._buckets.append(_Bucket(at, at, up_s, at, down_s, up_s + down_s, up_s + down_s))
        above_s = self._line.above(at, up_s, down_s)
        if min(above_s) < -STEP_AT_LEAST_S:
            if not self._fit(at):
                self._begin(at, up_s, down_s)
            above_s = self._line.above(at, up_s, down_s)
        elif min(above_s) < 0:
            self._line = self._line.lowered(*above_s)
        return Above(max(0.0, above_s[0]), max(0.0, above_s[1]), at - self._buckets[0].began_at)

    def _begin(self, at: float, up_s: float, down_s: float) -> None:
        self._buckets = deque([_Bucket(at, at, up_s, at, down_s, up_s + down_s, up_s + down_s)])
        self._line = _Line(at, up_s, down_s, 0.0)

    def _fit(self, at: float) -> bool:
        """False when even the newest ten seconds are of two minds."""
        while True:
            self._line = _highest(self._buckets, at)
            shortest_s = min(each.rtt_s for each in self._buckets)
            usual_s = sorted(each.first_rtt_s for each in self._buckets)[len(self._buckets) // 2]
            below_s = shortest_s - self._line.up_s - self._line.down_s
            if below_s <= STEP_AT_LEAST_S + usual_s - shortest_s:
                return True
            if len(self._buckets) == 1:
                return False
            for _ in range(len(self._buckets) // 2):
                self._buckets.popleft()


@dataclass(slots=True)
class _Bucket:
    """The lowest points of ten seconds."""

    began_at: float
    up_at: float
    up_s: float
    down_at: float
    down_s: float
    rtt_s: float
    first_rtt_s: float
    """Of no special packet, so that the middle one of all buckets is what is usual."""

    def take(self, at: float, up_s: float, down_s: float) -> None:
        if up_s < self.up_s:
            self.up_at, self.up_s = at, up_s
        if down_s < self.down_s:
            self.down_at, self.down_s = at, down_s
        self.rtt_s = min(self.rtt_s, up_s + down_s)


@dataclass(frozen=True, slots=True)
class _Line:
    """Both lower envelopes: their height at `since`, and the slope that is the one's and less the other's."""

    since: float
    up_s: float
    down_s: float
    slope: float

    def above(self, at: float, up_s: float, down_s: float) -> tuple[float, float]:
        drift_s = self.slope * (at - self.since)
        return up_s - self.up_s - drift_s, down_s - self.down_s + drift_s

    def lowered(self, up_s: float, down_s: float) -> "_Line":
        """By what a point lies below it."""
        return replace(self, up_s=self.up_s + min(0.0, up_s), down_s=self.down_s + min(0.0, down_s))


def _highest(buckets: deque[_Bucket], since: float) -> _Line:
    """The sum of both heights is concave in the slope, so that a search by thirds finds its top."""
    span_s = since - buckets[0].began_at

    def worth(slope: float) -> float:
        line = _beneath(buckets, since, slope)
        return line.up_s + line.down_s - SLOPE_COSTS * abs(slope) * span_s

    low, high = -SLOPE_AT_MOST, SLOPE_AT_MOST
    for _ in range(SLOPE_STEPS if len(buckets) > 1 else 0):
        third = (high - low) / 3
        if worth(low + third) < worth(high - third):
            low += third
        else:
            high -= third
    return _beneath(buckets, since, max(0.0, (low + high) / 2, key=worth))  # nought when it is as good


def _beneath(buckets: deque[_Bucket], since: float, slope: float) -> _Line:
    """The highest lines of this slope that no point lies below."""
    up_s = min(each.up_s - slope * (each.up_at - since) for each in buckets)
    down_s = min(each.down_s + slope * (each.down_at - since) for each in buckets)
    return _Line(since, up_s, down_s, slope)
