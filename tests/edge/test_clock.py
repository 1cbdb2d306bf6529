"""The date is told when somebody has set the clock, and once each."""

import time

import pytest

from agent.edge import clock
from agent.edge.clock import Calendar

NOON = time.mktime((2027, 2, 14, 12, 0, 0, 0, 0, -1))


def test_a_date_is_told_once_and_only_by_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = (NOON, False)
    monkeypatch.setattr(clock, "wall", lambda: shown)
    calendar = Calendar()
    assert calendar.new_date() is None
    shown = (NOON, True)
    assert calendar.new_date() == (2027, 2, 14)
    assert calendar.new_date() is None
    shown = (NOON + 86_400, True)
    assert calendar.new_date() == (2027, 2, 15)
