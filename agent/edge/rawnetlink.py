"""Packs and splits netlink messages by hand, for what is asked often, or in one message about thousands.

The headers are those of linux/netlink.h, and nfgenmsg is that of linux/netfilter/nfnetlink.h. The kernel answers before
send returns, and goes on with a dump at each receive until it is done: nothing here waits.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator

from agent.core.station import Family

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 0, 4, 12
FAMILY = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLA_TYPE_MASK = 0x3FFF
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
NUMBER = struct.Struct("=i")
NETFILTER = struct.Struct("=BBH")
ANSWER_BYTES = 32_768  # what the kernel puts into one message at most, when the receiver has room for it


def opened(protocol: int) -> socket.socket:
    """A socket for one thread's questions, to be closed after a fault, so that no late answer is taken for the next's.

    Raises OSError.
    """
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)


def message(kind: int, flags: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 0, 0) + body


def netfilter(family: int, version: int = 0) -> bytes:
    """What begins the body of every message to and from a subsystem of netfilter."""
    return NETFILTER.pack(family, version, 0)


def attribute(kind: int, value: bytes) -> bytes:
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value.ljust(_aligned(len(value)), b"\0")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        yield kind & NLA_TYPE_MASK, data[at + ATTRIBUTE.size : at + length]
        at += _aligned(length)


def dump(asking: socket.socket, question: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message of the answer. Raises OSError, also when the kernel breaks off or lost its place."""
    asking.send(question)
    while True:
        for kind, flags, body in _messages(asking.recv(ANSWER_BYTES)):
            if flags & NLM_F_DUMP_INTR:
                raise OSError(errno.EINTR, "what was asked for was changed while it was read")
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                _raise_refusal(body)
                return
            yield kind, body


def heard(listening: socket.socket) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message that has come without being asked for. Raises OSError when some were lost."""
    with contextlib.suppress(BlockingIOError):
        while True:
            for kind, _, body in _messages(listening.recv(ANSWER_BYTES)):
                yield kind, body


def order(asking: socket.socket, wanted: bytes) -> None:
    """Has the kernel do what a message with NLM_F_ACK says. Raises OSError with the kernel's own number."""
    asking.send(wanted)
    for _, _, body in _messages(asking.recv(ANSWER_BYTES)):
        _raise_refusal(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, what is behind nlmsghdr) of each."""
    at = 0
    while at < len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, at)
        yield kind, flags, data[at + HEADER.size : at + length]
        at += _aligned(length)


def _raise_refusal(body: bytes) -> None:
    """Both nlmsgerr and the end of a dump begin with nought or a negative errno."""
    (number,) = NUMBER.unpack_from(body)
    if number < 0:
        raise OSError(-number, os.strerror(-number))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
