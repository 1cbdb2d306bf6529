"""A VPN over an uplink: our rules let it do its work, and it moves with the traffic."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.routes import ACTIVE_TABLE, SPECIFIC_FIRST
from lab import scenario
from lab.netns import Station
from lab.programs import Programs
from tests.namespaces import neighbours_fetch
from tests.namespaces.neighbours import SLOW_S, House
from tests.namespaces.neighbours_vpn import Tunnel
from tests.namespaces.packets import answers, wait_until

STICKS_S = 8.0  # by itself WireGuard gives up the way that it knew after 15 s without an answer
_number = itertools.count()
STORY = scenario.read(
    """
title: a station with a VPN
uplinks:
  fibre: {kind: fibre, weather: {delay_ms: 4}}
  lte: {kind: lte, weather: {delay_ms: 8}}
lasts_s: 1
timeline: []
expect: [{moves: 0}]
"""
)


class Vpn:
    def __init__(self, station: Station, folder: Path) -> None:
        self.station, self._folder = station, folder
        house = House(station, Path("/run") / f"{station.topology.prefix}house", folder / "logs")
        self.tunnel = Tunnel(station, house)
        self._programs = Programs(station, STORY, folder)

    def start_agent(self) -> None:
        self._programs.start_agent()
        wait_until(self.is_good, SLOW_S)

    def is_good(self) -> bool:
        status = self._programs.status()
        return status is not None and all(uplink.health == "up" for uplink in status.uplinks)

    def active(self) -> str:
        shown = self.station.run("tps", ["ip", "route", "show", "table", str(ACTIVE_TABLE)])
        return shown.split("dev ")[1].split()[0]

    def rules(self) -> str:
        return self.station.run("tps", ["ip", "rule"])


@pytest.fixture
def vpn(cell: None, tmp_path: Path) -> Iterator[Vpn]:  # noqa: ARG001
    if not neighbours_fetch.is_ready():
        (pytest.fail if "CI" in os.environ else pytest.skip)(neighbours_fetch.why_not())
    with Station.of(STORY, prefix=f"v{os.getpid()}-{next(_number)}-") as station:
        yield Vpn(station, tmp_path)


@pytest.fixture(params=["before the agent", "after the agent"])
def tunnelled(vpn: Vpn, request: pytest.FixtureRequest) -> Iterator[Vpn]:
    """Both are there, and all traffic goes by the tunnel."""
    if request.param == "after the agent":
        vpn.start_agent()
    vpn.tunnel.up()
    try:
        if request.param == "before the agent":
            vpn.start_agent()
        wait_until(vpn.tunnel.carries, SLOW_S)
        yield vpn
    finally:
        vpn.tunnel.down()


def test_all_traffic_goes_by_the_tunnel_which_moves_with_it_and_our_echoes_go_by_their_uplinks(tunnelled: Vpn) -> None:
    tunnel, before = tunnelled.tunnel, tunnelled.tunnel.echoes()
    assert tunnel.carries("lan")
    assert (tunnel.comes_from(), tunnelled.active()) == ("198.18.1.2", "wan0")
    wait_until(lambda: tunnel.echoes()["isp0"] > before["isp0"], SLOW_S)
    tunnelled.station.set_weather("fibre", {"blackhole": True})
    wait_until(lambda: tunnelled.active() == "wan1", SLOW_S)
    wait_until(tunnel.carries, STICKS_S)
    wait_until(lambda: tunnel.comes_from() == "198.18.2.2", STICKS_S)
    assert tunnel.carries("lan")
    wait_until(lambda: tunnel.echoes()["isp1"] > before["isp1"], SLOW_S)
    assert tunnel.echoes()["peer"] == 0


def test_a_tunnel_that_ends_leaves_the_station_online(vpn: Vpn) -> None:
    """wg-quick takes every rule away that looks like its own, and one of ours does."""
    vpn.start_agent()
    vpn.tunnel.up()
    wait_until(vpn.tunnel.carries, SLOW_S)
    vpn.tunnel.down()
    wait_until(lambda: f"{SPECIFIC_FIRST}:" in vpn.rules())
    assert answers(vpn.station, "lan", "198.51.100.20") > 0
