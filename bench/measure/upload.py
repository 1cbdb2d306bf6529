"""An upload of 1 Mbit/s: what the server counted, beside what speedtest-cli says of itself."""

import statistics
import sys

from bench import table
from bench.measure.links import way

WEATHER = "{delay_ms: 12, down: {rate_mbps: 4}, up: {rate_mbps: 1, buffer_kb: 64}}"
TRUE_MBPS = 1448 / 1500  # payload of TCP on 1 Mbit/s of IP
RUNS = 3
TARGET = 0.02
SPEEDTEST_BYTES = 4_000_000


def measure() -> str:
    found: dict[str, list[tuple[float, float]]] = {}
    with way(WEATHER) as link:
        for _ in range(RUNS):
            ours = link.measure("transfer", 3_000_000)
            found.setdefault("adaptive transfer, counted by the server", []).append(
                (ours.up.goodput_mbps or 0.0, ours.spent_bytes / 1e6)
            )
            for threads in (1, 4):
                theirs = link.measure("speedtest", SPEEDTEST_BYTES, threads)
                name = f"speedtest-cli, {threads} {'thread' if threads == 1 else 'threads'}"
                spent_mb = theirs.spent_bytes / 1e6
                found.setdefault(f"{name}: counted by the server", []).append((theirs.up.goodput_mbps or 0.0, spent_mb))
                found.setdefault(f"{name}: its own word", []).append((theirs.up.said_mbps or 0.0, spent_mb))
            print({name: runs[-1] for name, runs in found.items()}, file=sys.stderr, flush=True)
    rows = [_row(name, runs) for name, runs in found.items()]
    head = ["upload, by whom", "Mbit/s, median", "error", "worst", "MB, both ways", "within 2 %"]
    note = (
        f"1 Mbit/s up and 4 down of IP packets, round trip 24 ms, a queue of 64 kB up; TCP's payload can be "
        f"{TRUE_MBPS:.3f} Mbit/s. {RUNS} runs each; speedtest-cli without pre-allocation, "
        f"cut to {SPEEDTEST_BYTES / 1e6:g} MB."
    )
    return f"{table.render(head, rows)}\n\n{note}"


def _row(name: str, runs: list[tuple[float, float]]) -> list[str]:
    errors = [mbps / TRUE_MBPS - 1 for mbps, _ in runs]
    median = statistics.median(errors)
    return [
        name,
        f"{statistics.median(mbps for mbps, _ in runs):.3f}",
        f"{median:+.1%}",
        f"{max(errors, key=abs):+.1%}",
        f"{statistics.mean(spent for _, spent in runs):.2f}",
        "yes" if max(map(abs, errors)) <= TARGET else "no",
    ]
