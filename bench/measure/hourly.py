"""The mean of an hour on replayed recordings: many short bursts beside one saturating test of 10 seconds."""

import os
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from agent.core.spread import BURSTS, PACKETS, Burst, burst, mean_mbps, window_s
from bench import table
from lab.weather import Trace, read_trace
from wire.train import Arrival

TRACES = "SIAGA_TRACES"
LINE_BYTES = 1500  # what one line of a recording lets through; smaller packets share it
PACKET_BYTES = 1228
HOURS = 3000
HOUR_S, LONG_S = 3600.0, 10.0
TARGET = 0.10
DELAY_S = 0.03


def measure() -> str:
    """The recordings are others' and not of the project: files of Mahimahi in the folder that SIAGA_TRACES names."""
    folder = os.environ.get(TRACES)
    paths = sorted(Path(folder).glob("*.[ud]*[pn]")) if folder else []
    if not paths:
        return f"Not measured: no recordings; set {TRACES} to a folder with files of Mahimahi (*.up, *.down)."
    rows = [_row(path.name, read_trace(path.name, path.read_text())) for path in paths]
    head = [
        "recording",
        "mean Mbit/s",
        "bursts: median error",
        "p90",
        "MB",
        "10 s: median error",
        "p90",
        "MB",
        "≤ 10 %",
    ]
    note = (
        f"Simulated: {HOURS} hours each of {BURSTS} bursts of {PACKETS} packets; a recording shorter than an hour is "
        "repeated. Each hour's window follows from the mean of the hour before; the first has none and is not counted. "
        "A recording that was made with a full queue knows nothing of a radio that wakes up or must first grant room."
    )
    return f"{table.render(head, rows)}\n\n{note}"


def _row(name: str, trace: Trace) -> list[str]:
    span_s = trace.opportunities_ms[-1] / 1e3
    true_mbps = len(trace.opportunities_ms) * LINE_BYTES * 8e-6 / span_s
    chance = random.Random(name)
    mean: float | None = None
    spread, long, long_mb = [], [], []
    for _ in range(HOURS + 1):
        before, mean = mean, _by_bursts(trace, mean, chance)
        if before is not None and mean is not None:
            spread.append(abs(mean / true_mbps - 1))
        carried = _carried(trace, chance.uniform(0, span_s), LONG_S)
        long.append(abs(carried * 8e-6 / LONG_S / true_mbps - 1))
        long_mb.append(carried / 1e6)
    cost_mb = BURSTS * PACKETS * PACKET_BYTES / 1e6
    return [
        name,
        f"{true_mbps:.2f}",
        *(f"{value:.1%}" for value in (statistics.median(spread), _p90(spread))),
        f"{cost_mb:.2f}",
        *(f"{value:.1%}" for value in (statistics.median(long), _p90(long))),
        f"{statistics.mean(long_mb):.1f}",
        "yes" if statistics.median(spread) <= TARGET else "no",
    ]


def _by_bursts(trace: Trace, before: float | None, chance: random.Random) -> float | None:
    """One burst at a random moment of each fortieth of the hour."""
    lasts_s = window_s(PACKETS * PACKET_BYTES, before)
    part_s = HOUR_S / BURSTS
    return mean_mbps([_burst(trace, (n + chance.random()) * part_s, lasts_s) for n in range(BURSTS)])


def _burst(trace: Trace, at_s: float, lasts_s: float) -> Burst:
    first = trace.since(at_s * 1e3)
    lines = [(n + 1) * PACKET_BYTES // LINE_BYTES for n in range(PACKETS)]
    came = [trace.at_ms(first + line) / 1e3 + DELAY_S for line in lines]
    arrivals = [Arrival(n, at_s, came_s, PACKET_BYTES) for n, came_s in enumerate(came)]
    return burst(arrivals, PACKETS, DELAY_S, lasts_s)


def _carried(trace: Trace, at_s: float, lasts_s: float) -> float:
    return float((trace.since((at_s + lasts_s) * 1e3) - trace.since(at_s * 1e3)) * LINE_BYTES)


def _p90(values: Sequence[float]) -> float:
    return sorted(values)[int(0.9 * len(values))]
