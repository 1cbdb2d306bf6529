"""Carries connections from a socket of the host to an address inside the lab, so that a browser sees the lab's page."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


def listen(port: int) -> socket.socket:
    """On the host's loopback, opened before the cell is entered; port 0 takes a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.set_inheritable(True)
    return listener


async def publish(descriptor: int, address: str, port: int) -> None:
    """Runs in the namespace that can reach the address; the inherited listener is still the host's."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            page_reader, page_writer = await asyncio.open_connection(address, port)
            await asyncio.gather(_copy(reader, page_writer), _copy(page_reader, writer))
        writer.close()

    server = await asyncio.start_server(carry, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
