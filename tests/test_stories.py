"""Every scenario of the lab, in simulated time: the real core, no kernel, no waiting."""

from pathlib import Path

import pytest

from lab import scenario
from tests.world import World

STORIES = sorted(Path("lab/scenarios").glob("*.yaml"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_story_holds(story: Path) -> None:
    world = World(scenario.read(story.read_text()))
    verdicts = world.run()
    assert verdicts
    assert [str(verdict) for verdict in verdicts if not verdict.holds] == []
