"""The centre's side of bandwidth tests: hands out turns by TCP and answers their packets by UDP, in one thread.

Whoever receives counts, here as at the station. A turn ends when its connection is closed.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections import Counter

from central.core.quiet import Hours, left_s
from central.core.trains import Came, Trains
from central.core.turns import Later, Limits, Turns
from central.edge import speedtest, transfers
from central.edge.clock import day_s
from central.edge.reflector import from_here, is_to_everybody, received_ns
from wire.bandwidth import (
    LINE_BYTES_AT_MOST,
    PACKET_BYTES,
    Ask,
    Await,
    Busy,
    HowMuch,
    Received,
    Refused,
    Seen,
    Transfer,
    Turn,
    line,
    read_question,
    stamped,
)
from wire.messages import BadMessage
from wire.settle import Settling

FIRST_LINE_S = 5.0
QUIET_S = 1.0  # after the last packet of a train; what comes later is as good as lost
LOOK_EVERY_S = 0.02
CONNECTIONS_AT_MOST, OF_ONE_HOST = 512, 32
GROUP_LETTERS = 96
AT_ONCE = 64  # packets, before the loop looks at anything else
SEND_BUFFER_BYTES = 1_000_000  # a whole train
COMPLAINT_EVERY_S = 60.0
STOP_PATIENCE_S = 2.0

log = logging.getLogger("siaga.measuring")


class Measuring:
    """On two sockets that were opened before, and outlive the thread; both have the same address."""

    name = "bandwidth server"

    def __init__(
        self,
        datagrams: socket.socket,
        connections: socket.socket,
        limits: Limits | None = None,
        quiet: tuple[Hours, ...] = (),
    ) -> None:
        self._datagrams, self._connections, self._quiet = datagrams, connections, quiet
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._turns = Turns(limits)
        self._trains = Trains(self._turns, os.urandom(32))
        self.counts = self._trains.counts
        self._uploads: dict[bytes, Settling] = {}
        self._hosts: Counter[str] = Counter()
        self._told = 0

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.add_reader(self._datagrams, self._read)
        self._loop.call_later(COMPLAINT_EVERY_S, self._complain)
        self._thread = threading.Thread(target=self._run, name="bandwidth", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Nothing to wait for: both sockets take what comes already, and it is answered in a moment."""

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_PATIENCE_S)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        listening = asyncio.start_server(self._meet, sock=self._connections.dup(), limit=4 * LINE_BYTES_AT_MOST)
        server = loop.run_until_complete(listening)
        try:
            loop.run_forever()
        finally:
            loop.remove_reader(self._datagrams)
            server.close()
            open_ones = asyncio.all_tasks(loop)
            for task in open_ones:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*open_ones, return_exceptions=True))
            loop.close()

    # packets

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, source = self._datagrams.recvmsg(PACKET_BYTES + 1, 256)
            except BlockingIOError:
                return
            except OSError as why:  # what another packet of ours met on its way
                log.debug("%s", why)
                continue
            told = {(level, kind): value for level, kind, value in ancillary}
            now_ns = time.time_ns()
            if is_to_everybody(told):
                self.counts.malformed += 1
                continue
            came = Came(data, source[0], source[1], received_ns(told) or now_ns)
            here = from_here(told)
            with contextlib.suppress(OSError):  # no way back, or no room: who asked sees a loss, and is right
                for answer in self._trains.answer(came, now_ns, time.monotonic()):
                    is_train = len(answer) > len(data)
                    self._datagrams.sendmsg([stamped(answer, time.time_ns()) if is_train else answer], here, 0, source)

    def _complain(self) -> None:
        """One line a minute at most, whatever strangers send."""
        counts = self.counts
        bad = counts.malformed + counts.turnless + counts.unproven + counts.limited
        if bad > self._told:
            log.warning("since the start: %s", counts)
            self._told = bad
        self._loop.call_later(COMPLAINT_EVERY_S, self._complain)

    # connections

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = str((writer.get_extra_info("peername") or ("nobody",))[0])
        if self._hosts.total() >= CONNECTIONS_AT_MOST or self._hosts[host] >= OF_ONE_HOST:
            writer.transport.abort()
            return
        self._hosts[host] += 1
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as why:  # the peer's or the path's mess
            log.debug("%s: %r", host, why)
        finally:
            self._hosts[host] -= 1
            self._hosts += Counter()  # forgets who has none
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(FIRST_LINE_S):
            first = await reader.readline()
        if first.startswith((b"GET ", b"POST ")):
            await self._browse(first, reader, writer)
            return
        try:
            question = read_question(first)
        except BadMessage:
            writer.write(line(Refused("that is no question of mine")))
            return
        match question:
            case Ask():
                await self._turn(question, reader, writer)
            case Transfer(turn, way, size, rtt_s):
                granted = self._turns.of(_token(turn), time.monotonic())
                if granted is not None:
                    settling = self._uploads[granted.token] = Settling(max(0.0, min(rtt_s, 3.0)))
                    await transfers.serve(transfers.Order(way, size), granted, settling, reader, writer)
            case _:
                writer.write(line(Refused("first ask for a turn")))

    async def _turn(self, ask: Ask, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        if (quiet_s := left_s(self._quiet, day_s())) > 0:
            writer.write(line(Busy(quiet_s, quiet=True)))
            return
        answer = self._turns.ask(ask.group[:GROUP_LETTERS], ask.bytes, ask.lasts_s, os.urandom(8), now)
        if isinstance(answer, Later):
            writer.write(line(Busy(round(answer.again_s, 1))))
            return
        try:
            writer.write(line(Turn(answer.token.hex(), answer.ends_at - now, answer.left_bytes)))
            async with asyncio.timeout(answer.ends_at - now):
                while said := await reader.readline():
                    writer.write(line(await self._told_of(answer.token, said)))
        finally:
            self._turns.end(answer.token)
            self._trains.forget(answer.token)
            self._uploads.pop(answer.token, None)

    async def _told_of(self, token: bytes, said: bytes) -> Seen | Received | Refused:
        try:
            question = read_question(said)
        except BadMessage:
            return Refused("that is no question of mine")
        match question:
            case Await(train, packets):
                await self._train_over(token, train, packets)
                return self._trains.seen(token, train, packets)
            case HowMuch():
                rate = self._uploads[token].rate if token in self._uploads else None
                return (
                    Received(rate.bytes, rate.mbps, rate.settled, rate.seconds) if rate else Received(0, None, False, 0)
                )
        return Refused("not in a turn")

    async def _train_over(self, token: bytes, train: int, packets: int) -> None:
        """All is here, or for a while nothing has come."""
        asked_at = time.monotonic()
        while True:
            count, last_at = self._trains.quiet_since(token, train)
            if count >= packets or time.monotonic() > max(last_at, asked_at) + QUIET_S:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _browse(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Only under the name of a turn: this is no free download for the world."""
        name = first.split(b" ")[1].partition(b"?")[0].decode("ascii", "replace").strip("/").partition("/")
        granted = self._turns.of(_token(name[0]), time.monotonic())
        if granted is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        counted = self._uploads.setdefault(granted.token, Settling())
        await speedtest.serve(first.split(b" ")[0], name[2], granted, counted, reader, writer)


def _token(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
