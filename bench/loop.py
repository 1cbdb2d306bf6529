"""Sockets in any namespace and moments of one clock, served by one thread: for measuring what happens to them."""

import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Callable

Call = Callable[[float], None]
"""It is given the time, in seconds of the machine's monotonic clock."""


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._moments: list[tuple[float, int, float, Call]] = []
        self._order = itertools.count()

    def close(self) -> None:
        """And every socket that it still hears."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def hear(self, what: socket.socket, call: Call, events: int = selectors.EVENT_READ) -> None:
        self._selector.register(what, events, call)

    def forget(self, what: socket.socket) -> None:
        self._selector.unregister(what)
        what.close()

    def every(self, period_s: float, call: Call) -> None:
        """From now on; a call that comes too late is not made up for by a burst."""
        heapq.heappush(self._moments, (time.monotonic(), next(self._order), period_s, call))

    def run(self, is_done: Callable[[], bool], patience_s: float) -> bool:
        """Until it is so; False when it does not become so in time."""
        deadline_s = time.monotonic() + patience_s
        while not is_done():
            now_s = time.monotonic()
            if now_s >= deadline_s:
                return False
            next_s = min([deadline_s, *(moment[0] for moment in self._moments[:1])])
            for key, _ in self._selector.select(max(0.0, next_s - now_s)):
                key.data(time.monotonic())
            self._call_due()
        return True

    def rest(self, for_s: float) -> None:
        """Goes on serving for so long."""
        self.run(lambda: False, for_s)

    def _call_due(self) -> None:
        while self._moments and self._moments[0][0] <= time.monotonic():
            at_s, order, period_s, call = heapq.heappop(self._moments)
            now_s = time.monotonic()
            call(now_s)
            heapq.heappush(self._moments, (max(at_s + period_s, now_s), order, period_s, call))
