"""After `cleanup` the machine is as it was, byte for byte: rules, routes, nft, queues, and its network's switches."""

from __future__ import annotations

import difflib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.namespaces.ground import Ground, add_foreign, ground
from tests.namespaces.packets import wait_until
from tests.namespaces.truth import NETWORK, flaws

COMMANDS = (
    "ip -4 rule",
    "ip -6 rule",
    "ip -d -4 route show table all",
    "ip -d -6 route show table all",
    "nft --stateless list ruleset",
    "tc qdisc",
)
BEGINNINGS = {
    "as it came": {},
    "strict, and forwarding for a single interface": {
        "ipv4/conf/all/rp_filter": "1",
        "ipv4/conf/default/rp_filter": "1",
        "ipv4/conf/wan0/ignore_routes_with_linkdown": "1",
        "ipv4/conf/lan0/forwarding": "1",
        "ipv6/conf/lan0/forwarding": "1",
    },
    "one uplink strict, redirects refused, no router advertisements": {
        "ipv4/conf/wan0/rp_filter": "1",
        "ipv4/conf/all/accept_redirects": "0",
        "ipv6/conf/wan0/accept_ra": "0",
        "ipv6/conf/wan1/accept_ra": "2",
    },
    "forwarding already, but for one": {
        "ipv4/ip_forward": "1",
        "ipv4/conf/other0/forwarding": "0",
        "ipv6/conf/all/forwarding": "1",
    },
}


@pytest.fixture
def begun(cell: None, tmp_path: Path, beginning: str) -> Iterator[Ground]:  # noqa: ARG001
    with ground(tmp_path) as made:
        add_foreign()
        for key, value in BEGINNINGS[beginning].items():
            (NETWORK / key).write_text(value)
        yield made


def dump() -> list[str]:
    """Everything that a run of ours may touch, and more."""
    lines = []
    for command in COMMANDS:
        shown = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        lines += [f"{command}: {line}" for line in shown.splitlines()]
    switches = [path for path in sorted(NETWORK.rglob("*")) if path.is_file() and path.stat().st_mode & 0o600 == 0o600]
    return lines + [f"{path} = {_read(path)}" for path in switches if "neigh" not in path.parts]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as why:
        return str(why)


def differences(before: list[str]) -> list[str]:
    return [
        line for line in difflib.unified_diff(before, dump(), lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
    ]


def lived(begun: Ground) -> None:
    """A run with some switches, and its end by kill -9."""
    begun.start()
    wait_until(lambda: not flaws(begun))
    for name in ("lte", "fibre", "lte"):
        begun.ask(do="move", uplink=name, for_s=None)
        wait_until(lambda name=name: begun.active() == name and not flaws(begun))
    begun.end(signal.SIGKILL)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_cleanup_leaves_everything_as_it_was(begun: Ground) -> None:
    before = dump()
    lived(begun)
    assert differences(before)
    done = begun.run("cleanup")
    assert (done.returncode, done.stderr) == (0, "")
    assert differences(before) == []
    assert begun.run("cleanup").returncode == 0
    assert differences(before) == []
