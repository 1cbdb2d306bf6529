"""What people have ordered: an uplink, good or not, and the phase of the election's day; each may end by itself."""

from collections.abc import Iterator

from agent.core.decide import Phase
from agent.core.events import OverrideAsked, OverrideEnded, PhaseSet
from agent.core.memory import Memory
from wire.messages import Fact

Order = OverrideAsked | OverrideEnded | PhaseSet


class Orders:
    def __init__(self, known: Memory, now: float) -> None:
        self.uplink: str | None = None
        """Asked for by an operator."""
        self.phase = Phase(known.phase) if known.phase in list(Phase) else Phase.NORMAL
        self._uplink_until: float | None = None
        self._phase_until = None if known.phase_left_s is None else now + known.phase_left_s

    def obey(self, order: Order, now: float) -> Iterator[Fact]:
        match order:
            case PhaseSet(phase, for_s):
                before, self.phase = self.phase, phase
                self._phase_until = None if for_s is None else now + for_s
                yield Fact("PHASE_SET", None, before, phase, {"for_s": for_s})
            case OverrideAsked(uplink, for_s):
                self.uplink, self._uplink_until = uplink, None if for_s is None else now + for_s
                yield Fact("OVERRIDE_SET", uplink, evidence={"for_s": for_s})
            case OverrideEnded() if self.uplink is not None:
                yield self._end("an operator ended it")

    def expire(self, now: float) -> Iterator[Fact]:
        """What has come to its end by now."""
        if self._phase_until is not None and now >= self._phase_until:
            yield from self.obey(PhaseSet(Phase.NORMAL), now)
        if self._uplink_until is not None and now >= self._uplink_until:
            yield self._end("its time is over")

    def ends(self) -> Iterator[float]:
        """The moments at which something does."""
        yield from (moment for moment in (self._uplink_until, self._phase_until) if moment is not None)

    def phase_left_s(self, now: float) -> float | None:
        return None if self._phase_until is None else max(0.0, self._phase_until - now)

    def _end(self, reason: str) -> Fact:
        self.uplink = self._uplink_until = None
        return Fact("OVERRIDE_ENDED", evidence={"reason": reason})
