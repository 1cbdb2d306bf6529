"""What the agent has told since it started, counted for who looks now and then."""

from collections import Counter
from dataclasses import dataclass

from agent.core.station import Family
from wire.messages import Evidence, Fact, Summary, UplinkSummary

CLOCK_SET_S = 2.0  # less is the noise of asking two clocks


@dataclass(slots=True)
class Echoed:
    """Of one uplink, up to the last summary."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    lost_shown: int = 0
    """The most that `lost` ever was: a late answer takes a loss back, and a counter must not fall."""


class Tally:
    """Hears each fact and summary once."""

    def __init__(self) -> None:
        self.facts: Counter[str] = Counter()
        self.switches = dict.fromkeys(Family, 0)
        self.echoed: dict[str, Echoed] = {}
        self.minutes: dict[str, UplinkSummary] = {}
        """Of each uplink the last one."""
        self.own_delay_s = 0.0
        self.bandwidths: dict[str, tuple[float, Evidence]] = {}
        """Of each uplink when it was last measured, and what was found."""
        self.started_wall_s = 0.0

    def hear(self, told: Fact | Summary, now: float) -> None:
        match told:
            case Fact(code, uplink):
                self.facts[code] += 1
                if code == "BANDWIDTH_MEASURED" and uplink is not None:
                    self.bandwidths[uplink] = now, told.evidence
                if code == "TRAFFIC_MOVED":
                    self._switch(str(told.evidence.get("families")))
            case Summary():
                self.own_delay_s = told.own_delay_ms / 1e3
                for minute in told.uplinks:
                    self._add(minute)

    def started(self, wall_s: float, uptime_s: float) -> float:
        """Seconds since 1970, by the clock of now; the same at each question unless somebody set that clock."""
        started_wall_s = wall_s - uptime_s
        if abs(started_wall_s - self.started_wall_s) > CLOCK_SET_S:
            self.started_wall_s = started_wall_s
        return self.started_wall_s

    def _switch(self, families: str) -> None:
        for family in families.split():
            self.switches[Family(family)] += 1

    def _add(self, minute: UplinkSummary) -> None:
        self.minutes[minute.name] = minute
        echoed = self.echoed.setdefault(minute.name, Echoed())
        echoed.sent += max(0, minute.sent)
        echoed.answered += minute.answered
        echoed.lost += minute.lost
        echoed.lost_shown = max(echoed.lost_shown, echoed.lost)
