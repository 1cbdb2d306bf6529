"""Has the device's key sign the chain of records, every ten minutes and after each switch, in a child process."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from agent.core.events import Event, Noticed
from agent.core.station import Station
from agent.edge import child
from agent.edge.spool import Head
from wire import chain
from wire.messages import Seal

log = logging.getLogger(__name__)

FIRST_S = 60.0  # a station that restarts often signs all the same
EVERY_S = 600.0
AFTER_S = 3.0  # the hand-over has the processor to itself, and its facts are numbered by then
PAUSE_S = 20.0  # a child costs 0.1 s of a processor: whoever flaps gets one seal for several switches
WHY_LETTERS = 64


class Signed(msgspec.Struct):
    """What the child prints."""

    signature: str
    key: str
    certificate: str | None


Keep = Callable[[Seal], None]
"""Puts a seal into the spool."""


class Sealer:
    """`want` is called from the loop and does not wait; the daemon keeps what comes of it."""

    def __init__(
        self, station: Station, head: Callable[[], Awaitable[Head]], keep: Keep, emit: Callable[[Event], None]
    ) -> None:
        self._station = station.station
        self._state_dir = Path(station.state_dir)
        self._head, self._keep, self._emit = head, keep, emit
        self._wanted = asyncio.Event()
        self._told: str | None = None
        """The certificate that the centre has been told in this run."""
        self._failing = ""
        self._is_keyless = False

    def want(self) -> None:
        """Something was decided that others may want to see proven."""
        self._wanted.set()

    async def run(self) -> None:
        """Until it is cancelled; a child that is at work is ended then."""
        wait_s = FIRST_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()
                    await asyncio.sleep(AFTER_S)
            self._wanted.clear()
            await self._seal()
            await asyncio.sleep(PAUSE_S)
            wait_s = EVERY_S - PAUSE_S

    async def _seal(self) -> None:
        if not (self._state_dir / "device.key").exists():
            if not self._is_keyless:
                log.info("records are not signed: %s has no device.key; enrolment makes one", self._state_dir)
            self._is_keyless = True
            return
        self._is_keyless = False
        head = await self._head()
        try:
            signed = await self._signed(chain.sealed(self._station, head.epoch, head.seq, head.chain))
        except (OSError, ValueError) as why:  # with TimeoutError and all that msgspec finds wrong
            self._fail(str(why) or "it took too long")
            return
        self._failing = ""
        certificate = signed.certificate if signed.certificate != self._told else None
        self._keep(Seal(head.seq, chain.text(head.chain), signed.signature, signed.key, certificate))
        self._told = signed.certificate

    async def _signed(self, text: bytes) -> Signed:
        code, printed = await child.run([sys.executable, "-m", "agent.sign", str(self._state_dir)], text)
        if code != 0:
            raise ValueError(printed.decode(errors="replace").strip() or f"it ended with {code}")
        return msgspec.json.decode(printed, type=Signed)

    def _fail(self, why: str) -> None:
        """Once for each reason, until it works again."""
        if why != self._failing:
            self._emit(Noticed("SEAL_FAILED", {"why": why[:WHY_LETTERS]}))
        self._failing = why
