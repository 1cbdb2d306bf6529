"""What a watch sees, and when it says that it saw it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lab.watch import LOOK_EVERY_S, Watch

SOON_S = 10 * LOOK_EVERY_S


def within(patience_s: float, is_so: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not is_so() and time.monotonic() < deadline_s:
        time.sleep(0.001)
    return is_so()


def test_a_move_is_seen_once_and_soon(tmp_path: Path) -> None:
    ways = ["fibre"]
    with closing(Watch(lambda: ways[-1], tmp_path / "log")) as watch:
        assert within(1, lambda: len(watch.moves) == 1)
        time.sleep(SOON_S)
        moved_s = time.monotonic()
        ways.append("lte")
        assert within(1, lambda: len(watch.moves) == 2)
        time.sleep(SOON_S)
    assert [way for _, way in watch.moves] == ["fibre", "lte"]
    assert watch.moves[1][0] == pytest.approx(moved_s, abs=SOON_S)


def test_a_line_is_heard_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with closing(Watch(lambda: "fibre", path)) as watch, path.open("a") as log:
        print("one\ntw", end="", file=log, flush=True)
        assert within(1, lambda: len(watch.said) == 1)
        time.sleep(SOON_S)
        said_s = time.monotonic()
        print("o", file=log, flush=True)
        assert within(1, lambda: len(watch.said) == 2)
    assert [line for _, line in watch.said] == ["one", "two"]
    assert watch.said[1][0] == pytest.approx(said_s, abs=SOON_S)


def test_it_is_closed_only_when_the_last_look_has_ended(tmp_path: Path) -> None:
    """What it asks may be closed next."""
    begun: list[int] = []
    ended: list[int] = []

    def look() -> str:
        begun.append(1)
        time.sleep(SOON_S)
        ended.append(1)
        return "fibre"

    watch = Watch(look, tmp_path / "log")
    assert within(1, lambda: len(begun) == 1)
    watch.close()
    assert (len(begun), len(ended)) == (1, 1)
    time.sleep(2 * SOON_S)
    assert len(begun) == 1
