"""Judges a run of a scenario: each expectation against what was observed; the same for simulated and for real time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.scenario import (
    ActiveIs,
    Becomes,
    ClientGapBelow,
    Condition,
    DownloadsBroken,
    Expectation,
    GatewayIs,
    HealthIs,
    Moves,
    Stays,
    StoredEverything,
)

NOWHERE = "none"  # looked, and no uplink carries the traffic


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one moment; None or a missing name: nobody looked. A value lasts until the next one."""

    t_s: float
    active: str | None = None
    health: Mapping[str, str] = field(default_factory=dict)
    gateway: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """All that was seen of a run."""

    observations: Sequence[Observation]  # in order of time
    client_gap_s: float | None = None  # None: no client was watched
    downloads_broken: int | None = None  # None: no client was watched
    stored: str | None = None  # "everything", or what is missing, in words; None: nobody asked the centre


@dataclass(frozen=True, slots=True)
class Verdict:
    expectation: Expectation
    holds: bool
    observed: str  # in words, for people

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {sentence(self.expectation)}: {self.observed}"


def judge(expectations: Sequence[Expectation], run: Run) -> list[Verdict]:
    return [_judge(expectation, run) for expectation in expectations]


def moves(observations: Sequence[Observation]) -> list[tuple[float, str, str]]:
    """When the active uplink changed, from which to which; nothing in between counts as a part of the move."""
    found = []
    last: str | None = None
    for seen in observations:
        if seen.active is None or seen.active == NOWHERE:
            continue
        if last is not None and seen.active != last:
            found.append((seen.t_s, last, seen.active))
        last = seen.active
    return found


def sentence(expectation: Expectation) -> str:
    match expectation:
        case Becomes(after_s, within_s, conditions):
            return f"{_all(conditions)} within {within_s:g} s of {after_s:g} s"
        case Stays(after_s, until_s, conditions):
            return f"{_all(conditions)} from {after_s:g} s to {until_s:g} s"
        case Moves(count):
            return f"the traffic moves {count} times" if count != 1 else "the traffic moves once"
        case ClientGapBelow(gap_s):
            return f"the LAN client never waits {gap_s:g} s"
        case DownloadsBroken(count):
            times = "once" if count == 1 else f"{count} times"
            return f"the LAN client's download breaks {times}"
        case StoredEverything():
            return "the centre holds everything, in order, nothing twice"


def _judge(expectation: Expectation, run: Run) -> Verdict:
    match expectation:
        case Becomes(after_s, within_s, conditions):
            return _becomes(expectation, list(_states(run.observations, conditions, after_s, after_s + within_s)))
        case Stays(after_s, until_s, conditions):
            return _stays(expectation, list(_states(run.observations, conditions, after_s, until_s)))
        case Moves(count):
            seen = moves([each for each in run.observations if each.t_s >= 0])
            told = ", ".join(f"{source} to {to} at {t_s:.2f} s" for t_s, source, to in seen)
            return Verdict(expectation, len(seen) == count, told or "no move")
        case ClientGapBelow(gap_s):
            if run.client_gap_s is None:
                return Verdict(expectation, False, "no client was watched")
            return Verdict(expectation, run.client_gap_s < gap_s, f"longest gap {run.client_gap_s:.2f} s")
        case DownloadsBroken(count):
            if run.downloads_broken is None:
                return Verdict(expectation, False, "no client was watched")
            return Verdict(expectation, run.downloads_broken == count, f"{run.downloads_broken}")
        case StoredEverything():
            return Verdict(expectation, run.stored == "everything", run.stored or "the centre was not asked")


_State = tuple[float, tuple[str | None, ...]]  # from when; what was seen of each condition, None: not known


def _becomes(expectation: Becomes, states: list[_State]) -> Verdict:
    for t_s, values in states:
        if _hold(expectation.conditions, values):
            return Verdict(expectation, True, f"after {max(0.0, t_s - expectation.after_s):.2f} s")
    return Verdict(expectation, False, f"never; last {_told(states[-1][1])}" if states else "nobody looked")


def _stays(expectation: Stays, states: list[_State]) -> Verdict:
    for t_s, values in states:
        if not _hold(expectation.conditions, values):
            return Verdict(expectation, False, f"{_told(values)} at {max(t_s, expectation.after_s):.2f} s")
    return Verdict(expectation, bool(states), "throughout" if states else "nobody looked")


def _states(
    seen: Sequence[Observation], conditions: tuple[Condition, ...], from_s: float, to_s: float
) -> Iterator[_State]:
    """What was known when the window opened, then every change of it until it closed."""
    values: list[str | None] = [None] * len(conditions)
    opened_s: float | None = None
    for each in seen:
        if each.t_s > to_s:
            break
        if each.t_s > from_s and opened_s is not None:
            yield opened_s, tuple(values)
            opened_s = None
        looked = [_value(condition, each) for condition in conditions]
        if any(value is not None for value in looked):
            values = [old if new is None else new for old, new in zip(values, looked, strict=True)]
            opened_s = each.t_s
    if opened_s is not None:
        yield opened_s, tuple(values)


def _value(condition: Condition, seen: Observation) -> str | None:
    match condition:
        case ActiveIs():
            return seen.active
        case HealthIs(uplink, _):
            return seen.health.get(uplink)
        case GatewayIs(uplink, _):
            return seen.gateway.get(uplink)


def _hold(conditions: tuple[Condition, ...], values: tuple[str | None, ...]) -> bool:
    return all(_holds(condition, value) for condition, value in zip(conditions, values, strict=True))


def _holds(condition: Condition, value: str | None) -> bool:
    match condition:
        case ActiveIs(uplink):
            return value == uplink
        case HealthIs(_, one_of):
            return value in one_of
        case GatewayIs(_, place):
            return value == place


def _told(values: tuple[str | None, ...]) -> str:
    return " and ".join(value or "unknown" for value in values)


def _all(conditions: tuple[Condition, ...]) -> str:
    return " and ".join(_said(condition) for condition in conditions)


def _said(condition: Condition) -> str:
    match condition:
        case ActiveIs(uplink):
            return f"{uplink} carries the traffic"
        case HealthIs(uplink, one_of):
            return f"{uplink} is {' or '.join(one_of)}"
        case GatewayIs(uplink, place):
            return f"the gateway of {uplink} is {'at home' if place == 'home' else 'moved'}"
