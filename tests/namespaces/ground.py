"""A station on short wires: two uplinks that answer echoes, a LAN, what others put there; and the agent itself."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from agent.config import load
from agent.core.station import Station
from agent.edge import card, control
from lab.namespace import within
from tests.edge.link import ip, space
from tests.namespaces.packets import wait_until

AGENT = (sys.executable, "-m", "agent")
ROOT = Path(__file__).parents[2]
TARGETS = ("198.51.100.1", "198.51.100.2", "2001:db8:ffff::1")
ELSEWHERE = {"-4": "203.0.113.77", "-6": "2001:db8:99::77"}
NAMES = ("fibre", "lte")
START_S = 15.0  # on a busy machine Python alone takes its time
SOON_S = 5.0  # far below the ten seconds after which the agent looks by itself
FOREIGN_NFT = "table inet others { chain in { type filter hook input priority 0; policy accept; counter accept; }; }"
_number = itertools.count()


class Wire:
    """One uplink's place: its device, its far end, and what a network manager gives it."""

    def __init__(self, place: int, home: str) -> None:
        self.place, self.device, self.metric = place, f"wan{place}", 100 + place
        self.far = f"{home}-far{place}"
        self.host, self.gateway = 2, 1  # the last number of each
        self.answers = False
        self.addresses: set[str] = set()
        """All that it ever had."""

    @property
    def address(self) -> str:
        return f"198.18.{self.place + 1}.{self.host}"

    @property
    def address6(self) -> str:
        return f"2001:db8:{self.place + 1}::{self.host}"

    def plug(self) -> None:
        """A new device, with another index than it had before."""
        ip("link", "add", self.device, "type", "veth", "peer", "name", "end", "netns", self.far)
        for gateway in (1, 254):
            ip("-n", self.far, "address", "add", f"198.18.{self.place + 1}.{gateway}/24", "dev", "end")
            ip("-n", self.far, "address", "add", f"fe80::{gateway}/64", "dev", "end", "nodad")
        ip("-n", self.far, "address", "add", f"2001:db8:{self.place + 1}::1/64", "dev", "end", "nodad")
        ip("-n", self.far, "link", "set", "end", "up")

    def unplug(self) -> None:
        ip("link", "delete", self.device)

    @property
    def is_plugged(self) -> bool:
        return Path("/proc/sys/net/ipv4/conf", self.device).exists()

    def configure(self) -> None:
        """As a network manager does: address and default route of both families; again does no harm."""
        ip("link", "set", self.device, "up")
        self.addresses |= {self.address, self.address6}
        ip("address", "replace", f"{self.address}/24", "dev", self.device)
        ip("address", "replace", f"{self.address6}/64", "dev", self.device, "nodad")
        metric = ("metric", str(self.metric), "proto", "dhcp")
        for family, gateway in (("-4", self.gateway4), ("-6", self.gateway6)):
            way = ["ip", family, "route", "replace", "default", "via", gateway, "dev", self.device, *metric]
            wait_until(lambda way=way: subprocess.run(way, capture_output=True, check=False).returncode == 0, SOON_S)

    def give_up_address(self) -> None:
        ip("address", "del", f"{self.address}/24", "dev", self.device)
        ip("address", "del", f"{self.address6}/64", "dev", self.device)

    def renew(self) -> None:
        """The defaults go and come again in one breath, as in a DHCP renew; however busy the machine is."""
        for family, gateway in (("-4", self.gateway4), ("-6", self.gateway6)):
            way = f"default via {gateway} dev {self.device} metric {self.metric}"
            subprocess.run(
                ["ip", family, "-batch", "-"],
                input=f"route del {way}\nroute add {way} proto dhcp\n",
                text=True,
                check=True,
            )

    def drop_defaults(self) -> None:
        for family in ("-4", "-6"):
            ip(family, "route", "flush", "default", "dev", self.device, "metric", str(self.metric), "table", "main")

    @property
    def gateway4(self) -> str:
        return f"198.18.{self.place + 1}.{self.gateway}"

    @property
    def other_gateway4(self) -> str:
        return f"198.18.{self.place + 1}.{255 - self.gateway}"

    @property
    def gateway6(self) -> str:
        return f"fe80::{self.gateway}"

    def cable(self, on: bool) -> None:
        ip("-n", self.far, "link", "set", "end", "up" if on else "down")

    def way(self, on: bool) -> None:
        """Behind the first hop: what is asked answers, or is silent, which also kills what is on its way."""
        if on != self.answers:
            self.answers = on
            for target in TARGETS:
                bits = 128 if ":" in target else 32
                ip("-n", self.far, "address", "add" if on else "del", f"{target}/{bits}", "dev", "lo")


class Ground:
    """The station's namespace, in which the test stands too as long as it lasts."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.folder = name, folder
        self.wires = tuple(Wire(place, name) for place in range(2))
        self.state_dir = folder / "state"
        self.config = folder / "agent.yaml"
        self.config.write_text(yaml.safe_dump(self._config()))
        self.station: Station = load(self.config)
        self.log = folder / "agent.log"
        self.agent: subprocess.Popen[Any] | None = None

    def _config(self) -> dict[str, object]:
        kinds = ("fibre", "lte")
        return {
            "station": "6408042001143",
            "uplinks": [
                {"name": name, "interface": wire.device, "kind": kind}
                for name, wire, kind in zip(NAMES, self.wires, kinds, strict=True)
            ],
            "lan": {"interfaces": ["lan0"], "nat": "managed"},
            "targets": list(TARGETS),
            "centre": {"broker": "mqtt://127.0.0.1:1"},
            "state_dir": str(self.state_dir),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of the agent's commands, as its operator types it."""
        return subprocess.run(
            [*AGENT, *command, "--config", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=ROOT,
        )

    def start(self, program: Sequence[str] = (*AGENT, "run")) -> None:
        self.launch(program)
        wait_until(lambda: self.status() is not None, START_S)

    def launch(self, program: Sequence[str] = (*AGENT, "run")) -> None:
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen(
                [*program, "--config", str(self.config)], stdout=log, stderr=log, process_group=0, cwd=ROOT
            )

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.agent is not None:
            self.agent.send_signal(how)
            assert self.agent.wait(10) in (0, -how), self.told()
            self.agent = None

    def status(self) -> dict[str, Any] | None:
        try:
            return control.ask(card.current(self.state_dir), {"do": "status"})
        except control.NotRunning:
            return None

    def ask(self, **request: object) -> None:
        assert control.ask(card.current(self.state_dir), request) == {"done": True}

    def health(self, name: str) -> str:
        status = self.status()
        return "" if status is None else next(str(u["health"]) for u in status["uplinks"] if u["name"] == name)

    def rtt_ms(self, name: str) -> float | None:
        status = self.status()
        return None if status is None else next(u["rtt_ms"] for u in status["uplinks"] if u["name"] == name)

    def active(self, family: str = "ipv4") -> str | None:
        status = self.status()
        return None if status is None else status["active"][family]

    def told(self) -> str:
        return self.log.read_text()

    def settle(self) -> None:
        """Both uplinks have proven good, and the preferred one carries the traffic."""
        wait_until(lambda: all(self.health(name) == "up" for name in NAMES), START_S)
        wait_until(lambda: (self.active(), self.active("ipv6")) == ("fibre", "fibre"), START_S)


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Built, and taken down with everything in it."""
    home = f"g{os.getpid()}-{next(_number)}"
    folder.mkdir(parents=True, exist_ok=True)
    here = Ground(folder, home)
    with ExitStack() as built:
        built.enter_context(space(home))
        for wire in here.wires:
            built.enter_context(space(wire.far))
            _prepare_far(wire)
        built.enter_context(within(home))
        built.callback(_stop, here)
        for device in ("lan0", "other0"):
            ip("link", "add", device, "type", "veth", "peer", "name", f"{device}-end")
            ip("link", "set", device, "up")
            ip("link", "set", f"{device}-end", "up")
        for wire in here.wires:
            wire.plug()
            wire.configure()
        yield here


def _prepare_far(wire: Wire) -> None:
    with within(wire.far):
        for path, value in (
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv4/icmp_msgs_per_sec", "1000000"),
            ("ipv6/icmp/ratelimit", "0"),
            ("ipv6/conf/all/keep_addr_on_down", "1"),
            ("ipv6/conf/default/keep_addr_on_down", "1"),
        ):
            Path("/proc/sys/net", path).write_text(value)
    wire.way(True)


def _stop(here: Ground) -> None:
    if here.agent is not None and here.agent.poll() is None:
        here.agent.kill()
        here.agent.wait()


def add_foreign() -> None:
    """What others have put beside ours: rules, a table, nft."""
    for family, of, gateway in (("-4", "192.0.2.9", "192.0.2.1"), ("-6", "2001:db8:77::9", "2001:db8:77::1")):
        ip(family, "rule", "add", "priority", "500", "from", of, "lookup", "77")
        ip(family, "rule", "add", "priority", "31000", "fwmark", "0x77", "lookup", "77")
        ip(family, "route", "add", "default", "via", gateway, "dev", "other0", "table", "77", "onlink")
    subprocess.run(["nft", "-f", "-"], input=FOREIGN_NFT, text=True, check=True)
