"""The server that a LAN client talks to: echoes UDP and TCP, and sends a download that never ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

ECHO_PORT, DOWNLOAD_PORT = 7007, 7080
_CHUNK_BYTES, _CHUNK_EVERY_S = 5_000, 0.1  # 400 kbit/s: leaves room on every uplink


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


async def serve(address: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(_Echo, local_addr=(address, ECHO_PORT))
    echo = await asyncio.start_server(_echo, address, ECHO_PORT)
    download = await asyncio.start_server(_download, address, DOWNLOAD_PORT)
    await asyncio.gather(echo.serve_forever(), download.serve_forever())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, TimeoutError, OSError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _download(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, TimeoutError, OSError):
        while True:
            writer.write(bytes(_CHUNK_BYTES))
            await writer.drain()
            await asyncio.sleep(_CHUNK_EVERY_S)
    writer.close()
