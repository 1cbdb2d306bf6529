"""What is seen around a cut becomes three times and a row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.drivers import DpingersRule, OurAgent
from bench.failover import NEVER, Contest, Times, row_of, times_of
from lab.netns import Station
from lab.watch import Watch

CUT_S = 100.0
CONTEST = Contest("fibre", "lte", "Siaga", OurAgent)


def watched(moves: list[tuple[float, str]], said: list[tuple[float, str]]) -> Watch:
    return cast(Watch, SimpleNamespace(moves=moves, said=said))


def our_agent(tmp_path: Path) -> OurAgent:
    return OurAgent(Station.of(CONTEST.story), CONTEST.story, tmp_path / "ours")


def test_times_are_counted_from_the_cut(tmp_path: Path) -> None:
    watch = watched(
        [(80, "lte"), (90, "fibre"), (101.5, "none"), (101.6, "lte"), (130, "fibre")],
        [
            (95, "INFO UPLINK_DEAD fibre: up -> dead"),
            (101.0, "INFO UPLINK_DEAD lte: up -> dead"),
            (101.4, "INFO UPLINK_DEAD fibre: up -> dead  cause=silence"),
        ],
    )
    gaps = [(98.0, 98.5), (100.01, 101.7), (129.0, 130.5)]
    assert times_of(CONTEST, CUT_S, watch, our_agent(tmp_path), gaps) == Times(
        pytest.approx(1.4), pytest.approx(1.6), pytest.approx(1.7)
    )


def test_what_did_not_happen_is_never(tmp_path: Path) -> None:
    watch = watched([(90, "fibre")], [])
    assert times_of(CONTEST, CUT_S, watch, our_agent(tmp_path), [(98.0, 98.5)]) == Times(NEVER, NEVER, NEVER)


def test_an_answer_by_the_old_way_is_not_the_first_after_the_switch(tmp_path: Path) -> None:
    watch = watched([(90, "fibre"), (103.0, "lte")], [])
    gaps = [(100.0, 100.4), (100.5, 103.1)]
    assert times_of(CONTEST, CUT_S, watch, our_agent(tmp_path), gaps).answer_s == pytest.approx(3.1)


def test_a_silence_that_began_after_the_switch_is_another_one(tmp_path: Path) -> None:
    watch = watched([(90, "fibre"), (101.0, "lte")], [])
    assert times_of(CONTEST, CUT_S, watch, our_agent(tmp_path), [(110.0, 112.0)]).answer_s == NEVER


def test_dpingers_alarm_names_its_gateway(tmp_path: Path) -> None:
    driver = DpingersRule(Station.of(CONTEST.story), CONTEST.story, tmp_path / "peer")
    assert driver.tells_dead("ALARM fibre latency 16 ms, loss 21 %", "fibre")
    assert not driver.tells_dead("CLEAR fibre latency 16 ms, loss 20 %", "fibre")
    assert not driver.tells_dead("ALARM lte latency 16 ms, loss 21 %", "fibre")


def test_a_row_has_the_middle_and_the_nearest_rank_and_says_what_is_missed() -> None:
    runs = [Times(n / 10, n / 10 + 0.1, n / 10 + 0.2) for n in range(20, 0, -1)]
    row = row_of(CONTEST, runs)
    assert row == ["fibre → LTE", "Siaga", "20", "1.05 / 1.90", "1.15 / 2.00", "1.25 / 2.10", "1.5", "no"]
    assert row_of(CONTEST, runs[10:])[3:6] == ["0.55 / 1.00", "0.65 / 1.10", "0.75 / 1.20"]
    assert row_of(CONTEST, [Times(1.3, 1.4, 1.5)])[-1] == "yes"
    assert row_of(CONTEST, [Times(1.3, 1.4, 1.51)])[-1] == "no"
    assert row_of(CONTEST, [Times(15, NEVER, NEVER)])[3:] == ["15.00 / 15.00", *["never / never"] * 2, "1.5", "no"]
