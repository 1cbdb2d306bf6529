"""The agent, which ends as by kill -9 after so many changes to the kernel once its traffic has begun to move.

python -m tests.namespaces.dying CHANGES run --config FILE
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import agent.edge.kernel
from agent.__main__ import main
from agent.core.routes import ACTIVE_TABLE, Route, Wish
from agent.edge import conntrack, nft, sockets
from agent.edge.netlink import Netlink

TOLD = "changed the kernel"


class Countdown:
    """Counts from the moment at which the traffic is to leave the uplink that it found or chose first."""

    def __init__(self, changes: int) -> None:
        self._left: int | None = None
        self._changes = changes
        self._sends_by: frozenset[Route] = frozenset()

    def see(self, wish: Wish) -> None:
        sends_by = frozenset(route for route in wish.routes if route.table == ACTIVE_TABLE)
        if self._sends_by and sends_by != self._sends_by and self._left is None:
            self._left = self._changes
            self._end_if_over()
        self._sends_by = sends_by

    def count(self, what: str) -> None:
        if self._left is not None:
            print(f"{TOLD}: {what}", file=sys.stderr, flush=True)
            self._left -= 1
            self._end_if_over()

    def _end_if_over(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def plant(countdown: Countdown) -> None:
    """Behind everything that changes the kernel, and before the kernel hears of a new wish."""
    want, enter = agent.edge.kernel.Kernel.want, Netlink.__aenter__

    def wanted(self: Any, wish: Wish) -> None:
        countdown.see(wish)
        want(self, wish)

    async def entered(self: Any) -> Any:
        await enter(self)
        for name in ("rule", "route"):
            setattr(self._socket, name, _awaited(getattr(self._socket, name), countdown))
        return self

    agent.edge.kernel.Kernel.want = wanted  # type: ignore[method-assign]
    Netlink.__aenter__ = entered  # type: ignore[method-assign]
    conntrack.flush = _counted(conntrack.flush, countdown)
    sockets.abort = _counted(sockets.abort, countdown)
    nft._load = _awaited(nft._load, countdown)


def _counted(change: Callable[..., Any], countdown: Countdown) -> Callable[..., Any]:
    def changed(*arguments: Any) -> Any:
        result = change(*arguments)
        countdown.count(change.__name__)
        return result

    return changed


def _awaited(change: Callable[..., Awaitable[Any]], countdown: Countdown) -> Callable[..., Awaitable[Any]]:
    async def changed(*arguments: Any, **named: Any) -> Any:
        result = await change(*arguments, **named)
        if "dump" in arguments:
            return result
        told = [f"{key}={value:d}" if isinstance(value, int) else f"{key}={value}" for key, value in named.items()]
        countdown.count(" ".join((change.__name__, *map(str, arguments[:1] if named else ()), *told)))
        return result

    return changed


if __name__ == "__main__":
    plant(Countdown(int(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
