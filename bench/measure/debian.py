"""Programs to compare with, from Debian's packages: downloaded and unpacked into .cache, never installed."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"


class CannotFetch(Exception):
    """One sentence that says what went wrong."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    packages: tuple[str, ...]
    """Its own, and libraries that a small system does not have."""

    def fetch(self) -> list[str]:
        """The command, whose rights are the caller's; raises CannotFetch."""
        if found := shutil.which(self.name):
            return [found]
        home = CACHE / self.name
        if not (path := _within(home, self.name)):
            home.mkdir(parents=True, exist_ok=True)
            alone = ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
            _run(["apt-get", "-qq", *alone, "download", *self.packages], home)
            for package in home.glob("*.deb"):
                _run(["dpkg-deb", "-x", str(package), str(home / "root")], home)
            if not (path := _within(home, self.name)):
                raise CannotFetch(f"{self.name} is not in {', '.join(self.packages)}")
        library = f"lib/{platform.machine()}-linux-gnu"
        libraries = f"{home / 'root' / 'usr' / library}:{home / 'root' / library}"
        return ["env", f"LD_LIBRARY_PATH={libraries}", str(path)]


IPERF3 = Program("iperf3", ("iperf3", "libiperf0", "libsctp1"))
PING = Program("ping", ("iputils-ping", "libcap2", "libidn2-0", "libunistring2"))
FPING = Program("fping", ("fping",))


def _within(home: Path, name: str) -> Path | None:
    places = (home / "root" / folder / name for folder in ("usr/bin", "bin"))
    return next((path for path in places if path.exists()), None)


def _run(command: list[str], home: Path) -> None:
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, env=os.environ)
    except OSError as why:
        raise CannotFetch(f"{command[0]}: {why.strerror}") from None
    if done.returncode:
        raise CannotFetch(" ".join(done.stderr.split())[:200] or f"{command[0]} ended with {done.returncode}")


def main() -> None:
    """Before the lab is entered, where there is no Internet."""
    for program in (IPERF3, PING, FPING):
        try:
            program.fetch()
        except CannotFetch as why:
            print(f"{program.name} is not to be had here: {why}")


if __name__ == "__main__":
    main()
