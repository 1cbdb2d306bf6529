"""iperf3, downloaded from Debian's packages and unpacked into .cache, never installed; a run of it each way."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.netns import LabError, Station

HOME = Path(__file__).parents[2] / ".cache" / "iperf3"
PACKAGES = ("iperf3", "libiperf0", "libsctp1")
LASTS_S = 10


class CannotFetch(Exception):
    """One sentence that says what went wrong."""


def fetch() -> list[str]:
    """The command; raises CannotFetch."""
    if found := shutil.which("iperf3"):
        return [found]
    program = HOME / "root" / "usr" / "bin" / "iperf3"
    if not program.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        for command in (["apt-get", "-qq", "-o", "Debug::NoLocking=1", "download", *PACKAGES],):
            _run(command)
        for package in HOME.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(HOME / "root")])
    libraries = HOME / "root" / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(program)]


@contextmanager
def serving(station: Station, command: list[str]) -> Iterator[None]:
    process = station.start("internet", [*command, "-s", "--forceflush"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "listening" not in process.stdout.readline():
        if process.poll() is not None:
            raise LabError("iperf3 does not serve")
    yield


def run(station: Station, command: list[str], server: str, *more: str) -> tuple[float, float]:
    """Mbit/s as the receiver counted them, and MB; `-R` is down."""
    said = station.run("tps", [*command, "-c", server, "-J", "-t", str(LASTS_S), *more], timeout_s=60)
    received = json.loads(said)["end"]["sum_received"]
    return received["bits_per_second"] / 1e6, received["bytes"] / 1e6


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False, env=os.environ)
    except OSError as why:
        raise CannotFetch(f"{command[0]}: {why.strerror}") from None
    if done.returncode:
        raise CannotFetch(" ".join(done.stderr.split())[:200] or f"{command[0]} ended with {done.returncode}")
