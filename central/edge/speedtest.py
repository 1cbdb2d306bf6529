"""What speedtest-cli asks of a server of its own, under the name of a turn: /TURN/speedtest/latency.txt and the like.

Uploads are counted as they arrive here; what speedtest-cli says of them is what it handed to its kernel.
"""

import asyncio
import re
import time

from central.core.turns import Turn
from central.edge.transfers import BLOCK
from wire.settle import Settling

HEADERS_AT_MOST = 64
PROBE = b"size=500"  # by this it knows upload.php for one
IMAGE = re.compile(r"speedtest/random(\d{2,4})x(\d{2,4})\.jpg")
PIXEL_BYTES = 2  # about what such an image of the public servers has


async def serve(
    verb: bytes, path: str, turn: Turn, counted: Settling, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One request; the connection is closed behind it."""
    async with asyncio.timeout(max(0.0, turn.ends_at - time.monotonic())):
        length = await _length(reader)
        if verb == b"POST" and path.startswith("speedtest/upload."):
            size = await _receive(length, turn, counted, reader)
            await _answer(writer, b"size=%d" % size)
        elif verb == b"GET" and path == "speedtest/latency.txt":
            await _answer(writer, b"test=test\n")
        elif verb == b"GET" and path == "":  # it looks whether there is anybody
            await _answer(writer, b"siaga\n")
        elif verb == b"GET" and path == "speedtest/upload.php":
            await _answer(writer, PROBE)
        elif verb == b"GET" and (image := IMAGE.fullmatch(path)):
            await _answer_image(int(image[1]) * int(image[2]) * PIXEL_BYTES, turn, writer)
        else:
            writer.write(_head(b"404 Not Found", 0))


async def _length(reader: asyncio.StreamReader) -> int:
    """Of the body; raises ValueError for what is no HTTP."""
    length = 0
    for _ in range(HEADERS_AT_MOST):
        name, _, value = (await reader.readline()).partition(b":")
        if not name.strip():
            return length
        if name.lower() == b"content-length":
            length = int(value)
    raise ValueError("too many headers")


async def _receive(length: int, turn: Turn, counted: Settling, reader: asyncio.StreamReader) -> int:
    size = 0
    while size < length and turn.left_bytes > 0 and (data := await reader.read(65_536)):
        counted.take(len(data), time.monotonic())
        size, turn.left_bytes = size + len(data), turn.left_bytes - len(data)
    return size


async def _answer_image(size: int, turn: Turn, writer: asyncio.StreamWriter) -> None:
    """Cut short when the turn's bytes are spent."""
    writer.write(_head(b"200 OK", size))
    while (now := min(size, turn.left_bytes, len(BLOCK))) > 0:
        writer.write(BLOCK[:now])
        await writer.drain()
        size, turn.left_bytes = size - now, turn.left_bytes - now


async def _answer(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_head(b"200 OK", len(body)) + body)
    await writer.drain()


def _head(status: bytes, length: int) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        status,
        length,
    )
