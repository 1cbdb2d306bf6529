"""How long a LAN client waits when the active uplink is blackholed behind its first hop: twenty times for each kind.

Real packets, real kernel, the installed agent and centre. The cut comes at a random phase of the probing schedule.
"""

import argparse
import math
import platform
import random
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import table
from lab import playing, scenario

PLACE = "blackhole gap"
DOCS = Path("docs/failover.md")
LINKS = {
    "fibre": "{delay_ms: 8, rate_mbps: 50}",
    "lte": "{delay_ms: 30, jitter_ms: 5, rate_mbps: 20}",
    "geo": "{delay_ms: 300, jitter_ms: 3, rate_mbps: 4}",
}
TARGET_S = {"fibre": 1.5, "lte": 3.0, "geo": 4.5}
CUT_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="cuts of each kind of uplink")
    parser.add_argument("--jobs", type=int, default=3, help="stations at once")
    arguments = parser.parse_args()
    chance = random.Random(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        for kind in LINKS:
            cuts_s = [CUT_S + chance.random() for _ in range(arguments.runs)]
            played = [
                pool.submit(_gap_s, kind, cut_s, Path(folder) / f"{kind}{number}", f"b{kind[0]}{number}-")
                for number, cut_s in enumerate(cuts_s)
            ]
            rows.append(_row(kind, sorted(each.result() for each in played)))
    head = ["active uplink", "cuts", "gap p50 s", "p95 s", "max s", "target p95 s", "reached"]
    told = table.render(head, rows) + f"\n\n`make bench-failover` on Linux {platform.release()}, 2 cores."
    print(told)
    table.write(DOCS, PLACE, told)
    return 0


def _gap_s(kind: str, cut_s: float, folder: Path, prefix: str) -> float:
    backup = "lte" if kind != "lte" else "fibre"
    story = scenario.read(
        f"title: {kind} is blackholed\n"
        f"uplinks:\n"
        f"  active: {{kind: {kind}, weather: {LINKS[kind]}}}\n"
        f"  backup: {{kind: {backup}, weather: {LINKS[backup]}}}\n"
        f"lasts_s: {cut_s + 8}\n"
        f"timeline:\n"
        f"  - {{at_s: {cut_s}, uplink: active, weather: {{blackhole: true}}}}\n"
        f"expect: [{{moves: 1}}]\n"
    )
    outcome = playing.play(Path(), story, folder, prefix)
    if not outcome.holds or not outcome.gaps:
        raise SystemExit(f"{kind}: the story failed: {outcome.verdicts}, gaps {outcome.gaps}")
    return max(gap_s for _, gap_s in outcome.gaps)


def _row(kind: str, gaps_s: list[float]) -> list[str]:
    p95_s = gaps_s[math.ceil(0.95 * len(gaps_s)) - 1]  # nearest rank
    reached = "yes" if p95_s <= TARGET_S[kind] else "no"
    middle_s = statistics.median(gaps_s)
    return [kind, str(len(gaps_s)), *(f"{s:.2f}" for s in (middle_s, p95_s, gaps_s[-1], TARGET_S[kind])), reached]


if __name__ == "__main__":
    sys.exit(main())
