"""A rehearsed failover: to the standby, a stay there, and back, with the times that it took."""

from enum import Enum, auto

from agent.core.events import OverrideAsked, OverrideEnded
from wire.messages import Evidence, Health

STAY_S = 20.0
STAY_AT_LEAST_S, STAY_AT_MOST_S = 5.0, 120.0
WAIT_S = 15.0  # for the routes of one move


class Leg(Enum):
    AWAY = auto()
    STAY = auto()
    BACK = auto()
    OVER = auto()


class Drill:
    """Told of hand-overs; asked with `look` at the moment `due_at`. Whatever happens, its choice of uplink expires."""

    def __init__(self, home: str, standby: str, stay_s: float, now: float) -> None:
        self.home, self.standby = home, standby
        self.failure: str | None = None
        self.evidence: Evidence = {"home": home, "standby": standby, "stay_s": stay_s}
        self._stay_s, self._leg, self._began_at = stay_s, Leg.AWAY, now
        self.due_at = now + WAIT_S

    @property
    def is_over(self) -> bool:
        return self._leg is Leg.OVER

    def begin(self) -> OverrideAsked:
        return OverrideAsked(self.standby, self._stay_s + 2 * WAIT_S)

    def hand_over(self, took_ms: float, now: float) -> None:
        """A default route was replaced."""
        match self._leg:
            case Leg.AWAY:
                self._note("away", took_ms, now)
                self._leg, self.due_at = Leg.STAY, now + self._stay_s
            case Leg.BACK:
                self._note("back", took_ms, now)
                self._leg, self.due_at = Leg.OVER, now

    def look(
        self, standby: Health, home: Health, rtt_ms: float | None, loss: float | None, now: float
    ) -> OverrideAsked | OverrideEnded | None:
        """The next move, if one is due; rtt and loss are the standby's."""
        match self._leg:
            case Leg.AWAY if now >= self.due_at:
                return self._end(f"the routes to {self.standby} were not set within {WAIT_S:g} s")
            case Leg.STAY if standby is Health.DEAD or now >= self.due_at:
                self.evidence |= {"rtt_ms": rtt_ms, "loss": loss}
                if standby is Health.DEAD:
                    self.failure = f"{self.standby} died as soon as it carried traffic"
                return self._go_back(home, now)
            case Leg.BACK if now >= self.due_at:
                return self._end(f"the routes back to {self.home} were not set within {WAIT_S:g} s")
            case Leg.OVER:
                return OverrideEnded()
        return None

    def _go_back(self, home: Health, now: float) -> OverrideAsked | OverrideEnded:
        if home is Health.DEAD:
            return self._end(f"{self.home} was dead when it was time to come back; the agent decides")
        self._leg, self._began_at, self.due_at = Leg.BACK, now, now + WAIT_S
        return OverrideAsked(self.home, 2 * WAIT_S)

    def _end(self, failure: str) -> OverrideEnded:
        self.failure, self._leg = self.failure or failure, Leg.OVER
        return OverrideEnded()

    def _note(self, leg: str, took_ms: float, now: float) -> None:
        self.evidence |= {f"{leg}_s": round(now - self._began_at, 3), f"{leg}_routes_ms": took_ms}
