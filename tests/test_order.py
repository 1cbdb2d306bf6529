"""In the whole run the longest tests lead every worker's share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import conftest


@dataclass(frozen=True)
class Item:
    path: Path
    number: int


def items(file: str, count: int) -> list[Any]:
    return [Item(conftest.TESTS / file, number) for number in range(count)]


def shares(ordered: list[Any], workers: int) -> list[list[Any]]:
    """As worksteal cuts what was collected: each gets its part of what is left."""
    left, cut = list(ordered), []
    for number in range(workers):
        many = len(left) // (workers - number)
        cut.append(left[:many])
        del left[:many]
    return cut


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_each_worker_begins_with_long_ones_and_nothing_is_lost(workers: int) -> None:
    stories, commanded = items(conftest.ONE_BY_ONE[0], 13), items(conftest.WHOLE[0], 5)
    found = [stories[0], *items("core/test_plan.py", 101), *commanded, *stories[1:], *items("wire/test_topics.py", 40)]
    ordered = conftest.spread(found, workers)
    assert sorted(ordered, key=str) == sorted(found, key=str)
    for share in shares(ordered, workers):
        leads = [item in stories or item in commanded for item in share]
        assert leads[0] and leads == sorted(leads, reverse=True), "none of them behind a short one"
        assert sum(item in stories for item in share) >= 13 // workers - 1
    at = ordered.index(commanded[0])
    assert ordered[at : at + 5] == commanded, "tests that share a station stay together"


def test_a_run_of_few_files_is_spread_too() -> None:
    stories = items(conftest.ONE_BY_ONE[0], 3)
    assert sorted(conftest.spread(stories, 4), key=str) == sorted(stories, key=str)


def test_the_files_that_are_named_are_there() -> None:
    for file in conftest.WHOLE + conftest.ONE_BY_ONE:
        assert (conftest.TESTS / file).is_file()
