"""Watches a station from outside, on one clock: which way the traffic goes, and what a program writes to its log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 0.005  # what is seen is late by at most this, and by the machine's own delays


class Watch:
    """Until it is closed. Times are monotonic; the first of `moves` is where the traffic went at first."""

    def __init__(self, active: Callable[[], str], log: Path) -> None:
        self.moves: list[tuple[float, str]] = []
        self.said: list[tuple[float, str]] = []
        self._active, self._log = active, log
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._keep_looking, daemon=True)
        self._looking.start()

    def close(self) -> None:
        self._ended.set()
        self._looking.join()

    def _keep_looking(self) -> None:
        self._log.touch()
        begun = b""
        with self._log.open("rb") as log:
            while not self._ended.wait(LOOK_EVERY_S):
                active, now_s = self._active(), time.monotonic()
                if not self.moves or self.moves[-1][1] != active:
                    self.moves.append((now_s, active))
                if more := log.read():
                    *lines, begun = (begun + more).split(b"\n")
                    self.said += [(now_s, line.decode(errors="replace")) for line in lines]
