"""What a watch sees, and when it says that it saw it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lab.watch import Watch

PATIENCE_S = 10.0


class Ways:
    """Where the traffic goes; it counts how often it was asked."""

    def __init__(self) -> None:
        self.now, self.asked = "fibre", 0

    def __call__(self) -> str:
        self.asked += 1
        return self.now

    def asked_again(self) -> None:
        """Returns when two whole looks have been taken since."""
        until = self.asked + 2
        await_state(lambda: self.asked >= until)


def await_state(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_a_move_is_seen_once_and_not_before_it_happened(tmp_path: Path) -> None:
    ways = Ways()
    with closing(Watch(ways, tmp_path / "log")) as watch:
        ways.asked_again()
        before_s = time.monotonic()
        ways.now = "lte"
        ways.asked_again()
        after_s = time.monotonic()
        ways.asked_again()
    assert [way for _, way in watch.moves] == ["fibre", "lte"]
    assert before_s <= watch.moves[1][0] <= after_s


def test_a_line_is_heard_when_it_is_whole(tmp_path: Path) -> None:
    path, ways = tmp_path / "log", Ways()
    with closing(Watch(ways, path)) as watch, path.open("a") as log:
        print("one\ntw", end="", file=log, flush=True)
        await_state(lambda: len(watch.said) == 1)
        ways.asked_again()
        before_s = time.monotonic()
        print("o", file=log, flush=True)
        await_state(lambda: len(watch.said) == 2)
    assert [line for _, line in watch.said] == ["one", "two"]
    assert watch.said[1][0] >= before_s


def test_it_is_closed_only_when_the_last_look_has_ended(tmp_path: Path) -> None:
    """What it asks may be closed next."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def look() -> str:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        ended.set()
        return "fibre"

    watch = Watch(look, tmp_path / "log")
    assert begun.wait(PATIENCE_S)
    closed: list[bool] = []
    closing_it = threading.Thread(target=lambda: closed.append(watch.close() is None and ended.is_set()))
    closing_it.start()
    await_state(watch._ended.is_set)
    may_end.set()
    closing_it.join(PATIENCE_S)
    assert closed == [True]
