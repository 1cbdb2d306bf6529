"""Round-trip times as ours, icmplib, ping and fping tell them, beside the kernel's stamps on the cable."""

import json
import math
import re
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench import table
from bench.measure import debian
from bench.measure.links import way
from bench.measure.pinging import EVERY_S
from bench.measure.truth import watching
from lab.netns import LabError, Station
from lab.topology import SERVER

WEATHER = "{delay_ms: 0.2}"  # below 1 ms ping and fping print microseconds
ECHOES = 300
PATIENCE_S = 60.0
TARGET_MS = 0.1  # p99 of the error, busy
COVERED = 0.98  # of the echoes; else something was not measured as it should
WORK = ("idle", "busy")
SPINNING = [sys.executable, "-c", "while True: pass"]
PING_LINE = re.compile(r"icmp_seq=(\d+) .*time=([\d.]+) ms")
FPING_LINE = re.compile(r"\[(\d+)\], \d+ bytes, ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Timer:
    """Somebody who times echoes; what it is said to take is in seconds, by the number on the wire."""

    name: str
    program: debian.Program | None = None
    """None for what is Python, and busy within its own process."""

    def ask(self, station: Station, work: str) -> dict[int, float]:
        if self.program is None:
            command = [sys.executable, "-m", "bench.measure.pinging", self.name, work, SERVER, str(ECHOES)]
            told = json.loads(station.run("tps", command, PATIENCE_S))
            return {int(number): float(took_s) for number, took_s in told.items()}
        command = [*self.program.fetch(), *ASKING[self.name], SERVER]
        with _beside(station, work):
            return told_by(self.name, station.run("tps", command, PATIENCE_S))


ASKING = {
    "ping": ["-n", "-c", str(ECHOES), "-i", str(EVERY_S)],
    "fping": ["-c", str(ECHOES), "-p", str(round(EVERY_S * 1e3))],
}
TIMERS = (Timer("ours"), Timer("icmplib"), Timer("ping", debian.PING), Timer("fping", debian.FPING))


def measure() -> str:
    rows, missing = [], []
    with way(WEATHER) as link:
        assert link.station is not None
        for timer in TIMERS:
            try:
                errors = {work: _errors_ms(link.station, timer, work) for work in WORK}
            except debian.CannotFetch as why:
                missing.append(f" {timer.name} is not to be had here ({why}).")
                continue
            rows.append(_row(timer, errors))
            print(rows[-1], file=sys.stderr, flush=True)
    head = [
        "round trip told by",
        "busy",
        *(f"error {work}: p50 / p99 / worst, ms" for work in WORK),
        "p99 ≤ 0.1 ms busy",
    ]
    note = (
        "The error is what was told less the time between the kernel's stamps of the same echo and its answer at the "
        f"far end of the uplink's cable, without its sign. {ECHOES} echoes each, {1 / EVERY_S:g} a second, over the "
        "lab's relay; below 1 ms ping and fping print microseconds, above 10 ms tenths of a "
        f"millisecond.{''.join(missing)}"
    )
    return f"{table.render(head, rows)}\n\n{note}"


def told_by(name: str, lines: str) -> dict[int, float]:
    """What ping or fping printed."""
    line = {"ping": PING_LINE, "fping": FPING_LINE}[name]
    return {int(number): float(took_ms) / 1e3 for number, took_ms in line.findall(lines)}


def errors_ms(said_s: Mapping[int, float], true_s: Mapping[int, float]) -> list[float]:
    """Ordered, without their sign. Raises LabError when too few can be compared."""
    both = said_s.keys() & true_s.keys()
    if len(both) < COVERED * ECHOES or said_s.keys() - true_s.keys():
        raise LabError(f"of {ECHOES} echoes {len(said_s)} were told, {len(true_s)} seen, {len(both)} both")
    return sorted(1e3 * abs(said_s[number] - true_s[number]) for number in both)


def _errors_ms(station: Station, timer: Timer, work: str) -> list[float]:
    with watching(station.topology.name(station.topology.line("lte").provider), "cust") as truth:
        said = timer.ask(station, work)
    return errors_ms(said, truth.took_s)


@contextmanager
def _beside(station: Station, work: str) -> Iterator[None]:
    """A program of C has no thread that could be busy: another process is."""
    if work == "idle":
        yield
        return
    process = station.start("tps", SPINNING)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _row(timer: Timer, errors: Mapping[str, list[float]]) -> list[str]:
    where = "a thread of the same process" if timer.program is None else "a process beside it"
    told = [_told(errors[work]) for work in WORK]
    return [timer.name, where, *told, "yes" if _p99(errors["busy"]) <= TARGET_MS else "no"]


def _told(errors: list[float]) -> str:
    return f"{statistics.median(errors):.3f} / {_p99(errors):.3f} / {errors[-1]:.3f}"


def _p99(errors: list[float]) -> float:
    return errors[math.ceil(0.99 * len(errors)) - 1]  # nearest rank
