"""Who may drive the routes of a station in a side-by-side measurement: our agent, or dpinger's rule."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from agent.edge import control
from bench.dpinger_rule import LATENCY_LIMIT_MS, WINDOW_S, Gateway
from lab.netns import LabError, Station
from lab.programs import Programs
from lab.scenario import TARGETS, Scenario

SETTLE_S = 60.0
_LOOK_EVERY_S = 0.5


class Driver(Protocol):
    """It says what it does in `log`."""

    log: Path

    def start(self) -> None: ...

    def settle(self) -> None:
        """Until it knows the links as well as it ever will."""

    def check(self) -> None:
        """LabError when it has ended."""

    def tells_dead(self, line: str, uplink: str) -> bool: ...


class OurAgent:
    def __init__(self, station: Station, story: Scenario, folder: Path) -> None:
        self._programs = Programs(station, story, folder)
        self._state_dir = folder / "agent"
        self.log = folder / "siaga-agent.log"

    def start(self) -> None:
        self._programs.start_centre()
        self._programs.start_agent()

    def settle(self) -> None:
        wait_for(self._is_settled, "the agent finds every uplink good and the centre", SETTLE_S, _LOOK_EVERY_S)

    def check(self) -> None:
        self._programs.check()

    def move(self, uplink: str) -> None:
        self._programs.move(uplink)

    def tells_dead(self, line: str, uplink: str) -> bool:
        return f"UPLINK_DEAD {uplink}" in line

    def _is_settled(self) -> bool:
        self.check()
        status = self._programs.status()
        return status is not None and status.is_settled

    def settle_quietly(self) -> None:
        """The same without starting a program each time, which takes the processor from stations beside it."""
        wait_for(self._says_settled, "the agent finds every uplink good and the centre", SETTLE_S, _LOOK_EVERY_S)

    def connect(self) -> None:
        """Until both programs have started."""
        wait_for(lambda: bool(self._told()["centre"]["connected"]), "the centre is found", SETTLE_S, _LOOK_EVERY_S)

    def _says_settled(self) -> bool:
        told = self._told()
        return bool(told["centre"]["connected"]) and all(uplink["health"] == "up" for uplink in told["uplinks"])

    def _told(self) -> dict[str, Any]:
        self.check()
        try:
            return control.ask(self._state_dir, {"do": "status"})
        except control.NotRunning:
            return {"centre": {"connected": False}, "uplinks": []}


class DpingersRule:
    """A gateway group with a tier for each uplink, in the story's order."""

    def __init__(
        self, station: Station, story: Scenario, folder: Path, latency_limits_ms: Mapping[str, int] | None = None
    ) -> None:
        self._station = station
        self._latency_limits_ms = latency_limits_ms or {}
        names = [uplink.name for uplink in story.uplinks]
        self._gateways = [self._gateway(*each) for each in zip(names, TARGETS, strict=True)]
        folder.mkdir(parents=True)
        self.log = folder / "dpinger_rule.log"

    def start(self) -> None:
        told = json.dumps([asdict(gateway) for gateway in self._gateways])
        command = [sys.executable, "-m", "bench.dpinger_rule", told]
        with self.log.open("ab") as log:
            self._process = self._station.start("tps", command, stdout=log, stderr=log)

    def settle(self) -> None:
        time.sleep(WINDOW_S + 2)  # two for the start of the program

    def check(self) -> None:
        if self._process.poll() is not None:
            raise LabError(f"dpinger's rule ended with {self._process.returncode}: {self.log.read_text()[-500:]}")

    def tells_dead(self, line: str, uplink: str) -> bool:
        return line.startswith(f"ALARM {uplink} ")

    def _gateway(self, uplink: str, monitor: str) -> Gateway:
        line = self._station.topology.line(uplink)
        limit_ms = self._latency_limits_ms.get(uplink, LATENCY_LIMIT_MS)
        return Gateway(uplink, line.device, line.address, line.gateway("home"), monitor, limit_ms)


def wait_for(is_so: Callable[[], bool], what: str, patience_s: float, every_s: float) -> None:
    """LabError when it does not become so in time."""
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > deadline_s:
            raise LabError(f"not within {patience_s:g} s: {what}")
        time.sleep(every_s)
