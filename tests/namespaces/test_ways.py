"""Loss on one way only, with the real agent and the centre's real reflector: the centre is told on which way it was."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lab import scenario
from lab.netns import Station
from lab.programs import Programs
from tests.namespaces.packets import wait_until
from wire.evidence import told_en
from wire.messages import EachWay, Fact, Seal, Summary, decode_record

SETTLED_WITHIN_S = 40.0
FOUND_WITHIN_S = 90.0
TOLD_WITHIN_S = 130.0  # a packet is settled after half a minute, a summary is made each minute
STORY = "{title: T, lasts_s: 1, uplinks: {fibre: {kind: fibre, weather: {delay_ms: 4}}}}"
_number = itertools.count()


class Watched:
    """A station with one uplink, and what its centre has stored."""

    def __init__(self, folder: Path, built: ExitStack) -> None:
        story = scenario.read(STORY)
        self.station = built.enter_context(Station.of(story, prefix=f"wy{os.getpid() % 1000}-{next(_number)}-"))
        self._store = folder / "centre" / "siaga.sqlite3"
        agent = Programs(self.station, story, folder)
        agent.start_centre()
        agent.start_agent()
        wait_until(lambda: (status := agent.status()) is not None and status.is_settled, SETTLED_WITHIN_S)

    def verdict(self) -> Fact | None:
        """The first by which the uplink became poor."""
        return next((body for body in self._bodies() if isinstance(body, Fact) and body.code == "UPLINK_POOR"), None)

    def each_way(self) -> list[EachWay]:
        uplinks = [uplink for body in self._bodies() if isinstance(body, Summary) for uplink in body.uplinks]
        return [uplink.each_way for uplink in uplinks if uplink.each_way is not None]

    def _bodies(self) -> list[Fact | Summary | Seal]:
        with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT data FROM record ORDER BY id").fetchall()
        return [decode_record(data).body for (data,) in rows]


@pytest.fixture
def watched(cell: None, tmp_path: Path) -> Iterator[Callable[[], Watched]]:  # noqa: ARG001
    with ExitStack() as built:
        yield lambda: Watched(tmp_path, built)


@pytest.mark.parametrize(("way", "other"), [("up", "down"), ("down", "up")])
def test_the_centre_is_told_on_which_way_it_was_lost(watched: Callable[[], Watched], way: str, other: str) -> None:
    here = watched()
    here.station.set_weather("fibre", {way: {"loss": 0.15}})
    wait_until(lambda: here.verdict() is not None, FOUND_WITHIN_S)
    fact = here.verdict()
    assert fact is not None
    assert fact.evidence["cause"] == "loss"
    assert f"on the way {other} 0 of" in told_en(fact)  # of the other too few may be known yet to say more
    wait_until(lambda: any(getattr(each, f"{way}_lost") for each in here.each_way()), TOLD_WITHIN_S)
    assert sum(getattr(each, f"{other}_lost") for each in here.each_way()) == 0
    assert sum(each.lost_unknown for each in here.each_way()) == 0
