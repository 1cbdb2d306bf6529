"""Reads the counters of our nft table by one netlink question: no other program is started, four times a second.

The messages are those of linux/netfilter/nf_tables.h, for the family inet. Needs CAP_NET_ADMIN.
"""

import socket
from collections.abc import Iterator

from agent.core.nft_table import NFT_TABLE
from agent.edge.rawnetlink import (
    NETFILTER,
    NETLINK_NETFILTER,
    NLM_F_DUMP,
    attribute,
    attributes,
    dump,
    message,
    netfilter,
    opened,
)

NFPROTO_INET = 1
NFT_MSG_NEWOBJ, NFT_MSG_GETOBJ = 10 << 8 | 18, 10 << 8 | 19  # 10: the subsystem nftables
NFTA_OBJ_TABLE, NFTA_OBJ_NAME, NFTA_OBJ_TYPE, NFTA_OBJ_DATA = 1, 2, 3, 4
NFT_OBJECT_COUNTER = 1
NFTA_COUNTER_PACKETS = 2
QUESTION = message(
    NFT_MSG_GETOBJ,
    NLM_F_DUMP,
    netfilter(NFPROTO_INET),
    attribute(NFTA_OBJ_TABLE, NFT_TABLE.encode() + b"\0"),
    attribute(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER.to_bytes(4)),
)


class Counters:
    """One socket; after a fault a new one, so that no late answer is taken for the next one's."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def packets(self) -> dict[str, int]:
        """Name -> packets; empty when the table is not there. Does not wait. Raises OSError."""
        try:
            return self._ask()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self) -> dict[str, int]:
        if self._socket is None:
            self._socket = opened(NETLINK_NETFILTER)
        found: dict[str, int] = {}
        for kind, body in dump(self._socket, QUESTION):
            if kind == NFT_MSG_NEWOBJ:
                found.update(_counter(body))
        return found


def _counter(body: bytes) -> Iterator[tuple[str, int]]:
    about = dict(attributes(body[NETFILTER.size :]))
    for kind, value in attributes(about[NFTA_OBJ_DATA]):
        if kind == NFTA_COUNTER_PACKETS:
            yield about[NFTA_OBJ_NAME].rstrip(b"\0").decode(), int.from_bytes(value)
