"""What a link does to any packet at any moment, so that every rule meets the same weather.

All moments are seconds since the link began; day n of a link spans n * 86400 to (n + 1) * 86400, so days join.
An interval is [start, end): two floats; what crosses midnight is cut there and goes on with the next day.
"""

import random
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np

DAY_S = 86400.0
NEVER = np.empty((0, 2))
Kind = Literal["fibre", "lte", "leo", "geo"]
Role = Literal["active", "standby"]
Pattern = Callable[[np.random.Generator, float, float], np.ndarray]  # (chance, start_s, stop_s) -> intervals (n, 2)


@dataclass(frozen=True)
class Failure:
    """Independent loss on top of the weather, by the moment of sending: 1.0 is a blackhole."""

    at_s: float
    loss: float
    until_s: float = float("inf")


@dataclass(frozen=True)
class Day:
    """One day of one link (or a shorter piece of it, for a trial).

    outages, stalls: sorted intervals (n, 2). What is sent in an outage is lost. What is sent in a stall is held, first
    in first out, until its end. Every other packet takes rtt_s plus an exponential jitter of mean jitter_s, and is
    lost, there or back, with probability loss_at(sent).
    """

    start_s: float
    outages: np.ndarray
    stalls: np.ndarray
    loss: float
    rtt_s: float
    jitter_s: float
    seconds: float = DAY_S
    failure: Failure | None = None

    @property
    def stop_s(self) -> float:
        return self.start_s + self.seconds

    def rtts(self, sent_s: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Round-trip seconds of the packets sent at these sorted moments; inf where no answer ever comes."""
        count = len(sent_s)
        rtt_s = self.rtt_s + self.jitter_s * chance.standard_exponential(count, dtype=np.float32).astype(float)
        for (first, behind), end in zip(np.searchsorted(sent_s, self.stalls), self.stalls[:, 1], strict=True):
            rtt_s[first:behind] += end - sent_s[first:behind]
        luck = chance.random(count, dtype=np.float32)
        rtt_s[luck < self.loss] = np.inf
        if self.failure:
            first, behind = np.searchsorted(sent_s, (self.failure.at_s, self.failure.until_s))
            rtt_s[first:behind][luck[first:behind] < self.loss_at(self.failure.at_s)] = np.inf
        for first, behind in np.searchsorted(sent_s, self.outages):
            rtt_s[first:behind] = np.inf
        return rtt_s

    def fate(self, sent_s: float, chance: random.Random) -> float | None:
        """Round-trip seconds of one packet, or None if it is lost: the same law as `rtts`, for one that asks singly."""
        if bisect_right(self._outage_edges, sent_s) % 2 or chance.random() < self.loss_at(sent_s):
            return None
        rtt_s = self.rtt_s + self.jitter_s * chance.expovariate(1.0)
        edge = bisect_right(self._stall_edges, sent_s)
        return rtt_s + self._stall_edges[edge] - sent_s if edge % 2 else rtt_s

    def loss_at(self, sent_s: float) -> float:
        """The probability that a packet is lost by itself, outside outages; a failure raises it."""
        if self.failure and self.failure.at_s <= sent_s < self.failure.until_s:
            return 1 - (1 - self.loss) * (1 - self.failure.loss)
        return self.loss

    def next_trouble(self, after_s: float) -> float:
        """Until when every packet from after_s on fares by loss_at(after_s) and jitter alone.

        That is the start of the next outage or stall (after_s itself when within one), the failure's beginning or
        repair, or the day's end. A rule may skip to there, or to the packet at which a geometric draw of loss_at
        falls, and ask `fate` only for packets sent within trouble.
        """
        soonest_s = self.stop_s
        for edges in (self._outage_edges, self._stall_edges):
            edge = bisect_right(edges, after_s)
            if edge % 2:
                return after_s
            if edge < len(edges):
                soonest_s = min(soonest_s, edges[edge])
        if self.failure:
            ahead_s = (each for each in (self.failure.at_s, self.failure.until_s) if each > after_s)
            soonest_s = min([soonest_s, *ahead_s])
        return soonest_s

    @cached_property
    def _outage_edges(self) -> list[float]:
        return self.outages.ravel().tolist()

    @cached_property
    def _stall_edges(self) -> list[float]:
        return self.stalls.ravel().tolist()


def never(_chance: np.random.Generator, _start_s: float, _stop_s: float) -> np.ndarray:
    return NEVER


@dataclass(frozen=True)
class Weather:
    """A law that makes days; `outages` and `stalls` draw the intervals of any span."""

    name: str
    kind: Kind
    rtt_s: float
    jitter_s: float
    loss: float
    source: str
    role: Role = "active"
    outages: Pattern = never
    stalls: Pattern = never


@dataclass(frozen=True)
class Link:
    """One link under one weather; the same seed gives the same days, whoever asks, in any order."""

    weather: Weather
    seed: int = 1

    def day(self, number: int) -> Day:
        weather = self.weather
        chance = np.random.default_rng([self.seed, zlib.crc32(weather.name.encode()), number])
        span_s = number * DAY_S, (number + 1) * DAY_S
        outages, stalls = weather.outages(chance, *span_s), weather.stalls(chance, *span_s)
        return Day(span_s[0], outages, stalls, weather.loss, weather.rtt_s, weather.jitter_s)

    def days(self, count: int) -> Iterator[Day]:
        return map(self.day, range(count))

    def trial(self, number: int, loss: float, warm_s: float, lasts_s: float, until_s: float = float("inf")) -> Day:
        """A piece of this link with a failure at a random moment of a day: warm_s to warm_s + 60 after its start.

        The piece ends lasts_s after the failure, which is repaired after until_s.
        """
        day = self.day(number)
        chance = random.Random(f"{self.seed} {self.weather.name} {number}")
        start_s = day.start_s + chance.uniform(0, DAY_S - warm_s - 60 - lasts_s)
        at_s = start_s + warm_s + chance.uniform(0, 60)  # any phase of any rule's rounds, which take at most 26 s
        stop_s = at_s + lasts_s
        return replace(
            day,
            start_s=start_s,
            seconds=stop_s - start_s,
            outages=_touching(day.outages, start_s, stop_s),
            stalls=_touching(day.stalls, start_s, stop_s),
            failure=Failure(at_s, loss, at_s + until_s),
        )


def gilbert(chance: np.random.Generator, start_s: float, stop_s: float, *, burst: float, share: float) -> np.ndarray:
    """Bad runs of a two-state chain in slots of 0.5 s: mean run `burst` slots, bad for `share` of the time.

    At two probes a second exactly the Gilbert chain of notes/failover.md 7.3; faster probes share a slot's state.
    """
    slot_s, slots = 0.5, (stop_s - start_s) / 0.5
    good = burst * (1 - share) / share
    cycles = int(1.5 * slots / (good + burst)) + 50  # half as many again as a day needs on average: some 15 sigma
    goods, bads = chance.geometric(1 / good, cycles), chance.geometric(1 / burst, cycles)
    if chance.random() < share:
        goods[0] = 0  # the chain has no memory, so a run that began before midnight goes on like a new one
    ends = np.cumsum(goods + bads)
    runs = np.column_stack([ends - bads, ends])
    return within(start_s + slot_s * runs, start_s, stop_s)


def now_and_then(
    chance: np.random.Generator, start_s: float, stop_s: float, *, every_s: float, shortest_s: float, longest_s: float
) -> np.ndarray:
    """Intervals of log-uniform length that begin every_s apart on average, with exponential gaps between them."""
    mean_s = (longest_s - shortest_s) / np.log(longest_s / shortest_s)
    count = int(1.5 * (stop_s - start_s) / every_s) + 50
    gaps_s = chance.exponential(every_s - mean_s, count)
    lengths_s = shortest_s * (longest_s / shortest_s) ** chance.random(count)
    ends_s = start_s + np.cumsum(gaps_s + lengths_s)
    return within(np.column_stack([ends_s - lengths_s, ends_s]), start_s, stop_s)


def within(intervals: np.ndarray, start_s: float, stop_s: float) -> np.ndarray:
    """The part of sorted intervals that lies in this span."""
    cut: np.ndarray = np.clip(intervals, start_s, stop_s)
    return cut[cut[:, 0] < cut[:, 1]]


def _touching(intervals: np.ndarray, start_s: float, stop_s: float) -> np.ndarray:
    """The intervals that have a part in this span, uncut: what is held at its end is released when it really was."""
    return intervals[(intervals[:, 0] < stop_s) & (intervals[:, 1] > start_s)]


FIBRE_JITTER_S = 0.0005  # a GPON cycle is 125 us; a few of them
GILBERT = "notes/failover.md 7.3: 1 % loss in bursts"
WEATHERS = (
    Weather("1 % independent", "fibre", 0.03, FIBRE_JITTER_S, 0.01, "notes/failover.md 7.2"),
    Weather("Gilbert B=2", "fibre", 0.03, FIBRE_JITTER_S, 0.0, GILBERT, outages=partial(gilbert, burst=2, share=0.01)),
    Weather("Gilbert B=3", "fibre", 0.03, FIBRE_JITTER_S, 0.0, GILBERT, outages=partial(gilbert, burst=3, share=0.01)),
    Weather(
        "LTE, losses under 1 s",
        "lte",
        0.06,
        0.01,
        0.01,
        "synthetic: a calm LTE link, for the figure that is promised of one",
        outages=partial(now_and_then, every_s=3600, shortest_s=0.2, longest_s=1),
    ),
    Weather(
        "LTE, tails to 10 s",
        "lte",
        0.06,
        0.015,
        0.005,
        "synthetic, after Verizon's pings in notes/measurement.md finding 5: 1.55 % of replies take more than 1 s, 1 % "
        "more than 2 s, 0.77 % more than 3 s (there the slowest took 27 s; here 10 s)",
        stalls=partial(now_and_then, every_s=160, shortest_s=0.5, longest_s=10),
    ),
    Weather("GEO 600 ms", "geo", 0.6, 0.02, 0.005, "synthetic, notes/measurement.md 6: floor 560 to 620 ms"),
    Weather(
        "LEO, outages of 1 to 14 s",
        "leo",
        0.045,
        0.01,
        0.005,
        "synthetic: base and jitter of Starlink in notes/measurement.md 6 (p50 44, p95 80 ms)",
        outages=partial(now_and_then, every_s=900, shortest_s=1, longest_s=14),
    ),
    Weather("idle standby", "lte", 0.06, 0.01, 0.01, "synthetic: a calm LTE link nobody uses", role="standby"),
)
