"""Tests that wait longest begin first, so that in the whole run no processor idles at the end beside a last story."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ONE_BY_ONE = ("namespaces/test_ways.py", "namespaces/test_stories.py", "namespaces/test_crash.py")
"""Up to a minute each (62, 72, 49 s), which nothing makes shorter: they are played in real time."""
WHOLE = ("namespaces/test_commanded.py", "namespaces/test_enrolled.py")
"""A minute and more in all, and the tests of such a file share a station: they stay together."""


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
    """The longest first: whole files, then one by one."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(_file(item), []).append(item)
    whole = [files[file] for file in WHOLE if file in files]
    return whole + [[item] for file in ONE_BY_ONE for item in files.get(file, [])]


def _is_long(item: pytest.Item) -> bool:
    return _file(item) in WHOLE + ONE_BY_ONE


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
