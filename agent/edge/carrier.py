"""Asks whether an uplink has a signal, more often than the kernel tells it by itself.

The kernel tells of carriers at most once a second (net/core/link_watch.c): of two cables that are pulled together, one
is told of at once and the other a second later. Whoever asks is told at once.
"""

import logging
import socket
import struct
from collections.abc import Iterable

from agent.edge.rawnetlink import NETLINK_ROUTE, NLM_F_ACK, dump, message, opened

log = logging.getLogger(__name__)

RTM_GETLINK = 18
INTERFACE = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, which of them to change
IFF_LOWER_UP = 0x10000


class Carriers:
    """One socket; after a fault a new one."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._seen: dict[int, bool | None] = {}

    def have_changed(self, indices: Iterable[int]) -> bool:
        """Since it was asked last, of any of these interfaces. Does not wait."""
        seen = {index: self._ask(index) for index in indices}
        changed = any(index in self._seen and self._seen[index] != carrier for index, carrier in seen.items())
        self._seen = seen
        return changed

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, index: int) -> bool | None:
        """None when it is gone."""
        self._socket = self._socket or opened(NETLINK_ROUTE)
        question = message(RTM_GETLINK, NLM_F_ACK, INTERFACE.pack(0, 0, index, 0, 0))
        try:
            answers = [INTERFACE.unpack_from(body)[3] for _, body in dump(self._socket, question)]
        except OSError as why:
            self.close()
            log.debug("interface %s: %s", index, why)
            return None
        return bool(answers[0] & IFF_LOWER_UP) if answers else None
