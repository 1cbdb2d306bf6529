"""Plays scenario files, one after the other or several stations at once, and prints how each went."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from lab.netns import LabError, Station
from lab.player import Outcome, Player
from lab.programs import Programs
from lab.scenario import Scenario


def play_all(stories: Mapping[Path, Scenario], logs: Path, jobs: int) -> int:
    """0 when every expectation of every story holds."""
    pool = ThreadPoolExecutor(jobs)
    try:
        played = [
            pool.submit(_told, path, story, logs / path.stem, f"s{place}-")
            for place, (path, story) in enumerate(stories.items())
        ]
        good = [each.result() for each in played]
    except KeyboardInterrupt:
        os._exit(130)  # else the interpreter waits for every story to end; the cell tidies up
    print(f"{sum(good)} of {len(good)} stories went as expected")
    return 0 if all(good) else 1


def play(path: Path, story: Scenario, folder: Path, prefix: str = "") -> Outcome:
    with Station.of(story, path.parent, prefix) as station:
        programs = Programs(station, story, folder)
        with closing(Player(story, station, programs)) as player:
            player.settle()
            return player.play()


def _told(path: Path, story: Scenario, folder: Path, prefix: str) -> bool:
    try:
        outcome = play(path, story, folder, prefix)
    except LabError as error:
        print(f"{path.stem}: {story.title}\n  FAIL {error}", flush=True)
        return False
    rows = [f"{path.stem}: {story.title}", *(f"  {verdict}" for verdict in outcome.verdicts)]
    print("\n".join(rows), flush=True)
    return outcome.holds
