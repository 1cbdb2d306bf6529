"""Two links, one fate, with a real centre: behind one NAT it is told, behind two it is not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.namespace import within
from tests.central.centre import Centre, eventually
from tests.edge.link import ip, space
from tests.namespaces.ground import NAMES, Ground, ground
from tests.namespaces.packets import wait_until

CENTRE = "192.0.2.10"
ONE, OTHER = "203.0.113.7", "198.51.101.9"
TABLE = "203.0.113.0/24,64500,Telkom\n198.51.101.0/24,64501,Telkomsel\n"
SOON = (  # the agent as it is, but for the time that an uplink which has just come up is left in peace
    sys.executable,
    "-c",
    "import sys; from agent.core import sight; sight.SETTLED_S = 1.0; import agent.__main__ as a; sys.exit(a.main())",
    "run",
)
ASKED_S = 40.0


class FarCentre(Centre):
    @property
    def http(self) -> str:
        return f"{CENTRE}:8080"


def masquerade(addresses: tuple[str, str]) -> str:
    rules = " ".join(f"ip saddr 198.18.{n}.0/24 snat to {address};" for n, address in enumerate(addresses, 1))
    return f"table ip nat {{ chain out {{ type nat hook postrouting priority 100; {rules} }}; }}"


def give(where: str, device: str, address: str) -> None:
    ip("-n", where, "address", "add", f"{address}/24", "dev", device)
    ip("-n", where, "link", "set", device, "up")


@contextmanager
def centre_behind(here: Ground, folder: Path, addresses: tuple[str, str]) -> Iterator[None]:
    """Each far end reaches the centre through an operator's network that gives it one of these public addresses."""
    operators, centre = f"{here.name}-op", f"{here.name}-c"
    with ExitStack() as built:
        built.enter_context(space(operators))
        built.enter_context(space(centre))
        for wire in here.wires:
            inside, device = f"10.9.{wire.place}", f"in{wire.place}"
            ip("-n", wire.far, "link", "add", "way", "type", "veth", "peer", "name", device, "netns", operators)
            give(wire.far, "way", f"{inside}.2")
            give(operators, device, f"{inside}.1")
            ip("-n", wire.far, "route", "add", "default", "via", f"{inside}.1")
            ip("-n", operators, "route", "add", f"198.18.{wire.place + 1}.0/24", "via", f"{inside}.2")
        ip("-n", operators, "link", "add", "out", "type", "veth", "peer", "name", "net", "netns", centre)
        give(operators, "out", "192.0.2.1")
        give(centre, "net", CENTRE)
        ip("-n", centre, "route", "add", "default", "via", "192.0.2.1")
        for name in (operators, *(wire.far for wire in here.wires)):
            with within(name):
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        with within(operators):
            rules = masquerade(addresses)
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        table = folder / "networks.csv"
        table.write_text(TABLE)
        file = folder / "central.yaml"
        file.write_text(f"networks: {table}\n")
        with within(centre):
            running = FarCentre(folder, "--config", str(file))
            built.callback(running.end)
            running.start()
        eventually(lambda: running.output)
        yield


@contextmanager
def asking(here: Ground, folder: Path, addresses: tuple[str, str]) -> Iterator[None]:
    config: dict[str, Any] = yaml.safe_load(here.config.read_text())
    config["check"] = {"http": f"http://{CENTRE}:8080/siaga/check", "body": "siaga check\n"}
    here.config.write_text(yaml.safe_dump(config))
    with centre_behind(here, folder, addresses):
        here.start(SOON)
        here.settle()
        yield
        here.end()


@pytest.fixture
def here(cell: None, tmp_path: Path) -> Iterator[Ground]:  # noqa: ARG001
    with ground(tmp_path / "ground") as made:
        yield made


def public(here: Ground) -> dict[str, list[tuple[Any, ...]]]:
    status = here.status() or {"uplinks": []}
    return {
        uplink["name"]: [(seen["address"], seen.get("asn"), seen.get("operator")) for seen in uplink["public"]]
        for uplink in status["uplinks"]
        if uplink["public"]
    }


def both_are_seen(here: Ground) -> Callable[[], bool]:
    return lambda: public(here).keys() == set(NAMES)


def test_two_uplinks_behind_one_nat_are_one_fate(here: Ground, tmp_path: Path) -> None:
    with asking(here, tmp_path, (ONE, ONE)):
        wait_until(both_are_seen(here), ASKED_S)
        wait_until(lambda: "ONE_FATE" in here.told(), ASKED_S)
        assert set(map(tuple, public(here).values())) == {((ONE, 64500, "Telkom"),)}
        told = f"ONE_FATE lte: fibre and lte go out by the same public address, {ONE} (AS64500 Telkom, ipv4)"
        assert told in here.told()
        shown = here.run("status").stdout
        assert f"lte as the centre sees it: {ONE} (AS64500 Telkom)" in shown


def test_two_uplinks_behind_two_are_not(here: Ground, tmp_path: Path) -> None:
    with asking(here, tmp_path, (ONE, OTHER)):
        wait_until(both_are_seen(here), ASKED_S)
        assert public(here) == {"fibre": [(ONE, 64500, "Telkom")], "lte": [(OTHER, 64501, "Telkomsel")]}
        assert "ONE_FATE" not in here.told()
