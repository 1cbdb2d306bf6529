"""When an uplink's bandwidth is tested by itself: at a random moment of each period, and not when it would disturb.

What is skipped is told when the reason changes, with how often the last one held.
"""

from collections import deque
from zlib import crc32

from agent.core.bandwidth import Allowance, Measured
from agent.core.budget import caps
from agent.core.delivery import Way, message_s, photos_s
from agent.core.events import MeasureBandwidth
from agent.core.history import MONTH_S
from agent.core.station import Kind, Station, Uplink
from wire.messages import Fact, Forecast, Health

EVERY_S = {Kind.FIBRE: 900.0, Kind.LTE: 900.0, Kind.LEO: 900.0, Kind.GEO: 3600.0}
NOT_BEFORE_S = 120.0  # after the start: first it must be known whether the uplink is good at all
COST_BYTES = 200_000  # a train each way with what goes with it
SHARE = 0.25  # of what measuring may cost in a month; the rest keeps the judge awake, and is for trouble
USE_AT_MOST = 0.3  # of what either way can carry
USE_OVER_S = 10.0
SHARE_AT_LEAST = 0.1  # of a way that is full: a new connection takes its part


def every_s(uplink: Uplink) -> float:
    """As often as the kind is worth it, and as its budget bears."""
    return max(EVERY_S[uplink.kind], MONTH_S * COST_BYTES / (SHARE * max(caps(uplink).month_bytes, COST_BYTES)))


class Trials:
    """Of one uplink. Told what its interface has carried; asked with `look` at the moment `due_at`."""

    def __init__(self, station: Station, uplink: Uplink, now: float) -> None:
        self._uplink, self._named = uplink, f"{station.station} {uplink.name}"
        self._every_s = every_s(uplink)
        self._from, self._number = now + NOT_BEFORE_S, 0
        self._capacity_mbps: tuple[float | None, float | None] = (None, None)
        self._measured_at = now
        self._carried: deque[tuple[float, int, int]] = deque()
        self._skipped: str | None = None
        self._times = 0
        self.due_at = self._moment() if station.centre.measure else float("inf")

    def count(self, up_bytes: int, down_bytes: int, now: float) -> None:
        if self._carried and (up_bytes < self._carried[-1][1] or down_bytes < self._carried[-1][2]):
            self._carried.clear()  # the counters begin anew
        self._carried.append((now, up_bytes, down_bytes))
        while len(self._carried) > 2 and self._carried[1][0] <= now - USE_OVER_S:
            self._carried.popleft()

    def look(self, may: Allowance, health: Health, now: float) -> MeasureBandwidth | Fact | None:
        if now < self.due_at:
            return None
        self._number += 1
        self._from += self._every_s * max(1, (now - self._from) // self._every_s)
        self.due_at = self._moment()
        why = self._why_not(may, health)
        return MeasureBandwidth(self._uplink.name, COST_BYTES) if why is None else self.skip(why)

    def skip(self, why: str) -> Fact | None:
        self._times += 1
        kind = "".join(letter for letter in why if not letter.isdigit())  # to wait for 40 s or 50 is the same
        if kind == self._skipped:
            return None
        times, self._times, self._skipped = self._times, 0, kind
        return Fact("BANDWIDTH_SKIPPED", self._uplink.name, evidence={"why": why, "times_before": times - 1})

    def done(self, measured: Measured, now: float) -> None:
        self._capacity_mbps = measured.up.capacity_mbps, measured.down.capacity_mbps
        self._skipped, self._times, self._measured_at = None, 0, now

    def forecast(self, rtt_s: float, loss: float, now: float) -> Forecast | None:
        """Of the way up as it is now; None before it was measured."""
        capacity_mbps, _ = self._capacity_mbps
        if capacity_mbps is None:
            return None
        used_mbps, _ = self._use_mbps()
        free_mbps = max(capacity_mbps - used_mbps, SHARE_AT_LEAST * capacity_mbps)
        way = Way(free_mbps, rtt_s, loss)
        seconds = round(photos_s(way), 1), round(message_s(way), 3)
        return Forecast(*seconds, round(free_mbps, 3), round(now - self._measured_at))

    def _moment(self) -> float:
        """Another one for each station, uplink and period, and the same in every replay."""
        share = crc32(f"{self._named} {self._number}".encode()) / 2**32
        return self._from + share * self._every_s

    def _why_not(self, may: Allowance, health: Health) -> str | None:
        if health is not Health.UP:
            return "the uplink is not up"
        if may.why_not is not None:
            return may.why_not
        if may.bytes < COST_BYTES:
            return "the budget does not allow it"
        return "its users need it" if self.is_used else None

    @property
    def is_used(self) -> bool:
        """More than a share of what it was last seen to carry; before the first test nobody knows, and it is tested."""
        return any(
            capacity is not None and mbps > USE_AT_MOST * capacity
            for mbps, capacity in zip(self._use_mbps(), self._capacity_mbps, strict=True)
        )

    def _use_mbps(self) -> tuple[float, float]:
        """What its interface carries now, up and down."""
        if len(self._carried) < 2:
            return 0.0, 0.0
        (began, *before), (ended, *after) = self._carried[0], self._carried[-1]
        seconds = max(ended - began, 1.0)
        up, down = (8e-6 * (then - was) / seconds for was, then in zip(before, after, strict=True))
        return up, down
