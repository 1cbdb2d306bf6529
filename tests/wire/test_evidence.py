"""The line that says what a fact rests on: from what the core really says, in both languages, whatever is missing."""

import ast
import string
from pathlib import Path

import pytest

from tests.core.driven import TARGETS, settled
from wire import evidence
from wire.messages import Fact, Signal

CAUSES = evidence._BY_CAUSE


def test_a_silence_is_told_with_its_length_its_echoes_its_limit_and_how_rare_it_is() -> None:
    told = {
        "cause": "silence", "silence_s": 1.31, "limit_s": 1.3, "unanswered": 12,
        "first_echo": 701, "last_echo": 712, "per_month": 0.02, "rtt_ms": None,
    }  # fmt: skip
    fact = Fact("UPLINK_DEAD", "fibre", "up", "dead", told)
    assert evidence.told_en(fact) == (
        "nothing heard for 1.31 s (12 echoes unanswered, no. 701-712); "
        "this uplink's limit is 1.3 s, passed 0.02 times in 30 days without an outage"
    )
    assert evidence.told_id(fact).startswith("tak terdengar apa pun selama 1,31 s (12 gema tak dijawab")


def test_what_the_core_says_of_a_dead_uplink_and_of_a_dead_target_leaves_no_gap() -> None:
    driven = settled()
    driven.dead_targets.add(TARGETS[0])
    driven.run(60)
    driven.cut.add("fibre")
    driven.run(30)
    driven.cut.clear()
    driven.run(60)
    driven.change("fibre", carrier=False)
    told = [evidence.told_id(fact) for _, fact in driven.facts if fact.code != "TRAFFIC_MOVED"]
    assert len(told) > 4
    assert all(told)
    assert not any(" - " in line or "{" in line for line in told)


@pytest.mark.parametrize("line", [*CAUSES.values(), *evidence._BY_CODE.values()])
def test_both_languages_use_the_same_values(line: evidence._Line) -> None:
    names = [sorted(name for _, name, _, _ in string.Formatter().parse(text) if name) for text in (line.id, line.en)]
    assert names[0] == names[1]
    assert line.id != line.en


def test_every_cause_that_the_core_names_has_its_line() -> None:
    named = set()
    for path in Path("agent/core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "cause" and isinstance(value, ast.Constant):
                        named.add(value.value)
    assert {"silence", "proven good"} <= named <= CAUSES.keys()
    assert {"loss", "delay", "no carrier", "no gateway", "no such interface", "nothing could be sent"} <= CAUSES.keys()


def test_a_signal_is_told_in_both_languages_and_the_unknown_is_left_out() -> None:
    heard = Signal("lte", -97.0, -11.5, 9.2, -67.0, "PT. X", "51010", "0A1B", "home")
    told = "lte PT. X (51010) · home · RSRP -97 dBm · RSRQ -11.5 dB · SNR 9.2 dB · RSSI -67 dBm · cell 0A1B"
    assert evidence.heard_en(heard) == told
    assert evidence.heard_id(heard) == told.replace("11.5", "11,5").replace("9.2", "9,2").replace("cell", "sel")
    assert evidence.heard_en(Signal(registration="denied")) == "denied"
    assert evidence.heard_en(Signal()) == "-"


def test_a_value_that_is_missing_is_a_dash() -> None:
    fact = Fact("UPLINK_DEAD", evidence={"cause": "silence", "silence_s": 2.0, "limit_s": None})
    assert "limit is -, passed -" not in evidence.told_en(fact)
    assert "limit is - s, passed - times" in evidence.told_en(fact)


def test_what_no_sentence_is_known_for_is_told_plainly() -> None:
    fact = Fact("FROM_THE_FUTURE", evidence={"cause": "moon", "phase": 0.5})
    assert evidence.told_en(fact) == "cause=moon phase=0.5"
    assert evidence.told_id(fact) == ""
