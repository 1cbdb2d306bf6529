"""The real programs at their places in a station: the agent in `tps`, the centre in `internet`."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import namespace, netns
from lab.netns import LabError, Station
from lab.scenario import TARGETS, Scenario
from lab.topology import CENTRE

STATION = "6408042001143"
PAGE_PORT, BROKER_PORT, STAMP_PORT = 8080, 1883, 862
PLAN_MB = 3000  # a month, of an uplink that is metered
NOT_RUNNING = 3  # what `siaga-agent status` ends with when no agent runs


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    name: str
    health: str
    rtt_ms: float | None
    loss: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """What the agent says of itself."""

    uplinks: tuple[UplinkStatus, ...]
    connected: bool
    unsent: int

    @property
    def is_settled(self) -> bool:
        return self.connected and all(uplink.health == "up" for uplink in self.uplinks)


class Programs:
    """Starts and ends them as an operator would; knows only their commands, files and pages."""

    def __init__(self, station: Station, story: Scenario, folder: Path) -> None:
        self._station, self.folder = station, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "agent.yaml"
        self._config.write_text(yaml.safe_dump(agent_config(station, story, folder / "agent"), sort_keys=False))
        self._agent: subprocess.Popen[Any] | None = None
        self._centre: subprocess.Popen[Any] | None = None

    def start_agent(self) -> None:
        if self._agent is not None and self._agent.poll() is None:
            raise LabError("the agent runs already")
        self._agent = self._start("tps", ["siaga-agent", "run", "--config", str(self._config)])

    def kill_agent(self) -> None:
        """kill -9: it cannot tidy up."""
        if self._agent is None or self._agent.poll() is not None:
            raise LabError(f"there is no agent to kill: {self.last_words('siaga-agent')}")
        self._agent.kill()
        self._agent.wait()

    def move(self, uplink: str) -> None:
        """The operator's choice, until another."""
        self._station.run("tps", [_command("siaga-agent"), "move", uplink, "--config", str(self._config)])

    def start_centre(self) -> None:
        if self._centre is not None:
            netns.stop(self._centre)
        listen = ["--http", f"0.0.0.0:{PAGE_PORT}", "--mqtt", f"0.0.0.0:{BROKER_PORT}"]
        data = self.folder / "centre"
        data.mkdir(exist_ok=True)
        config = self.folder / "central.yaml"
        config.write_text(f"stamp: 0.0.0.0:{STAMP_PORT}\n")
        files = ["--config", str(config), "--data", str(data)]
        self._centre = self._start("internet", ["siaga-central", "run", *listen, *files])

    def stop_centre(self) -> None:
        """Told to end, not waited for: the story goes on meanwhile."""
        if self._centre is not None and self._centre.poll() is None:
            self._centre.send_signal(signal.SIGTERM)

    def check(self) -> None:
        """LabError when a program ended that nobody ended."""
        for name, process in (("siaga-agent", self._agent), ("siaga-central", self._centre)):
            if process is not None and process.poll() not in (None, 0, -signal.SIGKILL, -signal.SIGTERM):
                raise LabError(f"{name} ended with {process.returncode}: {self.last_words(name)}")

    def status(self) -> Status | None:
        """None when no agent runs, or when it does not answer."""
        command = [_command("siaga-agent"), "status", "--config", str(self._config), "--json"]
        try:
            told = json.loads(self._station.run("tps", command, timeout_s=10))
            uplinks = tuple(
                UplinkStatus(each["name"], each["health"], each.get("rtt_ms"), each.get("loss"))
                for each in told["uplinks"]
            )
            return Status(uplinks, bool(told["centre"]["connected"]), int(told["centre"]["unsent"]))
        except (LabError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
            return None

    def stored(self) -> str:
        """`everything`, or what is missing at the centre, in words."""
        status = self.status()
        if status is None:
            return "the agent does not say what it has not sent yet"
        if status.unsent:
            return f"{status.unsent} records not sent yet"
        try:
            return completeness(self._page(f"/api/stations/{STATION}/records"))
        except (OSError, ValueError, http.client.HTTPException) as error:
            return f"the centre does not say what it has: {error}"

    def last_words(self, name: str, lines: int = 3) -> str:
        log = self._log(name)
        words = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return " / ".join(words) or "it said nothing"

    def _start(self, where: str, command: list[str]) -> subprocess.Popen[Any]:
        with self._log(command[0]).open("ab") as log:
            return self._station.start(where, [_command(command[0]), *command[1:]], stdout=log, stderr=log)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _page(self, path: str) -> object:
        with namespace.within(self._station.topology.name("internet")):
            connection = http.client.HTTPConnection(CENTRE, PAGE_PORT, timeout=5)
            connection.connect()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise OSError(f"{path} answers {answer.status}")
            return json.loads(body)
        finally:
            connection.close()


def agent_config(station: Station, story: Scenario, state_dir: Path) -> dict[str, object]:
    uplinks: list[dict[str, object]] = [
        {
            "name": uplink.name,
            "interface": station.topology.line(uplink.name).device,
            "kind": uplink.kind,
            "operator": uplink.operator,
        }
        | ({"metered": {"mb_per_month": PLAN_MB}} if uplink.metered else {})
        for uplink in story.uplinks
    ]
    return {
        "station": STATION,
        "uplinks": uplinks,
        "lan": {"interfaces": ["lan0"], "nat": story.nat},
        "targets": list(TARGETS),
        "centre": {"broker": f"mqtt://{CENTRE}:{BROKER_PORT}", "stamp": [f"{CENTRE}:{STAMP_PORT}"]},
        "state_dir": str(state_dir),
    }


def completeness(told: object) -> str:
    """What the centre's list of records says: `everything`, or the first thing that is wrong."""
    epochs = told.get("epochs") if isinstance(told, dict) else None
    if not isinstance(epochs, list):
        return "the centre's list of records has no epochs"
    if not epochs:
        return "the centre holds no record"
    for epoch in epochs:
        name = str(epoch["epoch"])[:8]
        if epoch["first"] != 1:
            return f"epoch {name} begins with record {epoch['first']}"
        if epoch["count"] != epoch["stored"]:
            return f"epoch {name}: {epoch['count']} records are held of {epoch['stored']}"
        if epoch["out_of_order"]:
            return f"epoch {name}: {epoch['out_of_order']} records came out of order"
    return "everything"


def _command(name: str) -> str:
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise LabError(f"{name} is not installed beside {Path(sysconfig.get_path('scripts'))}: run make setup")
    return str(path)
