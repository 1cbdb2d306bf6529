"""What a metered uplink has carried of its plan, and what that means for traffic that is not essential."""

from enum import StrEnum

import msgspec

from agent.core.budget import MB
from agent.core.history import DAY_S, MONTH_S
from agent.core.station import Metered

RESERVE_SHARE = 0.1  # of the plan, unless the operator says how much
LOW_SHARE = 0.25  # of what lies beside the reserve
LOW_LASTS_S = 8 * 3600  # what is left when it is low, with the rest at its limit in both directions
LOW_KBPS_AT_LEAST = 16
DATED_MONTH_S = 32 * DAY_S  # longer than any month: the date never came, and the plan must not stay shut for ever


class Policy(StrEnum):
    OPEN = "open"
    """Nothing is limited."""
    LOW = "low"
    """The rest gets so little that what is left lasts for a day's work."""
    RESERVE = "reserve"
    """Only the reserve is left: the rest is refused."""


class Used(msgspec.Struct):
    """Of the month that runs; and where the interface's counters stood, to go on from there after a restart."""

    bytes: int = 0
    month_s: float = 0.0
    """How long the month has run, while the agent did."""
    period: int | None = None
    """The month by the calendar, once the date is known."""
    rx_bytes: int | None = None
    tx_bytes: int | None = None


class Plan:
    """Counts what the interface carries. The bytes only grow until the month is over, so the policy cannot flap."""

    def __init__(self, metered: Metered, used: Used, now: float) -> None:
        self.metered, self.used = metered, used
        self._at = now
        self.policy = policy(metered, used.bytes)
        """As it was told last."""

    def count(self, rx_bytes: int, tx_bytes: int) -> None:
        """Where nobody has counted before, it is a beginning; counters that fell began again from nought."""
        used = self.used
        if used.rx_bytes is not None and used.tx_bytes is not None:
            fell = rx_bytes < used.rx_bytes or tx_bytes < used.tx_bytes
            used.bytes += rx_bytes + tx_bytes - (0 if fell else used.rx_bytes + used.tx_bytes)
        used.rx_bytes, used.tx_bytes = rx_bytes, tx_bytes

    def look(self, now: float) -> Policy:
        """The policy from now on."""
        self.used.month_s += now - self._at
        self._at = now
        if self.used.month_s >= (MONTH_S if self.metered.from_day is None else DATED_MONTH_S):
            self._begin_anew()
        self.policy = policy(self.metered, self.used.bytes)
        return self.policy

    def dated(self, year: int, month: int, day: int) -> None:
        """A date before the known month is a clock that was wrong then or now, and no new month."""
        if self.metered.from_day is None:
            return
        period = 12 * year + month - (day < self.metered.from_day)
        if self.used.period is not None and period > self.used.period:
            self._begin_anew()
        self.used.period = period

    def _begin_anew(self) -> None:
        self.used.bytes, self.used.month_s = 0, 0.0


def told(plan: Plan) -> dict[str, float | str]:
    """For people: the policy, and what it rests on."""
    return {
        "policy": plan.policy,
        "used_mb": round(plan.used.bytes / MB, 1),
        "plan_mb": plan.metered.mb_per_month,
        "reserve_mb": reserve_mb(plan.metered),
    }


def reserve_mb(metered: Metered) -> float:
    return metered.mb_per_month * RESERVE_SHARE if metered.reserve_mb is None else metered.reserve_mb


def low_kbps(metered: Metered) -> int:
    """What the rest gets in each direction when the plan is low."""
    left_mb = LOW_SHARE * (metered.mb_per_month - reserve_mb(metered))
    return max(LOW_KBPS_AT_LEAST, int(left_mb * MB * 8 / 1000 / LOW_LASTS_S / 2))


def policy(metered: Metered, used_bytes: int) -> Policy:
    for_the_rest = metered.mb_per_month - reserve_mb(metered)
    left_mb = for_the_rest - used_bytes / MB
    if left_mb <= 0:
        return Policy.RESERVE
    return Policy.LOW if left_mb < LOW_SHARE * for_the_rest else Policy.OPEN
