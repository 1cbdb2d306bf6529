"""How long a station's traffic stands still when its agent is killed in the midst of a switch and started again.

At each step of the switch in turn; from the start of the next process until both families leave by the other uplink.
Real packets and routes; what nobody changes is a station of two wires, built as the tests build it.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent.core.station import Family
from bench import table
from bench.table import p95
from tests.namespaces.dying import TOLD
from tests.namespaces.ground import Ground, ground
from tests.namespaces.packets import wait_until
from tests.namespaces.truth import OPTION, flaws, way

PLACE = "repair"
DOCS = Path("docs/failover.md")
STEPS = 14  # changes of the kernel in a whole switch away from a dead uplink
RUNS = 5
PATIENCE_S = 30.0
LOOK_EVERY_S = 0.002
TARGET_S = 1.0


def repair(folder: Path, after: int) -> tuple[float, float]:
    """Seconds until the next run has moved all traffic, and until all rules and routes are as they must be."""
    with ground(folder) as here:
        here.start((sys.executable, "-m", "tests.namespaces.dying", str(after), "run"))
        wait_until(lambda: here.health("fibre") == "up" and here.rtt_ms("lte") is not None, PATIENCE_S)
        here.wires[0].way(False)
        assert here.agent is not None
        here.agent.wait(PATIENCE_S)
        assert here.told().count(TOLD) == after, here.told()
        began = time.monotonic()
        here.launch()
        moved_s = _until_moved(here, began)
        wait_until(lambda: not flaws(here), PATIENCE_S)
        return moved_s, time.monotonic() - began


def _until_moved(here: Ground, began: float) -> float:
    while not all(way(OPTION[family]) == "wan1" for family in Family):
        if time.monotonic() > began + PATIENCE_S:
            raise RuntimeError(f"the traffic is not moved: {here.told()}")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began


def main() -> int:
    rows = []
    for after in range(STEPS):
        with tempfile.TemporaryDirectory() as folder:
            runs = [repair(Path(folder, str(run)), after) for run in range(RUNS)]
        moved, whole = (sorted(column) for column in zip(*runs, strict=True))
        reached = "yes" if p95(moved) <= TARGET_S else "no"
        rows.append(
            [str(after), *(f"{statistics.median(each):.2f} / {each[-1]:.2f} s" for each in (moved, whole)), reached]
        )
        print(" | ".join(rows[-1]), file=sys.stderr)
    head = [
        "killed after so many changes",
        "traffic moved, p50 / max",
        "all as it must be, p50 / max",
        f"≤ {TARGET_S:g} s",
    ]
    notes = (
        f"From the start of the process, {RUNS} runs each. "
        f"`make bench-repair` on Linux {platform.release()}, {os.cpu_count()} cores."
    )
    table.write(DOCS, PLACE, f"{table.render(head, rows)}\n\n{notes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
