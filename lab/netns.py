"""A station made of network namespaces: builds it, changes it while it runs, starts programs in it, takes it down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lab import cell, namespace, weather
from lab.relay_control import CONTROL, ask, control_path
from lab.scenario import Place, Scenario
from lab.topology import Topology
from lab.weather import LinkWeather, Weather

PYTHON = sys.executable
_PATIENCE_S = 5.0
_ROOT = Path(__file__).parent.parent  # where `python -m lab` works


class LabError(Exception):
    """The lab could not do what was asked; one sentence for the person who asked."""


class Station:
    """A virtual polling station; its agent is not part of it."""

    def __init__(
        self,
        topology: Topology,
        weathers: Mapping[str, LinkWeather] | None = None,
        traces_in: Path = Path(),
        seed: int = 1,
    ) -> None:
        self.topology = topology
        self.weathers = {name: LinkWeather() for name in topology.uplinks} | dict(weathers or {})
        self._traces_in, self._seed = traces_in.absolute(), seed
        self._gateways: dict[str, Place] = dict.fromkeys(topology.uplinks, "home")
        self._relays: list[subprocess.Popen[bytes]] = []
        self._started: list[subprocess.Popen[Any]] = []

    @classmethod
    def of(cls, story: Scenario, traces_in: Path = Path(), prefix: str = "", seed: int = 1) -> Station:
        topology = Topology(tuple(uplink.name for uplink in story.uplinks), story.ipv6, prefix, story.nat == "external")
        return cls(topology, {uplink.name: uplink.weather for uplink in story.uplinks}, traces_in, seed)

    def __enter__(self) -> Station:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        if not cell.inside():
            raise LabError("a station is built only in a cell: use `python -m lab enter -- COMMAND`")
        topology = self.topology
        try:
            _ip("".join(f"netns add {topology.name(each)}\n" for each in topology.namespaces))
            self._set_sysctls()
            _ip(topology.cables())
            self._start_relays()
            for each, text in topology.addresses().items():
                _ip(text, topology.name(each))
            for each, text in topology.source_filters(4).items():
                _ip(text, topology.name(each))
            for each, text in topology.source_filters(6).items() if topology.ipv6 else ():
                _ip(text, topology.name(each), "-6")
            if firewall := topology.firewall():
                _nft(firewall, topology.name("tps"))
            for uplink, link in self.weathers.items():
                self.set_weather(uplink, link)
        except (LabError, OSError) as error:
            self.down()
            raise LabError(str(error)) from None

    def down(self) -> None:
        """Ends every program that was started here, then removes the namespaces."""
        for process in reversed(self._started):
            stop(process)
        for relay in self._relays:
            relay.kill()
            relay.wait()
        self._started, self._relays = [], []
        here = [name for name in map(self.topology.name, self.topology.namespaces) if (namespace.NAMED / name).exists()]
        _ip("".join(f"netns delete {name}\n" for name in here))
        for uplink in self.topology.uplinks:
            self._control(uplink).unlink(missing_ok=True)

    def run(self, where: str, command: Sequence[str], timeout_s: float = 30.0) -> str:
        """What the command prints in that namespace; LabError when it fails."""
        done = subprocess.run(
            self._there(where, command), capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode != 0:
            raise LabError(f"{where}: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(
        self,
        where: str,
        command: Sequence[str],
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = None,
        **more: Any,
    ) -> subprocess.Popen[Any]:
        """A program in that namespace; the process is the program itself, so that kill -9 hits no wrapper."""
        # a group of its own: Ctrl-C is for the lab, which then ends what it started in order
        process = subprocess.Popen(self._there(where, command), stdout=stdout, stderr=stderr, process_group=0, **more)
        self._started.append(process)
        return process

    def start_lab(self, where: str, command: Sequence[str], **more: Any) -> subprocess.Popen[Any]:
        """One of the lab's own programs."""
        return self.start(where, [sys.executable, "-m", "lab", *command], cwd=_ROOT, **more)

    def set_weather(self, uplink: str, change: LinkWeather | Mapping[str, object]) -> None:
        """A whole weather, or a change merged over what is."""
        link = change if isinstance(change, LinkWeather) else weather.changed(self.weathers[uplink], change)
        sent = LinkWeather(self._with_trace(link.up), self._with_trace(link.down))
        self._ask(uplink, {"weather": weather.written(sent)})
        self.weathers[uplink] = link

    def statistics(self, uplink: str) -> dict[str, dict[str, int]]:
        """For each direction: packets, bytes, lost, overflowed, blackholed."""
        answer: dict[str, dict[str, int]] = self._ask(uplink, {})["counts"]
        return answer

    def cable(self, uplink: str, on: bool) -> None:
        """Plugged in or pulled out at the first hop: the station's router sees its carrier."""
        text = self.topology.cable(uplink, on, self._gateways[uplink])
        _ip(text, self.topology.name(self.topology.line(uplink).provider))

    def gateway(self, uplink: str, to: Place) -> None:
        for where, text in self.topology.move_gateway(uplink, to):
            _ip(text, self.topology.name(where))
        self._gateways[uplink] = to

    def target(self, address: str, answers: bool) -> None:
        _ip(self.topology.set_target(address, answers), self.topology.name("internet"))

    def _set_sysctls(self) -> None:
        for each, values in self.topology.sysctls().items():
            with namespace.within(self.topology.name(each)):
                for path, value in values.items():
                    _set_sysctl(Path("/proc/sys") / path, value)

    def _start_relays(self) -> None:
        CONTROL.mkdir(exist_ok=True)
        for place, uplink in enumerate(self.topology.uplinks):
            provider = self.topology.line(uplink).provider
            near = namespace.open_tap(self.topology.name(provider), "core")
            far = namespace.open_tap(self.topology.name("internet"), provider)
            arguments = [str(near), str(far), str(self._control(uplink)), str(self._seed * 100 + place)]
            command = [sys.executable, "-m", "lab", "relay", *arguments]
            try:
                self._relays.append(subprocess.Popen(command, cwd=_ROOT, pass_fds=(near, far), process_group=0))
            finally:
                os.close(near)
                os.close(far)

    def _ask(self, uplink: str, request: dict[str, object]) -> dict[str, Any]:
        relay = self._relays[self.topology.uplinks.index(uplink)]
        try:
            return ask(self._control(uplink), request, is_alive=lambda: relay.poll() is None)
        except OSError as error:
            raise LabError(f"the relay of {uplink}: {error}") from None

    def _with_trace(self, one_way: Weather) -> Weather:
        return one_way if one_way.trace is None else replace(one_way, trace=str(self._traces_in / one_way.trace))

    def _control(self, uplink: str) -> Path:
        return control_path(self.topology.prefix + uplink)

    def _there(self, where: str, command: Sequence[str]) -> list[str]:
        """`ip netns exec` becomes the command, and gives it the /sys of the namespace, which nsenter does not."""
        return ["ip", "netns", "exec", self.topology.name(where), *command]


def stop(process: subprocess.Popen[Any], patience_s: float = _PATIENCE_S) -> None:
    """Asks a program to end, and insists after a while."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _ip(text: str, name: str | None = None, *options: str) -> None:
    command = ["ip", *options, *(["-n", name] if name else []), "-batch", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{name or 'cell'}: {' '.join(done.stderr.split())}")


def _nft(text: str, name: str) -> None:
    command = ["ip", "netns", "exec", name, "nft", "-f", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{name}: {' '.join(done.stderr.split())}")


def _set_sysctl(path: Path, value: int | str) -> None:
    try:
        path.write_text(str(value))
    except FileNotFoundError:
        if "ipv6" not in str(path):  # a kernel without IPv6, or without this one limit
            raise LabError(f"this kernel has no {path}") from None
