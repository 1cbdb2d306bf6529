"""Every scenario of the lab with real packets: a real kernel, the real agent, broker and centre."""

import os
from pathlib import Path

import pytest

from lab import playing, scenario

STORIES = sorted(Path("lab/scenarios").glob("*.yaml"))


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_holds_on_a_real_kernel(path: Path, tmp_path: Path) -> None:
    outcome = playing.play(path, scenario.read(path.read_text()), tmp_path, prefix=f"story{os.getpid()}-")
    assert outcome.verdicts
    assert [str(verdict) for verdict in outcome.verdicts if not verdict.holds] == []
