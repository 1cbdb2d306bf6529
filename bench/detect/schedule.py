"""Probes on a fixed schedule: when they leave, what they cost, and where a row of verdicts turns."""

import numpy as np

from bench.detect.rule import Change
from bench.detect.weather import Day

PING_OCTETS = 84  # IP bytes of ping's default echo: 20 + 8 + 56


def moments(day: Day, spacing_s: float, phase_s: float) -> np.ndarray:
    """(n,) the moments phase_s + k * spacing_s that fall in this day, so that days join."""
    first, behind = np.ceil((np.array([day.start_s, day.stop_s]) - phase_s) / spacing_s)
    return phase_s + spacing_s * np.arange(first, behind)


def spent(rtt_s: np.ndarray, octets: int) -> float:
    """IP bytes both ways: each request, and each answer that ever comes."""
    return float(octets * (len(rtt_s) + np.isfinite(rtt_s).sum()))


def turns(at_s: np.ndarray, is_alarm: np.ndarray, was_alarm: bool) -> list[Change]:
    """Where a row of verdicts (n,) differs from the one before it; was_alarm is the one before the first."""
    before = np.concatenate([[was_alarm], is_alarm[:-1]])
    where = np.flatnonzero(is_alarm != before)
    return [Change(*each) for each in zip(at_s[where].tolist(), is_alarm[where].tolist(), strict=True)]
