"""Answers Prometheus: GET /metrics on loopback or the LAN, never by an uplink; bounded in size, number and time.

Each listener is bound to one device, so that a packet that comes in by another one finds nobody, whatever address it
is for. An address or a device that is not there yet is waited for.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from agent.core.metrics import CONTENT_TYPE
from agent.core.station import Endpoint, Station

LOOPBACK = "lo"  # what this device asks itself comes by it, for any of its addresses
PATH = b"/metrics"
LOOK_EVERY_S = 5.0
WITHIN_S = 5.0  # for all of a request and its answer
REQUEST_BYTES = 4096
AT_ONCE = 8
FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}  # linux/in.h, in6.h

log = logging.getLogger(__name__)


class Responder:
    def __init__(self, station: Station, write: Callable[[], str]) -> None:
        """`write` is called for each good question, in the loop."""
        self._at = Endpoint.of(station.metrics) if station.metrics else None
        inside = () if self._at is None or self._at.is_loopback else station.lan.interfaces
        self._write = write
        self._listening: dict[str, tuple[int, asyncio.Server]] = {}
        self._devices = (LOOPBACK, *inside)
        self._faults: dict[str, str] = {}
        self._talking = 0

    async def run(self) -> None:
        """Until it is cancelled. A device that came back is another one: it is listened on anew."""
        try:
            while self._at is not None:
                for device in self._devices:
                    await self._look_at(device, self._at)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            for _, server in self._listening.values():
                server.close()

    async def _look_at(self, device: str, at: Endpoint) -> None:
        known, fault = self._listening.get(device), ""
        try:
            index = socket.if_nametoindex(device)
            if known is not None and known[0] == index:
                return
            if known is not None:
                self._listening.pop(device)[1].close()
            self._listening[device] = index, await self._listen(device, at)
        except OSError as why:
            fault = why.strerror or str(why)
        if fault and self._faults.get(device) != fault:
            log.warning("metrics cannot be served on %s by %s: %s", at, device, fault)
        self._faults[device] = fault

    async def _listen(self, device: str, at: Endpoint) -> asyncio.Server:
        family = socket.AF_INET6 if ":" in at.address else socket.AF_INET
        with contextlib.ExitStack() as opened:
            listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            listener.setsockopt(*FREEBIND[family], 1)
            listener.bind((at.address, at.port))
            server = await asyncio.start_server(self._talk, sock=listener, limit=REQUEST_BYTES, backlog=AT_ONCE)
            opened.pop_all()
        return server

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._talking >= AT_ONCE:
            writer.transport.abort()
            return
        self._talking += 1
        try:
            async with asyncio.timeout(WITHIN_S):
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                writer.write_eof()
                await writer.drain()
                while await reader.read(REQUEST_BYTES):
                    pass  # until the other side closes too: a reset might overtake the answer
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # whoever asked is gone, slow, or no HTTP; it loses its answer, nothing else
        finally:
            self._talking -= 1
            writer.transport.abort()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", "")
        if words[0] != b"GET":
            return _response("405 Method Not Allowed", "", "Allow: GET\r\n")
        if words[1].partition(b"?")[0] != PATH:
            return _response("404 Not Found", "metrics are at /metrics\n")
        return _response("200 OK", self._write())


def _response(status: str, body: str, further: str = "") -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n{further}"
    return f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content
