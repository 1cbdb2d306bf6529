"""What the agent costs with three uplinks: memory, processor, and what it writes to the card."""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench import table
from lab import scenario
from lab.netns import Station
from lab.programs import agent_config

PLACE = "daemon cost"
DOCS = Path("docs/architecture.md")
STORY = Path("lab/scenarios/demo.yaml")
SETTLING_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long to watch")
    watch_s = parser.parse_args().seconds
    story = scenario.read(STORY.read_text())
    with tempfile.TemporaryDirectory() as folder, Station.of(story) as station:
        config = Path(folder) / "agent.yaml"
        config.write_text(yaml.safe_dump(agent_config(station, story, Path(folder) / "state")))
        with (Path(folder) / "log").open("wb") as log:
            agent = station.start(
                "tps", [str(Path(sys.executable).with_name("siaga-agent")), "run", "--config", str(config)], stderr=log
            )
        time.sleep(SETTLING_S)
        cpu_s, written = _cpu_s(agent.pid), _written_bytes(agent.pid)
        time.sleep(watch_s)
        cpu_s, written = _cpu_s(agent.pid) - cpu_s, _written_bytes(agent.pid) - written
        pss_mib = _pss_mib(agent.pid)
        agent.terminate()
    rows = [
        ["PSS", f"{pss_mib:.1f} MiB", "40 MiB", "yes" if pss_mib <= 40 else "no"],
        ["CPU", f"{cpu_s / watch_s:.2%} of a core", "2 %", "yes" if cpu_s / watch_s <= 0.02 else "no"],
        ["written to the card", f"{written / watch_s * 86400 / 1e6:.0f} MB a day", "few", "–"],
    ]
    told = table.render(["three uplinks, idle, no broker reachable", "measured", "target", "reached"], rows)
    told += f"\n\n`make bench-cost` over {watch_s:g} s, Linux {platform.release()}, x86-64; not on a Raspberry Pi."
    print(told)
    table.write(DOCS, PLACE, told)
    return 0


def _cpu_s(pid: int) -> float:
    """User and system time of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _written_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _pss_mib(pid: int) -> float:
    """Its share of the memory (proportional set size)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
