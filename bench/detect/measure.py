"""What is measured of every rule in every weather, counted in one way for all."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.detect.rule import Change, Rule
from bench.detect.weather import DAY_S, Day, Link

WITHIN_S = 600.0  # a failure, or a repair, that is not found within ten minutes counts as not found
FAILURES = (1.0, 0.5, 0.3, 0.2, 0.1)  # added independent loss; the first is a blackhole


@dataclass(frozen=True)
class Watched:
    """A link with no failure injected. false_switches: turns from good to alarm; alarm_s: seconds spent in alarm."""

    days: int
    false_switches: int
    alarm_s: float
    octets: float

    @property
    def alarm_share(self) -> float:
        return self.alarm_s / (self.days * DAY_S)

    @property
    def megabytes_per_30_d(self) -> float:
        return self.octets / 1e6 * 30 / self.days


@dataclass(frozen=True)
class Cell:
    """One rule in one weather. Delays and clears are seconds, None where it took more than WITHIN_S."""

    watched: Watched
    delays: dict[float, list[float | None]]
    clears: list[float | None]


def cell(rule: Rule, link: Link, days: int, trials: int) -> Cell:
    found = {loss: list(delays(rule, link, loss, trials)) for loss in FAILURES}
    return Cell(watched(rule, link, days), found, list(clears(rule, link, trials)))


def watched(rule: Rule, link: Link, days: int) -> Watched:
    switches, octets, alarm_s, since_s = 0, 0.0, 0.0, math.inf
    for seen in rule.watch(link, link.days(days), link.seed):
        octets += seen.octets
        for change in seen.changes:
            if change.is_alarm:
                switches, since_s = switches + 1, change.at_s
            else:
                alarm_s, since_s = alarm_s + change.at_s - since_s, math.inf
    return Watched(days, switches, alarm_s + max(0.0, days * DAY_S - since_s), octets)


def delays(rule: Rule, link: Link, loss: float, trials: int) -> Iterator[float | None]:
    """Failure to alarm, for each trial in which the rule was good when the failure came.

    Where it was already in alarm another moment is drawn, up to twice as many as trials; so fewer may be found.
    """
    counted = 0
    for number in range(2 * trials):
        piece = link.trial(number, loss, rule.warm_s, WITHIN_S)
        delay_s, was_in_alarm = _first(_changes(rule, link, piece, number), _failure_s(piece), True)
        if not was_in_alarm:
            yield delay_s
            counted += 1
        if counted == trials:
            return


def clears(rule: Rule, link: Link, trials: int) -> Iterator[float | None]:
    """Repair of a blackhole to good again, for each trial in which the rule was in alarm when the repair came."""
    for number in range(trials):
        lasts_s = rule.repaired_after_s
        piece = link.trial(number, 1.0, rule.warm_s, lasts_s + WITHIN_S, until_s=lasts_s)
        clear_s, was_in_alarm = _first(_changes(rule, link, piece, number), _failure_s(piece) + lasts_s, False)
        if was_in_alarm:
            yield clear_s


def _changes(rule: Rule, link: Link, piece: Day, number: int) -> list[Change]:
    return [change for seen in rule.watch(link, [piece], number) for change in seen.changes]


def _failure_s(piece: Day) -> float:
    assert piece.failure is not None  # every trial has one
    return piece.failure.at_s


def _first(changes: list[Change], after_s: float, is_alarm: bool) -> tuple[float | None, bool]:
    """(seconds from after_s to the first such change within WITHIN_S, whether the rule was in alarm at after_s)."""
    was_in_alarm = next((each.is_alarm for each in reversed(changes) if each.at_s <= after_s), False)
    waited_s = (each.at_s - after_s for each in changes if each.at_s > after_s and each.is_alarm is is_alarm)
    first_s = next(waited_s, math.inf)
    return (first_s if first_s <= WITHIN_S else None), was_in_alarm
