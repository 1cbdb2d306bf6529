"""The weather of a link: what one direction does to each packet, as a model that is told the time and the chance."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from random import Random

from lab import reading
from lab.reading import Refusal

OPPORTUNITY_BYTES = 1500  # what may leave at each line of a trace
JITTER_LASTS_S = 0.2  # white jitter without reordering would make a busy flow slower than an idle one


@dataclass(frozen=True, slots=True)
class Gilbert:
    """Losses in bursts: per packet, p enters the bad state and r leaves it."""

    p: float
    r: float
    loss_good: float = 0.0
    loss_bad: float = 1.0


@dataclass(frozen=True, slots=True)
class Weather:
    """Of one direction."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0  # standard deviation; never reorders
    loss: float = 0.0
    gilbert: Gilbert | None = None
    rate_mbps: float | None = None  # of IP packets; None: as fast as the machine can
    buffer_kb: float = 256.0  # in front of the rate or trace, 1000 bytes each; what does not fit is dropped
    blackhole: bool = False  # everything is swallowed; carrier and first hop stay
    trace: str | None = None  # path of a file in Mahimahi's format


@dataclass(frozen=True, slots=True)
class LinkWeather:
    """Both directions; up is towards the internet."""

    up: Weather = Weather()
    down: Weather = Weather()


def changed(link: LinkWeather, change: object, key: str = "weather") -> LinkWeather:
    """`link` with a change, as a person writes it, merged over it; `up` and `down` hold for one direction."""
    written = reading.table(key, change, {*_READ, "up", "down"})
    both = {name: value for name, value in written.items() if name in _READ}
    up, down = written.get("up", {}), written.get("down", {})
    return LinkWeather(
        up=_merged(_merged(link.up, both, key), up, f"{key}.up"),
        down=_merged(_merged(link.down, both, key), down, f"{key}.down"),
    )


def written(link: LinkWeather) -> dict[str, object]:
    """As `changed` reads it back."""
    return {"up": asdict(link.up), "down": asdict(link.down)}


@dataclass(frozen=True, slots=True)
class Trace:
    """Capacity recorded as the milliseconds at which one 1500-byte packet may leave; starts again at its end."""

    opportunities_ms: tuple[int, ...]

    def since(self, age_ms: float) -> int:
        """The number, counted over all laps, of the first opportunity not before `age_ms`."""
        lap, rest = divmod(round(age_ms, 6), self.opportunities_ms[-1])
        return int(lap) * len(self.opportunities_ms) + bisect_left(self.opportunities_ms, rest)

    def at_ms(self, opportunity: int) -> int:
        lap, place = divmod(opportunity, len(self.opportunities_ms))
        return lap * self.opportunities_ms[-1] + self.opportunities_ms[place]


def read_trace(key: str, lines: str) -> Trace:
    try:
        opportunities = tuple(int(line) for line in lines.split())
    except ValueError as error:
        raise Refusal(key, str(error).rpartition(":")[2].strip(), "each line of a trace is one whole number") from None
    if not opportunities or opportunities[0] < 0 or opportunities[-1] == 0:
        raise Refusal(key, f"{len(opportunities)} lines", "a trace needs a last line above 0, and none below 0")
    if any(later < earlier for earlier, later in pairwise(opportunities)):
        raise Refusal(key, f"{len(opportunities)} lines", "the milliseconds of a trace must not go backwards")
    return Trace(opportunities)


@dataclass(slots=True)
class Counts:
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    overflowed: int = 0
    blackholed: int = 0


@dataclass(slots=True)
class _Queue:
    """What waits for the trace: each packet's release and size, and what is left of the opportunity in use."""

    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    waiting_bytes: int = 0
    opportunity: int = -1
    left_bytes: int = 0


class Direction:
    """One direction of a link. Asked in order of time, it answers when each packet comes out, or None for never."""

    def __init__(self, weather: Weather, chance: Random, now_s: float = 0.0, trace: Trace | None = None) -> None:
        self.counts = Counts()
        self._random, self._gauss = chance.random, chance.gauss
        self._is_bad = False
        self._jitter, self._jitter_at_s = chance.gauss(0, 1), now_s
        self._busy_until_s = self._last_s = now_s
        self.change(weather, now_s, trace)

    def change(self, weather: Weather, now_s: float, trace: Trace | None = None) -> None:
        """From now on; packets already admitted keep their release time, and nothing overtakes them."""
        self.weather = weather
        self._delay_s, self._jitter_s = weather.delay_ms / 1e3, weather.jitter_ms / 1e3
        self._s_per_byte = 8e-6 / weather.rate_mbps if weather.rate_mbps else 0.0
        self._buffer_bytes = weather.buffer_kb * 1e3
        self._trace, self._trace_from_s, self._queue = trace, now_s, _Queue()

    def admit(self, now_s: float, size_bytes: int) -> float | None:
        counts = self.counts
        counts.packets += 1
        counts.bytes += size_bytes
        if self.weather.blackhole:
            counts.blackholed += 1
            return None
        if self._is_lost():
            counts.lost += 1
            return None
        out_s: float | None = now_s
        if self._trace is not None:
            out_s = self._through_trace(self._trace, now_s, size_bytes)
        elif self._s_per_byte:
            out_s = self._through_rate(now_s, size_bytes)
        if out_s is None:
            counts.overflowed += 1
            return None
        out_s += self._delay_s
        if self._jitter_s:
            out_s = max(now_s, out_s + self._jitter_s * self._next_jitter(now_s))
        self._last_s = out_s = max(out_s, self._last_s)
        return out_s

    def _is_lost(self) -> bool:
        weather = self.weather
        if weather.loss and self._random() < weather.loss:
            return True
        gilbert = weather.gilbert
        if gilbert is None:
            return False
        if self._random() < (gilbert.r if self._is_bad else gilbert.p):
            self._is_bad = not self._is_bad
        return self._random() < (gilbert.loss_bad if self._is_bad else gilbert.loss_good)

    def _through_rate(self, now_s: float, size_bytes: int) -> float | None:
        start_s = max(now_s, self._busy_until_s)
        if start_s - now_s + size_bytes * self._s_per_byte > self._buffer_bytes * self._s_per_byte:
            return None
        self._busy_until_s = start_s + size_bytes * self._s_per_byte
        return self._busy_until_s

    def _through_trace(self, trace: Trace, now_s: float, size_bytes: int) -> float | None:
        """Its last byte decides; several small packets share an opportunity, a large one takes several."""
        queue = self._queue
        while queue.waiting and queue.waiting[0][0] <= now_s:
            queue.waiting_bytes -= queue.waiting.popleft()[1]
        if queue.waiting_bytes + size_bytes > self._buffer_bytes:
            return None
        first = trace.since((now_s - self._trace_from_s) * 1e3)
        if first > queue.opportunity:  # what nobody used in time is gone
            queue.opportunity, queue.left_bytes = first, OPPORTUNITY_BYTES
        while queue.left_bytes < size_bytes:
            queue.opportunity += 1
            queue.left_bytes += OPPORTUNITY_BYTES
        queue.left_bytes -= size_bytes
        out_s = self._trace_from_s + trace.at_ms(queue.opportunity) / 1e3
        queue.waiting.append((out_s, size_bytes))
        queue.waiting_bytes += size_bytes
        return out_s

    def _next_jitter(self, now_s: float) -> float:
        """Ornstein-Uhlenbeck: the same for one packet a second and for five thousand."""
        memory = math.exp((self._jitter_at_s - now_s) / JITTER_LASTS_S)
        self._jitter = memory * self._jitter + math.sqrt(1 - memory * memory) * self._gauss(0, 1)
        self._jitter_at_s = now_s
        return self._jitter


def _merged(weather: Weather, change: object, key: str) -> Weather:
    written = reading.table(key, change, _READ)
    values = {name: _READ[name](f"{key}.{name}", value) for name, value in written.items()}
    merged = replace(weather, **values)  # type: ignore[arg-type]
    if merged.trace is not None and merged.rate_mbps is not None:
        raise Refusal(f"{key}.trace", merged.trace, "a trace is the rate: write rate_mbps: null beside it")
    return merged


def _between(low: float, high: float) -> Callable[[str, object], object]:
    return lambda key, value: reading.number(key, value, low, high)


def _or_none(read: Callable[[str, object], object]) -> Callable[[str, object], object]:
    return lambda key, value: None if value is None else read(key, value)


def _gilbert(key: str, value: object) -> Gilbert:
    written = reading.table(key, value, {"p", "r", "loss_good", "loss_bad"}, needed=("p", "r"))
    return Gilbert(**{name: reading.number(f"{key}.{name}", part, 0, 1) for name, part in written.items()})


_READ: Mapping[str, Callable[[str, object], object]] = {
    "delay_ms": _between(0, 60_000),
    "jitter_ms": _between(0, 10_000),
    "loss": _between(0, 1),
    "gilbert": _or_none(_gilbert),
    "rate_mbps": _or_none(_between(0.001, 10_000)),
    "buffer_kb": _between(1.5, 1_000_000),
    "blackhole": reading.flag,
    "trace": _or_none(reading.text),
}
