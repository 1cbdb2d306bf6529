"""Addresses, gateways, names and devices come and go under the agent: each is followed at once, and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.routes import BY_CHOICE
from tests.edge.link import ip
from tests.namespaces.ground import SOON_S, START_S, Ground, ground
from tests.namespaces.packets import wait_until
from tests.namespaces.truth import NETWORK, OPTION, Ear, flaws, read, way


@pytest.fixture
def here(cell: None, tmp_path: Path) -> Iterator[Ground]:  # noqa: ARG001
    with ground(tmp_path) as made:
        made.start()
        wait_until(lambda: made.health("fibre") == "up" and not flaws(made), START_S)
        yield made


def followed(here: Ground, *codes: str) -> None:
    """Everything is as it must be, the facts are told, and nothing was refused."""
    wait_until(lambda: not flaws(here) and all(code in here.told() for code in codes), SOON_S)
    assert "ROUTES_REFUSED" not in here.told()


def gateway(table: int) -> str:
    return ip("route", "show", "default", "table", str(table)).split("via ")[1].split()[0]


def test_a_renamed_interface_is_followed_and_its_switches_are_put_back_under_its_new_name(here: Ground) -> None:
    wire = here.wires[0]
    ip("link", "set", "wan0", "down")
    ip("link", "set", "wan0", "name", "usb0")
    wire.device = "usb0"
    wire.configure()
    followed(here, "INTERFACE_RENAMED fibre: wan0 -> usb0")
    here.end()
    assert here.run("cleanup").returncode == 0
    assert read("ipv4/conf/usb0/ignore_routes_with_linkdown") == "0"
    assert read("ipv6/conf/usb0/accept_ra") == "1"


def test_an_interface_that_returns_with_another_index_is_measured_and_used_again(here: Ground) -> None:
    wire = here.wires[0]
    before = ip("link", "show", "wan0").split(":")[0]
    wire.unplug()
    followed(here, "UPLINK_DEAD fibre")
    assert way("-4") == way("-6") == "wan1"
    wire.plug()
    wire.configure()
    assert ip("link", "show", "wan0").split(":")[0] != before
    followed(here)
    with closing(Ear()) as ear:
        wait_until(lambda: any(device == "wan0" for device, _, _ in ear.echoes()), SOON_S)


def test_a_better_default_on_the_same_device_is_followed_there_and_back(here: Ground) -> None:
    first, second = here.wires[0].gateway4, here.wires[0].other_gateway4
    ip("route", "add", "default", "via", second, "dev", "wan0", "metric", "7")
    followed(here, f"GATEWAY_CHANGED fibre: {first} -> {second}")
    assert gateway(1000) == gateway(1001) == second
    ip("route", "del", "default", "via", second, "dev", "wan0", "metric", "7")
    followed(here, f"GATEWAY_CHANGED fibre: {second} -> {first}")
    assert gateway(1000) == gateway(1001) == first


def test_a_worse_default_on_the_same_device_changes_nothing(here: Ground) -> None:
    ip("route", "add", "default", "via", here.wires[0].other_gateway4, "dev", "wan0", "metric", "7000")
    followed(here)
    assert gateway(1000) == here.wires[0].gateway4
    assert "GATEWAY_CHANGED" not in here.told()


@pytest.mark.parametrize(("option", "family"), [("-4", "ipv4"), ("-6", "ipv6")])
def test_a_default_by_a_strange_device_is_told_and_not_used(here: Ground, option: str, family: str) -> None:
    ip(option, "route", "add", "default", "dev", "other0", "metric", "5")
    followed(here, "STRANGE_DEFAULT")
    assert way(option) == "wan0"
    assert family in here.told().split("STRANGE_DEFAULT")[1]


def test_another_address_is_followed(here: Ground) -> None:
    wire = here.wires[0]
    before, wire.host = wire.address, 7
    ip("address", "del", f"{before}/24", "dev", "wan0")
    wait_until(lambda: before not in ip("rule"))
    wire.configure()
    followed(here, f"ADDRESS_CHANGED fibre: {before} -> {wire.address}")


def test_a_default_that_is_deleted_and_added_again_moves_nothing(here: Ground) -> None:
    for _ in range(3):
        here.wires[0].renew()
    followed(here)
    assert here.told().count("TRAFFIC_MOVED") == 1
    assert "ROUTES_REPAIRED" not in here.told()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("switch", ["ipv4/conf/all/rp_filter", "ipv4/conf/wan0/rp_filter"])
def test_who_makes_rp_filter_strict_finds_it_loose_on_the_uplinks_at_once(switch: str) -> None:
    soon(lambda: NETWORK.joinpath(switch).write_text("1"), lambda: loose("wan0") and loose("wan1"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("switch", ["ipv4/ip_forward", "ipv6/conf/all/forwarding"])
def test_who_stops_forwarding_finds_it_on_at_once(switch: str) -> None:
    assert read(switch) == "1"
    soon(lambda: NETWORK.joinpath(switch).write_text("0"), lambda: read(switch) == "1")


def test_a_rule_that_is_taken_again_and_again_is_put_back_each_time_and_told_once(here: Ground) -> None:
    for _ in range(10):
        for option in OPTION.values():
            soon(
                lambda option=option: ip(option, "rule", "del", "priority", str(BY_CHOICE)),
                lambda option=option: f"{BY_CHOICE}:" in ip(option, "rule"),
            )
    wait_until(lambda: "ROUTES_REPAIRED" in here.told())
    assert here.told().count("ROUTES_REPAIRED") == 1


def soon(do: Callable[[], object], is_so: Callable[[], bool]) -> None:
    do()
    began = time.monotonic()
    wait_until(is_so, SOON_S)
    print(f"{time.monotonic() - began:.3f} s")


def loose(device: str) -> bool:
    return max(str(read(f"ipv4/conf/{name}/rp_filter")) for name in ("all", device)) != "1"


def test_a_gateway_outside_of_the_uplinks_network_is_taken_as_it_is_given(here: Ground) -> None:
    ip("route", "replace", "default", "via", "10.9.9.9", "dev", "wan0", "metric", "7", "onlink")
    followed(here, "GATEWAY_CHANGED fibre")
    assert gateway(1000) == "10.9.9.9"
