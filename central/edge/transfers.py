"""One connection that is filled one way, until who receives has seen enough or the turn's bytes are spent."""

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass

from central.core.turns import Turn
from wire.bandwidth import Way
from wire.settle import Settling

BLOCK = os.urandom(65_536)  # an accelerator on the way must not squeeze it
AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Order:
    way: Way
    bytes: int


async def serve(
    order: Order, turn: Turn, settling: Settling, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Of the turn's time no second is exceeded."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(max(0.0, turn.ends_at - time.monotonic())):
            if order.way is Way.UP:
                await _receive(order.bytes, turn, settling, reader)
            else:
                await _send(order.bytes, turn, writer)
                return
    writer.transport.abort()  # what is still on its way is of no use


async def _receive(size: int, turn: Turn, settling: Settling, reader: asyncio.StreamReader) -> None:
    while size > 0 and turn.left_bytes > 0 and not settling.settled and (data := await reader.read(65_536)):
        settling.take(len(data), time.monotonic())
        size, turn.left_bytes = size - len(data), turn.left_bytes - len(data)


async def _send(size: int, turn: Turn, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    at = 0
    while (now := min(size, turn.left_bytes, AT_ONCE)) > 0:
        writer.write(BLOCK[at : at + now])
        await writer.drain()
        at = (at + AT_ONCE) % len(BLOCK)
        size, turn.left_bytes = size - now, turn.left_bytes - now
    writer.write_eof()
    await writer.drain()
