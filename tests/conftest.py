"""Tests that wait longest begin first, so that in the whole run no processor idles at the end beside a last story."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ONE_BY_ONE = "namespaces/test_stories.py"
"""Twenty to seventy-two seconds each, which nothing makes shorter: they are played in real time."""
WHOLE = ("namespaces/test_commanded.py",)
"""Minutes in all, and the tests of such a file share a station or follow on one another: they stay together."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With xdist's worksteal each worker first gets a share of what lies side by side: long ones lead every share."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        items[:] = spread(items, worker["workercount"])


def spread(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same for every worker, as xdist demands."""
    long, others = _groups(items), [item for item in items if not _is_long(item)]
    leads: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, group in enumerate(long):
        leads[number % workers] += group
    ordered: list[pytest.Item] = []
    for number, lead in enumerate(leads):
        share = (len(items) - len(ordered)) // (workers - number)  # as worksteal cuts them
        rest = max(0, share - len(lead))
        ordered += lead + others[:rest]
        del others[:rest]
    return ordered + others


def _groups(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """Whole files first, for they are the longest."""
    files = [(file, list(group)) for file, group in groupby(items, _file)]
    whole = [group for file, group in files if file in WHOLE]
    return whole + [[item] for file, group in files if file == ONE_BY_ONE for item in group]


def _is_long(item: pytest.Item) -> bool:
    return _file(item) in (*WHOLE, ONE_BY_ONE)


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
