"""When an uplink that died is looked at closely: once in an outage, seldom, and out of its own budget."""

from agent.core.budget import Budget
from agent.core.events import Diagnose
from wire.messages import Evidence, Fact

ALLOWANCE_BYTES = 20_000  # a dead uplink takes 3,000, a good one with everything configured 8,000
AGAIN_AFTER_S = 600.0
TOLD_ALREADY = ("no carrier", "no such interface")  # nothing can be sent, so nothing more can be learnt


class Diagnosis:
    """Of one uplink."""

    def __init__(self, uplink: str, budget: Budget) -> None:
        self._uplink, self._budget = uplink, budget
        self._begun_at: float | None = None
        self._is_looked_at = False
        """In this outage."""

    def hear(self, fact: Fact, now: float) -> Diagnose | Fact | None:
        """The order that follows from this uplink's fact, paid in advance; or that it cannot be paid."""
        if fact.code == "UPLINK_UP":
            self._is_looked_at = False
        if fact.code != "UPLINK_DEAD" or fact.evidence.get("cause") in TOLD_ALREADY or not self._is_due(now):
            return None
        self._is_looked_at, self._begun_at = True, now
        if not self._budget.allows(ALLOWANCE_BYTES, now):
            return Fact("DIAGNOSIS_SKIPPED", self._uplink, evidence={"needs_bytes": ALLOWANCE_BYTES})
        return self.begin()

    def begin(self) -> Diagnose:
        """The order, paid in advance."""
        self._budget.charge(ALLOWANCE_BYTES)
        return Diagnose(self._uplink, ALLOWANCE_BYTES)

    def done(self, evidence: Evidence) -> Fact:
        """What was not spent comes back; where nobody knows, all of it was."""
        spent = evidence.get("bytes")
        if isinstance(spent, int | float):
            self._budget.charge(-max(0, ALLOWANCE_BYTES - int(spent)))
        return Fact("UPLINK_DIAGNOSED", self._uplink, evidence=evidence)

    def _is_due(self, now: float) -> bool:
        return not self._is_looked_at and (self._begun_at is None or now >= self._begun_at + AGAIN_AFTER_S)
