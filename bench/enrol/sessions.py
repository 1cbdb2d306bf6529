"""Many stations' sessions in one process: TLS with each one's certificate, and as little MQTT as a station speaks.

Like an agent's courier, each comes back by itself, after half a second to thirty; it then shows its state and one new
record, and is well again when the centre says that this record is stored.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.edge import identity
from agent.edge.broker import BACKOFF_S, CONNECT_S, KEEPALIVE_S
from tests.central.station import delivery, fact, state, will
from wire.messages import Stored, decode, encode
from wire.packing import pack
from wire.topics import Address, Down, Up

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, PINGREQ = 0x10, 0x20, 0x30, 0x82, 0xC0
AT_LEAST_ONCE, RETAINED = 0x02, 0x01
CLEAN_WITH_A_WILL = 0x02 | 0x04 | 0x08 | 0x20


@dataclass(slots=True)
class Station:
    """One of them; `turn` is the number of its newest record."""

    number: str
    folder: Path
    port: int
    turn: int = 0
    stored: int = 0
    connections: int = 0
    failed: int = 0
    """Attempts that came to no session."""
    lost_at: float | None = None
    """When its last connection ended."""
    _writer: asyncio.StreamWriter | None = None

    async def live(self) -> None:
        context = ssl.create_default_context(cafile=str(self.folder / identity.AUTHORITY))
        context.load_cert_chain(self.folder / identity.CERTIFICATE, self.folder / identity.KEY)
        wait_s = BACKOFF_S[0]
        while True:
            try:
                await self._session(context)
            except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
                self.failed += self._writer is None
            if self._writer is not None:
                self._writer.close()
                self._writer, self.lost_at, wait_s = None, time.monotonic(), BACKOFF_S[0]
            await asyncio.sleep(random.uniform(wait_s / 2, wait_s))
            wait_s = min(2 * wait_s, BACKOFF_S[1])

    async def _session(self, context: ssl.SSLContext) -> None:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="127.0.0.1"), CONNECT_S
        )
        try:
            writer.write(self._hello())
            kind, body = await asyncio.wait_for(_packet(reader), KEEPALIVE_S)
            if kind != CONNACK or body[1]:
                raise ConnectionError("refused")
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        self.connections += 1
        self.turn += 1
        writer.write(_framed(SUBSCRIBE, b"\x00\x01" + _text(self._topic(Down.STORED)) + b"\x00"))
        self._say(Up.STATE, encode(state(self.number, 60.0 * self.turn, session=f"turn-{self.turn}")), RETAINED)
        self._say(Up.FACT, encode(delivery([fact(self.turn)], station=self.number)), 0)
        while True:
            try:
                kind, body = await asyncio.wait_for(_packet(reader), KEEPALIVE_S)
            except TimeoutError:
                writer.write(_framed(PINGREQ, b""))
                continue
            if kind & 0xF0 == PUBLISH:  # at QoS 0, so that there is no number between topic and content
                length = int.from_bytes(body[:2], "big")
                self.stored = max(self.stored, decode(body[2 + length :], Stored).seq)

    def _say(self, kind: Up, payload: bytes, retained: int) -> None:
        assert self._writer is not None
        content = _text(self._topic(kind)) + b"\x00\x02" + pack(payload)
        self._writer.write(_framed(PUBLISH | AT_LEAST_ONCE | retained, content))

    def _hello(self) -> bytes:
        goodbye = pack(encode(will(self.number, f"turn-{self.turn + 1}")))
        name = f"siaga-{self.number}-{random.randbytes(8).hex()}"
        head = _text("MQTT") + b"\x04" + bytes([CLEAN_WITH_A_WILL]) + KEEPALIVE_S.to_bytes(2, "big")
        testament = _text(self._topic(Up.STATE)) + len(goodbye).to_bytes(2, "big") + goodbye
        return _framed(CONNECT, head + _text(name) + testament)

    def _topic(self, kind: Up | Down) -> str:
        return Address(self.number, kind).topic

    @property
    def is_well(self) -> bool:
        return self._writer is not None and self.stored >= self.turn


@dataclass(slots=True)
class All:
    """All stations, each in a task of its own."""

    stations: list[Station]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(station.live()) for station in self.stations]

    async def until(self, what: Callable[[], bool], deadline_s: float) -> float:
        """How long it took; raises TimeoutError."""
        began = time.monotonic()
        while not what():
            if time.monotonic() > began + deadline_s:
                unwell = [station for station in self.stations if not station.is_well]
                raise TimeoutError(f"{len(unwell)} of them are not well after {deadline_s} s: {unwell[:2]}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def are_well(self) -> bool:
        return all(station.is_well for station in self.stations)

    @property
    def connections(self) -> int:
        return sum(station.connections for station in self.stations)

    @property
    def failed(self) -> int:
        return sum(station.failed for station in self.stations)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Its first byte and its body."""
    kind, length, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return kind, await reader.readexactly(length)


def _framed(kind: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([kind]) + bytes(digits) + body


def _text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()
