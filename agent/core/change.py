"""Quickest detection of a change in a chain of good and bad outcomes, with an exact rate of false alarms.

Bad outcomes come in bursts. A detector that takes each of them for news of its own alarms every few minutes on such a
link. Here a chain has two rates, learnt from the link: how often it goes bad, and how often it stays bad. What a burst
does by its own nature says nothing; on a link without bursts every bad outcome counts in full.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, log


@dataclass(frozen=True, slots=True)
class Rates:
    """A two-state Markov chain (Gilbert 1960): the share of bad outcomes after a good one, and after a bad one."""

    begins: float
    goes_on: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The log likelihood ratios in units of what one good outcome after another takes away.

    Whole numbers, so that the mean time between false alarms can be computed exactly (Reynolds and Stoumbos 1999).
    """

    begins: int
    goes_on: int
    ends: int


class Cusum:
    """Page's test (1954): of all rules with the same rate of false alarms it is the quickest (Moustakides 1986)."""

    __slots__ = ("_run", "_run_share", "bad", "began", "limit", "resets", "score", "scores", "taken", "worse")

    def __init__(self, worse: Rates, run_share: float = 2.0) -> None:
        self.worse = worse
        """What it is the quickest to find; where the link's own bursts are longer, they are taken for these."""
        self._run_share = run_share
        """Of the limit, what one run of bad outcomes adds at most."""
        self.scores, self.limit = Scores(1, 1, 1), 1
        self.score = self.resets = self._run = 0
        self.bad = self.taken = self.began = 0
        """Since the score left nought: bad outcomes, all outcomes, and the number of the first."""

    def suit(self, rates: Rates, outcomes: float) -> None:
        """From now on: at most one false alarm in so many outcomes of a chain with these rates."""
        before = self.limit
        self.scores, self.limit = tuned(rates, self.worse, outcomes)
        self._fall(self.score - self.score * self.limit // before)

    @property
    def alarmed(self) -> bool:
        return self.score >= self.limit

    def take(self, bad: bool, after_bad: bool, number: int) -> None:
        if bad and not self.score:
            self.bad, self.taken, self.began = 0, 0, number
        self.bad, self.taken = self.bad + bad, self.taken + 1
        if bad:
            self._run = 0 if not after_bad else self._run
            weight = self.scores.goes_on if after_bad else self.scores.begins
            weight = min(weight, max(0, int(self._run_share * self.limit) - self._run))
            self._run += weight
            self.score = min(self.score + weight, 2 * self.limit)
        else:
            self._fall(self.scores.ends if after_bad else 1)

    def take_good(self, times: int) -> None:
        """As `take(False, False, …)` so many times."""
        self.taken += times
        self._fall(times)

    def take_back(self, after_bad: bool, resets: int) -> None:
        """A bad outcome of then was none, unless it is forgotten already."""
        if self.resets == resets and self.score:
            self.bad -= 1
            self._fall((self.scores.goes_on if after_bad else self.scores.begins) + 1)

    def forget(self) -> None:
        self._fall(self.score)

    def _fall(self, by: int) -> None:
        """By less than nought: a rise."""
        if self.score:
            self.score = max(0, self.score - by)
            self.resets += not self.score


@lru_cache(maxsize=64)
def tuned(rates: Rates, worse: Rates, outcomes: float) -> tuple[Scores, int]:
    """Scores against `worse`, and the lowest limit with a mean of so many outcomes to a false alarm."""
    scores = _scores(rates, worse)
    low, high = 1, 2
    while mean_run(rates, scores, high) < outcomes:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if mean_run(rates, scores, middle) < outcomes:
            low = middle + 1
        else:
            high = middle
    return scores, low


def _scores(rates: Rates, worse: Rates) -> Scores:
    unit = log((1 - rates.begins) / (1 - worse.begins))
    begins = max(1, round(log(worse.begins / rates.begins) / unit))
    stays = max(rates.goes_on, worse.goes_on)
    ends = round(log((1 - rates.goes_on) / (1 - stays)) / unit)
    return Scores(begins, round(log(stays / rates.goes_on) / unit), min(ends, begins))


def mean_run(rates: Rates, scores: Scores, limit: int) -> float:
    """The exact mean number of outcomes to an alarm, from a score of nought, when nothing has changed.

    Let G(s) and B(s) be that mean at score s after a good and a bad outcome:
    G(s) = 1 + p B(s + begins) + (1 - p) G(s - 1),  B(s) = 1 + q B(s + goes_on) + (1 - q) G(s - ends).
    With G(limit - 1) unknown the first gives G downward, each as slope * unknown + offset; G(-1) = G(0) solves it.
    For ends <= begins only: B is then known when it is asked for.
    """
    p, q = rates.begins, rates.goes_on
    good: list[tuple[float, float]] = [(0.0, 0.0)] * limit
    bad: list[tuple[float, float]] = [(0.0, 0.0)] * limit
    good[-1] = (1.0, 0.0)
    for score in range(limit - 1, 0, -1):
        after_good = _after_bad(score + scores.begins, good, bad, scores, q)
        slope, offset = good[score]
        good[score - 1] = ((slope - p * after_good[0]) / (1 - p), (offset - 1 - p * after_good[1]) / (1 - p))
    after_good = _after_bad(scores.begins, good, bad, scores, q)
    slope, offset = good[0][0] - after_good[0], 1 / p + after_good[1] - good[0][1]
    if slope <= 0:
        return inf  # so rare that the difference is lost in rounding
    return good[0][0] * offset / slope + good[0][1]


def _after_bad(
    score: int, good: list[tuple[float, float]], bad: list[tuple[float, float]], scores: Scores, q: float
) -> tuple[float, float]:
    """B(score); asked for from above downward, so that what it needs is there."""
    if score >= len(good):
        return 0.0, 0.0
    slope, offset = good[max(0, score - scores.ends)]
    if not scores.goes_on:
        return slope, 1 / (1 - q) + offset
    again = bad[score + scores.goes_on] if score + scores.goes_on < len(good) else (0.0, 0.0)
    bad[score] = (q * again[0] + (1 - q) * slope, 1 + q * again[1] + (1 - q) * offset)
    return bad[score]


@dataclass(slots=True)
class Proof:
    """Wald's sequential test (1945) between good and bad: of all tests as sure, the one with the fewest outcomes.

    A link that is known for its bursts would be bad in bursts too: few of them, and long good stretches between.
    """

    good: float
    bad: float
    sure: float
    """The odds at which it ends: a bad link passes once in so many tries."""
    goes_on: float = 0.0
    """How often a bad outcome is followed by another one, on this link."""
    passed: bool = False
    failed: int = 0
    """How often it has ended with: bad."""
    begun: bool = False
    """There was a good outcome since it began, or began anew."""
    _ratio: float = 0.0
    _after_bad: bool = False

    def take(self, bad: bool) -> None:
        goes_on = max(self.goes_on, self.bad)
        begins = self.bad * (1 - goes_on) / (1 - self.bad)
        if not bad:
            self._ratio += log((1 - begins) / (1 - self.good))
        elif not self._after_bad:
            self._ratio += log(max(begins / self.good, 1 / (1 - self.bad)))
        elif goes_on == self.bad:
            self._ratio += log(self.bad / self.good)
        self._after_bad = bad
        self.begun = self.begun or not bad
        if self._ratio >= log(self.sure):
            self._ratio, self.failed, self.begun = 0.0, self.failed + 1, False
        self.passed = -self._ratio >= log(self.sure)
