"""Fetches other network managers for the tests into a folder of their own: downloaded and unpacked, not installed."""

import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[2] / ".cache" / "neighbours"
ROOT = HOME / "root"  # a Debian of its own: what these programs need, down to the C library
WHY_NOT = HOME / "why-not"
WANTED = (
    *("dbus-daemon", "dhcpcd-base", "dnsmasq-base", "network-manager", "systemd"),
    *("wireguard-go", "wireguard-tools", "bash", "coreutils", "iproute2", "nftables", "procps"),
    *("modemmanager", "python3-dbus", "python3-gi", "gir1.2-glib-2.0"),
)
MOCK = HOME / "mock"  # for the Python of that Debian: here, pip would have to compile what it needs
MOCKED = "python-dbusmock==0.38.1"  # Debian 12 has an older one, which plays no ModemManager
LEFT_OUT = ("doc", "locale", "man", "perl")  # of /usr/share
MERGED = ("bin", "lib", "lib64", "sbin")  # folders that are names for those in /usr
_KEPT = ROOT / ".wanted"
_ALL = " ".join((*WANTED, MOCKED))


class CannotFetch(Exception):
    """One sentence that says what went wrong."""


def main() -> int:
    """Quick when it is all there; else says why it cannot be had, and leaves the verdict to the tests."""
    if is_ready():
        return 0
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    print(f"fetching {', '.join(WANTED)} into {HOME} for the tests", flush=True)
    try:
        _unpack(_download())
        _install_mock()
        _KEPT.write_text(_ALL)
    except CannotFetch as why:
        WHY_NOT.write_text(str(why))
        print(f"not fetched, so tests that need them will say so: {why}", file=sys.stderr)
    return 0


def is_ready() -> bool:
    return _KEPT.exists() and _KEPT.read_text() == _ALL


def why_not() -> str:
    return WHY_NOT.read_text() if WHY_NOT.exists() else "nobody has fetched them yet: run make neighbours"


def _download() -> list[Path]:
    """All of it and all that it needs, as if nothing were installed here; with fresh lists if the lists are too old."""
    if shutil.which("apt-get") is None:
        raise CannotFetch("other network managers come from Debian's packages, and there is no apt-get here")
    archives = HOME / "archives"
    (archives / "partial").mkdir(parents=True)
    options = [
        "-qq",
        *("-o", "Debug::NoLocking=1"),
        *("-o", "APT::Sandbox::User=root"),
        *("-o", f"Dir::Cache={HOME}"),
    ]
    alone = ["-o", "Dir::State::status=/dev/null", "--no-install-recommends", "--download-only", "--yes"]
    if _run(["apt-get", *options, *alone, "install", *WANTED]):
        own_lists = HOME / "lists"
        (own_lists / "partial").mkdir(parents=True)
        options += ["-o", f"Dir::State::lists={own_lists}"]
        update = ["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"]
        if why := _run(update) or _run(["apt-get", *options, *alone, "install", *WANTED]):
            raise CannotFetch(f"apt-get cannot fetch other network managers: {why}")
    return sorted(archives.glob("*.deb"))


def _unpack(packages: list[Path]) -> None:
    for name in MERGED:
        (ROOT / "usr" / name).mkdir(parents=True)
        (ROOT / name).symlink_to(f"usr/{name}")
    left_out = " ".join(f"--exclude=./usr/share/{name}" for name in LEFT_OUT)
    how = f"--keep-directory-symlink --no-same-owner {left_out}"
    for package in packages:
        unpack = f'dpkg-deb --fsys-tarfile "{package}" | tar -x {how} -C "{ROOT}"'
        if why := _run(["bash", "-o", "pipefail", "-c", unpack]):
            raise CannotFetch(f"{package.name} cannot be unpacked: {why}")
    for name in ("archives", "lists"):
        shutil.rmtree(HOME / name, ignore_errors=True)


def _install_mock() -> None:
    alone = ["--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(MOCK)]
    if why := _run([sys.executable, "-m", "pip", "install", *alone, MOCKED]):
        raise CannotFetch(f"pip cannot fetch {MOCKED}: {why}")


def _run(command: list[str]) -> str:
    """What it says on failure, in one line; nothing when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[:300] or f"it ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
