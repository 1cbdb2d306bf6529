"""What a train of packets tells of the way it came: the rate of the shaper, even behind a token bucket.

Packets are sent back to back. A bucket lets the first of them pass as fast as they were sent; when it is empty, what
follows comes at the shaper's own rate. So the arrivals are two straight lines with a knee between, and only the second
is the capacity (packet dispersion: Dovrolis, Ramanathan, Moore, Infocom 2001; the quantity: RFC 5136, IP-layer).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

FIRST_LEFT_OUT = 5  # packets: they met whatever was in the queue before, or woke the radio
SHORTEST_LINE = 5  # packets behind a knee; fewer make no slope
KNEE_BENDS = 1.25  # a knee changes the slope by more; less is noise
KNEE_ODDS = 12.0  # F of two lines against one; jitter alone passes 12 about once in 10,000 trains
AS_SENT = 1.15  # who comes within this of how he was sent was slowed down by nobody
ERROR_AT_MOST = 0.25  # a slope less sure tells nothing
COME_SINGLY = 0.4  # the usual step, of the mean one, where there are no more pauses than a few
PAUSE = 4.0  # of the usual step
CATCHING_UP = 3  # steps
FAR_BESIDE = 5.0  # of the median distance; of noise alone one in 1,000 lies farther
TRIMMED_TIMES = 4
CLOCK_S = 5e-6  # how far a stamp may be from the moment, even when all lie on a line


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    """Place in the train, from nought."""
    sent_s: float
    """By the sender's clock."""
    came_s: float
    """By the receiver's."""
    size_bytes: int
    """Of the IP packet."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of IP packets, one way, at this moment. It is what the way can carry, not what is free."""

    mbps: float
    error: float
    """Half the interval that holds 95 % of such fits, as a fraction; it knows of noise, not of change."""
    at_least: bool
    """So many bytes were carried this fast; no slope of a shaper could be told, and for longer it may be less."""
    burst_bytes: int
    """What came before the knee: about the bucket, with FIRST_LEFT_OUT; 0 without one."""
    packets: int
    lost: int


@dataclass(frozen=True, slots=True)
class _Point:
    """On the way of the train: so many bytes after so long, since its first packet that counts."""

    carried_bytes: float
    sent_s: float
    came_s: float


@dataclass(frozen=True, slots=True)
class _Line:
    s_per_byte: float
    squares: float
    """Of what lies beside it, summed."""
    spread: float
    """Of the bytes about their mean, squared and summed."""
    points: int

    @property
    def error(self) -> float:
        """Of the slope, as a fraction of it."""
        if self.points < 3 or self.s_per_byte <= 0:
            return inf
        noise_s2 = max(self.squares / (self.points - 2), CLOCK_S * CLOCK_S)
        wide = 2 + 9 / (self.points - 2) / sqrt(self.points - 2)  # near Student's t at 95 %
        return wide * sqrt(noise_s2 / self.spread) / self.s_per_byte


def estimate(arrivals: Sequence[Arrival], sent: int) -> Estimate | None:
    """None when too few of the `sent` packets came to say anything."""
    in_order = sorted(arrivals, key=lambda each: each.came_s)
    once = {each.number: each for each in reversed(in_order) if each.number < sent}  # of two copies the first to come
    came = sorted(once.values(), key=lambda each: each.came_s)
    way = _way(came[FIRST_LEFT_OUT:])
    if len(way) < SHORTEST_LINE:
        return None
    knee = _knee(way)
    behind = _trimmed(_served(way[knee:]))
    line = _fit(behind, [point.came_s for point in behind])
    as_sent = _fit(behind, [point.sent_s for point in behind]).s_per_byte
    unhindered = line.s_per_byte <= max(as_sent, 0.0) * AS_SENT
    error = line.error
    if unhindered or error > ERROR_AT_MOST:
        return Estimate(_whole_mbps(way), min(error, 1.0), True, 0, len(came), sent - len(came))
    burst_bytes = round(way[knee - 1].carried_bytes) if knee else 0
    return Estimate(8e-6 / line.s_per_byte, error, False, burst_bytes, len(came), sent - len(came))


def _way(came: Sequence[Arrival]) -> list[_Point]:
    """Steps over a lost packet are cut out: nobody knows whether it was lost before the shaper or behind it.

    When most steps are such, all count with what came: who loses that much has filled a queue before the shaper.
    """
    steps = list(pairwise(came))
    whole = [(before, after) for before, after in steps if after.number == before.number + 1]
    way = [_Point(0.0, 0.0, 0.0)]
    for before, after in whole if 2 * len(whole) >= len(steps) else steps:
        last = way[-1]
        sent_s, came_s = after.sent_s - before.sent_s, after.came_s - before.came_s
        way.append(_Point(last.carried_bytes + after.size_bytes, last.sent_s + sent_s, last.came_s + came_s))
    return way


def _knee(way: Sequence[_Point]) -> int:
    """The first point of the second line; 0 when one line says it as well.

    The lines need not meet: what is left in a bucket shortens the step between them.
    """
    times = [point.came_s for point in way]
    one = _fit(way, times)
    best, knee, second = inf, 0, one
    for at in range(2, len(way) - SHORTEST_LINE + 1):
        before, behind = _fit(way[:at], times[:at]), _fit(way[at:], times[at:])
        if before.squares + behind.squares < best:
            best, knee, second, first = before.squares + behind.squares, at, behind, before
    if not knee:
        return 0
    spare = max(len(way) - 5, 1)  # points less two lines and the place of the knee
    noise_s2 = max(best / spare, CLOCK_S * CLOCK_S)
    odds = (one.squares - best) / 3 / noise_s2
    slow, fast = max(first.s_per_byte, second.s_per_byte), min(first.s_per_byte, second.s_per_byte)
    return knee if odds > KNEE_ODDS and slow > KNEE_BENDS * fast else 0


def _served(way: Sequence[_Point]) -> list[_Point]:
    """Without the pauses in which the shaper stood still, as a busy machine or a radio does, and made up for nothing.

    One after which the packets come closer is none: it was the receiver who slept, and the rest is as it was.
    """
    steps = [
        _Point(b.carried_bytes - a.carried_bytes, b.sent_s - a.sent_s, b.came_s - a.came_s) for a, b in pairwise(way)
    ]
    usual_s = sorted(step.came_s for step in steps)[len(steps) // 2]
    if usual_s < COME_SINGLY * (way[-1].came_s - way[0].came_s) / len(steps):
        return list(way)  # in clumps: most steps within one say nothing, and those between are no pauses
    out = [way[0]]
    for at, step in enumerate(steps):
        if step.came_s > PAUSE * usual_s:
            following = [each.came_s for each in steps[at + 1 : at + 1 + CATCHING_UP]]
            if len(following) < CATCHING_UP:
                break  # nobody can tell any more
            if sum(following) > 0.7 * usual_s * CATCHING_UP:
                continue
        last = out[-1]
        out.append(
            _Point(last.carried_bytes + step.carried_bytes, last.sent_s + step.sent_s, last.came_s + step.came_s)
        )
    return out if 2 * len(out) > len(way) else list(way)


def _trimmed(way: list[_Point]) -> list[_Point]:
    """Without the few that lie far beside the line of the others."""
    for _ in range(TRIMMED_TIMES):
        times = [point.came_s for point in way]
        line = _fit(way, times)
        mean_bytes = sum(point.carried_bytes for point in way) / len(way)
        mean_s = sum(times) / len(way)
        beside = [abs(point.came_s - mean_s - line.s_per_byte * (point.carried_bytes - mean_bytes)) for point in way]
        limit_s = max(FAR_BESIDE * sorted(beside)[len(way) // 2], CLOCK_S)
        kept = [point for point, far_s in zip(way, beside, strict=True) if far_s <= limit_s]
        if len(kept) == len(way) or len(kept) < max(SHORTEST_LINE, 0.75 * len(way)):
            return way
        way = kept
    return way


def _fit(way: Sequence[_Point], times: Sequence[float]) -> _Line:
    """Least squares, time over bytes: the bytes are exact."""
    count = len(way)
    mean_bytes = sum(point.carried_bytes for point in way) / count
    mean_s = sum(times) / count
    spread = both = squares = 0.0
    for point, at_s in zip(way, times, strict=True):
        x, y = point.carried_bytes - mean_bytes, at_s - mean_s
        spread, both, squares = spread + x * x, both + x * y, squares + y * y
    if not spread:
        return _Line(0.0, squares, 0.0, count)
    return _Line(both / spread, max(squares - both * both / spread, 0.0), spread, count)


def _whole_mbps(way: Sequence[_Point]) -> float:
    return way[-1].carried_bytes * 8e-6 / max(way[-1].came_s, CLOCK_S)
