"""A thousand switches in a row leave nothing behind: no memory, no descriptor, no rule, no flow."""

import asyncio
import gc
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.core.events import Event, HandedOver
from agent.core.flows import Flows
from agent.core.routes import Link, Wish, wish
from agent.core.station import Centre, Family, Kind, Lan, Nat, Station, Uplink
from agent.edge import kernel, netlink
from agent.edge.kernel import Kernel, clean_up
from agent.edge.netlink import Netlink
from tests.edge.conftest import become
from tests.edge.link import FAR, ip, wire
from wire.messages import Active

SWITCHES, WARM_UP = 1000, 100
OBJECTS_MORE, KIB_MORE = SWITCHES // 10, 4 * SWITCHES  # less than one of each for a switch; pages are never exact
FLOWS_ON_THE_WAY = 10
PLACES = (0, 1)


@pytest.fixture
def station(cell: None, tmp_path: Path) -> Iterator[Station]:  # noqa: ARG001
    with ExitStack() as built:
        for place in PLACES:
            built.enter_context(wire(f"wan{place}"))
            ip("address", "add", f"198.18.{place + 1}.2/24", "dev", f"wan{place}")
        ip("link", "add", "lan0", "type", "veth")
        uplinks = tuple(Uplink(f"u{place}", f"wan{place}", Kind.FIBRE) for place in PLACES)
        centre, lan = Centre("mqtt://198.51.100.10"), Lan(("lan0",), Nat.MANAGED)
        yield Station("6408042001143", uplinks, (FAR,), centre, lan, state_dir=str(tmp_path))


def chosen(station: Station, place: int) -> Wish:
    """IPv4 by one uplink, while the other's flows must leave it."""
    links = tuple(
        Link(
            f"wan{each}",
            True,
            ((Family.IPV4, f"198.18.{each + 1}.2"),),
            ((Family.IPV4, f"198.18.{each + 1}.1"),),
            socket.if_nametoindex(f"wan{each}"),
        )
        for each in PLACES
    )
    flows = tuple(Flows.STAY if each == place else Flows.LEAVE for each in PLACES)
    return wish(station, links, Active(f"u{place}", f"u{place}"), {Family.IPV4: flows})


def things() -> dict[str, object]:
    """Whatever a leak would add to."""
    return {
        "rules": ip("-4", "rule") + ip("-6", "rule"),
        "routes": ip("-4", "route", "show", "table", "all") + ip("-6", "route", "show", "table", "all"),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "children": "".join(task.joinpath("children").read_text() for task in Path("/proc/self/task").iterdir()),
        "nft": subprocess.run(["nft", "--stateless", "list", "ruleset"], capture_output=True, check=True).stdout,
    }


def flows() -> int:
    return int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())


def memory() -> tuple[int, int]:
    """Python's objects, and KiB of this process alone."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return len(gc.get_objects()), next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))


def begin_flow(place: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.bind((f"198.18.{place + 1}.2", 0))
        sending.sendto(b"?", (f"198.18.{place + 1}.1", 9))


async def switch(working: Kernel, speaking: Netlink, wishes: list[Wish], times: int) -> None:
    """One round of the kernel's own loop for each, without the waits between them."""
    for n in range(times):
        begin_flow((n + 1) % 2)
        working.want(wishes[n % 2])
        await working._act(speaking)
        assert working._kept is not None
        assert working._kept[0] == wishes[n % 2]


def test_a_thousand_switches_leave_nothing_behind(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ANSWER_S", 0.0)
    monkeypatch.setattr(netlink, "IPV6_FILE", Path("/no/such/file"))  # half of the time
    handed_over = 0

    def hear(event: Event) -> None:
        nonlocal handed_over
        handed_over += isinstance(event, HandedOver) and event.moved

    async def run() -> tuple[dict[str, object], dict[str, object], list[int]]:
        working, wishes = Kernel(station, hear), [chosen(station, place) for place in PLACES]
        try:
            async with Netlink() as speaking:
                await switch(working, speaking, wishes, WARM_UP)
                before, held = things(), memory()
                await switch(working, speaking, wishes, SWITCHES)
                await become(
                    lambda: flows() <= FLOWS_ON_THE_WAY, 30
                )  # the kernel frees what is deleted in its own time
                return before, things(), [now - then for then, now in zip(held, memory(), strict=True)]
        finally:
            await clean_up(station)

    before, after, grown = asyncio.run(run())
    assert handed_over == WARM_UP + SWITCHES
    assert after == before
    assert grown[0] < OBJECTS_MORE
    assert grown[1] < KIB_MORE
