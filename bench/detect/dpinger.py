"""dpinger with the settings of pfSense and of OPNsense: a rolling window of echoes, looked at once a second."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.detect.rule import Change, Seen
from bench.detect.schedule import moments, spent, turns
from bench.detect.weather import Day, Link

WINDOW_S = 60.0
LOSS_LIMIT = 20  # percent, an integer quotient compared with >
LATENCY_LIMIT_US = 500_000
OCTETS = 29  # IP bytes of an echo with one byte of payload
HOLD_CHECKS = 10  # pfSense: an alarm lasts until this many checks in a row were good
SLEEP_S = 10.0  # OPNsense: after each change of verdict its watcher looks away


class Held:
    """pfSense: raised by one bad check, cleared by ten good ones in a row."""

    def __init__(self) -> None:
        self._past = np.zeros(HOLD_CHECKS, dtype=bool)

    def changes(self, checks_s: np.ndarray, bad: np.ndarray) -> list[Change]:
        sums = np.cumsum(np.concatenate([[0], self._past, bad]))
        is_alarm = sums[HOLD_CHECKS:] > sums[:-HOLD_CHECKS]
        self._past = np.concatenate([self._past, bad])[-HOLD_CHECKS:]
        return turns(checks_s, is_alarm[1:], bool(is_alarm[0]))


class Slept:
    """OPNsense: follows each poll, and after a change polls again only when its sleep is over."""

    def __init__(self) -> None:
        self._is_alarm = False
        self._awake_s = 0.0

    def changes(self, checks_s: np.ndarray, bad: np.ndarray) -> list[Change]:
        found: list[Change] = []
        while True:
            first = int(np.searchsorted(checks_s, self._awake_s))
            differs = np.flatnonzero(bad[first:] != self._is_alarm)[:1]
            if not len(differs):
                return found
            at_s = float(checks_s[first + differs[0]])
            self._is_alarm, self._awake_s = not self._is_alarm, at_s + SLEEP_S
            found.append(Change(at_s, self._is_alarm))


@dataclass(frozen=True)
class Dpinger:
    name: str
    source: str
    spacing_s: float
    lost_after_s: float
    damping: type[Held] | type[Slept]
    warm_s: float = 120
    repaired_after_s: float = 60

    def watch(self, _link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        chance = np.random.default_rng(seed)
        probe_phase_s, check_phase_s = chance.uniform(0, (self.spacing_s, 1))
        damping, slots = self.damping(), round(WINDOW_S / self.spacing_s)
        sent_s = rtt_s = np.empty(0)
        for day in days:
            new_s = moments(day, self.spacing_s, probe_phase_s)
            if not len(sent_s):
                sent_s, rtt_s = new_s[0] - self.spacing_s * np.arange(slots, 0, -1), np.full(slots, day.rtt_s)
            new_rtt_s = day.rtts(new_s, chance)
            sent_s = np.concatenate([sent_s[-slots:], new_s])
            rtt_s = np.concatenate([rtt_s[-slots:], new_rtt_s])
            checks_s = moments(day, 1.0, check_phase_s)
            bad = self.is_bad(sent_s, rtt_s, checks_s)
            yield Seen(damping.changes(checks_s, bad), spent(new_rtt_s, OCTETS))

    def is_bad(self, sent_s: np.ndarray, rtt_s: np.ndarray, checks_s: np.ndarray) -> np.ndarray:
        """bool (m,) for each check, one second apart: loss or mean round trip of its window above the limit.

        An echo is in the window from its sending until its slot is used again; it counts as answered from its answer
        on, and as lost from lost_after_s until then.
        """
        gone_s = sent_s + WINDOW_S
        back_s = np.minimum(sent_s + rtt_s, gone_s)
        answered = _counted(checks_s, back_s, gone_s)
        lost = _counted(checks_s, sent_s + self.lost_after_s, back_s)
        came = np.isfinite(rtt_s)
        total_us = _counted(checks_s, back_s[came], gone_s[came], np.floor(1e6 * rtt_s[came]))
        percent = 100 * lost // np.maximum(1, answered + lost)
        mean_us = total_us // np.maximum(1, answered)
        is_bad: np.ndarray = (percent > LOSS_LIMIT) | (mean_us > LATENCY_LIMIT_US)
        return is_bad


def _counted(
    checks_s: np.ndarray, from_s: np.ndarray, until_s: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """(m,) how many (how much weight) of the intervals [from, until) each check finds; until < from counts nothing."""
    last = len(checks_s)
    first, behind = (np.clip(np.ceil(each - checks_s[0]), 0, last).astype(int) for each in (from_s, until_s))
    behind = np.maximum(first, behind)
    steps = np.bincount(first, weight, last + 1) - np.bincount(behind, weight, last + 1)
    return np.cumsum(steps)[:last]


PFSENSE = Dpinger(
    "dpinger, pfSense settings",
    "notes/failover.md 2.1 and 1.3; dennypage/dpinger bc0cfd2, pfsense/pfsense 9363ac5",
    spacing_s=0.5,
    lost_after_s=2,
    damping=Held,
)
OPNSENSE = Dpinger(
    "dpinger, OPNsense settings",
    "notes/failover.md 2.1 and 1.3; dennypage/dpinger bc0cfd2, opnsense/core f95e815",
    spacing_s=1.0,
    lost_after_s=4,
    damping=Slept,
)
