"""The enrolment desk: a process of its own that holds the authority's key, and serves devices by HTTPS.

Started by central/edge/enrolment.py with one JSON argument. The pages, which strangers talk to, never load the key.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from django.db.utils import DatabaseError

from central.core.networks import Networks
from central.edge.papers import Papers
from central.edge.web import settings as web_settings

if TYPE_CHECKING:
    from central.edge.clerk import Clerk

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: an expired certificate may still ask for its successor
LOOK_EVERY_S = 2.0
CRL_EVERY_S, OWN_EVERY_S = 10 * 86_400.0, 3600.0
CANNOT = 2

log = logging.getLogger("siaga.desk")


class Orders(msgspec.Struct, frozen=True):
    """What the daemon tells the desk."""

    data: str
    hosts: tuple[str, ...]
    broker: str
    renew_at: str
    config_file: str | None
    listener: int | None
    ready: int
    """A pipe in which one byte says that all papers are there."""


class Desk:
    """One event loop for the network, one thread for the database and the key."""

    def __init__(self, orders: Orders, clerk: "Clerk") -> None:
        self._orders, self._papers, self._clerk = orders, Papers(Path(orders.data)), clerk
        self._thread = ThreadPoolExecutor(1, "clerk")

    async def run(self) -> None:
        """Until SIGTERM."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await self._in_thread(self._renew_own)
        await self._write_crl()
        from central.edge.counter import HANDSHAKE_S, HEAD_BYTES, Counter

        context = self._context()
        keeping = asyncio.create_task(self._keep_papers(context))
        server = None
        if self._orders.listener is not None:
            server = await asyncio.start_server(
                Counter(self._clerk, self._in_thread).meet,
                sock=socket.socket(fileno=self._orders.listener),
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                limit=HEAD_BYTES,
            )
        os.write(self._orders.ready, b"\n")
        ended = asyncio.create_task(stopping.wait())
        await asyncio.wait((ended, keeping), return_when=asyncio.FIRST_COMPLETED)
        if server is not None:
            server.close()
        if keeping.done():
            keeping.result()
        keeping.cancel()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._papers.certificate("server"), self._papers.key("server"))
        context.load_verify_locations(self._papers.authority_file)
        context.verify_mode = ssl.CERT_OPTIONAL  # who enrols has none yet
        context.verify_flags |= NO_CHECK_TIME
        return context

    async def _keep_papers(self, context: ssl.SSLContext) -> None:
        """The list of the revoked is as new as the store; our own certificates never end."""
        own_at, crl_at = time.monotonic() + OWN_EVERY_S, time.monotonic() + CRL_EVERY_S
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            try:
                if await self._in_thread(self._clerk.revoked) != self._listed or now >= crl_at:
                    await self._write_crl()
                    crl_at = now + CRL_EVERY_S
                if now >= own_at:
                    own_at = now + OWN_EVERY_S
                    if await self._in_thread(self._renew_own):
                        context.load_cert_chain(self._papers.certificate("server"), self._papers.key("server"))
            except (DatabaseError, OSError) as why:
                log.error("papers cannot be kept up to date: %s", why)

    async def _write_crl(self) -> None:
        """Only when somebody was revoked: brokers elsewhere start anew for it."""
        self._listed = await self._in_thread(self._clerk.revoked)
        await self._in_thread(self._clerk.write_crl, self._listed)

    def _renew_own(self) -> bool:
        return self._clerk.renew_own(self._orders.hosts)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    data = Path(orders.data)
    web_settings.configure(data, [], Networks())
    from central.edge.authority import Authority, AuthorityError
    from central.edge.clerk import Clerk, Offer  # late: Django's models exist only after its settings

    config_file = Path(orders.config_file) if orders.config_file else None
    try:
        clerk = Clerk(data, Authority(data / "ca"), Offer(orders.broker, orders.renew_at, config_file))
        asyncio.run(Desk(orders, clerk).run())
    except (AuthorityError, OSError) as why:
        os.write(orders.ready, str(why).encode()[:1000])
        return CANNOT
    return 0


if __name__ == "__main__":
    sys.exit(main())
