"""Scenarios are read whole or refused with key, value and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab import scenario
from lab.reading import Refusal
from lab.scenario import (
    ActiveIs,
    Becomes,
    ClientGapBelow,
    DownloadsBroken,
    GatewayIs,
    HealthIs,
    Moves,
    SetAgent,
    SetBroker,
    SetCarrier,
    SetGateway,
    SetTarget,
    SetWeather,
    Stays,
    StoredEverything,
)

SHIPPED = sorted((Path(scenario.__file__).parent / "scenarios").glob("*.yaml"))
STATION = """
title: A station
uplinks:
  fibre: {kind: fibre, operator: Telkom, weather: {delay_ms: 8}}
  lte: {kind: lte}
lasts_s: 60
"""


def story(timeline: str = "[]", expect: str = "[]") -> scenario.Scenario:
    return scenario.read(f"{STATION}timeline: {timeline}\nexpect: {expect}\n")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_can_be_read_and_is_short(path: Path) -> None:
    told = scenario.read(path.read_text())
    assert told.lasts_s <= 75
    assert told.expect


def test_uplinks_are_in_order_of_preference_and_have_an_operator() -> None:
    assert [(each.name, each.operator) for each in story().uplinks] == [("fibre", "Telkom"), ("lte", "Lte")]


def test_an_uplink_is_not_metered_and_the_agent_does_the_nat_unless_told_otherwise() -> None:
    told = scenario.read(STATION.replace("{kind: lte}", "{kind: lte, metered: true}") + "nat: external")
    assert ([each.metered for each in told.uplinks], told.nat) == ([False, True], "external")
    assert story().nat == "managed"


def test_each_action_is_a_value() -> None:
    told = story(
        "[{at_s: 1, uplink: lte, carrier: false}, {at_s: 2, uplink: lte, gateway: moved}, "
        "{at_s: 3, target: 198.51.100.1, answers: false}, {at_s: 4, agent: kill}, {at_s: 4, broker: start}]"
    )
    assert told.timeline == (
        SetCarrier(1, "lte", on=False),
        SetGateway(2, "lte", "moved"),
        SetTarget(3, "198.51.100.1", answers=False),
        SetAgent(4, runs=False),
        SetBroker(4, runs=True),
    )


def test_a_weather_of_the_timeline_is_merged_over_what_was() -> None:
    told = story(
        "[{at_s: 1, uplink: fibre, weather: {loss: 0.1}}, {at_s: 2, uplink: fibre, weather: {blackhole: true}}]"
    )
    last = told.timeline[-1]
    assert isinstance(last, SetWeather)
    assert (last.weather.up.delay_ms, last.weather.up.loss, last.weather.up.blackhole) == (8, 0.1, True)


def test_each_expectation_is_a_value() -> None:
    told = story(
        expect="[{after_s: 15, within_s: 3, active: lte},"
        "{after_s: 18, until_s: 35, active: lte, health: {fibre: [dead]}},"
        "{after_s: 21, within_s: 1, gateway: {fibre: moved}},"
        "{moves: 2}, {client_gap_below_s: 3}, {downloads_broken: 1}, {stored: everything}]"
    )
    assert told.expect == (
        Becomes(15, 3, (ActiveIs("lte"),)),
        Stays(18, 35, (ActiveIs("lte"), HealthIs("fibre", ("dead",)))),
        Becomes(21, 1, (GatewayIs("fibre", "moved"),)),
        Moves(2),
        ClientGapBelow(3),
        DownloadsBroken(1),
        StoredEverything(),
    )


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        ("{at_s: 1}", "timeline[0] = {'at_s': 1}: needs one of weather, carrier"),
        ("{at_s: 1, uplink: geo, carrier: true}", "timeline[0].uplink = geo: must be one of fibre, lte"),
        ("{at_s: 61, agent: kill}", "timeline[0].at_s = 61: must be between 0 and 60"),
        ("{at_s: 1, agent: stop}", "timeline[0].agent = stop: must be one of kill, start"),
        ("{at_s: 1, agent: kill, uplink: lte}", "timeline[0].uplink = lte: unknown key"),
        ("{agent: kill}", "timeline[0] = {'agent': 'kill'}: at_s is missing"),
        ("{at_s: 1, target: 192.0.2.1, answers: true}", "timeline[0].target = 192.0.2.1: must be one of"),
        ("{at_s: 1, uplink: lte, gateway: gone}", "timeline[0].gateway = gone: must be one of home, moved"),
        ("{at_s: 1, uplink: lte, weather: {up: {loss: 2}}}", "timeline[0].weather.up.loss = 2: must be between"),
        ("kill", "timeline[0] = kill: must be a table"),
        ("{at_s: 5, agent: kill}, {at_s: 4, agent: start}", "timeline[1].at_s = 4: is before the row above it"),
    ],
)
def test_a_bad_action_is_refused(row: str, refusal: str) -> None:
    with pytest.raises(Refusal) as told:
        story(timeline=f"[{row}]")
    assert str(told.value).startswith(refusal)


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        ("{after_s: 1, active: lte}", "expect[0] = {'after_s': 1, 'active': 'lte'}: needs either within_s"),
        ("{after_s: 1, within_s: 2, until_s: 3, active: lte}", "expect[0] = {'after_s': 1, 'within_s'"),
        ("{after_s: 1, within_s: 2}", "expect[0] = {'after_s': 1, 'within_s': 2}: says nothing"),
        ("{after_s: 5, until_s: 4, active: lte}", "expect[0].until_s = 4: must be between 5 and 60"),
        ("{after_s: 50, within_s: 11, active: lte}", "expect[0].within_s = 11: must be between 0 and 10"),
        ("{after_s: 1, within_s: 1, active: geo}", "expect[0].active = geo: must be one of fibre, lte"),
        ("{after_s: 1, within_s: 1, health: {lte: [bad]}}", "expect[0].health.lte = bad: must be one of"),
        ("{after_s: 1, within_s: 1, health: {geo: [up]}}", "expect[0].health.geo = ['up']: unknown key"),
        ("{after_s: 1, within_s: 1, gateway: {lte: away}}", "expect[0].gateway.lte = away: must be one of"),
        ("{moves: 1.5}", "expect[0].moves = 1.5: must be a whole number"),
        ("{stored: most}", "expect[0].stored = most: must be one of everything"),
        ("{hope: 1}", "expect[0].hope = 1: unknown key"),
    ],
)
def test_a_bad_expectation_is_refused(row: str, refusal: str) -> None:
    with pytest.raises(Refusal) as told:
        story(expect=f"[{row}]")
    assert str(told.value).startswith(refusal)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"title": " "}, "title =  : must be a text"),
        ({"lasts_s": 0}, "lasts_s = 0: must be between"),
        ({"uplinks": {}}, "uplinks = {}: must be a table of one to eight"),
        ({"uplinks": {"a b": {"kind": "lte"}}}, "uplinks.a b = a b: an uplink's name"),
        ({"uplinks": {"x": {"kind": "dsl"}}}, "uplinks.x.kind = dsl: must be one of fibre, lte, leo, geo"),
        ({"ipv6": "yes please"}, "ipv6 = yes please: must be true or false"),
        ({"nat": "none"}, "nat = none: must be one of managed, external"),
        ({"uplinks": {"x": {"kind": "lte", "metered": 1}}}, "uplinks.x.metered = 1: must be true or false"),
        ({"colour": "red"}, "scenario.colour = red: unknown key"),
    ],
)
def test_a_bad_station_is_refused(change: dict[str, object], refusal: str) -> None:
    with pytest.raises(Refusal) as told:
        scenario.read(yaml.safe_dump({**yaml.safe_load(STATION), **change}))
    assert str(told.value).startswith(refusal)


def test_what_is_not_yaml_is_refused() -> None:
    with pytest.raises(Refusal, match="is not YAML"):
        scenario.read("title: [")
