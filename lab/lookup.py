"""Asks a namespace's kernel which way a packet would take, as an observer who knows nothing of the agent."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from lab import namespace

_RTM_GETROUTE, _NLMSG_ERROR, _NLM_F_REQUEST = 26, 2, 1
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY = 1, 2, 3, 4, 5
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg


@dataclass(frozen=True, slots=True)
class Way:
    device: str
    gateway: str | None


class Lookup:
    """A netlink socket that was made in the namespace once and is used from outside."""

    def __init__(self, name: str) -> None:
        with namespace.within(name):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            self._devices = dict(socket.if_nameindex())
        self._socket.settimeout(1.0)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def forwarded(self, source: str, came_in_by: str, to: str) -> Way | None:
        """The way of a packet that came in by a device; None when it would be refused."""
        return self._ask(
            [(_RTA_DST, _address(to)), (_RTA_SRC, _address(source)), (_RTA_IIF, self._index(came_in_by))], to
        )

    def bound(self, device: str, to: str) -> Way | None:
        """The way of a packet that a program bound to a device sends."""
        return self._ask([(_RTA_DST, _address(to)), (_RTA_OIF, self._index(device))], to)

    def _index(self, device: str) -> bytes:
        return struct.pack("=i", next(index for index, name in self._devices.items() if name == device))

    def _ask(self, attributes: list[tuple[int, bytes]], to: str) -> Way | None:
        self._sequence += 1
        bits = 8 * len(_address(to))
        has_source = any(kind == _RTA_SRC for kind, _ in attributes)
        body = _ROUTE.pack(_family(to), bits, bits if has_source else 0, 0, 0, 0, 0, 0, 0)
        body += b"".join(struct.pack("=HH", 4 + len(value), kind) + value for kind, value in attributes)
        self._socket.send(_HEADER.pack(16 + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, self._sequence, 0) + body)
        while True:
            answer = self._socket.recv(65536)
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence == self._sequence:  # an older one is the answer to a question that timed out
                return None if kind == _NLMSG_ERROR else self._way(answer)

    def _way(self, answer: bytes) -> Way | None:
        found: dict[int, bytes] = {}
        end, place = _HEADER.unpack_from(answer)[0], _HEADER.size + _ROUTE.size
        while place + 4 <= end:
            size, kind = struct.unpack_from("=HH", answer, place)
            found[kind] = answer[place + 4 : place + size]
            place += (size + 3) & ~3
        if _RTA_OIF not in found:
            return None
        device = self._devices.get(struct.unpack("=i", found[_RTA_OIF])[0], "?")
        return Way(device, _written(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _address(address: str) -> bytes:
    return socket.inet_pton(_family(address), address)


def _written(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)
