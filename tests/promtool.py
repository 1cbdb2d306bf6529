"""Fetches promtool, which says whether metrics are named as Prometheus' people would: unpacked, never installed."""

import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1] / ".cache" / "promtool"
PROGRAM = HOME / "promtool"
WHY_NOT = HOME / "why-not"
WITHIN = "./usr/bin/promtool"  # in Debian's package of Prometheus; it needs nothing beside the C library


def main() -> int:
    """Quick when it is there; else says why it cannot be had, and leaves the verdict to the test."""
    if PROGRAM.exists():
        return 0
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    print(f"fetching promtool into {HOME} for the tests", flush=True)
    if why := _fetch():
        WHY_NOT.write_text(why)
        print(f"not fetched, so the test that needs it will say so: {why}", file=sys.stderr)
    return 0


def why_not() -> str:
    return WHY_NOT.read_text() if WHY_NOT.exists() else "nobody has fetched promtool yet: run make neighbours"


def _fetch() -> str:
    """Why it cannot be had; nothing when it is there."""
    if shutil.which("apt-get") is None:
        return "promtool comes from Debian's package, and there is no apt-get here"
    lists = HOME / "lists"
    (lists / "partial").mkdir(parents=True)
    own_lists = ["-o", f"Dir::State::lists={lists}", "-o", "Debug::NoLocking=1"]
    download = ["download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"]
    if _run(["apt-get", *download]) and (
        why := _run(["apt-get", "-qq", *own_lists, "update"]) or _run(["apt-get", *own_lists, *download])
    ):
        return f"apt-get cannot fetch it: {why}"
    package = next(HOME.glob("prometheus_*.deb"))
    unpack = f'dpkg-deb --fsys-tarfile "{package}" | tar -x --no-same-owner --strip-components=3 -C "{HOME}" {WITHIN}'
    why = _run(["bash", "-o", "pipefail", "-c", unpack])
    package.unlink()
    shutil.rmtree(lists, ignore_errors=True)
    return why


def _run(command: list[str]) -> str:
    """What it says on failure, in one line; nothing when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HOME)
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[:300] or f"it ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
