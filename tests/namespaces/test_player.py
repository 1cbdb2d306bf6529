"""The player's own machinery, with the smallest possible programs in the place of the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.netns import LabError, Station
from lab.player import Player, View
from lab.programs import Programs, Status, UplinkStatus
from lab.scenario import Scenario, read
from tests.namespaces.packets import make_static_router, send_by

STORY = """
title: A router that does as the test tells it
uplinks:
  fibre: {kind: fibre, weather: {delay_ms: 2}}
  lte: {kind: lte, weather: {delay_ms: 4}}
lasts_s: 3
timeline:
  - {at_s: 0.5, agent: kill}
  - {at_s: 0.8, uplink: fibre, weather: {blackhole: true}}
  - {at_s: 1.5, agent: start}
  - {at_s: 2.0, uplink: fibre, gateway: moved}
expect:
  - {after_s: 0, until_s: 1.5, active: fibre}
  - {after_s: 1.5, within_s: 0.5, active: lte}
  - {after_s: 2, within_s: 0.5, gateway: {fibre: moved}}
  - {after_s: 0, until_s: 3, gateway: {lte: home}}
  - {after_s: 0, within_s: 3, health: {fibre: [up]}}
  - {moves: 1}
  - {client_gap_below_s: 2}
  - {stored: everything}
"""


class StaticRouter(Programs):
    """By fibre at first; started again, by LTE. It says that all is well, whatever happens."""

    def __init__(self, station: Station) -> None:
        self._station, self._starts, self.done = station, 0, []

    def start_agent(self) -> None:
        self._starts += 1
        self.done.append("started")
        make_static_router(self._station, "fibre") if self._starts == 1 else send_by(self._station, "lte")

    def kill_agent(self) -> None:
        self.done.append("killed")

    def start_centre(self) -> None:
        self.done.append("centre started")

    def check(self) -> None:
        pass

    def status(self) -> Status:
        return Status((UplinkStatus("fibre", "up", 4.0, 0.0), UplinkStatus("lte", "up", 8.0, 0.0)), True, 0)

    def stored(self) -> str:
        return "everything"


@contextmanager
def player(story: Scenario, prefix: str) -> Iterator[tuple[Player, StaticRouter]]:
    with Station.of(story, prefix=prefix) as station:
        router = StaticRouter(station)
        views: list[View] = []
        played = Player(story, station, router, views.append)
        try:
            yield played, router
        finally:
            played.close()
            assert views


@pytest.mark.usefixtures("cell")
def test_a_story_is_played_watched_and_judged() -> None:
    with player(read(STORY), "p1-") as (play, router):
        play.settle()
        outcome = play.play()
    assert [verdict for verdict in outcome.verdicts if not verdict.holds] == []
    assert router.done == ["centre started", "started", "killed", "started"]
    start_s, gap_s = max(outcome.gaps, key=lambda gap: gap[1])
    assert start_s == pytest.approx(0.8, abs=0.3)
    assert gap_s == pytest.approx(0.7, abs=0.4)


@pytest.mark.usefixtures("cell")
def test_a_story_that_goes_otherwise_fails() -> None:
    """The same router, judged by a story that asks for more."""
    asked = STORY.replace("{moves: 1}", "{moves: 0}").replace("client_gap_below_s: 2", "client_gap_below_s: 0.2")
    with player(read(asked), "p2-") as (play, _):
        play.settle()
        outcome = play.play()
    assert [str(verdict)[:40] for verdict in outcome.verdicts if not verdict.holds] == [
        "FAIL the traffic moves 0 times: fibre to",
        "FAIL the LAN client never waits 0.2 s: l",
    ]


@pytest.mark.usefixtures("cell")
def test_a_program_that_ends_by_itself_ends_the_story(tmp_path: Path) -> None:
    story = read(STORY)
    with Station.of(story, prefix="p3-") as station:
        programs = Programs(station, story, tmp_path)
        programs._agent = station.start("tps", ["false"])
        programs._agent.wait()
        with pytest.raises(LabError, match=r"^siaga-agent ended with 1: it said nothing"):
            programs.check()
