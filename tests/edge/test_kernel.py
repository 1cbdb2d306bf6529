"""Rules, routes and the nft table in a real kernel: the same end from any beginning, repaired, and taken away again."""

import asyncio
import random
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import Event, KernelSeen, RoutesRefused, RoutesRepaired
from agent.core.flows import Flows
from agent.core.routes import BY_CHOICE, Link, Wish, text, wish
from agent.core.station import Centre, Family, Kind, Lan, Nat, Station, Uplink
from agent.edge import nft
from agent.edge.kernel import FIGHT_S, REFUSED_S, REPAIRS_AT_ONCE, Kernel, clean_up
from agent.edge.netlink import Change, Netlink
from tests.edge.conftest import become
from tests.edge.link import FAR, FAR6, NEAR, far, ip, wire
from wire.messages import Active

DEVICES = ("wan0", "wan1")
V4, V6 = Family.IPV4, Family.IPV6


@pytest.fixture
def station(cell: None, tmp_path: Path) -> Iterator[Station]:  # noqa: ARG001
    """Two uplinks whose far ends stand behind different addresses of the same kind, and a LAN."""
    with ExitStack() as built:
        for n, device in enumerate(DEVICES):
            built.enter_context(wire(device))
            if n:
                ip("addr", "flush", "dev", device)
                ip("addr", "add", "198.18.1.2/24", "dev", device)
                ip("addr", "add", "2001:db8:2::2/64", "dev", device, "nodad")
        ip("link", "add", "lan0", "type", "veth")
        built.callback(ip, "link", "delete", "lan0")
        yield Station(
            "6408042001143",
            tuple(Uplink(f"u{n}", device, Kind.FIBRE) for n, device in enumerate(DEVICES)),
            ("198.51.100.1",),
            Centre("mqtt://198.51.100.10"),
            Lan(("lan0",), Nat.MANAGED),
            state_dir=str(tmp_path),
        )


def kernels_text() -> str:
    """All of ours, and anything else in our tables, as the kernel lists it."""
    lines = []
    for family in ("-4", "-6"):
        lines += [family + line for line in ip("-N", family, "rule").splitlines()]
        for table in range(1000, 1004):
            shown = subprocess.run(
                ["ip", "-N", family, "route", "show", "table", str(table)], capture_output=True, text=True, check=False
            )
            lines += [f"{family} {table} {line}" for line in shown.stdout.splitlines()]
    return "\n".join(" ".join(line.split()) for line in sorted(lines))


def wishes(station: Station) -> list[Wish]:
    """Every choice, with gateways that are there, other ones, the device itself, or none of a family."""
    gateways = {
        "wan0": (
            ((V4, FAR), (V6, FAR6)),
            ((V4, None), (V6, None)),
            ((V4, "198.18.0.9"), (V6, "fe80::9")),
            ((V4, FAR),),
        ),
        "wan1": (((V4, "198.18.1.1"), (V6, "2001:db8:2::1")), ((V6, "fe80::1"),), ()),
    }
    addresses = {"wan0": ((V4, NEAR),), "wan1": ((V4, "198.18.1.2"), (V6, "2001:db8:2::2"))}
    made = [Wish()]
    for first, second, active in product(gateways["wan0"], gateways["wan1"], (None, "u0", "u1")):
        links = (
            Link("wan0", True, addresses["wan0"], first, 2),
            Link("wan1", True, addresses["wan1"], second, 3),
        )
        made.append(wish(station, links, Active(active, active)))
    made += [wish(station, links, Active("u0", "u0"), dict.fromkeys(Family, (Flows.STAY, each))) for each in Flows]
    return made


def test_whatever_was_wished_before_the_same_wish_ends_in_the_same_rules_and_routes(station: Station) -> None:
    async def run() -> None:
        chance = random.Random(2)
        async with Netlink() as netlink:
            await netlink.picture(DEVICES)
            ends: dict[Wish, str] = {}
            for each in wishes(station):
                await netlink.make(Wish())
                _, refused = await netlink.make(each)
                assert refused == []
                ends[each] = kernels_text()
            order = [*wishes(station)] * 2
            chance.shuffle(order)
            for each in order:
                changed, refused = await netlink.make(each)
                assert refused == []
                assert kernels_text() == ends[each], text(each)
                changed, refused = await netlink.make(each)
                assert (changed, refused) == ([], [])

    asyncio.run(run())


def test_there_is_never_a_moment_without_a_default_route(station: Station) -> None:
    """Between any two steps of a switch the kernel finds a way to the outside."""

    async def run() -> None:
        usable = [each for each in wishes(station) if (V4, 1000) in {(r.family, r.table) for r in each.routes}]
        async with Netlink() as netlink:
            await netlink.picture(DEVICES)
            await netlink.make(usable[0])
            do = netlink._do

            async def watched(verb: str, thing: Any) -> str | None:
                why = await do(verb, thing)
                assert ip("route", "get", "203.0.113.77")
                return why

            netlink._do = watched  # type: ignore[method-assign]
            for each in usable * 2:
                await netlink.make(each)

    asyncio.run(run())


def test_a_picture_shows_what_the_kernel_has(station: Station) -> None:
    ip("route", "add", "default", "via", FAR, "dev", "wan0", "metric", "300")
    ip("route", "add", "default", "dev", "wan1", "metric", "100")
    ip("-6", "route", "add", "default", "via", "fe80::1", "dev", "wan0", "metric", "300")
    ip("route", "add", "default", "via", "198.18.0.9", "dev", "wan0", "metric", "900")

    async def run() -> KernelSeen:
        async with Netlink() as netlink:
            return await netlink.picture((*DEVICES, "wan9"))

    first, second, third = asyncio.run(run()).links
    assert first.gateways == ((V4, FAR), (V6, "fe80::1"))
    assert second.gateways == ((V4, None),)
    assert (V4, NEAR) in first.addresses
    assert first.carrier
    assert third == Link("wan9")
    assert station.uplinks


def test_a_nudge_is_heard_and_leaves_nothing(station: Station) -> None:
    async def run() -> None:
        async with Netlink() as netlink:
            await netlink.picture(DEVICES)
            await netlink.make(usual(station))
            before = kernels_text()
            changes = netlink.changes()
            await anext(changes)
            await netlink.nudge((V4, V6))
            async with asyncio.timeout(5):
                for _ in range(4):
                    await anext(changes)
            await changes.aclose()
            assert kernels_text() == before

    asyncio.run(run())


class Run:
    """A kernel edge at work, with the core's part played by the test."""

    def __init__(self, station: Station) -> None:
        self.events: list[Event] = []
        self.kernel = Kernel(station, self.events.append)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def at_work(station: Station, test: Callable[[Run], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        working = Run(station)
        task = asyncio.create_task(working.kernel.run())
        try:
            await become(lambda: bool(working.of(KernelSeen)))
            await test(working)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await clean_up(station)

    asyncio.run(run())


def usual(station: Station) -> Wish:
    links = (
        Link("wan0", True, ((V4, NEAR),), ((V4, FAR), (V6, FAR6)), 2),
        Link("wan1", True, ((V4, "198.18.1.2"),), ((V4, "198.18.1.1"),), 3),
    )
    return wish(station, links, Active("u0", "u0"))


async def kept(working: Run, wanted: Wish) -> str:
    """Wish it, and wait until the kernel has all of it; the kernel's text."""
    working.kernel.want(wanted)
    await become(lambda: working.kernel._kept is not None and working.kernel._kept[0] == wanted)
    return kernels_text()


@pytest.mark.parametrize(
    "damage",
    [
        [f"ip rule del priority {BY_CHOICE}"],
        ["ip -6 rule del priority 10000", "ip rule del priority 10200"],
        ["ip route flush table 1000"],
        ["ip route del default table 1001"],
        ["ip -6 route flush table 1001", "ip route flush table 1002", "ip rule flush protocol 119"],
        ["ip route replace default via 198.18.1.1 dev wan1 table 1000 proto 119"],
        ["ip route add default via 198.18.1.1 dev wan1 table 1000 metric 7 proto 119"],
        ["ip -6 route append default via fe80::9 dev wan1 table 1000 proto 119"],
        ["ip route add 192.0.2.0/24 via 198.18.1.1 dev wan1 table 1001 proto 119"],
        ["ip rule add priority 777 lookup 1002 protocol 119"],
        ["nft delete table inet siaga"],
        ["nft flush ruleset"],
        ["nft flush chain inet siaga postrouting"],
        ["nft add rule inet siaga count drop"],
    ],
    ids=lambda damage: damage[0],
)
def test_what_another_program_took_away_is_put_back_and_told(station: Station, damage: list[str]) -> None:
    async def test(working: Run) -> None:
        before, table = await kept(working, usual(station)), listed()
        for command in damage:
            subprocess.run(command.split(), check=True)
        async with asyncio.timeout(10):
            while not ((kernels_text(), listed()) == (before, table) and working.of(RoutesRepaired)):
                await asyncio.sleep(0.01)
        assert not working.of(RoutesRefused)

    at_work(station, test)


def test_in_a_fight_repairs_are_as_rare_as_declared(station: Station) -> None:
    async def test(working: Run) -> None:
        await kept(working, usual(station))
        repaired_at: list[float] = []
        while len(repaired_at) < REPAIRS_AT_ONCE + 3:
            told = len(working.of(RoutesRepaired))
            ip("rule", "del", "priority", str(BY_CHOICE))
            await become(lambda told=told: len(working.of(RoutesRepaired)) > told)  # type: ignore[misc]
            repaired_at.append(time.monotonic())
        later = repaired_at[REPAIRS_AT_ONCE:]
        assert later[-1] - repaired_at[REPAIRS_AT_ONCE - 1] > FIGHT_S

    at_work(station, test)


def test_nothing_is_told_when_nobody_meddles(station: Station) -> None:
    async def test(working: Run) -> None:
        for each in (usual(station), wishes(station)[2], usual(station)):
            await kept(working, each)
        assert not working.of(RoutesRepaired)
        assert not working.of(RoutesRefused)

    at_work(station, test)


def test_a_rule_of_anothers_like_ours_is_left_and_no_news(station: Station) -> None:
    """The kernel tells rules apart by their protocol number, when it adds one and when it removes one."""
    ip("rule", "add", "priority", str(BY_CHOICE), "lookup", "1000")
    before = ip("rule")

    async def test(working: Run) -> None:
        await kept(working, usual(station))
        last = working.kernel._kept
        ip("rule", "add", "priority", "700", "lookup", "77", "protocol", "7")  # a reason to look again
        await become(lambda: working.kernel._kept is not last)
        ip("rule", "flush", "protocol", "7")
        assert not working.of(RoutesRepaired)

    at_work(station, test)
    assert ip("rule") == before


def test_what_is_refused_for_a_moment_is_no_news_and_what_is_refused_for_long_is(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Netlink, __: Wish) -> tuple[list[Change], list[str]]:
        return [], ["add a rule: not now"]

    async def test(working: Run) -> None:
        with monkeypatch.context() as refusing:
            refusing.setattr(Netlink, "make", refuse)
            working.kernel.want(usual(station))
            await become(lambda: working.kernel._refused_since is not None)
        await kept(working, usual(station))
        assert not working.of(RoutesRefused)
        with monkeypatch.context() as refusing:
            refusing.setattr(Netlink, "make", refuse)
            since = time.monotonic()
            working.kernel.want(wishes(station)[2])
            await become(lambda: bool(working.of(RoutesRefused)))
        assert time.monotonic() - since >= REFUSED_S
        assert working.of(RoutesRefused)[0] == RoutesRefused("add a rule: not now")

    at_work(station, test)


def test_a_card_that_takes_nothing_does_not_keep_the_routes_away(station: Station) -> None:
    Path("/proc/sys/net/ipv4/conf/wan0/rp_filter").write_text("1")
    Path(station.state_dir).rmdir()

    async def test(working: Run) -> None:
        assert f"{BY_CHOICE}: from all lookup 1000" in await kept(working, usual(station))
        await become(lambda: bool(working.of(RoutesRefused)))
        assert "sysctls-before" in working.of(RoutesRefused)[0].why

    at_work(station, test)


def test_a_cable_that_is_pulled_is_seen(station: Station) -> None:
    async def test(working: Run) -> None:
        ip("-n", far("wan0"), "link", "set", "end", "down")
        # The kernel tells of a lost carrier at most once a second, and these links have only just come up.
        await become(lambda: not working.of(KernelSeen)[-1].links[0].carrier, 5)

    at_work(station, test)


@pytest.mark.usefixtures("cell")
def test_the_beginning_of_listening_is_a_reason_to_look_again() -> None:
    """What changed between the first picture and the listening socket is not heard; here nothing stirs at all."""

    async def run() -> None:
        changes = Netlink().changes()
        async with asyncio.timeout(5):
            await anext(changes)
        await changes.aclose()

    asyncio.run(run())


def test_what_an_earlier_run_decided_is_found(station: Station) -> None:
    async def test(working: Run) -> None:
        await kept(working, usual(station))
        found = Run(station)
        task = asyncio.create_task(found.kernel.run())
        await become(lambda: bool(found.of(KernelSeen)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert found.of(KernelSeen)[0].active == ((V4, "wan0"), (V6, "wan0"))

    at_work(station, test)


def test_cleaning_up_twice_is_as_good_as_once_and_takes_all_of_ours_and_nothing_else(station: Station) -> None:
    ip("rule", "add", "priority", "500", "from", "192.0.2.9", "lookup", "main")
    before = kernels_text()
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    forwarded = forwarding.read_text()

    async def test(working: Run) -> None:
        assert await kept(working, usual(station)) != before
        await become(lambda: forwarding.read_text() == "1\n")

    at_work(station, test)
    assert kernels_text() == before
    asyncio.run(clean_up(station))
    assert kernels_text() == before
    assert forwarding.read_text() == forwarded
    assert listed() == ""
    ip("rule", "del", "priority", "500")


def listed() -> str:
    shown = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    return shown.stdout if "siaga" in shown.stdout else ""


def test_the_nft_table_is_loaded_replaced_put_back_and_removed(station: Station) -> None:
    wanted = usual(station).nft
    other = wanted.replace("lan0", "lan1")

    async def run() -> None:
        keeper = nft.Keeper()
        await keeper.want(wanted)
        first = listed()
        assert "masquerade" in first
        await keeper.want(other)
        assert listed().count("masquerade") == 1
        await keeper.want(wanted)
        assert listed() == first
        subprocess.run(["nft", "delete", "table", "inet", "siaga"], check=True)
        await keeper.check()
        assert listed() == first
        subprocess.run(["nft", "flush", "table", "inet", "siaga"], check=True)
        await keeper.check()
        assert listed() == first
        await keeper.want("")
        assert listed() == ""
        await nft.remove()
        await nft.remove()

    asyncio.run(run())


def test_an_nft_that_refuses_is_told_in_one_line(station: Station) -> None:
    assert station.lan.nat is Nat.MANAGED

    async def run() -> None:
        with pytest.raises(OSError, match="nft -f"):
            await nft.Keeper().want("table inet siaga { nonsense }\n")

    asyncio.run(run())
