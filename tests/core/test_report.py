"""When a state is worth a message of its own, and when the minute's summary says enough."""

from typing import Any

import pytest
from msgspec import structs

from agent.core.events import ShowState
from agent.core.report import has_drifted, is_news
from wire.messages import Active, Forecast, Health, Public, Signal, UplinkState

FORECAST = Forecast(100.0, 0.5, 8.0, 60.0)
FIBRE = UplinkState("fibre", "eth0", "fibre", Health.UP, 60.0, True, None, 16.0, 0.0, Signal("lte"), FORECAST)
LTE = UplinkState("lte", "wwan0", "lte", Health.UP, 60.0, False, None, 60.0, 0.05)
SHOWN = ShowState(Active("fibre"), (FIBRE, LTE))


def later(**changes: Any) -> ShowState:
    return ShowState(Active("fibre"), (structs.replace(FIBRE, **changes), LTE))


@pytest.mark.parametrize(
    "changes",
    [
        {"since_s": 120.0},
        {"rtt_ms": 23.9},
        {"rtt_ms": 10.7},
        {"loss": 0.099},
        {"signal": Signal("lte", rsrp_dbm=-90.0)},
        {"forecast": Forecast(124.0, 0.9, 6.4, 120.0)},
    ],
)
def test_what_moves_a_little_is_left_to_the_summary(changes: dict[str, Any]) -> None:
    assert not is_news(SHOWN, later(**changes))
    assert not has_drifted(SHOWN, later(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"health": Health.DEAD}, {"carries_traffic": False}, {"interface": "eth1"}, {"public": (Public("203.0.113.7"),)}],
)
def test_what_people_have_to_know_is_shown_at_once(changes: dict[str, Any]) -> None:
    assert is_news(SHOWN, later(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"rtt_ms": 24.1},
        {"rtt_ms": 10.6},
        {"rtt_ms": None},
        {"loss": 0.1},
        {"loss": None},
        {"forecast": Forecast(126.0, 0.5, 6.3, 120.0)},
        {"forecast": None},
    ],
)
def test_figures_that_have_drifted_are_shown_with_the_records_of_their_minute(changes: dict[str, Any]) -> None:
    assert has_drifted(SHOWN, later(**changes))
    assert not is_news(SHOWN, later(**changes))


def test_another_way_for_traffic_or_another_uplink_is_shown() -> None:
    assert is_news(SHOWN, ShowState(Active("fibre", "lte"), (FIBRE, LTE)))
    assert is_news(SHOWN, ShowState(Active("fibre"), (FIBRE,)))
    assert not is_news(SHOWN, ShowState(Active("fibre"), (FIBRE, LTE)))
