"""Runs a diagnosis and prints it: for people line by line as it is done, for programs as one JSON object at the end."""

import json
from typing import Any

from agent.core.station import Family, Station, Uplink
from agent.diagnose import words
from agent.diagnose.judge import Verdict, evidence, judge
from agent.diagnose.look import Look, Purse
from agent.diagnose.run import WHOLE_S, Examination, took_s
from agent.diagnose.words import Language
from wire.evidence import told_en, told_id
from wire.findings import Call
from wire.messages import Fact

NOTHING_WRONG, FAULT = 0, 1


def diagnose(
    station: Station,
    uplink: Uplink,
    began_at: float,
    cap_bytes: int,
    language: Language = "en",
    family: Family | None = None,
    as_json: bool = False,
) -> int:
    """Returns the exit code."""
    purse = Purse(cap_bytes)
    examination = Examination(station, uplink, family, purse, began_at)
    for look in examination.looks():
        if not as_json:
            print(words.line(look, language), flush=True)
    verdict = judge(examination.done, examination.subject)
    seconds = took_s(began_at)
    fact = Fact("UPLINK_DIAGNOSED", uplink.name, evidence=evidence(verdict, purse.spent, seconds))
    if as_json:
        print(json.dumps(_report(fact, examination, list(examination.done.values()))))
    else:
        print(f"{'':<9} {words.cost(purse.spent, cap_bytes, seconds, WHOLE_S, language)}")
        print(f"\n{told_id(fact)}.\n{told_en(fact)}.")
    return _exit_code(verdict)


def _exit_code(verdict: Verdict) -> int:
    return NOTHING_WRONG if verdict.finding.call is Call.NOBODY else FAULT


def _report(fact: Fact, examination: Examination, looks: list[Look]) -> dict[str, Any]:
    return {
        "uplink": fact.uplink,
        "family": examination.subject.family,
        "looks": [
            {"layer": look.layer, "state": look.state, "outcome": look.outcome.word, "facts": look.facts}
            for look in looks
        ],
        "evidence": fact.evidence,
        "id": told_id(fact),
        "en": told_en(fact),
    }
