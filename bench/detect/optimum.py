"""The fastest any rule can be on independent losses: Page's CUSUM for single losses, its run lengths computed exactly.

Page (1954); optimal for each mean time between false alarms by Moustakides, Ann. Stat. 14 (1986); exact run lengths
of the Bernoulli CUSUM after Reynolds & Stoumbos, J. Quality Technology 31 (1999). See notes/failover.md 7.1 and 7.2.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.detect.rule import Change, Seen
from bench.detect.schedule import PING_OCTETS, moments, spent
from bench.detect.weather import Day, Link

SPACING_S = 0.5
BETWEEN = 30 * 86400 / SPACING_S  # probes: one false alarm in 30 days
BASE = 0.01
EXCURSION_LOSSES = 120  # excursions with more losses are so rare that twice as many change no printed digit
GOOD_LIMIT = math.log(0.999 / 0.001)  # nats for "good": those of the SPRT with both errors 10^-3, notes 7.4


@dataclass(frozen=True)
class Cusum:
    """S <- max(0, S + up) at a loss, max(0, S - down) at an answer; alarm when S >= threshold, starting at 0."""

    up: float
    down: float
    threshold: float


@cache
def best(base: float, failed: float, between: float) -> Cusum:
    """The CUSUM from loss `base` to loss `failed` with the lowest threshold that keeps `between` probes a false alarm.

    base, failed: probabilities of loss, base < failed <= 1. Run lengths jump with the threshold, so it may keep more.
    """
    up, down = likelihoods(base, failed)
    low, high = 0.0, math.log(between) + up  # ln g always suffices (Lorden 1971)
    while high - low > 1e-9:
        middle = (low + high) / 2
        if run_length(Cusum(up, down, middle), base) < between:
            low = middle
        else:
            high = middle
    return Cusum(up, down, high)


def likelihoods(base: float, failed: float) -> tuple[float, float]:
    """How many nats a loss speaks for `failed`, and an answer for `base`."""
    return math.log(failed / base), math.log((1 - base) / (1 - failed)) if failed < 1 else math.inf


def run_length(rule: Cusum, loss: float) -> float:
    """Mean number of probes from S = 0 to the alarm when each is lost with this probability, independently.

    Between two visits to 0, S is i * up - j * down after i losses and j answers, so the excursions from 0 form a
    lattice without cycles. Backwards over it: E[probes of one excursion] / P[it ends in the alarm].
    """
    next_row: list[tuple[float, float]] = []
    for losses in range(EXCURSION_LOSSES, -1, -1):
        next_row = _row(rule, loss, losses, next_row)
    probes, alarm = next_row[0]
    return probes / alarm


def _row(rule: Cusum, loss: float, losses: int, more: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """(mean probes left, probability of alarm) of each state with this many losses, by its number of answers."""
    start = losses * rule.up
    answers = max(1, math.ceil(start / rule.down))
    row = [(0.0, 0.0)] * (answers + 1)  # the last: back at 0, where the excursion ends
    for answered in range(answers - 1, -1, -1):
        level = start - answered * rule.down if answered else start
        if level >= rule.threshold:
            row[answered] = (0.0, 1.0)
            continue
        lost = more[answered] if answered < len(more) else (0.0, 0.0)
        good = row[answered + 1]
        row[answered] = (1 + loss * lost[0] + (1 - loss) * good[0], loss * lost[1] + (1 - loss) * good[1])
    return row


@dataclass(frozen=True)
class Optimum:
    """The oracle: told beforehand which loss will come, it runs the CUSUM that is best for it at 1 % base loss.

    With no failure announced it runs the one for 20 %. It is good again when a CUSUM the other way, from 20 % to 1 %,
    has gathered as much as Wald's test would ask for.
    """

    name: str = "exact optimum for 1 % independent, told what comes"
    source: str = "notes/failover.md 7.1, 7.2 and 7.4 (Page 1954, Moustakides 1986, Wald 1945); 84-byte pings"
    warm_s: float = 120
    repaired_after_s: float = 60
    timeout_s: float = 1

    def watch(self, _link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        chance = np.random.default_rng(seed)
        phase_s, page = chance.uniform(0, SPACING_S), None
        for day in days:
            page = page or _Page(best(BASE, day.failure.loss if day.failure else 0.2, BETWEEN))
            sent_s = moments(day, SPACING_S, phase_s)
            rtt_s = day.rtts(sent_s, chance)
            known_s = sent_s + np.minimum(rtt_s, self.timeout_s)
            yield Seen(page.hear(rtt_s > self.timeout_s, known_s), spent(rtt_s, PING_OCTETS))


class _Page:
    """Walks from loss to loss: what happens at a run of answers between two is one subtraction."""

    def __init__(self, cusum: Cusum) -> None:
        self._cusum = cusum
        self._up, self._down = likelihoods(BASE, 0.2)
        self._level = 0.0  # towards the alarm while good, towards good while in alarm
        self._is_alarm = False

    def hear(self, lost: np.ndarray, known_s: np.ndarray) -> list[Change]:
        """lost: bool (n,) in order of sending; known_s: (n,) when each fate is known."""
        found: list[Change] = []
        first = 0
        for at in [*np.flatnonzero(lost).tolist(), len(lost)]:
            self._answers(first, at, known_s, found)
            if at < len(lost):
                self._loss(known_s[at], found)
            first = at + 1
        return found

    def _answers(self, first: int, behind: int, known_s: np.ndarray, found: list[Change]) -> None:
        if first == behind:
            return
        if not self._is_alarm:
            self._level = max(0.0, self._level - (behind - first) * self._cusum.down)
            return
        needed = math.ceil((GOOD_LIMIT - self._level) / self._down)
        if needed <= behind - first:
            found.append(Change(float(known_s[first + needed - 1]), False))
            self._is_alarm, self._level = False, 0.0
        else:
            self._level += (behind - first) * self._down

    def _loss(self, known_s: float, found: list[Change]) -> None:
        if self._is_alarm:
            self._level = max(0.0, self._level - self._up)
            return
        self._level += self._cusum.up
        if self._level >= self._cusum.threshold:
            found.append(Change(float(known_s), True))
            self._is_alarm, self._level = True, 0.0
