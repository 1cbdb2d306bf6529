"""What is logged arrives in the journal as grave as it is, and elsewhere as plain text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.central.centre import Centre, eventually

PROGRAM = """
import logging
from wire import journal
journal.log("%(levelname)s %(message)s")
log = logging.getLogger("any")
log.debug("unsaid")
log.info("begun")
log.warning("two\\nlines")
log.critical("ended")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def said(to: Path, stream: str | None) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    with to.open("w") as errors:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stderr=errors,
            check=True,
            env=environment | ({} if stream is None else {"JOURNAL_STREAM": stream}),
        )
    return to.read_text().splitlines()


def stream_of(file: Path) -> str:
    """As systemd names it."""
    file.touch()
    return f"{file.stat().st_dev}:{file.stat().st_ino}"


def test_in_the_journal_each_line_says_how_grave_it_is(tmp_path: Path) -> None:
    lines = said(tmp_path / "journal", stream_of(tmp_path / "journal"))
    assert lines[:4] == ["<6>INFO begun", "<4>WARNING two", "<4>lines", "<2>CRITICAL ended"]
    assert lines[4] == "<3>ERROR failed"
    assert lines[-1] == "<3>ZeroDivisionError: division by zero"
    assert all(line.startswith("<3>") for line in lines[4:])


@pytest.mark.parametrize("stream", [None, "", "8:1", "nonsense"])
def test_elsewhere_lines_are_as_they_were(stream: str | None, tmp_path: Path) -> None:
    """Also where standard error was the journal, and somebody has sent it into a file."""
    assert said(tmp_path / "file", stream)[:2] == ["INFO begun", "WARNING two"]


def test_the_centre_logs_so(tmp_path: Path) -> None:
    centre = Centre(tmp_path, JOURNAL_STREAM=stream_of(tmp_path / "stderr")).start()
    try:
        eventually(lambda: "<6>INFO siaga.collector: hearing the stations" in centre.errors)
    finally:
        centre.end()
