"""A diagnosis in the lab, whose topology is the oracle: of a satellite link, of a cut, of the right uplink."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.netns import Station
from lab.scenario import TARGETS
from lab.topology import CENTRE
from tests.namespaces.packets import MakeStation


def diagnose(here: Station, uplink: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """As an operator does, with no agent running; the centre's machine is there, its programs are not."""
    names = here.topology.uplinks
    config = {
        "station": "6408042001143",
        "uplinks": [{"name": name, "interface": here.topology.line(name).device, "kind": name} for name in names],
        "targets": list(TARGETS),
        "centre": {"broker": f"mqtt://{CENTRE}"},
        "state_dir": str(folder / "state"),
    }
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "agent", "diagnose", uplink, "--json", "--config", str(path), *arguments]
    started = here.start("tps", command, stdout=subprocess.PIPE, text=True)
    printed, _ = started.communicate(timeout=30)
    return dict(json.loads(printed))


def looks(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {look["layer"]: look for look in report["looks"]}


@pytest.mark.parametrize("family", [4, 6])
def test_a_satellite_link_is_slow_and_good(family: int, station: MakeStation, tmp_path: Path) -> None:
    here = station(fibre={"delay_ms": 4}, geo={"delay_ms": 300})
    line = here.topology.line("geo")
    report = diagnose(here, "geo", tmp_path, f"--family=ipv{family}")
    seen = looks(report)
    assert seen["gateway"]["outcome"] == "gateway answers"
    if family == 4:  # the lab's targets are IPv4
        facts = seen["internet"]["facts"]
        assert seen["internet"]["outcome"] == "all targets answer"
        assert facts["way"] == f"1 {line.gateway('home')} · 2 {TARGETS[0]}"
        assert 590 < facts["ms"] < 800
        assert seen["mtu"]["outcome"] == "whole packets pass"
        assert report["evidence"]["code"] == "CENTRE_REFUSES"
        assert report["evidence"]["took_s"] < 15


def test_a_cut_behind_the_first_hop_is_found_behind_the_first_hop(station: MakeStation, tmp_path: Path) -> None:
    here = station(fibre={"delay_ms": 4}, geo={"delay_ms": 300})
    here.set_weather("fibre", {"blackhole": True})
    told = diagnose(here, "fibre", tmp_path)["evidence"]
    assert (told["code"], told["last_hop"]) == ("CORE_SILENT", 1)
    assert told["last_address"] == here.topology.line("fibre").gateway("home")


def test_nothing_leaves_by_another_uplink(station: MakeStation, tmp_path: Path) -> None:
    """The other one has the better route, and carries not one packet."""
    here = station(fibre={"delay_ms": 4}, geo={"delay_ms": 20})
    counters = "".join(f'oifname "{here.topology.line(name).device}" counter\n' for name in ("fibre", "geo"))
    chain = "chain out { type filter hook postrouting priority 0; meta nfproto ipv4 jump count\n}"
    (tmp_path / "count.nft").write_text(f"table inet seen {{ chain count {{\n{counters}}}\n{chain}\n}}\n")
    here.run("tps", ["nft", "-f", str(tmp_path / "count.nft")])
    report = diagnose(here, "geo", tmp_path)
    assert looks(report)["internet"]["outcome"] == "all targets answer"
    listed = here.run("tps", ["nft", "list", "chain", "inet", "seen", "count"])
    fibre, geo = (int(found) for found in re.findall(r"packets (\d+)", listed))
    assert fibre == 0
    assert geo > 10
