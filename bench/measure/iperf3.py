"""iperf3, downloaded from Debian's packages and unpacked into .cache, never installed; a run of it each way."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.netns import LabError, Station

HOME = Path(__file__).parents[2] / ".cache" / "iperf3"
PACKAGES = ("iperf3", "libiperf0", "libsctp1")
LASTS_S = 10
TRIES = 5


class CannotFetch(Exception):
    """One sentence that says what went wrong."""


def fetch() -> list[str]:
    """The command; raises CannotFetch."""
    if found := shutil.which("iperf3"):
        return [found]
    program = HOME / "root" / "usr" / "bin" / "iperf3"
    if not program.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "-qq", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "download", *PACKAGES])
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
    why = ""
    for _ in range(TRIES):  # its server is busy for a while after a test over a slow way
        said = json.loads(station.run("tps", ["sh", "-c", f"{_asking(command, server, more)} || true"], timeout_s=60))
        if received := said["end"].get("sum_received"):
            return received["bits_per_second"] / 1e6, received["bytes"] / 1e6
        why = str(said.get("error"))
        time.sleep(1)
    raise LabError(f"iperf3: {why}")


def _asking(command: list[str], server: str, more: tuple[str, ...]) -> str:
    return " ".join([*command, "-c", server, "-J", "-t", str(LASTS_S), *more])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False, env=os.environ)
    except OSError as why:
        raise CannotFetch(f"{command[0]}: {why.strerror}") from None
    if done.returncode:
        raise CannotFetch(" ".join(done.stderr.split())[:200] or f"{command[0]} ended with {done.returncode}")


def main() -> None:
    """Before the lab is entered, where there is no Internet."""
    try:
        fetch()
    except CannotFetch as why:
        print(f"iperf3 is not to be had here: {why}")


if __name__ == "__main__":
    main()
