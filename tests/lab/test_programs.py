"""What the lab gives to the programs and how it reads what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.netns import Station
from lab.programs import agent_config, completeness
from lab.scenario import read

GOOD = {"epoch": "a1b2c3d4e5f6", "stored": 7, "first": 1, "count": 7, "out_of_order": 0}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"epochs": [GOOD]}, "everything"),
        ({"epochs": [GOOD, {**GOOD, "stored": 2, "count": 2}]}, "everything"),
        ({"epochs": []}, "the centre holds no record"),
        ({"epochs": [GOOD, {**GOOD, "first": 3}]}, "epoch a1b2c3d4 begins with record 3"),
        ({"epochs": [{**GOOD, "count": 6}]}, "epoch a1b2c3d4: 6 records are held of 7"),
        ({"epochs": [{**GOOD, "count": 8}]}, "epoch a1b2c3d4: 8 records are held of 7"),
        ({"epochs": [{**GOOD, "out_of_order": 2}]}, "epoch a1b2c3d4: 2 records came out of order"),
        ([], "the centre's list of records has no epochs"),
    ],
)
def test_only_a_whole_and_ordered_list_is_everything(told: object, expected: str) -> None:
    assert completeness(told) == expected


def test_the_agents_uplinks_are_the_storys_in_order(tmp_path: Path) -> None:
    story = read("{title: T, lasts_s: 1, uplinks: {geo: {kind: geo, operator: BAKTI}, lte: {kind: lte}}}")
    config = agent_config(Station.of(story), story, tmp_path)
    assert config["uplinks"] == [
        {"name": "geo", "interface": "wan0", "kind": "geo", "operator": "BAKTI"},
        {"name": "lte", "interface": "wan1", "kind": "lte", "operator": "Lte"},
    ]


def test_the_agent_is_told_who_is_metered_and_who_does_the_nat(tmp_path: Path) -> None:
    story = read("{title: T, lasts_s: 1, nat: external, uplinks: {geo: {kind: geo}, lte: {kind: lte, metered: true}}}")
    config = agent_config(Station.of(story), story, tmp_path)
    assert ["metered" in uplink for uplink in config["uplinks"]] == [False, True]  # type: ignore[attr-defined]
    assert config["lan"] == {"interfaces": ["lan0"], "nat": "external"}
