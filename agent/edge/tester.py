"""Runs bandwidth tests as children: of low priority, one at a time, bounded in time. A child reports by itself."""

import asyncio
import sys
from collections.abc import Callable

import msgspec

from agent.core.events import Event, MeasureBandwidth, NotMeasured
from agent.core.station import Station
from agent.edge import child

TOLD = (0, 4)  # exit codes: a result, or a reason that there is none


class Tester:
    """`order` is called from the loop and does not wait; a failure is emitted, a result comes by the control socket."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._station, self._emit = station, emit
        self._ordered: asyncio.Queue[MeasureBandwidth] = asyncio.Queue()

    def order(self, wanted: MeasureBandwidth) -> None:
        """Bounded by the core: one for each uplink in a quarter of an hour."""
        self._ordered.put_nowait(wanted)

    async def run(self) -> None:
        """Until it is cancelled; a child that is at work is ended then."""
        while True:
            wanted = await self._ordered.get()
            if (why := await self._test(wanted)) is not None:
                self._emit(NotMeasured(wanted.uplink, why, wanted.cap_bytes))  # nobody knows what it has cost

    async def _test(self, wanted: MeasureBandwidth) -> str | None:
        """Why there is no result."""
        command = [sys.executable, "-m", "agent", "measure", wanted.uplink, "--train", "--json", "--wait=10s"]
        try:
            code, _ = await child.run(
                [*command, f"--bytes={wanted.cap_bytes}", "--config=/dev/stdin"], msgspec.json.encode(self._station)
            )
        except TimeoutError:
            return f"the test took longer than {child.LIMIT_S:g} s"
        except OSError as why:
            return why.strerror or str(why)
        return None if code in TOLD else f"the test ended with {code}"
