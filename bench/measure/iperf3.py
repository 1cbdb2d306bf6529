"""iperf3: a run of it each way."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.netns import LabError, Station, stop

LASTS_S = 10
TRIES = 5


@contextmanager
def serving(station: Station, command: list[str]) -> Iterator[None]:
    serve = [*command, "-s", "--forceflush"]
    process = station.start("internet", serve, subprocess.PIPE, subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        while "listening" not in process.stdout.readline():
            if process.poll() is not None:
                raise LabError("iperf3 does not serve")
        yield
    finally:
        stop(process)


def run(station: Station, command: list[str], server: str, *more: str) -> tuple[float, float]:
    """Mbit/s as the receiver counted them, and MB, with those that it left out (`-O`); `-R` is down."""
    why = ""
    for _ in range(TRIES):  # its server is busy for a while after a test over a slow way
        said = json.loads(station.run("tps", ["sh", "-c", f"{_asking(command, server, more)} || true"], timeout_s=60))
        if received := said["end"].get("sum_received"):
            left_out = sum(each["sum"]["bytes"] for each in said["intervals"] if each["sum"]["omitted"])
            return received["bits_per_second"] / 1e6, (received["bytes"] + left_out) / 1e6
        why = str(said.get("error"))
        time.sleep(1)
    raise LabError(f"iperf3: {why}")


def _asking(command: list[str], server: str, more: tuple[str, ...]) -> str:
    return " ".join([*command, "-c", server, "-J", "-t", str(LASTS_S), *more])
