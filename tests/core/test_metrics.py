"""The metrics: what Prometheus' own reader makes of them, how they are named, and what the dashboard asks for."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.core.bandwidth import Measured, OneWay
from agent.core.events import BandwidthMeasured, SignalSeen, TrafficCounted
from agent.core.metrics import METRICS, Own, as_markdown, exposition, text
from agent.core.station import Kind
from agent.core.tally import Tally
from tests import promtool
from tests.core.driven import Driven
from wire.messages import Active, Health, Signal, Summary, UplinkSummary

OWN = Own("6408042001143", "0.1.0", 1.8e9, True, True, 7)
MEASURED = Measured(
    "lte", "train", OneWay(4.0, available_mbps=3.0), OneWay(20.0, available_mbps=20.0), 60.0, 0.0, 150_000, 55.0, 0.1
)


def heard(driven: Driven) -> Tally:
    tally = Tally()
    for told in (*(fact for _, fact in driven.facts), *driven.summaries):
        tally.hear(told, driven.now)
    return tally


def shown(driven: Driven, tally: Tally, carried: dict[str, TrafficCounted] | None = None) -> str:
    core = driven.core
    return exposition(OWN, core.state(driven.now), core.lines, carried or {}, tally, driven.now)


@cache
def everything() -> str:
    """Of a station that has been through much."""
    driven = Driven(metered=("lte",), fibre=Kind.FIBRE, lte=Kind.LTE)
    driven.run(100)
    driven.handle(BandwidthMeasured("lte", MEASURED))
    driven.handle(SignalSeen("lte", Signal("lte", -97.0, -11.5, 9.0, -67.0, "Telkomsel", "51010", "0A1B", "home")))
    driven.cut.add("fibre")
    driven.run(30)
    return shown(driven, heard(driven), {"lte": TrafficCounted("lte", 5_000, 700)})


def samples(exposed: str) -> dict[tuple[str, ...], float]:
    """Name and values of labels -> value."""
    found = {}
    for family in text_string_to_metric_families(exposed):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_what_is_shown_is_what_the_agent_knows() -> None:
    told = samples(everything())
    assert told["siaga_build_info", "0.1.0"] == 1
    assert told["siaga_uplink_up", "fibre"] == 0
    assert told["siaga_uplink_up", "lte"] == 1
    assert [told["siaga_uplink_health", "fibre", health] for health in Health] == [0, 0, 1, 0]
    assert told["siaga_uplink_active", "lte", "ipv4"] == 1
    assert told["siaga_uplink_active", "fibre", "ipv4"] == 0
    assert told["siaga_uplink_rtt_seconds", "lte"] == pytest.approx(0.06, rel=0.1)
    assert told["siaga_uplink_loss_ratio", "lte"] == 0
    assert told["siaga_uplink_capacity_bytes_per_second", "lte", "up"] == 500_000
    assert told["siaga_uplink_plan_bytes", "lte"] == 20e9
    assert told["siaga_switches_total", "ipv4"] == 2  # to the first uplink, and away from it
    assert told["siaga_facts_total", "UPLINK_DEAD"] == 1
    assert told["siaga_uplink_receive_bytes_total", "lte"] == 5_000
    assert told["siaga_uplink_signal_rsrp_dbm", "lte"] == -97
    assert told["siaga_uplink_budget_used_bytes", "lte", "day"] > 150_000
    assert told["siaga_spool_unsent_records",] == 7


def test_every_metric_is_shown_once_it_is_known_and_has_its_kind() -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(everything())}
    assert kinds == {name.removesuffix("_total"): metric.kind for name, metric in METRICS.items()}


def test_what_is_not_known_is_not_shown() -> None:
    driven = Driven()
    told = {name for name, *_ in samples(shown(driven, Tally()))}
    assert "siaga_uplink_health" in told
    assert not any(name.startswith(("siaga_uplink_signal", "siaga_uplink_plan", "siaga_uplink_cap")) for name in told)
    assert told.isdisjoint({"siaga_uplink_up", "siaga_uplink_rtt_seconds", "siaga_uplink_loss_ratio"})


def test_the_names_are_as_prometheus_people_would_choose_them() -> None:
    if not promtool.PROGRAM.exists():
        (pytest.fail if "CI" in os.environ else pytest.skip)(promtool.why_not())
    command = [promtool.PROGRAM, "check", "metrics", "--extended"]
    done = subprocess.run(command, input=everything(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_an_operator_is_called_it_can_be_read_again(name: str) -> None:
    if "\r" in name:
        return  # the reader of the test cuts lines there; Prometheus' own does not
    exposed = text([("siaga_uplink_info", ("lte", "wwan0", "lte", name), 1)])
    [sample] = [sample for family in text_string_to_metric_families(exposed) for sample in family.samples]
    assert sample.labels["operator"] == name


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(-20, 300))))
def test_a_counter_never_falls_though_a_late_answer_takes_a_loss_back(minutes: list[tuple[int, int, int]]) -> None:
    tally, before = Tally(), (0, 0, 0)
    for sent, answered, lost in minutes:
        tally.hear(Summary(60.0, Active(), (UplinkSummary("lte", Health.UP, sent, answered, lost, 0, 0),)), 0.0)
        echoed = tally.echoed["lte"]
        after = echoed.sent, echoed.answered, echoed.lost_shown
        assert all(was <= now for was, now in zip(before, after, strict=True))
        before = after
    assert sum(lost for *_, lost in minutes) <= before[2]


def test_the_start_moves_only_when_somebody_has_set_the_clock() -> None:
    tally = Tally()
    assert tally.started(1_000.0, 10.0) == 990.0
    assert tally.started(1_060.4, 70.0) == 990.0
    assert tally.started(9_070.0, 80.0) == 8_990.0


def test_the_page_shows_the_table_as_it_is() -> None:
    assert Path("docs/metrics.md").read_text().endswith("\n\n" + as_markdown())


# the dashboard


@cache
def dashboard() -> Any:
    return json.loads(Path("config/grafana-agent.json").read_text())


def panels() -> list[Any]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_a_dashboard_asks_only_for_what_the_agent_gives() -> None:
    labels = {label for metric in METRICS.values() for label in metric.labels} | {"instance"}
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [each["query"]["query"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    assert {name for text in asked for name in re.findall(r"siaga_\w+", text)} <= METRICS.keys()
    assert {label for text in asked for label in re.findall(r"(\w+)=~?\"", text)} <= labels
    legends = [target["legendFormat"] for panel in panels() for target in panel["targets"]]
    assert {label for text in legends for label in re.findall(r"{{(\w+)}}", text)} <= labels


def test_a_dashboard_has_its_rows_and_says_in_two_languages_what_it_shows() -> None:
    rows = " ".join(panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row")
    assert all(word in rows for word in ("Reachability", "RTT", "Loss", "Traffic", "Budget and plan", "Switches"))
    assert all(len(panel["description"].split(". ")) >= 2 for panel in panels())
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert dashboard()["schemaVersion"] >= 41
