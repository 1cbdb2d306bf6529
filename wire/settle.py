"""When a transfer has told its rate: the last samples agree, so that more bytes would say nothing new.

A sample is cut at arrivals, not at the clock: what comes in lumps would else make neighbours differ by a lump.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

SAMPLE_S = 0.25
SAMPLES_AT_LEAST = 3
AGREE = 0.05  # the largest less the smallest, as a fraction of the mean
RTTS_COVERED = 1.5  # slow start sends in rounds; samples of one round agree with each other and tell nothing


@dataclass(frozen=True, slots=True)
class Rate:
    mbps: float
    """Payload that came, over the last samples."""
    settled: bool
    bytes: int
    """From the first to the last."""
    seconds: float


@dataclass(frozen=True, slots=True)
class _Mark:
    at_s: float
    total_bytes: int


class Settling:
    """Told of each arrival; `rate` is what is known so far."""

    def __init__(self, rtt_s: float = 0.0) -> None:
        self._needed = max(SAMPLES_AT_LEAST, ceil(RTTS_COVERED * rtt_s / SAMPLE_S))
        self._first: _Mark | None = None
        self._last = _Mark(0.0, 0)
        self._ends_s = 0.0
        self._marks: deque[_Mark] = deque(maxlen=self._needed + 1)
        """The last arrival of each sample."""

    def take(self, size: int, now: float) -> None:
        total = self._last.total_bytes + size
        if self._first is None:
            self._first = self._last = _Mark(now, total)
            self._marks.append(self._first)
            self._ends_s = now + SAMPLE_S
            return
        while now >= self._ends_s:
            self._marks.append(self._last)
            self._ends_s += SAMPLE_S
        self._last = _Mark(now, total)

    @property
    def settled(self) -> bool:
        marks = list(self._marks)
        if len(marks) <= self._needed:
            return False
        rates = [_bytes_per_s(before, after) for before, after in pairwise(marks)]
        return min(rates) > 0 and max(rates) - min(rates) <= AGREE * sum(rates) / len(rates)

    @property
    def rate(self) -> Rate | None:
        """None before two arrivals."""
        if self._first is None or self._last.at_s <= self._first.at_s:
            return None
        settled = self.settled
        end = self._marks[-1] if settled else self._last
        mbps = _bytes_per_s(self._marks[0], end) * 8e-6
        return Rate(mbps, settled, self._last.total_bytes, self._last.at_s - self._first.at_s)


def _bytes_per_s(before: _Mark, after: _Mark) -> float:
    passed_s = after.at_s - before.at_s
    return (after.total_bytes - before.total_bytes) / passed_s if passed_s > 0 else 0.0
