"""Runs speedtest-cli in a child with an end, and reads what it says."""

import json
import subprocess
import sys

from agent.bandwidth.bound import CannotMeasure
from agent.bandwidth.order import Order

LONGEST_S = 50.0  # ten seconds each way, and its many small questions over a satellite
FIGURES = ("down_mbps", "up_said_mbps", "down_bytes", "up_bytes")


def run(order: Order, server: str, size: int) -> dict[str, float]:
    """Raises CannotMeasure."""
    command = [sys.executable, "-m", "agent.bandwidth.speedtest_cli", order.device, server]
    command += ["--bytes", str(size), "--threads", str(order.threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"speedtest-cli was ended after {LONGEST_S:.0f} s") from None
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]
        missing = "ModuleNotFoundError" in why
        raise CannotMeasure("speedtest-cli is not installed; pip install siaga[speedtest]" if missing else why)
    try:
        said = json.loads(done.stdout)
        return {name: float(said[name]) for name in FIGURES}
    except (ValueError, KeyError, TypeError):
        raise CannotMeasure("speedtest-cli said something that is no result") from None
