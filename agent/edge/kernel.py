"""Keeps the kernel as wished: rules and routes by netlink, flows by one nft table, queues by tc, switches by sysctl.

A hand-over goes in this order: rules and routes, NAT, old flows, this device's sockets, a look whether it is so; and a
few seconds later old flows once more.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.core.events import Event, HandedOver, KernelSeen, Noticed, RoutesRefused, RoutesRepaired
from agent.core.nft_table import NFT_TABLE
from agent.core.routes import ACTIVE_TABLE, Route, Wish
from agent.core.station import Station, family_of
from agent.edge import choice, nft, shaper
from agent.edge.carrier import Carriers
from agent.edge.departures import Departed, Departures
from agent.edge.lookup import device_to
from agent.edge.netlink import Change, Netlink
from agent.edge.rtnl import NetlinkError
from agent.edge.shaper import Shaper
from agent.edge.sysctl import Sysctls

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 10  # the kernel drops IPv4 routes with a device without saying so
GATHER_S = 0.02  # one change comes as several messages; the first is acted upon at once, the rest together
REPAIRS_AT_ONCE = 10  # a manager that reconfigures an interface takes several things away, one after the other
FIGHT_S = 0.5  # between two repairs when somebody takes away again and again what we put back; a wish never waits
TOLD = 5  # changes by name in one fact
ANSWER_S = 0.05  # how long the core may take to wish anew for a new picture, before the old wish is applied to it
LOOK_WHETHER_S = 1.0  # after a move; a manager that changes several things is done by then
REFUSED_S = 1.0  # a cable that is pulled, an address that is replaced: the kernel has settled by then, and so have we
CARRIER_EVERY_S = 0.2  # an uplink without a signal is left sooner than any silence could tell


class Kernel:
    """`want` is the only order; the latest wins. What is seen and what was repaired comes back as events."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._interfaces = tuple(uplink.interface for uplink in station.uplinks)
        self._targets = station.targets
        self._emit = emit
        self._wish: Wish | None = None
        self._wished_at = 0.0
        self._kept: tuple[Wish, KernelSeen] | None = None
        self._sends_by: frozenset[Route] = frozenset()
        self._look_at: float | None = None
        self._refused_since: float | None = None
        self._picture: KernelSeen | None = None
        self._repairs: deque[float] = deque(maxlen=REPAIRS_AT_ONCE)
        self._wished = asyncio.Event()
        self._wants = asyncio.Event()
        self._stirred = asyncio.Event()
        self._sysctls = Sysctls(Path(station.state_dir))
        self._nft = nft.Keeper()
        self._nft_touched = False
        self._departures = Departures()
        self._shaper = Shaper(emit)

    def want(self, wish: Wish) -> None:
        self._wish, self._wished_at = wish, time.monotonic()
        self._wished.set()
        self._wants.set()
        self._stirred.set()

    async def run(self) -> None:
        async with Netlink() as netlink, asyncio.TaskGroup() as tasks:
            ear = nft.Ear(self._hear_nft)
            tasks.create_task(self._listen(netlink))
            tasks.create_task(self._watch_carriers())
            try:
                while True:
                    self._stirred.clear()
                    self._wants.clear()
                    await self._act(netlink)
                    await self._gather()
                    await self._rest()
            finally:
                ear.close()

    async def _act(self, netlink: Netlink) -> None:
        try:
            if self._nft_touched:
                self._nft_touched = False
                if await self._nft.check():
                    self._repaired([f"the nft table {NFT_TABLE}"])
            await self._look(netlink)
            await self._keep(netlink)
            self._look_whether()
        except (OSError, NetlinkError) as why:
            self._complain([str(why)])

    def _complain(self, refused: list[str]) -> None:
        """In the midst of a change the kernel refuses what it grants a moment later; told is what lasts."""
        now = time.monotonic()
        if not refused:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        elif now >= self._refused_since + REFUSED_S:
            self._emit(RoutesRefused(_few(refused)))

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER_S)
        if len(self._repairs) == REPAIRS_AT_ONCE and time.monotonic() < self._repairs[0] + REPAIRS_AT_ONCE * FIGHT_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIGHT_S):
                    await self._wants.wait()

    async def _rest(self) -> None:
        """Until something stirs, or it is time to look at what makes no sound."""
        look_after_s = None if self._look_at is None else max(0.0, self._look_at - time.monotonic())
        again_after_s = None if self._refused_since is None else REFUSED_S
        waits = [wait for wait in (self._departures.sweep_after_s(), look_after_s, again_after_s) if wait is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min([LOOK_AGAIN_S, *waits])):
                await self._stirred.wait()

    def _hear_nft(self) -> None:
        self._nft_touched = True
        self._stirred.set()

    async def _listen(self, netlink: Netlink) -> None:
        while True:
            try:
                async for _ in netlink.changes():
                    self._stirred.set()
            except (OSError, NetlinkError) as why:
                log.warning("netlink messages were lost (%s); looking at everything again", why)
                self._stirred.set()
                await asyncio.sleep(1)

    async def _watch_carriers(self) -> None:
        with contextlib.closing(Carriers()) as carriers:
            while True:
                links = self._picture.links if self._picture is not None else ()
                if carriers.have_changed(link.index for link in links if link.index is not None):
                    self._stirred.set()
                await asyncio.sleep(CARRIER_EVERY_S)

    async def _look(self, netlink: Netlink) -> None:
        picture = await netlink.picture(self._interfaces)
        if picture == self._picture:
            return
        self._wished.clear()
        before, self._picture = self._picture, picture
        if before is not None and (before.links, before.strangers) == (picture.links, picture.strangers):
            return  # only the active table differs, and that is ours
        self._emit(picture)
        for was, link in zip(before.links, picture.links, strict=True) if before is not None else ():
            if was.index == link.index and was.interface != link.interface:
                with contextlib.suppress(OSError):  # of the card; then nobody can put them back
                    self._sysctls.rename(was.interface, link.interface)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._wished.wait()

    async def _keep(self, netlink: Netlink) -> None:
        wish, wished_at = self._wish, self._wished_at
        if wish is None or self._picture is None:
            return
        unset = _refusal(lambda: self._sysctls.accept_answers(wish.uplinks))
        changed, refused = await netlink.make(wish)
        unset += _refusal(lambda: self._sysctls.forward(wish.forward, wish.uplinks))
        await self._nft.want(wish.nft)
        departed = await self._departures.want(wish.leaving)
        if self._kept is not None and set(wish.leaving) - set(self._kept[0].leaving):
            await netlink.nudge({each.family for each in wish.leaving})
        self._repaired(self._taken(changed, wish))
        self._complain(unset + (refused if self._all_have_carrier() else []))
        self._kept = None if refused else (wish, self._picture)
        self._tell(departed, wish, wished_at)
        await self._shaper.want(wish.shapes)  # last: no queue is worth a hand-over's time

    def _repaired(self, what: list[str]) -> None:
        if what:
            self._repairs.append(time.monotonic())
            self._emit(RoutesRepaired(_few(what)))

    def _taken(self, changed: list[Change], wish: Wish) -> list[str]:
        """What somebody took away: it was there, is wished for still, and its interface is what it was."""
        if self._kept is None or self._picture is None:
            return []
        before, picture = self._kept
        if before == wish and picture.links == self._picture.links:
            return [str(change) for change in changed]
        same = {link.interface for link in self._picture.links if link in picture.links}
        wanted = {*before.rules, *(route for route in before.routes if route.device in same)}
        return [str(change) for change in changed if change.verb != "del" and change.thing in wanted]

    def _tell(self, departed: Departed, wish: Wish, wished_at: float) -> None:
        """What was handed over, when anything was."""
        sends_by = frozenset(route for route in wish.routes if route.table == ACTIVE_TABLE)
        moved = sends_by != self._sends_by
        if not (moved or departed.flows or departed.sockets):
            return
        now = time.monotonic()
        if moved:
            self._look_at = now + LOOK_WHETHER_S
        took_ms = round((now - wished_at) * 1e3, 1) if moved else 0.0
        self._sends_by = sends_by
        self._emit(HandedOver(moved, took_ms, departed.flows, departed.sockets))

    def _look_whether(self) -> None:
        """Targets that the kernel would send elsewhere than by the chosen uplink: another's rule stands before ours."""
        if self._look_at is None or time.monotonic() < self._look_at or self._picture is None:
            return
        self._look_at = None
        index = {link.interface: link.index for link in self._picture.links}
        for route in sorted(self._sends_by, key=lambda route: route.family):
            for target in self._targets:
                device = device_to(target) if family_of(target) is route.family else None
                if device is None or device == index.get(route.device):
                    continue
                code = "TRAFFIC_ASTRAY" if device in index.values() else "TRAFFIC_TUNNELLED"
                self._emit(Noticed(code, {"target": target, "by": _name(device), "chosen": route.device}))
                break

    def _all_have_carrier(self) -> bool:
        return self._picture is not None and all(link.carrier for link in self._picture.links)


def _refusal(switch: Callable[[], None]) -> list[str]:
    """Why it did not work: a card that is full, or a system that is read only, is no reason to leave the routes."""
    try:
        switch()
    except OSError as why:
        return [str(why)]
    return []


def _name(index: int) -> str:
    with contextlib.suppress(OSError):
        return socket.if_indextoname(index)
    return f"interface {index}"


def _few(things: Sequence[str]) -> str:
    """The first ones, and how many more: it becomes evidence in a record, which must stay small."""
    more = [f"and {len(things) - TOLD} more"] if len(things) > TOLD else []
    return "; ".join([*things[:TOLD], *more])


async def clean_up(station: Station) -> None:
    """Take everything of ours out of the kernel; twice is as good as once. Raises OSError."""
    async with Netlink() as netlink:
        await netlink.picture(tuple(uplink.interface for uplink in station.uplinks))
        _, refused = await netlink.make(Wish())
    await nft.remove()
    shaper.remove()
    Sysctls(Path(station.state_dir)).restore()
    choice.forget(Path(station.state_dir))
    if refused:
        raise OSError("; ".join(refused))
