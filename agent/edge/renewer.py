"""Has the device's certificate renewed in time: at two thirds of its life, each device at a moment of its own."""

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.core.events import Event, Noticed
from agent.core.station import Station
from agent.edge import child, clock, identity, trust
from agent.edge.identity import NoIdentity, Told

RENEWED_AT = 2 / 3
SPREAD = 1 / 12  # of its life, before that: a week, so that a fleet that enrolled on one day does not come on one
LOOK_EVERY_S = 300.0
AGAIN_S = 3600.0
DAY_S = 86_400.0


class Renewer:
    """The work is done by `siaga-agent renew` in a child: cryptography never enters the daemon."""

    def __init__(self, station: Station, emit: Callable[[Event], None], renewed: Callable[[], None]) -> None:
        self._station, self._emit, self._renewed = station, emit, renewed
        self._state_dir = Path(station.state_dir)
        self._failed_serial = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._station.centre.is_secured:
            await asyncio.sleep(LOOK_EVERY_S * random.uniform(0.5, 1) if await self._look() else AGAIN_S)

    async def _look(self) -> bool:
        """False when it was tried in vain."""
        try:
            told = identity.read(self._state_dir)
        except NoIdentity:
            return True
        now_s = self._now_s()
        if not told.renew_at or now_s < due_s(told):
            return True
        command = [sys.executable, "-m", "agent", "renew", "--config=/dev/stdin"]
        try:
            code, _ = await child.run(command, msgspec.json.encode(self._station))
        except (TimeoutError, OSError):
            code = 1
        if code:
            self._tell_failure(told, now_s)
            return False
        days = round((identity.read(self._state_dir).not_after_s - now_s) / DAY_S)
        self._emit(Noticed("CERTIFICATE_RENEWED", {"days": days}))
        self._renewed()
        return True

    def _tell_failure(self, told: Told, now_s: float) -> None:
        """Once for each certificate: it is tried again for a month."""
        if told.serial != self._failed_serial:
            self._failed_serial = told.serial
            days = round((told.not_after_s - now_s) / DAY_S, 1)
            self._emit(Noticed("CERTIFICATE_NOT_RENEWED", {"days": days}))

    def _now_s(self) -> float:
        """While nobody has set the clock, it is at least as late as it was once."""
        wall_s, synced = clock.wall()
        return wall_s if synced else trust.last_time(self._state_dir)


def due_s(told: Told) -> float:
    """Always the same for one certificate, whenever the agent starts."""
    life_s = told.not_after_s - told.not_before_s
    return told.not_before_s + life_s * (RENEWED_AT - SPREAD * random.Random(told.serial).random())
