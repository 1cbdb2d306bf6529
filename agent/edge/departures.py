"""Makes those let go who hold on to an uplink that was left: the LAN's flows, then this device's own sockets."""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass

from agent.core.nft_table import MARKS
from agent.core.routes import Leaving
from agent.edge import conntrack, sockets
from agent.edge.rawnetlink import FAMILY

log = logging.getLogger(__name__)

SWEEP_AFTER_S = 3.0  # what was on its way through the kernel at the switch has entered itself anew by then


@dataclass(frozen=True, slots=True)
class Departed:
    flows: int = 0
    sockets: int | None = 0
    """None when the kernel cannot abort any."""


NOBODY = Departed()


class Departures:
    """`want` takes the whole list each time; who has left is not asked again, but swept once."""

    def __init__(self) -> None:
        self._left: frozenset[Leaving] = frozenset()
        self._to_sweep: dict[Leaving, float] = {}

    async def want(self, leaving: tuple[Leaving, ...]) -> Departed:
        """Who has left now; the sweep is not counted. Routes must be as wished already: a remote that is still reached
        by the uplink is none to be left.

        Raises OSError; then nobody has left, and the next call tries again.
        """
        wanted = frozenset(leaving)
        now = time.monotonic()
        for each in wanted - self._left:
            self._to_sweep[each] = now + SWEEP_AFTER_S
        swept = {each for each, at in self._to_sweep.items() if now >= at or each not in wanted}
        if swept & wanted:
            again = await asyncio.to_thread(_let_go, _in_order(swept & wanted))
            log.debug("swept again: %s", again)
        departed = await asyncio.to_thread(_let_go, _in_order(wanted - self._left)) if wanted - self._left else NOBODY
        self._left = wanted
        for each in swept:
            del self._to_sweep[each]
        return departed

    def sweep_after_s(self) -> float | None:
        """How long until `want` has something to do again."""
        return max(0.0, min(self._to_sweep.values()) - time.monotonic()) if self._to_sweep else None


def _in_order(leaving: frozenset[Leaving] | set[Leaving]) -> list[Leaving]:
    return sorted(leaving, key=lambda each: (each.mark, each.family))


def _let_go(leaving: list[Leaving]) -> Departed:
    """In a thread: ten thousand flows take 20 ms."""
    flows, aborted = 0, 0
    able = True
    for each in leaving:
        flows += conntrack.flush(each.family, each.mark, MARKS)
        ended = sockets.abort(each.family, each.addresses, _Leaves(each))
        able = able and ended is not None
        aborted += ended or 0
    return Departed(flows, aborted if able else None)


@dataclass(frozen=True, slots=True)
class _Leaves:
    """Whether a new connection to this remote would begin at another address than those that are left."""

    leaving: Leaving

    def __call__(self, remote: str) -> bool:
        with socket.socket(FAMILY[self.leaving.family], socket.SOCK_DGRAM) as asking:
            try:
                asking.connect((remote, 9))  # nothing is sent; the kernel only looks up a route
            except OSError:
                return True
            return asking.getsockname()[0] not in self.leaving.addresses
