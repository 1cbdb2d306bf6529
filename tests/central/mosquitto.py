"""Mosquitto for the tests: Debian's packages, unpacked into .cache and never installed; run with our example files."""

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.central.centre import eventually, free_port

HOME = Path(__file__).parents[2] / ".cache" / "mosquitto"
PACKAGES = (
    *("mosquitto", "libcjson1", "libdlt2", "libmosquitto1"),
    *("libev4", "libuv1", "libwebsockets17", "libwrap0"),
)
CONFIG = Path(__file__).parents[2] / "config"
UNIT = Path(__file__).parents[2] / "systemd" / "siaga-mosquitto.service"
RESTART = ["/usr/bin/systemctl", "restart", "mosquitto"]


def main() -> int:
    """Quick when it is there; else says why it cannot be had, and leaves the verdict to the tests."""
    if program():
        return 0
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    options = ["-qq", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
    fetching = subprocess.run(
        ["apt-get", *options, "download", *PACKAGES], cwd=HOME, capture_output=True, text=True, check=False
    )
    for package in HOME.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, HOME / "root"], check=False)
        package.unlink()
    if not program():
        print(f"mosquitto is not fetched, so tests that need it will say so: {fetching.stderr}", file=sys.stderr)
    return 0


def program() -> list[str]:
    """The command; empty when there is none."""
    if found := shutil.which("mosquitto"):
        return [found]
    unpacked = HOME / "root" / "usr" / "sbin" / "mosquitto"
    libraries = HOME / "root" / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(unpacked)] if unpacked.exists() else []


class Mosquitto:
    """On a free port, with the example files and a centre's certificates."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.port, self._folder, self._data = free_port(), folder, data
        self._process: subprocess.Popen[bytes] | None = None
        text = (CONFIG / "mosquitto.conf").read_text()
        for old, new in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("/etc/mosquitto/siaga/", f"{folder}/siaga/"),
            ("/etc/mosquitto/siaga.acl", str(CONFIG / "mosquitto.acl")),
            ("/var/lib/mosquitto/", f"{folder}/"),
        ):
            assert old in text
            text = text.replace(old, new)
        self._config = folder / "mosquitto.conf"
        user = "\nuser root\n" if os.geteuid() == 0 else ""
        self._config.write_text(re.sub(r"(?m)^#.*\n", "", text) + user)

    def look(self) -> bool:
        """One turn of the unit in systemd/, by its own commands; whether there was anything to do."""
        condition, *steps = self._steps()
        if subprocess.run(condition, cwd=self._data, check=False).returncode:
            return False
        for step in steps:
            if step == RESTART:
                self._restart()
            else:
                subprocess.run(step, cwd=self._data, check=True)
        return True

    def _steps(self) -> list[list[str]]:
        text = UNIT.read_text().replace("-o mosquitto ", "").replace("/etc/mosquitto/siaga", f"{self._folder}/siaga")
        return [shlex.split(command) for command in re.findall(r"(?m)^Exec(?:Condition|Start)=(.*)$", text)]

    def _restart(self) -> None:
        if self._process is not None:
            self.stop()
        with (self._folder / "mosquitto.log").open("wb") as log:
            self._process = subprocess.Popen([*program(), "-v", "-c", str(self._config)], stdout=log, stderr=log)
        eventually(lambda: f"Opening ipv4 listen socket on port {self.port}" in self.log)

    def reload(self) -> None:
        """With the newest list of the revoked."""
        assert self._process is not None
        shutil.copy(self._data / "ca" / "crl.pem", self._folder / "siaga")
        self._process.send_signal(signal.SIGHUP)
        eventually(lambda: "Reloading config" in self.log)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    @property
    def log(self) -> str:
        return (self._folder / "mosquitto.log").read_text(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
