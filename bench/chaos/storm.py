"""Lets a deck of faults loose at random moments, heals each in its time, and keeps an account of it."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench.chaos import faults
from bench.chaos.faults import Course, Kind
from bench.chaos.gossip import Gossip
from bench.chaos.places import Places, Post

LOOK_EVERY_S = 0.02
WEIGH_EVERY_S = 5.0
RETRY_S = 0.3
MIB = 2**20


@dataclass(slots=True)
class Weights:
    """Memory of one program: the most, and how it was early and late in its longest life."""

    most_mib: float = 0.0
    lives: dict[int, list[float]] = field(default_factory=dict)

    def add(self, pid: int, mib: float) -> None:
        self.most_mib = max(self.most_mib, mib)
        self.lives.setdefault(pid, []).append(mib)


@dataclass(slots=True)
class _Running:
    course: Course
    holds: frozenset[tuple[str, str]]
    what: str
    until: float


class Storm:
    def __init__(self, places: Places, gossip: Gossip, draw: random.Random, log: IO[str]) -> None:
        self._places, self._gossip, self._draw, self._log = places, gossip, draw, log
        self._running: list[_Running] = []
        self._began = time.monotonic()
        self._weigh_at = 0.0
        self.done: Counter[str] = Counter()
        self.weights: dict[str, Weights] = {program.name: Weights() for program in places.programs}

    def rage(self, count: int, seconds: float) -> None:
        """So many faults at random moments within that time."""
        began = time.monotonic()
        waiting = faults.deck(count, self._draw)
        moments = sorted(self._draw.uniform(0, seconds) for _ in waiting)
        while waiting:
            if time.monotonic() < began + moments[0]:
                self.pass_time(LOOK_EVERY_S)
            elif (place := self._first_that_fits(waiting)) is None:
                self.pass_time(RETRY_S)
            else:
                self._begin(waiting.pop(place))
                moments.pop(0)

    def heal(self) -> None:
        """At once, whatever still lasts."""
        for each in self._running:
            self._end(each)
        self._running.clear()

    def pass_time(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for each in [each for each in self._running if now >= each.until]:
                self._running.remove(each)
                self._end(each)
            for program in self._places.programs:
                program.look(now)
            self._weigh(now)
            time.sleep(min(LOOK_EVERY_S, max(0.0, until - now)))

    def _first_that_fits(self, waiting: list[Kind]) -> int | None:
        return next((place for place, kind in enumerate(waiting) if self._names(kind)), None)

    def _names(self, kind: Kind) -> list[str]:
        """Where it may begin now; the centre and the net have no name."""
        held = frozenset[tuple[str, str]]().union(*(each.holds for each in self._running))
        names = [post.name for post in self._places.posts] if kind in faults.OF_A_POST else [""]
        return [name for name in names if not held & _held(kind, name)]

    def _begin(self, kind: Kind) -> None:
        name = self._draw.choice(self._names(kind))
        course = self._course(kind, name)
        told: list[str] = []
        for said in course:
            if isinstance(said, float):
                break
            told.append(str(said))
        else:
            raise AssertionError(f"{kind.name} never says how long it lasts")
        what = " ".join(each for each in (kind.name, name, *told) if each)
        self.done[kind.name] += 1
        self._tell(f"{what}, for {said:.1f} s")
        self._running.append(_Running(course, _held(kind, name), what, time.monotonic() + said))

    def _course(self, kind: Kind, name: str) -> Course:
        if kind in faults.OF_THE_CENTRE:
            return kind.course(self._places.centre, self._draw)
        if kind in faults.OF_THE_NET:
            return kind.course(self._gossip, self._draw)
        post = next(post for post in self._places.posts if post.name == name)
        if kind.course is faults.spool_damaged:
            return kind.course(post, self._places.centre, self._draw)
        return kind.course(post, self._draw)

    def _end(self, each: _Running) -> None:
        for _ in each.course:
            pass
        self._tell(f"healed: {each.what}")

    def _tell(self, what: str) -> None:
        line = f"{time.monotonic() - self._began:7.2f} {what}"
        print(line, file=self._log, flush=True)
        print(line, file=sys.stderr)

    def _weigh(self, now: float) -> None:
        if now < self._weigh_at:
            return
        self._weigh_at = now + WEIGH_EVERY_S
        for program in self._places.programs:
            if program.pid is not None and (mib := _memory_mib(program.pid, isinstance(program, Post))):
                self.weights[program.name].add(program.pid, mib)


def _held(kind: Kind, name: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, what) for what in kind.holds)


def _memory_mib(pid: int, shares: bool) -> float:
    """PSS of an agent, as its promise is given; the centre's is its RSS."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    name = "Pss:" if shares else "Rss:"
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(name)), 0.0)
