"""A recorded link as a weather: a Mahimahi capacity trace, or a table of pings, repeated from its start for ever."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.detect.weather import NEVER, Weather, within

STALL_S = 0.25  # Mahimahi's slowest traces pause this long between two packets without being stalled
FEWEST_PINGS = 20


@dataclass(frozen=True, eq=False)  # compared by identity, so that a link with it can be a key
class Repeated:
    """Intervals (n, 2) within a period, again in each period."""

    intervals: np.ndarray
    period_s: float

    def __call__(self, _chance: np.random.Generator, start_s: float, stop_s: float) -> np.ndarray:
        turns = self.period_s * np.arange(start_s // self.period_s, stop_s // self.period_s + 1)
        every = (turns[:, None, None] + self.intervals).reshape(-1, 2)
        return within(every, start_s, stop_s)


def read(path: Path) -> Weather:
    """The weather that this file holds; ValueError says in one sentence what is wrong with it."""
    try:
        lines = path.read_text().split("\n")
    except OSError as why:
        raise ValueError(f"{path}: cannot be read: {why.strerror}") from why
    except UnicodeDecodeError as why:
        raise ValueError(f"{path}: is not text") from why
    rows = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise ValueError(f"{path}: is empty")
    return _pings(path, rows) if _is_table(rows[0][1]) else _capacity(path, rows)


def _is_table(line: str) -> bool:
    return "," in line or "\t" in line


def _capacity(path: Path, rows: list[tuple[int, str]]) -> Weather:
    """One integer a line: the millisecond at which a packet of 1500 bytes may leave; the last is the period.

    A pause longer than STALL_S becomes a stall. The trace knows neither delay nor loss: 60 ms, 15 ms, none.
    """
    chances_ms = np.empty(len(rows))
    for index, (number, line) in enumerate(rows):
        if not line.isdecimal():
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not a whole number of milliseconds")
        chances_ms[index] = int(line)
    at_s = np.concatenate([[0.0], chances_ms / 1000])
    if np.any(np.diff(at_s) < 0):
        number = rows[int(np.argmax(np.diff(at_s) < 0))][0]
        raise ValueError(f"{path}, line {number}: goes back in time")
    if at_s[-1] < 1:
        raise ValueError(f"{path}: lasts less than one second")
    paused = np.flatnonzero(np.diff(at_s) > STALL_S)
    stalls = np.column_stack([at_s[paused], at_s[paused + 1]])
    source = f"capacity trace of {at_s[-1]:.0f} s, pauses: {len(stalls)}, the longest {_longest_s(stalls):.1f} s"
    return Weather(path.name, "lte", 0.06, 0.015, 0.0, source, stalls=Repeated(stalls, float(at_s[-1])))


def _pings(path: Path, rows: list[tuple[int, str]]) -> Weather:
    """`t_s,rtt_ms` a line, comma or tab, a heading allowed; empty, `lost` or negative is a ping without an answer.

    Two or more lost in a row are an outage from the first until the next that was answered; one alone is independent
    loss, as a recording cannot say more. A round trip over 3 medians + 0.2 s is a stall that ends when it came back.
    The other round trips give base and jitter by their median and 95 % quantile. A median over 0.4 s is called GEO.
    """
    at_s, rtt_s = _columns(path, rows)
    came = np.isfinite(rtt_s)
    if len(at_s) < FEWEST_PINGS or came.sum() < FEWEST_PINGS / 2:
        raise ValueError(f"{path}: holds fewer than {FEWEST_PINGS} pings, or hardly an answer")
    period_s = float(at_s[-1] + np.median(np.diff(at_s)))
    median_s = float(np.median(rtt_s[came]))
    slow = came & (rtt_s > 3 * median_s + 0.2)
    p50_s, p95_s = np.percentile(rtt_s[came & ~slow], [50, 95])
    jitter_s = max(1e-6, (p95_s - p50_s) / math.log(10))  # of an exponential: p95 - p50 = ln 20 - ln 2 means
    base_s = max(1e-6, p50_s - jitter_s * math.log(2))
    runs = _runs(~came)
    until_s = np.append(at_s, period_s)
    outages = np.array([(at_s[first], until_s[behind]) for first, behind in runs if behind - first > 1]).reshape(-1, 2)
    alone = sum(behind - first == 1 for first, behind in runs)
    stalls = _joined(np.column_stack([at_s[slow], at_s[slow] + rtt_s[slow] - base_s]))
    return Weather(
        path.name,
        "geo" if median_s > 0.4 else "lte",
        base_s,
        jitter_s,
        alone / len(at_s),
        f"{len(at_s)} pings in {period_s:.0f} s, outages: {len(outages)}, stalls: {len(stalls)}",
        outages=Repeated(outages, period_s),
        stalls=Repeated(stalls, period_s),
    )


def _columns(path: Path, rows: list[tuple[int, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the first ping, and round-trip seconds, inf where none came."""
    at_s: list[float] = []
    rtt_s: list[float] = []
    for number, line in rows:
        first, _, second = (part.strip() for part in line.replace("\t", ",").partition(","))
        try:
            sent_s, rtt_ms = float(first), -1.0 if second.lower() in ("", "lost") else float(second)
        except ValueError:
            if not at_s and number == rows[0][0]:
                continue  # the heading
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not `t_s,rtt_ms`") from None
        if not math.isfinite(sent_s) or not math.isfinite(rtt_ms) or (at_s and sent_s <= at_s[-1]):
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is no moment after the line before")
        at_s.append(sent_s)
        rtt_s.append(rtt_ms / 1000 if rtt_ms >= 0 else math.inf)
    return np.array(at_s) - (at_s[0] if at_s else 0), np.array(rtt_s)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, behind) of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _joined(intervals: np.ndarray) -> np.ndarray:
    """Intervals (n, 2) sorted by their start, with those that touch made one."""
    joined: list[list[float]] = []
    for start_s, end_s in intervals.tolist():
        if joined and start_s <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end_s)
        else:
            joined.append([start_s, end_s])
    return np.array(joined) if joined else NEVER


def _longest_s(intervals: np.ndarray) -> float:
    return float(np.diff(intervals).max(initial=0))
