"""Keeps the kernel as wished: rules and routes by netlink, NAT by one nft table, forwarding by sysctl."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from agent.core.events import Event, KernelSeen, RoutesRefused, RoutesRepaired
from agent.core.routes import Wish
from agent.core.station import Station
from agent.edge import nft
from agent.edge.netlink import Netlink
from agent.edge.sysctl import Sysctls

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 10  # the kernel drops IPv4 routes with a device without saying so
GATHER_S = 0.02  # one change comes as several messages; the first is acted upon at once, the rest together
TOLD = 5  # changes by name in one fact
ANSWER_S = 0.05  # how long the core may take to wish anew for a new picture, before the old wish is applied to it


class Kernel:
    """`want` is the only order; the latest wins. What is seen and what was repaired comes back as events."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._interfaces = tuple(uplink.interface for uplink in station.uplinks)
        self._emit = emit
        self._wish: Wish | None = None
        self._kept: tuple[Wish, KernelSeen] | None = None
        self._picture: KernelSeen | None = None
        self._wished = asyncio.Event()
        self._stirred = asyncio.Event()
        self._sysctls = Sysctls(Path(station.state_dir))
        self._nft = nft.Keeper()

    def want(self, wish: Wish) -> None:
        self._wish = wish
        self._wished.set()
        self._stirred.set()

    async def run(self) -> None:
        async with Netlink() as netlink, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(netlink))
            while True:
                self._stirred.clear()
                try:
                    await self._look(netlink)
                    await self._keep(netlink)
                except (OSError, NetlinkError) as why:
                    self._emit(RoutesRefused(str(why)))
                await asyncio.sleep(GATHER_S)
                await self._rest()

    async def _rest(self) -> None:
        """Until something stirs, or it is time to look at what makes no sound."""
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._stirred.wait()
        except TimeoutError:
            try:
                await self._nft.check()
            except OSError as why:
                self._emit(RoutesRefused(str(why)))

    async def _listen(self, netlink: Netlink) -> None:
        while True:
            try:
                async for _ in netlink.changes():
                    self._stirred.set()
            except (OSError, NetlinkError) as why:
                log.warning("netlink messages were lost (%s); looking at everything again", why)
                self._stirred.set()
                await asyncio.sleep(1)

    async def _look(self, netlink: Netlink) -> None:
        picture = await netlink.picture(self._interfaces)
        if picture == self._picture:
            return
        self._wished.clear()
        known = self._picture is not None and self._picture.links == picture.links
        self._picture = picture
        if known:
            return  # only the active table differs, and that is ours
        self._emit(picture)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._wished.wait()

    async def _keep(self, netlink: Netlink) -> None:
        wish = self._wish
        if wish is None or self._picture is None:
            return
        changed, refused = await netlink.make(wish)
        self._sysctls.forward(wish.forward, self._interfaces)
        await self._nft.want(wish.nft)
        was_kept = self._kept is not None and self._kept[0] == wish and self._kept[1].links == self._picture.links
        if changed and was_kept:
            self._emit(RoutesRepaired(_few(changed)))
        if refused and self._all_have_carrier():
            self._emit(RoutesRefused(_few(refused)))
        self._kept = None if refused else (wish, self._picture)

    def _all_have_carrier(self) -> bool:
        return self._picture is not None and all(link.carrier for link in self._picture.links)


def _few(things: list[str]) -> str:
    """The first ones, and how many more: it becomes evidence in a record, which must stay small."""
    more = [f"and {len(things) - TOLD} more"] if len(things) > TOLD else []
    return "; ".join(things[:TOLD] + more)


async def clean_up(station: Station) -> None:
    """Take everything of ours out of the kernel; twice is as good as once. Raises OSError."""
    async with Netlink() as netlink:
        await netlink.picture(tuple(uplink.interface for uplink in station.uplinks))
        _, refused = await netlink.make(Wish())
    await nft.remove()
    Sysctls(Path(station.state_dir)).restore()
    if refused:
        raise OSError("; ".join(refused))
