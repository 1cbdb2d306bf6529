"""The hours in which no bandwidth is tested: by day, past midnight, several, and as an operator writes them."""

from pathlib import Path

import pytest

from central.config import ConfigError, load
from central.core.quiet import DAY_S, Hours, left_s

H = 3600
MORNING, NIGHT = Hours(7 * H, 13 * H), Hours(22 * H, 5 * H)


@pytest.mark.parametrize(
    ("day_s", "expected"),
    [
        (7 * H - 1, 0),
        (7 * H, 6 * H),
        (10 * H, 3 * H),
        (13 * H - 1, 1),
        (13 * H, 0),
        (23 * H, 6 * H),
        (0, 5 * H),
        (5 * H, 0),
    ],
)
def test_it_is_quiet_from_the_beginning_to_the_end(day_s: float, expected: float) -> None:
    assert left_s((MORNING, NIGHT), day_s) == expected


def test_overlapping_hours_last_as_long_as_the_longer() -> None:
    assert left_s((MORNING, Hours(8 * H, 9 * H)), 8.5 * H) == 4.5 * H


def test_without_hours_it_is_never_quiet() -> None:
    assert all(left_s((), each) == 0 for each in range(0, DAY_S, 600))


def test_hours_are_read_from_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "central.yaml"
    file.write_text('quiet: ["07:00-13:00", "22:00-05:00"]\n')
    assert load(file, {}).quiet == (MORNING, NIGHT)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('"07:00-13:00"', "a list of hours"),
        ("[7]", "7 is not a time"),
        ('["7-13"]', "'7-13' is not a time"),
        ('["07:00-24:00"]', "'07:00-24:00' is not a time"),
        ('["07:60-08:00"]', "is not a time"),
        ('["07:00-07:00"]', "no time at all"),
    ],
)
def test_what_are_no_hours_is_refused(value: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "central.yaml"
    file.write_text(f"quiet: {value}\n")
    with pytest.raises(ConfigError, match=why):
        load(file, {})
