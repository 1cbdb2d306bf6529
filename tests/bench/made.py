"""Days and links made by hand, so that a test says all that happens on them."""

import numpy as np

from bench.detect.rule import Change, Rule
from bench.detect.weather import DAY_S, Day, Failure, Link, Weather

CLEAN = Link(Weather("clean", "fibre", 0.03, 1e-4, 0.0, "by hand"))


def made_day(
    outages: list[tuple[float, float]] | None = None,
    stalls: list[tuple[float, float]] | None = None,
    loss: float = 0.0,
    rtt_s: float = 0.03,
    jitter_s: float = 1e-4,
    start_s: float = 0.0,
    seconds: float = DAY_S,
    failure: Failure | None = None,
) -> Day:
    lost, held = (np.array(each or []).reshape(-1, 2) for each in (outages, stalls))
    return Day(start_s, lost, held, loss, rtt_s, jitter_s, seconds, failure)


def changes(rule: Rule, *days: Day) -> list[Change]:
    return [change for seen in rule.watch(CLEAN, days, 1) for change in seen.changes]
