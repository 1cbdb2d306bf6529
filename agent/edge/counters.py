"""Reads the counters of our nft table by one netlink question: no other program is started, four times a second.

The messages are those of linux/netfilter/nf_tables.h, for the family inet. Needs CAP_NET_ADMIN.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

from agent.core.routes import NFT_TABLE

NETLINK_NETFILTER = 12
NFPROTO_INET = 1
NFT_MSG_NEWOBJ, NFT_MSG_GETOBJ = 10 << 8 | 18, 10 << 8 | 19  # 10: the subsystem nftables
NFTA_OBJ_TABLE, NFTA_OBJ_NAME, NFTA_OBJ_TYPE, NFTA_OBJ_DATA = 1, 2, 3, 4
NFT_OBJECT_COUNTER = 1
NFTA_COUNTER_PACKETS = 2
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
NLA_TYPE_MASK = 0x3FFF
HEADER = struct.Struct("=IHHIIBBH")  # nlmsghdr, and nfgenmsg behind it
ATTRIBUTE = struct.Struct("=HH")
ANSWER_BYTES = 32_768  # what the kernel puts into one message at most, when the receiver has room for it


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
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)
        self._socket.send(QUESTION)
        found: dict[str, int] = {}
        while True:  # the kernel answers before send returns, and goes on at each receive until it is done
            for kind, flags, body in _messages(self._socket.recv(ANSWER_BYTES)):
                if kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                if flags & NLM_F_DUMP_INTR:
                    raise OSError(errno.EINTR, "the table was changed while it was read")
                if kind == NLMSG_DONE:
                    return found
                if kind == NFT_MSG_NEWOBJ:
                    found.update(_counter(body))


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, what is behind nlmsghdr) of each."""
    at = 0
    while at < len(data):
        length, kind, flags = struct.unpack_from("=IHH", data, at)
        yield kind, flags, data[at + 16 : at + length]
        at += _aligned(length)


def _counter(body: bytes) -> Iterator[tuple[str, int]]:
    attributes = dict(_attributes(body[4:]))
    for kind, value in _attributes(attributes[NFTA_OBJ_DATA]):
        if kind == NFTA_COUNTER_PACKETS:
            yield attributes[NFTA_OBJ_NAME].rstrip(b"\0").decode(), int.from_bytes(value)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        yield kind & NLA_TYPE_MASK, data[at + ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _question() -> bytes:
    attributes = b"".join(
        ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value.ljust(_aligned(len(value)), b"\0")
        for kind, value in (
            (NFTA_OBJ_TABLE, NFT_TABLE.encode() + b"\0"),
            (NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER.to_bytes(4)),
        )
    )
    length = HEADER.size + len(attributes)
    return HEADER.pack(length, NFT_MSG_GETOBJ, NLM_F_REQUEST | NLM_F_DUMP, 0, 0, NFPROTO_INET, 0, 0) + attributes


def _aligned(length: int) -> int:
    return (length + 3) & ~3


QUESTION = _question()
