"""Work in another network namespace of the cell from within this process."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMED = Path("/run/netns")  # where `ip netns add` keeps them
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUNSETCARRIER = 0x400454CA, 0x400454E2
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def within(name: str) -> Iterator[None]:
    """This thread's sockets and devices are made in that namespace, and stay there after the block."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(NAMED / name, os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def open_tap(name: str, device: str) -> int:
    """A TAP device in that namespace; it lives as long as the descriptor."""
    with within(name):
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


def set_tap_carrier(tap: int, on: bool) -> None:
    fcntl.ioctl(tap, _TUNSETCARRIER, struct.pack("i", on))


def _setns(descriptor: int) -> None:  # os.setns is Python 3.12
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
