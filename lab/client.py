"""A client on the station's LAN: measures what people there notice, and reports it as JSON lines.

A 10 ms UDP stream that is echoed shows every silence; a download that never ends shows what becomes of a connection.
Times are seconds of the machine's monotonic clock, so that whoever started the client can compare them with its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

from lab.internet import DOWNLOAD_PORT, ECHO_PORT

SEND_EVERY_S = 0.01
REPORT_EVERY_S = 0.2
NOTED_GAP_S = 0.1
_STILL_HERE_EVERY_S = 1.0  # a client that only listens would never learn that its connection is gone
_GIVE_UP_S = 10.0
_ALIVE_S = 2.0


@dataclass(slots=True)
class Gaps:
    """Silences between two answers."""

    last_s: float | None = None
    longest_s: float = 0.0
    noted: list[tuple[float, float]] = field(default_factory=list)  # start, length: those above NOTED_GAP_S

    def answered(self, now_s: float) -> None:
        gap_s = self.current_s(now_s)
        if self.last_s is not None and gap_s > NOTED_GAP_S:
            self.noted.append((self.last_s, gap_s))
        self.longest_s = max(self.longest_s, gap_s)
        self.last_s = now_s

    def current_s(self, now_s: float) -> float:
        return 0.0 if self.last_s is None else now_s - self.last_s


@dataclass(slots=True)
class Download:
    bytes: int = 0
    resets: int = 0
    reconnects: int = 0
    last_s: float | None = None

    def is_alive(self, now_s: float) -> bool:
        return self.last_s is not None and now_s - self.last_s < _ALIVE_S


def report(gaps: Gaps, download: Download, now_s: float) -> dict[str, object]:
    current_s = gaps.current_s(now_s)
    return {
        "t_s": round(now_s, 3),
        "answered": gaps.last_s is not None,
        "longest_gap_ms": round(max(gaps.longest_s, current_s) * 1e3, 1),
        "current_gap_ms": round(current_s * 1e3, 1),
        "gaps": [{"start_s": round(start_s, 3), "ms": round(gap_s * 1e3, 1)} for start_s, gap_s in gaps.noted],
        "download": {
            "bytes": download.bytes,
            "alive": download.is_alive(now_s),
            "resets": download.resets,
            "reconnects": download.reconnects,
        },
    }


async def experience(server: str) -> None:
    """Runs until it is ended."""
    gaps, download = Gaps(), Download()
    await asyncio.gather(_stream(server, gaps), _keep_downloading(server, download), _tell(gaps, download))


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, gaps: Gaps) -> None:
        self._gaps = gaps

    def datagram_received(self, *_: object) -> None:
        self._gaps.answered(time.monotonic())

    def error_received(self, exc: Exception) -> None:
        """An unreachable is a silence like any other."""


async def _stream(server: str, gaps: Gaps) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answers(gaps), remote_addr=(server, ECHO_PORT))
    next_s, number = time.monotonic(), 0
    while True:
        transport.sendto(number.to_bytes(8, "big"))
        number += 1
        next_s = max(next_s + SEND_EVERY_S, time.monotonic() - SEND_EVERY_S)  # no burst after a pause
        await asyncio.sleep(next_s - time.monotonic())


async def _keep_downloading(server: str, download: Download) -> None:
    while True:
        try:
            await _download(server, download)
        except ConnectionResetError:
            download.resets += 1
        except (OSError, TimeoutError):
            await asyncio.sleep(0.5)
        download.reconnects += 1


async def _download(server: str, download: Download) -> None:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(server, DOWNLOAD_PORT), _GIVE_UP_S)
    still_here = asyncio.create_task(_say_still_here(writer))
    try:
        while data := await asyncio.wait_for(reader.read(65536), _GIVE_UP_S):
            download.bytes += len(data)
            download.last_s = time.monotonic()
    finally:
        still_here.cancel()
        writer.transport.abort()


async def _say_still_here(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while True:
            await asyncio.sleep(_STILL_HERE_EVERY_S)
            writer.write(b".")


async def _tell(gaps: Gaps, download: Download) -> None:
    while True:
        print(json.dumps(report(gaps, download, time.monotonic())), flush=True)
        await asyncio.sleep(REPORT_EVERY_S)
