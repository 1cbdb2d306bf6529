"""The codes: each once, each with its words, and none used that is not among them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from wire import codes, findings
from wire.codes import CODES, Severity
from wire.findings import FINDINGS
from wire.messages import Health
from wire.refusals import REFUSALS

VERDICTS = tuple(health for health in Health if health is not Health.UNKNOWN)  # nobody is ever judged unknown


def codes_said_in(source: str) -> Iterator[str]:
    """The codes of every Fact(...), Noticed(...) and _once(...) in the source; of an f-string each thing it can be."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == "code" and isinstance(node.value, ast.IfExp):
            yield from (part.value for part in (node.value.body, node.value.orelse) if isinstance(part, ast.Constant))
        if isinstance(node, ast.Call) and _name(node.func) in ("Fact", "Noticed", "_once") and node.args:
            match node.args[0]:
                case ast.Constant(value=str(code)):
                    yield code
                case ast.JoinedStr(values=[ast.Constant(value="UPLINK_"), ast.FormattedValue()]):
                    yield from (f"UPLINK_{health.upper()}" for health in VERDICTS)
                case ast.Name(id="code"):
                    pass  # handed through from where it was said
                case other:
                    yield f"cannot tell what {ast.unparse(other)} is"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def findings_in(folder: str) -> set[str]:
    """What a diagnosis can find stands in tables and in the values of functions."""
    texts = (node for path in Path(folder).rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return {node.value for node in texts if isinstance(node, ast.Constant) and node.value in FINDINGS}


def said_by(folder: str) -> set[str]:
    return {code for path in Path(folder).rglob("*.py") for code in codes_said_in(path.read_text())}


def test_no_code_stands_twice_in_the_table() -> None:
    assert len(CODES) == len(codes._TABLE) + len(findings._TABLE) + len(REFUSALS)


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
def test_a_code_has_all_its_words_in_both_languages(code: codes.Code) -> None:
    texts = (code.meaning_id, code.meaning_en, code.action_id, code.action_en)
    assert all(text.strip() == text != "" for text in texts)
    assert code.meaning_id != code.meaning_en
    assert code.action_id != code.action_en
    assert code.code == code.code.upper()
    assert code.severity in Severity


def test_whatever_the_agent_says_is_in_the_table() -> None:
    assert said_by("agent") - CODES.keys() == set()


def test_whatever_is_in_the_table_is_said_by_somebody() -> None:
    said = said_by("agent") | said_by("central") | findings_in("agent")
    assert CODES.keys() - said - {str(why) for why in REFUSALS} == set()  # these: tests/wire/test_command.py


def test_an_unknown_code_would_be_found() -> None:
    assert list(codes_said_in('Fact("UPLINK_TIRED")')) == ["UPLINK_TIRED"]
    assert list(codes_said_in('events.Noticed("OH", {})')) == ["OH"]
    assert list(codes_said_in('self._once("AH", {}, now)')) == ["AH"]
    assert list(codes_said_in('Fact(f"UPLINK_{x}")')) == ["UPLINK_UP", "UPLINK_POOR", "UPLINK_DEAD"]
    assert list(codes_said_in('code = "A" if x else "B"')) == ["A", "B"]
    assert list(codes_said_in('Fact("A" + "B")')) == ["cannot tell what 'A' + 'B' is"]
