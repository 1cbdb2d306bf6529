"""A way of four hops in network namespaces: modem, the operator's access, its core, and the far end with the targets.

wan0 192.168.8.2 --- .1 modem 100.64.0.2 --- .1 access 198.18.10.1 --- .2 core 198.18.20.1 --- .2 far 198.51.100.*
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.namespace import within
from tests.edge.link import ip, space

HERE, GATEWAY, ACCESS, CORE = "192.168.8.2", "192.168.8.1", "100.64.0.1", "198.18.10.2"
TARGETS = ("198.51.100.1", "198.51.100.2")
CENTRE = "198.51.100.10"
RESOLVER = "198.51.100.53"
HOPS = [(1, GATEWAY), (2, ACCESS), (3, CORE), (4, TARGETS[0])]
"""The oracle of the walk."""
ROUTERS = ("modem", "access", "core", "far")
CABLES = (  # namespace, device, address; the other end's namespace, device, address
    ("modem", "out", "100.64.0.2/30", "access", "in", f"{ACCESS}/30"),
    ("access", "out", "198.18.10.1/30", "core", "in", f"{CORE}/30"),
    ("core", "out", "198.18.20.1/30", "far", "in", "198.18.20.2/30"),
)
ROUTES = (
    ("modem", "default", ACCESS),
    ("access", "default", CORE),
    ("access", "192.168.8.0/24", "100.64.0.2"),
    ("core", "default", "198.18.20.2"),
    ("core", "192.168.8.0/24", "198.18.10.1"),
    ("core", "100.64.0.0/30", "198.18.10.1"),
    ("far", "default", "198.18.20.1"),
)


@dataclass
class Done:
    """What `siaga-agent diagnose` printed, and how it ended."""

    code: int
    printed: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        assert not self.errors, self.errors
        return dict(json.loads(self.printed))

    @property
    def evidence(self) -> dict[str, Any]:
        return dict(self.report["evidence"])

    def look(self, layer: str) -> dict[str, Any]:
        return next(look for look in self.report["looks"] if look["layer"] == layer)

    def outcomes(self) -> dict[str, str]:
        return {look["layer"]: look["outcome"] for look in self.report["looks"]}


@dataclass
class Chain:
    folder: Path
    config: dict[str, Any] = field(default_factory=dict)

    def name(self, router: str) -> str:
        return f"{router}-{os.getpid()}"

    def nft(self, router: str, *rules: str, hook: str = "forward") -> None:
        """What this router does to packets that pass it."""
        body = "\n".join(rules)
        text = f"table ip test {{ chain {hook} {{ type filter hook {hook} priority 0; {body}\n}}\n}}\n"
        command = ["ip", "netns", "exec", self.name(router), "nft", "-f", "-"]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)

    def ip(self, router: str, *arguments: str) -> None:
        ip("-n", self.name(router), *arguments)

    def diagnose(self, *arguments: str, patience_s: float = 30, as_json: bool = True, **environment: str) -> Done:
        """As a technician does: the command in a process of its own, in this namespace."""
        path = self.folder / "agent.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "agent", "diagnose", "fibre", "--config", str(path)]
        command += ["--json"] if as_json else []
        environment = {**os.environ, "LANG": "C", **environment}
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=patience_s, env=environment, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def chain(folder: Path) -> Iterator[Chain]:
    """Its near end is wan0 of the namespace of this thread."""
    built = Chain(folder, configuration(folder))
    with ExitStack() as spaces:
        for router in ROUTERS:
            spaces.enter_context(space(built.name(router)))
        ip("link", "add", "wan0", "type", "veth", "peer", "name", "lan", "netns", built.name("modem"))
        spaces.callback(subprocess.run, ["ip", "link", "delete", "wan0"], check=False, capture_output=True)
        ip("addr", "add", f"{HERE}/24", "dev", "wan0")
        ip("link", "set", "wan0", "up")
        built.ip("modem", "addr", "add", f"{GATEWAY}/24", "dev", "lan")
        built.ip("modem", "link", "set", "lan", "up")
        ip("route", "add", "default", "via", GATEWAY)
        for near, device, address, far, other, other_address in CABLES:
            built.ip(near, "link", "add", device, "type", "veth", "peer", "name", other, "netns", built.name(far))
            for router, end, own in ((near, device, address), (far, other, other_address)):
                built.ip(router, "addr", "add", own, "dev", end)
                built.ip(router, "link", "set", end, "up")
        for address in (*TARGETS, CENTRE, RESOLVER):
            built.ip("far", "addr", "add", f"{address}/32", "dev", "lo")
        for router, net, gateway in ROUTES:
            built.ip(router, "route", "add", net, "via", gateway)
        for router in ROUTERS:
            with within(built.name(router)):
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        yield built


def configuration(folder: Path) -> dict[str, Any]:
    return {
        "station": "6408042001143",
        "uplinks": [
            {"name": "fibre", "interface": "wan0", "kind": "fibre", "operator": "Telkom", "resolvers": [RESOLVER]}
        ],
        "targets": list(TARGETS),
        "centre": {"broker": f"mqtt://{CENTRE}:1883"},
        "state_dir": str(folder / "state"),
    }
