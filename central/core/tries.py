"""Who may try a code now: few wrong ones from one address, and not too many from all together."""

from collections import OrderedDict
from dataclasses import dataclass, field

from central.core.networks import source_of


@dataclass(frozen=True, slots=True)
class Limits:
    """A code has a hundred bits: ten guesses a second for the thirty days that a card is good hit one of 701 with a
    chance of 1 in 7e19. So the limits only keep the desk free for who has a card."""

    wrong_of_one: float = 200
    """At once; one more each `one_again_s`. On one morning a carrier's NAT may hide a whole regency behind one address:
    if one in four of 701 mistypes, nobody waits."""
    one_again_s: float = 1
    wrong_of_all: float = 1000
    all_again_s: float = 0.1
    addresses: int = 4096
    """Then the address that tried longest ago is forgotten; the limit of all still holds."""


@dataclass(slots=True)
class _Left:
    tries: float
    counted_at: float

    def at(self, now: float, most: float, again_s: float) -> float:
        self.tries = min(most, self.tries + max(0.0, now - self.counted_at) / again_s)
        self.counted_at = now
        return self.tries


@dataclass(slots=True)
class Tries:
    """`may` before a code is looked at, `wrong` when it may be none, `forgive` when it was one after all."""

    limits: Limits = field(default_factory=Limits)
    _all: _Left | None = None
    _each: OrderedDict[object, _Left] = field(default_factory=OrderedDict)

    def may(self, address: str, now: float) -> bool:
        limits = self.limits
        known = self._each.get(source_of(address))
        own = known.at(now, limits.wrong_of_one, limits.one_again_s) if known else limits.wrong_of_one
        everybody = self._all.at(now, limits.wrong_of_all, limits.all_again_s) if self._all else limits.wrong_of_all
        return own >= 1 and everybody >= 1

    def wrong(self, address: str, now: float) -> None:
        limits, source = self.limits, source_of(address)
        if self._all is None:
            self._all = _Left(limits.wrong_of_all, now)
        known = self._each.get(source)
        if known is None:
            if len(self._each) >= limits.addresses:
                self._each.popitem(last=False)
            known = self._each[source] = _Left(limits.wrong_of_one, now)
        self._each.move_to_end(source)
        known.at(now, limits.wrong_of_one, limits.one_again_s)
        self._all.at(now, limits.wrong_of_all, limits.all_again_s)
        known.tries, self._all.tries = known.tries - 1, self._all.tries - 1

    def forgive(self, address: str) -> None:
        """Take back one `wrong`."""
        known = self._each.get(source_of(address))
        for left in (known, self._all):
            if left is not None:
                left.tries += 1
