"""What one uplink may spend on measuring, in a day and in a month; charged with what was really sent and received.

A day is 86,400 seconds in which the agent ran: a board without a clock knows no other, and an agent that was off
spends nothing.
"""

from dataclasses import dataclass

import msgspec

from agent.core.history import DAY_S, MONTH_S
from agent.core.station import Uplink

CALM_SHARE = 0.8  # of a day's bytes; the rest is for trouble, which comes when the calm has spent its own
MB = 1_000_000
FREE_MB_PER_DAY, FREE_MB_PER_MONTH = 60.0, 1200.0  # an unmetered line: half as much again as a month on fibre
METERED_SHARE = 0.05  # of what the plan includes


class Spent(msgspec.Struct):
    """Of the day and the month that run: how long they have run, and what was spent in them."""

    day_s: float = 0.0
    day_bytes: int = 0
    month_s: float = 0.0
    month_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Caps:
    day_bytes: float
    month_bytes: float


def caps(uplink: Uplink) -> Caps:
    """As configured; else by what the plan includes."""
    month_mb = uplink.metered.mb_per_month * METERED_SHARE if uplink.metered else FREE_MB_PER_MONTH
    day_mb = month_mb / 10 if uplink.metered else FREE_MB_PER_DAY  # a backup that carries a whole election day
    if uplink.budget is not None:
        month_mb = uplink.budget.mb_per_month if uplink.budget.mb_per_month is not None else month_mb
        day_mb = uplink.budget.mb_per_day if uplink.budget.mb_per_day is not None else min(day_mb, month_mb)
    return Caps(day_mb * MB, month_mb * MB)


class Budget:
    """Asked before each echo. No byte is spent past a cap, whatever happens."""

    def __init__(self, limits: Caps, spent: Spent, now: float) -> None:
        self.limits, self.spent = limits, spent
        self._at = now

    def charge(self, size: int) -> None:
        self.spent.day_bytes = max(0, self.spent.day_bytes + size)  # what comes back may be of the day before
        self.spent.month_bytes = max(0, self.spent.month_bytes + size)

    @property
    def scarce(self) -> bool:
        """The share of calm is spent."""
        return self._left(CALM_SHARE * self.limits.day_bytes, CALM_SHARE * self.limits.month_bytes) < 0

    def allows(self, size: int, now: float) -> bool:
        self._pass(now)
        return self._left(self.limits.day_bytes, self.limits.month_bytes) >= size

    def calm_left_bytes(self, now: float) -> int:
        """What tests may take, which are never urgent."""
        self._pass(now)
        return max(0, int(self._left(CALM_SHARE * self.limits.day_bytes, CALM_SHARE * self.limits.month_bytes)))

    def calm_spacing_s(self, wanted_s: float, size: int, now: float) -> float:
        """How far apart calm echoes of this size may be: as wanted while their share lasts, then so that half of what
        is left lasts to the end of the day and of the month.
        """
        self._pass(now)
        spent = self.spent
        spread_s = wanted_s
        for passed_s, span_s, used, limit in (
            (spent.day_s, DAY_S, spent.day_bytes, self.limits.day_bytes),
            (spent.month_s, MONTH_S, spent.month_bytes, self.limits.month_bytes),
        ):
            if used > CALM_SHARE * limit:
                spread_s = max(spread_s, (span_s - passed_s) * 2 * size / max(limit - used, size))
        return spread_s

    def _left(self, day_bytes: float, month_bytes: float) -> float:
        return min(day_bytes - self.spent.day_bytes, month_bytes - self.spent.month_bytes)

    def _pass(self, now: float) -> None:
        passed_s, self._at = now - self._at, now
        spent = self.spent
        spent.day_s, spent.month_s = spent.day_s + passed_s, spent.month_s + passed_s
        if spent.day_s >= DAY_S:
            spent.day_s, spent.day_bytes = spent.day_s % DAY_S, 0
        if spent.month_s >= MONTH_S:
            spent.month_s, spent.month_bytes = spent.month_s % MONTH_S, 0
