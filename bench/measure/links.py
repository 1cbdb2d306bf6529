"""Links to measure on: a wire with the kernel's token bucket, and the lab's emulated way; a server behind each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.bandwidth import run
from agent.bandwidth.order import Order
from agent.core.bandwidth import Measured
from lab import namespace, scenario
from lab.netns import Station, stop
from lab.topology import SERVER

PORT = 8621
NEAR, FAR = "198.18.0.2", "198.18.0.1"


@dataclass(frozen=True, slots=True)
class Link:
    """From here to the server."""

    namespace: str
    device: str
    server: str
    station: Station | None = None

    def measure(self, how: str, size: int = 32_000_000, threads: int = 4) -> Measured:
        host = f"{self.server}:{PORT}"
        with namespace.within(self.namespace):
            return run.measure(Order("bench", self.device, host, "bench", size, 60.0, threads, 0.0), how)


@contextmanager
def wire(mbps: float, bucket_bytes: int) -> Iterator[Link]:
    """Both ways shaped by the kernel, which counts Ethernet frames."""
    near, far = (f"measure-{end}-{os.getpid()}" for end in ("near", "far"))
    try:
        for name in (near, far):
            _run("ip", "netns", "add", name)
        _run("ip", "-n", near, "link", "add", "wan0", "type", "veth", "peer", "name", "end", "netns", far)
        for name, device, address in ((near, "wan0", NEAR), (far, "end", FAR)):
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")
            shaper = f"rate {round(mbps * 1e6)}bit burst {bucket_bytes} limit 1000000"
            _run("tc", "-n", name, "qdisc", "replace", "dev", device, "root", "tbf", *shaper.split())
        with _serving(["ip", "netns", "exec", far]):
            yield Link(near, "wan0", FAR)
    finally:
        for name in (near, far):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@contextmanager
def way(weather: str) -> Iterator[Link]:
    """The lab's relay, which counts IP packets; with delay."""
    story = scenario.read(f"title: bench\nlasts_s: 1\nuplinks:\n  lte: {{kind: lte, weather: {weather}}}\n")
    with Station.of(story, prefix="m-") as station:
        line = station.topology.line("lte")
        with _serving(["ip", "netns", "exec", station.topology.name("internet")]):
            yield Link(station.topology.name("tps"), line.device, SERVER, station)


@contextmanager
def _serving(there: list[str]) -> Iterator[None]:
    command = [*there, sys.executable, "-m", "bench.measure.server", str(PORT)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield
    finally:
        stop(server)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
