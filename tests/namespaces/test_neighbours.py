"""Other network managers at work beside the agent: neither breaks the rules and routes of the other for long."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import scenario
from lab.netns import Station
from lab.programs import Programs
from tests.namespaces import neighbours_fetch
from tests.namespaces.neighbours import (
    SLOW_S,
    BareNetworkd,
    Dhcpcd,
    House,
    Manager,
    Networkd,
    NetworkManager,
    Provider,
)
from tests.namespaces.neighbours_kernel import Kernel, but_for_the_choice, without_metrics
from tests.namespaces.packets import wait_until

SOON_S = 5.0  # far below the ten seconds after which the agent looks by itself
_number = itertools.count()
UPLINKS = ("fibre", "lte")
STORY = scenario.read(
    """
title: two uplinks whose addresses come from their providers
uplinks:
  fibre: {kind: fibre, weather: {delay_ms: 2}}
  lte: {kind: lte, weather: {delay_ms: 4}}
lasts_s: 1
timeline: []
expect: [{moves: 0}]
"""
)


def of(*kinds: type[Manager]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


def none_of(flaws: Callable[[], set[str]], patience_s: float) -> None:
    """Waits until there are none; when they stay, says which."""
    try:
        wait_until(lambda: not flaws(), patience_s)
    except AssertionError:
        assert flaws() == set()


class Neighbours:
    """A station whose uplinks have no address yet; providers that give one; a network manager, and the agent."""

    def __init__(self, station: Station, folder: Path) -> None:
        self._station, self._folder = station, folder
        for device in ("lan0", *(line.device for line in station.topology.lines)):
            station.run("tps", ["ip", "address", "flush", "dev", device, "scope", "global"])
            station.run("tps", ["ip", "-6", "route", "flush", "default", "dev", device])
        self._house = House(station, Path("/run") / f"{station.topology.prefix}house", folder / "logs")
        self.kernel = Kernel(station, folder)
        self._programs = Programs(station, STORY, folder)

    def start(self, kind: type[Manager]) -> Manager:
        """The manager, at once; its providers may be a little later."""
        self.providers = [Provider(self._station, self._house, name) for name in UPLINKS]
        self.manager = kind(self._house)
        self.manager.start()
        return self.manager

    def start_agent(self) -> None:
        """And wait for its first rules: how long a program takes to load is not what is tried here."""
        self._programs.start_agent()
        wait_until(lambda: self.is_told("AGENT_STARTED"), SLOW_S)

    def is_told(self, code: str) -> bool:
        return code in (self._folder / "siaga-agent.log").read_text()

    def become_whole(self) -> None:
        """The manager may take its time to bring both uplinks; the agent may not, but for what must be proven."""
        wait_until(self.kernel.has_both_ways, SLOW_S)
        none_of(self.kernel.urgent_flaws, SOON_S)
        none_of(self.kernel.flaws, SLOW_S)

    def lease(self, uplink: int = 0, more: int = 1, by: object = lambda: None) -> None:
        before = self.providers[uplink].leases
        assert callable(by)
        by()
        wait_until(lambda: self.providers[uplink].leases >= before + more, SLOW_S)

    def renew(self) -> None:
        """Twice: when the second is granted, the manager is done with the first."""
        for _ in range(2):
            self.lease(by=lambda: self.manager.renew("wan0"))


@pytest.fixture
def neighbours(cell: None, tmp_path: Path) -> Iterator[Neighbours]:  # noqa: ARG001
    if not neighbours_fetch.is_ready():
        (pytest.fail if "CI" in os.environ else pytest.skip)(neighbours_fetch.why_not())
    with Station.of(STORY, prefix=f"n{os.getpid()}-{next(_number)}-") as station:
        yield Neighbours(station, tmp_path)


@pytest.fixture
def settled(neighbours: Neighbours, kind: type[Manager]) -> Neighbours:
    """The manager was there first."""
    neighbours.start(kind)
    wait_until(neighbours.kernel.has_both_ways, SLOW_S)
    neighbours.start_agent()
    neighbours.become_whole()
    return neighbours


@of(Networkd, NetworkManager, Dhcpcd)
def test_the_first_leases_come_to_an_agent_that_waits_for_them(neighbours: Neighbours, kind: type[Manager]) -> None:
    neighbours.start_agent()
    wait_until(lambda: bool(neighbours.kernel.ours()), SLOW_S)
    neighbours.start(kind)
    neighbours.become_whole()


@of(Networkd, Dhcpcd)
def test_a_renewed_lease_changes_nothing(settled: Neighbours) -> None:
    before = settled.kernel.ours(), settled.kernel.others()
    settled.renew()
    assert (settled.kernel.ours(), settled.kernel.others()) == before
    assert settled.kernel.taken() == []


@of(NetworkManager)
def test_a_connection_that_is_applied_again_changes_nothing(settled: Neighbours) -> None:
    before = settled.kernel.ours(), settled.kernel.others()
    assert isinstance(settled.manager, NetworkManager)
    settled.manager.reapply("wan0")
    assert (settled.kernel.ours(), settled.kernel.others()) == before
    assert settled.kernel.taken() == []


@of(Networkd, NetworkManager, Dhcpcd)
def test_a_renewed_lease_brings_another_gateway(settled: Neighbours) -> None:
    old, others = settled.kernel.gateways("-4")["wan0"], settled.kernel.others()
    new = settled.providers[0].move_gateway()
    settled.lease(by=lambda: settled.manager.renew("wan0"))
    wait_until(lambda: settled.kernel.gateways("-4")["wan0"] == new, SLOW_S)
    settled.become_whole()
    expected = without_metrics({line.replace(f"{old} ", f"{new} ") for line in others})
    wait_until(lambda: without_metrics(settled.kernel.others()) == expected, SLOW_S)
    assert any(f"via {new} dev wan0 table" in line for line in settled.kernel.ours())


@of(BareNetworkd, Networkd, NetworkManager, Dhcpcd)
def test_an_uplink_that_is_configured_anew_ends_as_it_was(settled: Neighbours, kind: type[Manager]) -> None:
    ours, others = settled.kernel.ours(), settled.kernel.others()
    settled.lease(by=lambda: settled.manager.begin_again("wan0"))
    settled.become_whole()
    wait_until(lambda: without_metrics(settled.kernel.others()) == without_metrics(others), SLOW_S)
    assert but_for_the_choice(settled.kernel.ours()) == but_for_the_choice(ours)
    assert any("table 1001" in line for line in settled.kernel.taken()) == (kind is not Dhcpcd)


@of(BareNetworkd, Networkd)
def test_a_manager_that_is_restarted_leaves_ours(settled: Neighbours) -> None:
    manager, others = settled.manager, settled.kernel.others()
    assert isinstance(manager, BareNetworkd)
    settled.lease(by=manager.restart)
    settled.become_whole()
    wait_until(lambda: without_metrics(settled.kernel.others()) == without_metrics(others), SLOW_S)


@of(BareNetworkd)
def test_without_the_drop_in_rules_are_taken_put_back_and_told(settled: Neighbours) -> None:
    ours, others = settled.kernel.ours(), settled.kernel.others()
    settled.manager.begin_again("lan0")
    wait_until(lambda: settled.is_told("ROUTES_REPAIRED"), SOON_S)
    settled.become_whole()
    assert any("lookup 1000" in line for line in settled.kernel.taken())
    wait_until(lambda: (settled.kernel.ours(), settled.kernel.others()) == (ours, others), SOON_S)


@of(BareNetworkd)
def test_rules_that_are_taken_while_their_uplink_changes_are_told(settled: Neighbours) -> None:
    settled.lease(by=lambda: settled.manager.begin_again("wan0"))
    settled.become_whole()
    assert any("oif wan1" in line for line in settled.kernel.taken())
    wait_until(lambda: settled.is_told("ROUTES_REPAIRED"), 1.0)


@of(Networkd)
def test_with_the_drop_in_nothing_is_taken_for_another_link(settled: Neighbours) -> None:
    settled.manager.begin_again("lan0")
    settled.renew()
    assert settled.kernel.taken() == []
    assert not settled.is_told("ROUTES_REPAIRED")
