"""The desk's counter: the little of HTTP that a device needs to enrol, bounded in time, bytes and tries."""

import asyncio
import collections
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

from central.core.cards import Why
from central.core.tries import Tries
from central.edge.clerk import Clerk, refusal
from wire import enrolment
from wire.enrolment import Admission, Application, Renewal
from wire.messages import BadMessage

HEAD_BYTES, LINES_AT_MOST = 4096, 40
WHOLE_S, HANDSHAKE_S = 15.0, 8.0  # over a satellite a question takes four seconds
REFUSED_AFTER_S = 0.5  # from the question on, whatever the reason: the time that it takes tells nothing
ADMITTED_AFTER_S = 1.0  # by then the broker knows the new certificate too
CONNECTIONS_AT_MOST, OF_ONE_HOST = 256, 128  # a carrier's NAT hides many stations behind one address
PHRASES = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
STATUS = {Why.TOO_MANY: 429, Why.BAD_REQUEST: 400}

log = logging.getLogger("siaga.desk")


class BadQuestion(Exception):
    """No HTTP of ours; the connection just ends."""


class Counter:
    """`meet` serves one connection with one question."""

    def __init__(self, clerk: Clerk, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._clerk, self._in_thread = clerk, in_thread
        self._tries = Tries()
        self._hosts: collections.Counter[str] = collections.Counter()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = str((writer.get_extra_info("peername") or ("nobody",))[0])
        if self._hosts.total() >= CONNECTIONS_AT_MOST or self._hosts[host] >= OF_ONE_HOST:
            writer.transport.abort()
            return
        self._hosts[host] += 1
        try:
            async with asyncio.timeout(WHOLE_S):
                status, body = await self._answer(reader, writer, host)
                head = (
                    f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, TimeoutError, ValueError, BadQuestion, asyncio.IncompleteReadError) as why:
            log.debug("%s: %r", host, why)
        finally:
            self._hosts[host] -= 1
            self._hosts += collections.Counter()  # forgets who has none
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> tuple[int, bytes]:
        asked_at = time.monotonic()
        method, path, length = await _head(reader)
        if (method, path) == ("GET", enrolment.AUTHORITY_PATH):
            return 200, self._clerk.authority_pem.encode()
        if method != "POST" or path not in (enrolment.APPLY_PATH, enrolment.RENEW_PATH):
            return 404, b""
        body = await reader.readexactly(length)
        answer = await (self._apply(body, host) if path == enrolment.APPLY_PATH else self._renew(body, writer))
        if isinstance(answer, Admission):
            await asyncio.sleep(ADMITTED_AFTER_S)
            return 200, enrolment.encode(answer)
        await asyncio.sleep(max(0.0, asked_at + REFUSED_AFTER_S - time.monotonic()))
        return STATUS.get(answer, 403), enrolment.encode(refusal(answer))

    async def _apply(self, body: bytes, host: str) -> Admission | Why:
        if not self._tries.may(host, time.monotonic()):
            return Why.TOO_MANY
        try:
            asked = enrolment.decode(body, Application)
        except BadMessage:
            return Why.BAD_REQUEST
        self._tries.wrong(host, time.monotonic())  # before the answer is known: many at once count as many
        answer = await self._in_thread(self._clerk.apply, asked, host)
        if answer is not Why.UNKNOWN:
            self._tries.forgive(host)
        return answer

    async def _renew(self, body: bytes, writer: asyncio.StreamWriter) -> Admission | Why:
        secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = secured.getpeercert()  # verified; its dates are judged by the register
        if not shown:
            return Why.REVOKED
        try:
            asked = enrolment.decode(body, Renewal)
        except BadMessage:
            return Why.BAD_REQUEST
        serial = f"{int(str(shown['serialNumber']), 16):x}"
        return await self._in_thread(self._clerk.renew, asked, serial)


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, int]:
    """Method, path and length of the body; raises BadQuestion, ValueError."""
    words = (await reader.readline()).decode("ascii").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadQuestion("no HTTP")
    length = 0
    for _ in range(LINES_AT_MOST):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            break
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            if not (value.strip().isascii() and value.strip().isdigit()):
                raise BadQuestion("no length")
            length = int(value.strip()[:9])
    else:
        raise BadQuestion("too many lines")
    if length > enrolment.LARGEST_BYTES:
        raise BadQuestion("too long")
    return words[0], words[1], length
