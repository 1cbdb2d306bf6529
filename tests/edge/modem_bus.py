"""A system bus of the test's own, a ModemManager that is played on it, the real mmcli, and the edge that runs it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import Event, SignalSeen
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge.modem import Modems, Pace
from tests.edge.conftest import wait_until
from tests.namespaces.neighbours_fetch import MOCK, ROOT
from wire.messages import Signal

LTE = {"rsrp": -97.0, "rsrq": -11.0, "rssi": -67.0, "snr": 9.2}
AT_HOME: dict[str, Any] = {
    "interface": "wwan0",
    "registration": "home",
    "operator": "Telkomsel",
    "operator_code": "51010",
    "technology": "lte",
    "lte": LTE,
    "rate": 0,
    "locked": False,
    "cell": "0A1B2C3D",
}
STATION = Station(
    "6408042001143",
    (Uplink("fibre", "wan0", Kind.FIBRE), Uplink("lte", "wwan0", Kind.LTE)),
    ("198.51.100.1",),
    Centre("mqtt://127.0.0.1:1"),
)
QUICK = Pace(turn_s=0.05, tell_s=60, look_s=0.1, look_at_most_s=0.2, setup_s=2, answer_s=5)
HOME = Signal("lte", -97.0, -11.0, 9.2, -67.0, "Telkomsel", "51010", "0A1B2C3D", "home")
"""What AT_HOME is heard as."""
_BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/> <allow user="*"/> <allow send_destination="*"/> <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class ModemBus:
    """Everything that it runs is unpacked, not installed: the loader is told where the libraries are."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, patch
        self._programs = ExitStack()
        self._socket = folder / "bus"
        self._log = folder / "asked"
        self._player: subprocess.Popen[str] | None = None
        self.manager: subprocess.Popen[str] | None = None
        (self._libraries,) = (path.parent for path in ROOT.glob("usr/lib/*-linux-gnu*/libc.so.6"))
        (self._loader,) = self._libraries.glob("ld-linux*.so.*")
        (folder / "bin").mkdir()
        patch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={self._socket}")

    def install_mmcli(self, script: str | None = None) -> None:
        """The real one, or a shell script in its place; each run is written down with its time."""
        run = script or f'exec {self._command("mmcli")} "$@"'
        file = self._folder / "bin" / "mmcli"
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >> {self._log}\n{run}\n')
        file.chmod(0o755)

    def start_bus(self) -> None:
        (self._folder / "bus.conf").write_text(_BUS.format(path=self._socket))
        self._start("dbus-daemon", f"--config-file={self._folder / 'bus.conf'}", "--nofork", "--nopidfile")
        wait_until(lambda: _listens(self._socket))

    def start_manager(self, **modem: Any) -> None:
        """Ready when this returns; without a modem unless one is named."""
        self.manager = self._start("python3", "-m", "dbusmock", "--system", "--template", "modemmanager")
        self._player = self._start("python3", str(Path(__file__).with_name("modem_play.py")))
        self._expect("ready")
        if modem:
            self.play(**modem)

    def stop_manager(self) -> None:
        for program in (self._player, self.manager):
            assert program is not None
            _end(program)

    def play(self, **modem: Any) -> None:
        """A modem that begins, with everything of it, or what changes of the one that is there."""
        self._tell(modem)

    def unplug(self) -> None:
        self._tell(None)

    @property
    def asked(self) -> list[tuple[float, str]]:
        """When mmcli was run, and with which arguments."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(float(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]

    def times(self, what: str) -> int:
        return sum(what in arguments for _, arguments in self.asked)

    def close(self) -> None:
        self._programs.close()

    def _tell(self, what: Any) -> None:
        assert self._player is not None
        assert self._player.stdin is not None
        self._player.stdin.write(json.dumps(what) + "\n")
        self._player.stdin.flush()
        self._expect("done")

    def _expect(self, word: str) -> None:
        assert self._player is not None
        assert self._player.stdout is not None
        assert self._player.stdout.readline() == f"{word}\n", "the player has failed; see its errors"

    def _command(self, program: str) -> str:
        libraries = f"{self._libraries}:{self._libraries / 'systemd'}"
        return f"{self._loader} --library-path {libraries} {ROOT / 'usr/bin' / program}"

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        python = {
            "PYTHONHOME": str(ROOT / "usr"),
            "PYTHONPATH": str(MOCK),
            "GI_TYPELIB_PATH": str(self._libraries / "girepository-1.0"),
        }
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if arguments[0].endswith("play.py") else {}
        with (self._folder / "errors").open("ab") as errors:
            started = subprocess.Popen(
                [*self._command(program).split(), *arguments],
                env={**os.environ, **(python if program == "python3" else {})},
                text=True,
                **({"stdin": subprocess.DEVNULL, "stdout": errors} | piped),
                stderr=errors,
            )
        self._programs.callback(_end, started)
        return started


def _end(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.communicate() if program.stdin is None or not program.stdin.closed else program.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0


class Heard:
    """What was emitted, in order."""

    def __init__(self) -> None:
        self.events: list[SignalSeen] = []

    def take(self, event: Event) -> None:
        assert isinstance(event, SignalSeen)
        self.events.append(event)

    @property
    def signal(self) -> Signal | None:
        return self.events[-1].signal if self.events else None


def at_work(story: Callable[[Heard, Modems], Awaitable[None]], pace: Pace = QUICK, station: Station = STATION) -> Heard:
    """What is heard while the story goes on; the edge must live until it is ended."""
    heard = Heard()

    async def run() -> None:
        modems = Modems(station, heard.take, pace)
        working = asyncio.create_task(modems.run())
        try:
            await story(heard, modems)
            assert not working.done()
        finally:
            working.cancel()
            await asyncio.wait([working])
        assert working.cancelled()

    asyncio.run(run())
    return heard


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "agent.edge.modem"]
