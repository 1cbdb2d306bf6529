"""Asks the centre by one uplink how it is seen: one small page of plain HTTP, bounded in bytes and in time."""

import asyncio
import logging
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from agent.core.events import AskSeen, Event, KernelSeen, PublicSeen
from agent.core.station import Family, Station, family_of
from agent.edge.carried import carried
from wire import seen
from wire.messages import BadMessage, Public

WITHIN_S = 10.0  # three round trips over a satellite, and a name
ANSWER_BYTES = 2048
WINDOW_BYTES = 4096  # what the other side may send before we have read
FAMILY = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}

log = logging.getLogger(__name__)


class Mirror:
    """`order` is called from the loop and does not wait; what came of it is emitted, one question at a time."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._device = {uplink.name: uplink.interface for uplink in station.uplinks}
        self._page = urlsplit(station.seen_at or "")
        self._emit = emit
        self._ordered: asyncio.Queue[AskSeen] = asyncio.Queue()

    def see(self, picture: KernelSeen) -> None:
        """An interface may be renamed."""
        self._device = {name: link.interface for name, link in zip(self._device, picture.links, strict=True)}

    def order(self, wanted: AskSeen) -> None:
        """Bounded by the core: a few for each uplink in an hour."""
        self._ordered.put_nowait(wanted)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            wanted = await self._ordered.get()
            public, spent = await self._ask(wanted)
            self._emit(PublicSeen(wanted.uplink, wanted.family, public, spent))

    async def _ask(self, wanted: AskSeen) -> tuple[Public | None, int]:
        with socket.socket(FAMILY[wanted.family], socket.SOCK_STREAM) as asking:
            try:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device[wanted.uplink].encode())
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
                asking.setblocking(False)
                async with asyncio.timeout(WITHIN_S):
                    answer = await self._fetch(asking, wanted.family)
                public = _read(answer)
                if family_of(public.address) is not wanted.family:
                    raise BadMessage(f"{public.address}, which is not {wanted.family}")
                return public, carried(asking)
            except (OSError, TimeoutError, BadMessage) as why:
                log.debug("%s by %s: %s", wanted.uplink, wanted.family, why)
                return None, carried(asking)

    async def _fetch(self, asking: socket.socket, family: Family) -> bytes:
        """All that comes, until the other side has said it all; one byte too many is enough."""
        loop, page = asyncio.get_running_loop(), self._page
        host, port = page.hostname or "", page.port or 80
        found = await loop.getaddrinfo(host, port, family=FAMILY[family], type=socket.SOCK_STREAM)
        await loop.sock_connect(asking, found[0][4])
        path = (page.path or "/") + (f"?{page.query}" if page.query else "")
        said = f"GET {path} HTTP/1.0\r\nHost: {page.netloc}\r\nUser-Agent: siaga-agent\r\n\r\n"
        await loop.sock_sendall(asking, said.encode())
        answer = b""
        while len(answer) <= ANSWER_BYTES and (piece := await loop.sock_recv(asking, ANSWER_BYTES)):
            answer += piece
        return answer


def _read(answer: bytes) -> Public:
    """Raises BadMessage."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(answer) > ANSWER_BYTES or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or words[1] != b"200":
        raise BadMessage(f"not what the centre answers: {words[:2]!r}")
    return seen.decode(body)
