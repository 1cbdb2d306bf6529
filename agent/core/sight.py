"""When one uplink asks the centre how it is seen: once it is good or has another address, then each hour or so."""

from zlib import crc32

from agent.core.budget import Budget
from agent.core.events import AskSeen, PublicSeen
from agent.core.routes import Link
from agent.core.station import Family, Station, Uplink
from wire.messages import Public

ALLOWANCE_BYTES = 5_000  # a question takes 1,100; a portal may push what a small window holds
SETTLED_S = 20.0  # what has just come up has more urgent things to do
EVERY_S, SPREAD = 3600.0, 0.5  # a question each 45 to 75 minutes
AGAIN_S = 300.0  # after a failure, doubled with each further one
NOT_AGAIN_BEFORE_S = 600.0  # an uplink that comes and goes is not asked each time
NEW_ADDRESS_AFTER_S = 60.0  # nor one whose addresses do
LOOK_EVERY_S = 1.0


class Sight:
    """Of one uplink; each family for itself."""

    def __init__(self, station: Station, uplink: Uplink, budget: Budget, now: float) -> None:
        self._uplink, self._budget = uplink.name, budget
        self._named = f"{station.station} {uplink.name}"
        self._eyes = {family: _Eye() for family in Family}
        self.look_at = now if station.seen_at is not None else float("inf")

    def look(self, link: Link, good: frozenset[Family], now: float) -> list[AskSeen]:
        """The questions that are due, paid in advance. `good` are the families that work and may be paid for."""
        if now < self.look_at:
            return []
        self.look_at = now + LOOK_EVERY_S
        asked = []
        for family, eye in self._eyes.items():
            eye.follow(link.addresses_of(family), family in good, now)
            if eye.due_at is None or now < eye.due_at or family not in good:
                continue
            if self._budget.calm_left_bytes(now) < ALLOWANCE_BYTES:
                eye.due_at = now + EVERY_S
                continue
            self._budget.charge(ALLOWANCE_BYTES)
            eye.asked(crc32(f"{self._named} {family} {eye.number}".encode()) / 2**32, now)
            asked.append(AskSeen(self._uplink, family))
        return asked

    def take(self, seen: PublicSeen, now: float) -> bool:
        """Whether it is news. What was not spent comes back."""
        self._budget.charge(min(0, seen.spent_bytes - ALLOWANCE_BYTES))
        return self._eyes[seen.family].take(seen.public, now)

    @property
    def known(self) -> dict[Family, Public]:
        return {family: eye.public for family, eye in self._eyes.items() if eye.public is not None}


class _Eye:
    """Of one family."""

    def __init__(self) -> None:
        self.public: Public | None = None
        self.due_at: float | None = None
        """None while it is not good."""
        self.number = 0
        self._addresses: tuple[str, ...] = ()
        self._asked_at: float | None = None
        self._failed = 0

    def follow(self, addresses: tuple[str, ...], is_good: bool, now: float) -> None:
        if addresses and addresses != self._addresses:
            self._addresses, self.public = addresses, None  # how the old address was seen says nothing of this one
            self.due_at, self._failed = None, 0
        if not is_good:
            self.due_at = None
        elif self.due_at is None:
            pause_s = NEW_ADDRESS_AFTER_S if self.public is None else NOT_AGAIN_BEFORE_S
            self.due_at = now + SETTLED_S
            if self._asked_at is not None:
                self.due_at = max(self.due_at, self._asked_at + pause_s)

    def asked(self, chance: float, now: float) -> None:
        """If no answer comes at all, the next question still does."""
        self.number += 1
        self._asked_at = now
        self.due_at = now + EVERY_S * (1 + SPREAD * (chance - 0.5))

    def take(self, public: Public | None, now: float) -> bool:
        if public is None:
            if self.due_at is not None:
                self.due_at = min(self.due_at, now + AGAIN_S * 2**self._failed)
            self._failed = min(self._failed + 1, 6)
            return False
        self._failed = 0
        before, self.public = self.public, public
        return public != before
