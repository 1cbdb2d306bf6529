"""Sets the queues before thin uplinks by `tc`, sees by netlink whether they stand, and touches nobody else's.

The messages are those of linux/rtnetlink.h and linux/pkt_sched.h. Needs CAP_NET_ADMIN.
"""

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.events import Event, Queued, RoutesRepaired
from agent.core.lanes import HANDLE, Shape, tc_text
from agent.edge.rawnetlink import NETLINK_ROUTE, NLM_F_ACK, NLM_F_DUMP, attributes, dump, message, opened, order

log = logging.getLogger(__name__)

RTM_DELQDISC, RTM_GETQDISC, RTM_GETTCLASS = 37, 38, 42
TCMSG = struct.Struct("=BxxxiIII")  # family, interface, handle, parent, info
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF
OURS = int(HANDLE, 16) << 16
AGAIN_S = 60  # who cannot queue is asked again; a program that fights for the place is not fought each second


@dataclass(frozen=True, slots=True)
class _Part:
    """A queue or a class before an interface, with what does not change while packets pass."""

    kind: bytes
    handle: int
    parent: int
    options: bytes


class Shaper:
    """`want` takes the whole list each time, and may be called as often as one likes."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._made: dict[Shape, frozenset[_Part]] = {}
        """As each looked when it had been made."""
        self._again_at: dict[Shape, float] = {}
        self._told: dict[str, str | None] = {}

    async def want(self, shapes: tuple[Shape, ...]) -> None:
        """These queues and no others of ours. What cannot be is told; nothing is raised for it. Raises OSError."""
        roots = _roots()
        for index in _ours(roots) - {shape.index for shape in shapes}:
            _delete(index)
        self._made = {shape: parts for shape, parts in self._made.items() if shape in shapes}
        self._again_at = {shape: at for shape, at in self._again_at.items() if shape in shapes}
        for shape in shapes:
            root = roots.get(shape.index)
            if root is None or time.monotonic() < self._again_at.get(shape, 0.0):
                continue  # the interface has just gone, or it is too soon
            unqueued = await self._make(shape, root)
            if unqueued is not None:
                self._made.pop(shape, None)
                self._again_at[shape] = time.monotonic() + AGAIN_S
            self._tell(shape.interface, unqueued)

    async def _make(self, shape: Shape, root: _Part) -> str | None:
        """Why it cannot be; None when it stands."""
        if not _is_ours(root) and root.handle:
            return f"another program has set the qdisc {root.kind.decode()} on {shape.interface}"
        made = self._made.get(shape)
        if made is not None and made == _parts(shape.index):
            return None
        if _is_ours(root):
            _delete(shape.index)
        why = await _tc(tc_text(shape))
        if why is not None:
            with contextlib.suppress(OSError):  # whatever of it is there; what is not cannot be deleted
                _delete(shape.index)
            return why
        self._made[shape] = _parts(shape.index)
        if made is not None:
            self._emit(RoutesRepaired(f"the queues of {shape.interface}"))
        return None

    def _tell(self, interface: str, unqueued: str | None) -> None:
        if self._told.get(interface, "") != unqueued:
            self._told[interface] = unqueued
            self._emit(Queued(interface, unqueued))


def remove() -> None:
    """Take every queue of ours away, on whichever interface. Raises OSError."""
    for index in _ours(_roots()):
        _delete(index)


async def _tc(text: str) -> str | None:
    """Why it could not be done, in one line."""
    try:
        process = await asyncio.create_subprocess_exec(
            "tc", "-batch", "-", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        return "the command tc is not installed"
    _, err = await process.communicate(text.encode())
    if not process.returncode:
        return None
    lines = err.decode(errors="replace").split("\n")
    return f"tc: {lines[0].strip()}"


def _roots() -> dict[int, _Part]:
    """Interface -> what stands first before it; of handle nought is what the kernel puts there by itself."""
    return {index: part for index, part in _asked(RTM_GETQDISC, 0) if part.parent == TC_H_ROOT}


def _parts(index: int) -> frozenset[_Part]:
    """All that stands before an interface. The root itself counts packets in its options."""
    queues = (part for each, part in _asked(RTM_GETQDISC, 0) if each == index)
    plain = (_Part(part.kind, part.handle, part.parent, b"") if part.parent == TC_H_ROOT else part for part in queues)
    return frozenset([*plain, *(part for _, part in _asked(RTM_GETTCLASS, index))])


def _asked(kind: int, index: int) -> list[tuple[int, _Part]]:
    found = []
    with opened(NETLINK_ROUTE) as asking:
        for _, body in dump(asking, message(kind, NLM_F_DUMP, TCMSG.pack(socket.AF_UNSPEC, index, 0, 0, 0))):
            _, interface, handle, parent, _ = TCMSG.unpack_from(body)
            about = dict(attributes(body[TCMSG.size :]))
            part = _Part(about.get(TCA_KIND, b"").rstrip(b"\0"), handle, parent, about.get(TCA_OPTIONS, b""))
            found.append((interface, part))
    return found


def _ours(roots: dict[int, _Part]) -> set[int]:
    return {index for index, root in roots.items() if _is_ours(root)}


def _is_ours(root: _Part) -> bool:
    return root.handle == OURS and root.kind == b"htb"


def _delete(index: int) -> None:
    with opened(NETLINK_ROUTE) as asking:
        order(asking, message(RTM_DELQDISC, NLM_F_ACK, TCMSG.pack(socket.AF_UNSPEC, index, OURS, TC_H_ROOT, 0)))
