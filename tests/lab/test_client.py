"""What the LAN client counts as a silence."""

from __future__ import annotations

import pytest

from lab.client import Download, Gaps, report


def test_a_gap_is_the_time_between_two_answers() -> None:
    gaps = Gaps()
    for now_s in (5.0, 5.01, 5.02, 6.52, 6.53):
        gaps.answered(now_s)
    assert gaps.longest_s == pytest.approx(1.5)
    assert gaps.noted == [(5.02, pytest.approx(1.5))]


def test_before_the_first_answer_there_is_no_gap() -> None:
    told = report(Gaps(), Download(), 100.0)
    assert (told["answered"], told["longest_gap_ms"]) == (False, 0)


def test_a_silence_that_still_lasts_counts() -> None:
    gaps = Gaps()
    gaps.answered(5.0)
    told = report(gaps, Download(), 8.0)
    assert (told["current_gap_ms"], told["longest_gap_ms"], told["gaps"]) == (3000, 3000, [])
