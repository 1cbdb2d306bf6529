"""Expectations are judged alike for simulated and real time; a value lasts until the next one is seen."""

from __future__ import annotations

import pytest

from lab.judgement import NOWHERE, Observation, Run, judge, moves
from lab.scenario import (
    ActiveIs,
    Becomes,
    ClientGapBelow,
    DownloadsBroken,
    Expectation,
    GatewayIs,
    HealthIs,
    Moves,
    Stays,
    StoredEverything,
)

CARRIED = [Observation(0, "fibre"), Observation(16, "lte"), Observation(50, "fibre")]
TOLD = [
    Observation(0, "fibre", {"fibre": "up"}, {"fibre": "home"}),
    Observation(10, health={"fibre": "poor"}),
    Observation(11, "lte"),
    Observation(12, health={"fibre": "dead"}, gateway={"fibre": "moved"}),
]


def holds(expectation: Expectation, seen: list[Observation], **more: object) -> bool:
    return judge([expectation], Run(seen, **more))[0].holds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after_s", "within_s", "uplink", "expected"),
    [
        (15, 3, "lte", True),
        (15, 1, "lte", True),  # the last moment belongs to it
        (15, 0.9, "lte", False),
        (20, 1, "lte", True),  # it was so when the window opened
        (17, 3, "fibre", False),
        (60, 1, "fibre", True),
    ],
)
def test_becomes_true_within_a_window(after_s: float, within_s: float, uplink: str, expected: bool) -> None:
    assert holds(Becomes(after_s, within_s, (ActiveIs(uplink),)), CARRIED) is expected


@pytest.mark.parametrize(
    ("after_s", "until_s", "uplink", "expected"),
    [
        (16, 49, "lte", True),
        (16, 50, "lte", False),
        (15, 40, "lte", False),
        (20, 40, "lte", True),  # nothing new was seen meanwhile
        (50, 60, "fibre", True),
    ],
)
def test_stays_true_throughout_a_window(after_s: float, until_s: float, uplink: str, expected: bool) -> None:
    assert holds(Stays(after_s, until_s, (ActiveIs(uplink),)), CARRIED) is expected


def test_all_conditions_must_hold_at_the_same_moment() -> None:
    assert holds(Becomes(0, 20, (ActiveIs("lte"), HealthIs("fibre", ("poor",)))), TOLD)
    assert not holds(Becomes(0, 20, (ActiveIs("lte"), HealthIs("fibre", ("up",)))), TOLD)
    assert holds(Stays(11, 20, (ActiveIs("lte"), HealthIs("fibre", ("poor", "dead")))), TOLD)


def test_gateways_are_judged_by_place() -> None:
    assert holds(Becomes(11, 1, (GatewayIs("fibre", "moved"),)), TOLD)
    assert not holds(Becomes(11, 0.5, (GatewayIs("fibre", "moved"),)), TOLD)


def test_what_nobody_looked_at_does_not_hold() -> None:
    for expectation in (Becomes(0, 9, (HealthIs("lte", ("up",)),)), Stays(0, 9, (HealthIs("lte", ("up",)),))):
        assert not holds(expectation, TOLD)
    assert not holds(Stays(0, 9, (ActiveIs("fibre"),)), [])


def test_moves_are_changes_of_the_active_uplink() -> None:
    assert moves(CARRIED) == [(16, "fibre", "lte"), (50, "lte", "fibre")]
    assert holds(Moves(2), CARRIED)
    assert not holds(Moves(1), CARRIED)


def test_a_moment_without_any_way_is_part_of_the_move() -> None:
    seen = [Observation(0, "fibre"), Observation(5, NOWHERE), Observation(5.1, "lte"), Observation(6, NOWHERE)]
    assert moves(seen) == [(5.1, "fibre", "lte")]


def test_moves_before_the_timeline_do_not_count() -> None:
    assert holds(Moves(0), [Observation(-5, "lte"), Observation(0, "fibre"), Observation(9, "fibre")])


def test_the_clients_longest_gap_is_judged_when_there_was_a_client() -> None:
    assert holds(ClientGapBelow(3), [], client_gap_s=2.9)
    assert not holds(ClientGapBelow(3), [], client_gap_s=3.0)
    assert not holds(ClientGapBelow(3), [])


def test_the_clients_download_breaks_as_often_as_expected() -> None:
    assert holds(DownloadsBroken(1), [], downloads_broken=1)
    assert not holds(DownloadsBroken(1), [], downloads_broken=0)
    assert not holds(DownloadsBroken(0), [])


def test_only_everything_is_everything() -> None:
    assert holds(StoredEverything(), [], stored="everything")
    assert not holds(StoredEverything(), [], stored="3 records not sent yet")
    assert not holds(StoredEverything(), [])


def test_a_verdict_says_what_was_expected_and_what_was_seen() -> None:
    told = [str(each) for each in judge([Becomes(15, 3, (ActiveIs("lte"),)), Moves(1)], Run(CARRIED))]
    assert told == [
        "ok   lte carries the traffic within 3 s of 15 s: after 1.00 s",
        "FAIL the traffic moves once: fibre to lte at 16.00 s, lte to fibre at 50.00 s",
    ]
