"""The queues before a thin uplink in a real kernel: set, changed, put back, taken away, and nobody else's touched."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from socket import if_nametoindex

import pytest

from agent.core.events import Event, Queued, RoutesRefused, RoutesRepaired
from agent.core.lanes import Shape, Standing, tc_text
from agent.core.plan import Policy
from agent.core.routes import Link, Wish, wish
from agent.core.station import Centre, Family, Kind, Lan, Metered, Nat, Station, Uplink
from agent.edge import shaper
from agent.edge.kernel import Kernel, clean_up
from agent.edge.netlink import Netlink
from agent.edge.shaper import Shaper
from tests.edge.conftest import become
from tests.edge.link import FAR, NEAR, ip, wire
from wire.messages import Active

V4 = Family.IPV4
FOREIGN = "root handle 77: tbf rate 5mbit burst 10kb limit 50kb"


@pytest.fixture
def shape(cell: None) -> Iterator[Shape]:  # noqa: ARG001
    with wire("wan0"):
        yield Shape("wan0", if_nametoindex("wan0"), 1000, 1000)


@pytest.fixture
def heard() -> list[Event]:
    return []


def tc(command: str) -> str:
    return subprocess.run(["tc", *command.split()], check=True, capture_output=True, text=True).stdout


def listed(device: str = "wan0") -> str:
    """Nothing in it changes while packets pass, but the count of those that met no class."""
    shown = tc(f"qdisc show dev {device}") + tc(f"class show dev {device}")
    words = shown.replace("direct_packets_stat ", "direct_packets_stat_").split(" ")
    return " ".join(sorted(word for word in words if not word.startswith("direct_packets_stat_")))


def test_what_is_wished_stands_and_to_wish_it_again_changes_nothing(shape: Shape, heard: list[Event]) -> None:
    async def run() -> None:
        before = listed()
        shaping = Shaper(heard.append)
        await shaping.want((shape,))
        made = tc("qdisc show dev wan0") + tc("class show dev wan0")
        assert "qdisc htb 51a9: root" in made
        assert made.count("class htb") == 4
        for _ in range(3):
            await shaping.want((shape,))
        assert tc("qdisc show dev wan0") + tc("class show dev wan0") == made
        assert heard == [Queued("wan0", None)]
        await shaping.want(())
        assert listed() == before

    asyncio.run(run())


def test_another_width_replaces_the_queues_and_nobody_is_accused(shape: Shape, heard: list[Event]) -> None:
    async def run() -> None:
        shaping = Shaper(heard.append)
        low = replace(shape, rest_kbps=90)
        await shaping.want((shape,))
        first = listed()
        await shaping.want((low,))
        assert "ceil 90Kbit" in tc("class show dev wan0")
        await shaping.want((shape,))
        assert listed() == first
        assert heard == [Queued("wan0", None)]

    asyncio.run(run())


def test_a_new_agent_ends_in_the_same_queues_as_the_one_before(shape: Shape, heard: list[Event]) -> None:
    async def run() -> None:
        await Shaper(heard.append).want((shape,))
        first = listed()
        await Shaper(heard.append).want((shape,))
        assert listed() == first

    asyncio.run(run())


def test_the_qdisc_of_another_program_is_left_alone_until_it_goes(shape: Shape, heard: list[Event]) -> None:
    tc(f"qdisc add dev wan0 {FOREIGN}")
    before = listed()

    async def run() -> None:
        shaping = Shaper(heard.append)
        await shaping.want((shape,))
        await shaping.want((shape,))
        assert listed() == before
        assert heard == [Queued("wan0", "another program has set the qdisc tbf on wan0")]
        tc("qdisc del dev wan0 root")
        await shaping.want((shape,))
        assert "htb" not in listed()  # it waits, lest two programs fight each second
        shaping._again_at.clear()
        await shaping.want((shape,))
        assert "htb" in listed()
        assert heard[1:] == [Queued("wan0", None)]

    asyncio.run(run())


def test_an_htb_of_another_program_is_not_ours(shape: Shape, heard: list[Event]) -> None:
    tc("qdisc add dev wan0 root handle 1: htb default 3")
    before = listed()

    async def run() -> None:
        await Shaper(heard.append).want((shape,))
        await Shaper(heard.append).want(())
        shaper.remove()
        assert listed() == before

    asyncio.run(run())
    assert [event.unqueued is None for event in heard if isinstance(event, Queued)] == [False]


def test_who_takes_the_place_of_our_queues_keeps_it(shape: Shape, heard: list[Event]) -> None:
    async def run() -> None:
        shaping = Shaper(heard.append)
        await shaping.want((shape,))
        tc("qdisc del dev wan0 root")
        tc(f"qdisc add dev wan0 {FOREIGN}")
        foreign = listed()
        await shaping.want((shape,))
        assert listed() == foreign
        assert heard[-1] == Queued("wan0", "another program has set the qdisc tbf on wan0")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: text.replace("htb default", "nosuch default"), "tc: Unknown qdisc"),
        (lambda text: text.replace("51a9:3 htb", "51a9:3 hfsc"), "tc: "),
        (lambda text: text + "qdisc add dev wan0 parent 51a9:99 pfifo\n", "tc: "),
    ],
    ids=["no HTB", "refused half way", "refused at the end"],
)
def test_what_the_kernel_refuses_is_told_and_leaves_nothing_half_done(
    shape: Shape,
    heard: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[str], str],
    complaint: str,
) -> None:
    before = listed()
    monkeypatch.setattr(shaper, "tc_text", lambda wanted: damage(tc_text(wanted)))
    asyncio.run(Shaper(heard.append).want((shape,)))
    assert listed() == before
    (told,) = heard
    assert isinstance(told, Queued)
    assert str(told.unqueued).startswith(complaint)
    assert "\n" not in str(told.unqueued)


def test_without_the_command_tc_it_is_told_and_nothing_breaks(
    shape: Shape, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    asyncio.run(Shaper(heard.append).want((shape,)))
    assert heard == [Queued("wan0", "the command tc is not installed")]


def test_an_interface_that_has_just_gone_is_nobodys_refusal(shape: Shape, heard: list[Event]) -> None:
    ip("link", "delete", "wan0")
    asyncio.run(Shaper(heard.append).want((shape,)))
    assert heard == []


def test_an_interface_that_is_down_has_its_queues_when_it_comes_up(shape: Shape, heard: list[Event]) -> None:
    ip("link", "set", "wan0", "down")
    asyncio.run(Shaper(heard.append).want((shape,)))
    ip("link", "set", "wan0", "up")
    assert heard == [Queued("wan0", None)]
    assert "htb" in listed()


# The kernel's edge as a whole


@pytest.fixture
def station(shape: Shape, tmp_path: Path) -> Iterator[Station]:
    with ExitStack() as built:
        ip("link", "add", "lan0", "type", "veth")
        built.callback(ip, "link", "delete", "lan0")
        yield Station(
            "6408042001143",
            (Uplink("lte", shape.interface, Kind.LTE, metered=Metered(3000), up_kbps=1000),),
            ("198.51.100.1",),
            Centre("mqtt://198.51.100.10"),
            Lan(("lan0",), Nat.MANAGED),
            state_dir=str(tmp_path),
        )


def wanted(station: Station, policy: Policy) -> Wish:
    link = Link("wan0", True, ((V4, NEAR),), ((V4, FAR),), if_nametoindex("wan0"))
    return wish(station, (link,), Active("lte"), standings=[Standing(policy)])


async def kept(kernel: Kernel, wish: Wish) -> None:
    kernel.want(wish)
    await become(lambda: kernel._kept is not None and kernel._kept[0] == wish)
    await become(lambda: tuple(kernel._shaper._made) == wish.shapes)


@pytest.mark.parametrize(
    "damage",
    [
        "qdisc del dev wan0 root",
        "qdisc del dev wan0 parent 51a9:3 handle 51ad:",
        "class change dev wan0 parent 51a9:10 classid 51a9:3 htb rate 500kbit ceil 900kbit",
        "class add dev wan0 parent 51a9:10 classid 51a9:7 htb rate 5kbit",
        "qdisc replace dev wan0 parent 51a9:1 handle 51ab: tbf rate 9gbit burst 3028b limit 9999b",
    ],
)
def test_queues_that_somebody_changed_are_put_back_and_told(station: Station, heard: list[Event], damage: str) -> None:
    async def run() -> None:
        kernel = Kernel(station, heard.append)
        task = asyncio.create_task(kernel.run())
        try:
            await kept(kernel, wanted(station, Policy.OPEN))
            before = listed()
            tc(damage)
            assert listed() != before
            await become(lambda: listed() == before, 5)  # sooner than it looks by itself
            await become(lambda: any(isinstance(event, RoutesRepaired) for event in heard))
            assert not any(isinstance(event, RoutesRefused) for event in heard)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await clean_up(station)

    asyncio.run(run())


@pytest.mark.usefixtures("cell")
def test_a_change_of_queues_is_heard() -> None:
    """Nothing else stirs here; the agent would look by itself after ten seconds."""

    async def run() -> None:
        changes = Netlink().changes()
        await anext(changes)
        tc("qdisc add dev lo root tbf rate 5mbit burst 10kb limit 50kb")
        async with asyncio.timeout(5):
            await anext(changes)
        await changes.aclose()

    asyncio.run(run())


def test_cleaning_up_leaves_the_kernel_byte_for_byte_as_it_was(station: Station, heard: list[Event]) -> None:
    def everything() -> str:
        ruleset = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
        return tc("qdisc show") + tc("class show dev wan0") + ruleset + ip("rule") + ip("-6", "rule")

    before = everything()

    async def run() -> None:
        kernel = Kernel(station, heard.append)
        task = asyncio.create_task(kernel.run())
        for policy in (Policy.OPEN, Policy.LOW, Policy.RESERVE):
            await kept(kernel, wanted(station, policy))
        assert "htb 51a9:" in everything()
        assert "chain refuse" in everything()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ip("link", "set", "wan0", "down")  # who cleans up need not find it as it was, nor by the same name
        ip("link", "set", "wan0", "name", "wan7")
        await clean_up(station)
        await clean_up(station)
        ip("link", "set", "wan7", "name", "wan0")
        ip("link", "set", "wan0", "up")

    asyncio.run(run())
    assert everything() == before
