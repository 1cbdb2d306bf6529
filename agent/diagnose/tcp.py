"""Connections by one device only, and what they cost by the kernel's own count."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.core.station import Family, family_of
from agent.diagnose.look import Layer, Look, Outcome, Purse, Subject, milliseconds
from agent.edge.carried import carried

COST = 600
WINDOW_BYTES = 8192  # what the other side may send before we have read: the purse is asked once


def look(subject: Subject, centre: str, address: str, port: int, wait_s: float, purse: Purse) -> Look:
    """Raises OSError only when the connection could not even be tried."""
    facts: dict[str, float | str | None] = {"centre": centre, "address": address, "port": port}
    if not purse.allows(COST):
        return Look(Layer.TCP, Outcome.NO_BYTES, facts)
    began_at = time.monotonic()
    try:
        with connection(subject, address, port, wait_s, purse):
            took_ms = milliseconds(time.monotonic() - began_at)
    except ConnectionRefusedError:
        return Look(Layer.TCP, Outcome.REFUSED, facts)
    except OSError as why:
        return Look(Layer.TCP, Outcome.UNCONNECTED, {**facts, "why": reason(why)})
    return Look(Layer.TCP, Outcome.CONNECTED, {**facts, "ms": took_ms})


@contextmanager
def connection(subject: Subject, address: str, port: int, wait_s: float, purse: Purse) -> Iterator[socket.socket]:
    """Raises OSError."""
    family = socket.AF_INET if family_of(address) is Family.IPV4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, subject.device.encode())
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
        opened.settimeout(wait_s)
        try:
            opened.connect((address, port))
            yield opened
        finally:
            purse.spend(carried(opened))


def reason(why: OSError) -> str:
    """Short, for one line."""
    return "timed out" if isinstance(why, TimeoutError) else (why.strerror or type(why).__name__)
