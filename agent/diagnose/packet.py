"""A socket below IP, bound to one device: for ARP, neighbour discovery and DHCP, which have no route to follow."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import scapy.config

scapy.config.conf.verb = 0

from scapy.layers.l2 import Ether  # noqa: E402  # scapy reads its configuration when a layer is loaded

from agent.diagnose.look import Purse, left_s  # noqa: E402

LARGEST = 2048


class Tap:
    """Sends frames and hears those of one protocol."""

    def __init__(self, opened: socket.socket, purse: Purse) -> None:
        self._socket, self._purse = opened, purse

    def send(self, frame: Any) -> None:
        """Raises OSError."""
        data = bytes(frame)
        self._purse.spend(len(data) - 14)
        self._socket.send(data)

    def hear(self, wait_s: float) -> Iterator[Any]:
        """Every frame that comes in this time, parsed; the reader says which of them it paid for."""
        deadline = time.monotonic() + wait_s
        while (rest_s := left_s(deadline)) > 0:
            if select.select([self._socket], [], [], rest_s)[0]:
                yield Ether(self._socket.recv(LARGEST))

    def paid(self, frame: Any) -> None:
        """It was an answer to us."""
        self._purse.spend(len(frame) - 14)


@contextmanager
def tap(device: str, protocol: int, purse: Purse) -> Iterator[Tap]:
    """Raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)) as opened:
        opened.bind((device, protocol))
        yield Tap(opened, purse)
