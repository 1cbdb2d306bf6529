"""What the agent costs with three uplinks and all that it measures: memory, processor, what it writes to the card."""

import argparse
import contextlib
import http.client
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from agent.core.station import Kind
from agent.core.trials import EVERY_S
from agent.edge import control
from bench import table
from bench.drivers import wait_for
from bench.usage import cpu_s, pss_mib, written_bytes
from lab import namespace, scenario
from lab.netns import LabError, Station
from lab.programs import BROKER_PORT, PAGE_PORT, STAMP_PORT, agent_config
from lab.scenario import Scenario
from lab.topology import CENTRE

PLACE = "daemon cost"
DOCS = Path("docs/architecture.md")
STORY = Path("lab/scenarios/demo.yaml")
MEASURE_PORT, METRICS_PORT = 8621, 9433
SETTLE_S = 60.0
SCRAPE_EVERY_S = 15.0
SETTLING_S = 10.0  # after all is good: what is done once is done
MOST_MIB, MOST_CPU = 40, 0.02


@dataclass(frozen=True, slots=True)
class AtWork:
    """A station whose agent measures all it can."""

    station: Station
    agent: subprocess.Popen[Any]
    config: Path

    def train(self, uplink: str) -> float:
        """Processor seconds of one train each way, by the command that the agent runs for it."""
        command = [_command("siaga-agent"), "measure", uplink, "--train", "--config", str(self.config)]
        return used_s(self.station.start("tps", command))


@dataclass(frozen=True, slots=True)
class Cost:
    watch_s: float
    pss_mib: float
    cpu: float
    """Of one core, trains included."""
    trains_cpu: float
    written_mb_a_day: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long to watch")
    with at_work() as found:
        cost = watched(found, parser.parse_args().seconds)
    rows = [
        ["PSS", f"{cost.pss_mib:.1f} MiB", f"{MOST_MIB} MiB", "yes" if cost.pss_mib <= MOST_MIB else "no"],
        ["CPU", f"{cost.cpu:.2%} of a core", "2 %", "yes" if cost.cpu <= MOST_CPU else "no"],
        ["of it the trains", f"{cost.trains_cpu:.2%} of a core", "–", "–"],
        ["written to the card", f"{cost.written_mb_a_day:.0f} MB a day", "few", "–"],
    ]
    told = table.render(["three uplinks, all measured, no traffic of a LAN", "measured", "target", "reached"], rows)
    told += f"\n\n`make bench-cost` over {cost.watch_s:g} s, Linux {platform.release()}, x86-64; not on a Raspberry Pi."
    print(told)
    table.write(DOCS, PLACE, told)
    return 0


@contextlib.contextmanager
def at_work() -> Iterator[AtWork]:
    """Broker and bandwidth server are there, every uplink is good."""
    story = scenario.read(STORY.read_text())
    with tempfile.TemporaryDirectory() as folder, Station.of(story) as station:
        config, state = Path(folder) / "agent.yaml", Path(folder) / "state"
        config.write_text(yaml.safe_dump(_config(station, story, state)))
        with (Path(folder) / "log").open("wb") as log:
            _start_centre(station, Path(folder) / "centre", log)
            agent = station.start("tps", [_command("siaga-agent"), "run", "--config", str(config)], stderr=log)
        wait_for(lambda: _is_settled(state), "the agent finds every uplink good and the centre", SETTLE_S, 0.5)
        time.sleep(SETTLING_S)
        yield AtWork(station, agent, config)
        agent.terminate()


def watched(found: AtWork, watch_s: float) -> Cost:
    """A train each way is timed by itself: for what falls into so short a watch chance would decide."""
    pid = found.agent.pid
    cpu, written = cpu_s(pid), written_bytes(pid)
    until = time.monotonic() + watch_s
    while (left_s := until - time.monotonic()) > 0:
        _scrape(found.station)
        time.sleep(min(SCRAPE_EVERY_S, left_s))
    cpu, written = (cpu_s(pid) - cpu) / watch_s, written_bytes(pid) - written
    kinds = {"fibre": Kind.FIBRE, "lte": Kind.LTE, "geo": Kind.GEO}
    trains = sum(found.train(name) / EVERY_S[kind] for name, kind in kinds.items())
    return Cost(watch_s, pss_mib(pid), cpu + trains, trains, written / watch_s * 86_400 / 1e6)


def _scrape(station: Station) -> None:
    """As Prometheus does."""
    with namespace.within(station.topology.name("tps")):
        connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
        connection.connect()
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        if connection.getresponse().status != 200:
            raise LabError("the agent does not answer Prometheus")


def used_s(process: subprocess.Popen[Any]) -> float:
    """Waits for its end; processor seconds, its children's too."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise LabError(f"{process.args} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def _config(station: Station, story: Scenario, state: Path) -> dict[str, Any]:
    told: dict[str, Any] = agent_config(station, story, state)
    told["centre"] = {**told["centre"], "measure": f"{CENTRE}:{MEASURE_PORT}"}
    return told | {"metrics": f"127.0.0.1:{METRICS_PORT}"}


def _start_centre(station: Station, data: Path, log: IO[bytes]) -> None:
    """It serves all that an agent can ask for."""
    data.mkdir()
    ports = {"http": PAGE_PORT, "mqtt": BROKER_PORT, "measure": MEASURE_PORT, "stamp": STAMP_PORT}
    settings = data / "central.yaml"
    served = {name: f"0.0.0.0:{port}" for name, port in ports.items()}
    settings.write_text(yaml.safe_dump({**served, "data": str(data)}))
    station.start("internet", [_command("siaga-central"), "run", "--config", str(settings)], stderr=log)


def _is_settled(state: Path) -> bool:
    try:
        told = control.ask(state, {"do": "status"})
    except control.NotRunning:
        return False
    return bool(told["centre"]["connected"]) and all(uplink["health"] == "up" for uplink in told["uplinks"])


def _command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    sys.exit(main())
