"""The choice that is noted before the kernel is told: whole, of this boot, and never a reason to fail."""

import json
from pathlib import Path

import pytest

from agent.edge.choice import Choice
from wire.messages import Active

BY_LTE = Active("lte", "fibre")


def test_what_was_noted_is_read_by_the_next_run(tmp_path: Path) -> None:
    assert Choice(tmp_path).read() is None
    Choice(tmp_path).write(Active("fibre"))
    Choice(tmp_path).write(BY_LTE)
    assert Choice(tmp_path).read() == BY_LTE


def test_under_systemd_it_stands_where_the_service_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    Choice(tmp_path).write(BY_LTE)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["choice.json"]
    assert Choice(tmp_path).read() == BY_LTE


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"boot": 1}', b'{"boot": "x", "active": {"ipv4": 7}}', b"\xff" * 9000]
)
def test_half_a_note_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "choice.json").write_bytes(text)
    assert Choice(tmp_path).read() is None


def test_a_note_of_another_boot_is_none(tmp_path: Path) -> None:
    Choice(tmp_path).write(BY_LTE)
    path = tmp_path / "choice.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
    assert Choice(tmp_path).read() is None


def test_a_directory_that_is_gone_is_said_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    choice = Choice(tmp_path / "gone")
    choice.write(BY_LTE)
    assert "cannot be written" in caplog.text
    assert choice.read() is None
