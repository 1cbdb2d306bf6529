"""Plays a scenario in namespaces with the real programs, watches from outside, and judges."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab import judgement
from lab.judgement import NOWHERE, Observation, Run, Verdict
from lab.lookup import Lookup
from lab.netns import Station, stop
from lab.programs import Programs, Status
from lab.scenario import (
    Action,
    Scenario,
    SetAgent,
    SetBroker,
    SetCarrier,
    SetGateway,
    SetTarget,
    SetWeather,
    StoredEverything,
)
from lab.topology import CENTRE, LAN_CLIENT, SERVER
from lab.weather import LinkWeather

LOOK_EVERY_S = 0.02
_ASK_EVERY_S = 1.0
_SETTLE_S = 20.0
_FIRST_ANSWER_S = 5.0
_STORED_PATIENCE_S = 30.0


@dataclass(slots=True)
class View:
    """What is known at this moment, for whoever shows it."""

    phase: str = "starting"
    t_s: float | None = None  # since the timeline began
    active: str = NOWHERE
    status: Status | None = None
    client: dict[str, Any] = field(default_factory=dict)
    happened: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    verdicts: list[Verdict]
    gaps: list[tuple[float, float]]  # of the LAN client: start in seconds of the timeline, length in seconds

    @property
    def holds(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts)


class Player:
    """One station and its programs; `settle` once, then `play` as often as wanted."""

    def __init__(
        self, story: Scenario, station: Station, programs: Programs, show: Callable[[View], None] = lambda _: None
    ) -> None:
        self._story, self._station, self._programs, self._show = story, station, programs, show
        self.view = View()
        self._lookup = Lookup(station.topology.name("tps"))
        self._by_device = {station.topology.line(each.name).device: each.name for each in story.uplinks}
        self._seen: list[Observation] = []
        self._began_s: float | None = None  # monotonic
        self._ended = threading.Event()
        self._asking = threading.Thread(target=self._keep_asking, daemon=True)

    def close(self) -> None:
        self._ended.set()
        if self._asking.is_alive():
            self._asking.join()
        self._lookup.close()

    def settle(self) -> None:
        """Starts the programs and waits until the agent says that all is well, but not for ever."""
        self._station.start_lab("internet", ["internet", SERVER])
        self._programs.start_centre()
        self._programs.start_agent()
        self._asking.start()
        self.view.phase = "settling"
        self._wait(_SETTLE_S, lambda: self.view.status is not None and self.view.status.is_settled)

    def play(self) -> Outcome:
        client = self._station.start_lab("lan", ["client", SERVER], stdout=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._keep_reading, args=(client,), daemon=True)
        reader.start()
        try:
            self._wait(_FIRST_ANSWER_S, lambda: bool(self.view.client.get("answered")))
            self._run_timeline()
            gaps = self._gaps()
        finally:
            client.kill()
            reader.join()
            stop(client)
        stored = self._stored() if StoredEverything() in self._story.expect else None
        longest_s = max((gap_s for _, gap_s in gaps), default=0.0) if self.view.client.get("answered") else None
        seen = sorted(self._seen, key=lambda each: each.t_s)  # two threads look
        broken = self.view.client.get("download", {}).get("reconnects")
        return Outcome(judgement.judge(self._story.expect, Run(seen, longest_s, broken, stored)), gaps)

    def _run_timeline(self) -> None:
        self._seen, self.view.happened = [], []
        self._began_s = time.monotonic()
        self.view.phase = "playing"
        for action in self._story.timeline:
            self._look_until(action.at_s)
            self._programs.check()
            self.view.happened.append((self._now_s(), told(action)))
            asked_s = time.monotonic()
            self._do(action)
            self._began_s += time.monotonic() - asked_s  # the story's clock stands still while we pull the cable
        self._look_until(self._story.lasts_s)
        self._programs.check()

    def _do(self, action: Action) -> None:
        match action:
            case SetWeather(_, uplink, weather):
                self._station.set_weather(uplink, weather)
            case SetCarrier(_, uplink, on):
                self._station.cable(uplink, on)
            case SetGateway(_, uplink, to):
                self._station.gateway(uplink, to)
            case SetTarget(_, target, answers):
                self._station.target(target, answers)
            case SetAgent(_, runs):
                self._programs.start_agent() if runs else self._programs.kill_agent()
            case SetBroker(_, runs):
                self._programs.start_centre() if runs else self._programs.stop_centre()

    def _look_until(self, t_s: float) -> None:
        while (left_s := t_s - self._now_s()) > 0:
            self._look()
            time.sleep(min(LOOK_EVERY_S, left_s))

    def _look(self) -> None:
        """Asks the kernel, not the agent, where the LAN's traffic goes and which gateways the agent's tables name."""
        topology = self._station.topology
        way = self._lookup.forwarded(LAN_CLIENT, "lan0", CENTRE)
        self.view.active = NOWHERE if way is None else self._by_device.get(way.device, NOWHERE)
        gateway = {}
        for uplink in self._story.uplinks:
            bound = self._lookup.bound(topology.line(uplink.name).device, CENTRE)
            if bound is not None and bound.gateway is not None:
                is_home = bound.gateway == topology.line(uplink.name).gateway("home")
                gateway[uplink.name] = "home" if is_home else "moved"
        self.view.t_s = self._now_s()
        self._seen.append(Observation(self.view.t_s, self.view.active, gateway=gateway))
        self._show(self.view)

    def _wait(self, patience_s: float, is_done: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + patience_s
        while not is_done() and time.monotonic() < deadline_s:
            self._programs.check()
            self._show(self.view)
            time.sleep(LOOK_EVERY_S)

    def _keep_asking(self) -> None:
        while not self._ended.is_set():
            asked_s = time.monotonic()
            status = self.view.status = self._programs.status()
            if status is not None and self._began_s is not None and asked_s >= self._began_s:
                health = {uplink.name: uplink.health for uplink in status.uplinks}
                self._seen.append(Observation(time.monotonic() - self._began_s, health=health))
            self._ended.wait(max(0.05, asked_s + _ASK_EVERY_S - time.monotonic()))

    def _keep_reading(self, client: subprocess.Popen[str]) -> None:
        assert client.stdout is not None
        for line in client.stdout:
            self.view.client = json.loads(line)

    def _gaps(self) -> list[tuple[float, float]]:
        report, began_s = self.view.client, self._began_s or 0.0
        gaps = [(gap["start_s"] - began_s, gap["ms"] / 1e3) for gap in report.get("gaps", [])]
        if report.get("current_gap_ms", 0) > 100:
            gaps.append((report["t_s"] - report["current_gap_ms"] / 1e3 - began_s, report["current_gap_ms"] / 1e3))
        return gaps

    def _stored(self) -> str:
        self.view.phase = "waiting for the centre"
        stored = ""

        def is_everything() -> bool:
            nonlocal stored
            stored = self._programs.stored()
            return stored == "everything"

        self._wait(_STORED_PATIENCE_S, is_everything)
        return stored

    def _now_s(self) -> float:
        return time.monotonic() - (self._began_s or 0.0)


def told(action: Action) -> str:
    """What happens, for people."""
    match action:
        case SetWeather(_, uplink, weather):
            return f"{uplink} {_weather_told(weather)}"
        case SetCarrier(_, uplink, on):
            return f"the cable of {uplink} is {'plugged in' if on else 'pulled out'}"
        case SetGateway(_, uplink, to):
            return f"the gateway of {uplink} {'gets another address' if to == 'moved' else 'has its old address again'}"
        case SetTarget(_, target, answers):
            return f"target {target} {'answers again' if answers else 'is silent'}"
        case SetAgent(_, runs):
            return "the agent is started" if runs else "the agent is killed"
        case SetBroker(_, runs):
            return "the centre is started" if runs else "the centre stops"


def _weather_told(link: LinkWeather) -> str:
    if link.up.blackhole and link.down.blackhole:
        return "is cut behind the first hop"
    if link.up.blackhole or link.down.blackhole:
        return "is cut behind the first hop in one direction"
    if link.up.loss or link.down.loss:
        return f"loses {link.up.loss:.0%} of what goes up and {link.down.loss:.0%} of what comes down"
    return f"has fair weather: {link.up.delay_ms:g} ms up, {link.down.delay_ms:g} ms down"
