"""The agent's own lines, as the journal gets them from the running agent."""

from pathlib import Path

import pytest

from tests.namespaces.ground import START_S, ground
from tests.namespaces.packets import wait_until


def test_the_agents_lines_say_in_the_journal_how_grave_they_are(
    cell: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ground(tmp_path) as here:
        here.log.touch()
        monkeypatch.setenv("JOURNAL_STREAM", f"{here.log.stat().st_dev}:{here.log.stat().st_ino}")
        here.start()
        wait_until(lambda: "<4>WARNING broker 127.0.0.1:1" in here.log.read_text(), START_S)
        assert "\n<6>INFO " in here.log.read_text()
