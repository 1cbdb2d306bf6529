"""Gives each reader of outside bytes made-up ones for a while: python -m fuzz [--seconds N] [TARGET …].

Each in a process of its own, whose memory and time for one input are bounded; what breaks a reader is kept in a file.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.targets import TARGETS

SECONDS = 30
MEMORY_MB = 768  # with the fuzzer's own; a reader that needs more for 64 kB is a way to kill who reads
INPUT_S = 5
INPUT_BYTES = 70_000  # somewhat more than is taken
KEPT = Path("fuzz-found")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parsed = parser.parse_args()
    wanted = parsed.targets or list(TARGETS)
    if unknown := [name for name in wanted if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}")
    broken = [name for name in wanted if not _survives(name, parsed.seconds)]
    if broken:
        print(f"broken: {', '.join(broken)}; the inputs are in {KEPT}/", file=sys.stderr)
    return 1 if broken else 0


def _survives(name: str, seconds: int) -> bool:
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds()):
            Path(folder, f"seed{number}").write_bytes(seed)
        limits = [f"-rss_limit_mb={MEMORY_MB}", f"-timeout={INPUT_S}", f"-max_len={INPUT_BYTES}"]
        ends = [f"-max_total_time={seconds}", f"-artifact_prefix={KEPT}/{name}-", "-print_final_stats=1"]
        command = [sys.executable, "-m", "fuzz.one", name, *limits, *ends, folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    figures = {key: _figure(key, done.stderr) for key in ("number_of_executed_units", "peak_rss_mb")}
    told = f"{figures['number_of_executed_units']} inputs, at most {figures['peak_rss_mb']} MB"
    if done.returncode == 0:
        print(f"{name}: {told}, none breaks it", flush=True)
        KEPT.rmdir() if not any(KEPT.iterdir()) else None
        return True
    print(f"{name}: broken after {told}\n{done.stderr[-3000:]}", flush=True)
    return False


def _figure(key: str, told: str) -> str:
    found = re.search(rf"stat::{key}:\s*(\d+)", told)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
