"""One step in the life of a configuration, cut off as by a power cut before its so many-th change to the card.

python -m tests.edge.dying_config CHANGES STATE_DIR LOCAL STEP
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from agent.core import given as rules
from agent.core.given import Outcome
from agent.edge.given import Given
from agent.edge.trial import Trial
from tests.edge.sealed import STATION, configuration
from wire.command import Status, Why

CHANGING = {"open", "os.rename", "os.remove", "os.mkdir"}


def step(name: str, given: Given, local: str, text: str) -> None:
    match name:
        case "begin":
            trial = Trial(given, local, STATION, lambda _event: None, lambda _result: None, 0.0)
            trial.begin(configuration(7, text), asyncio.new_event_loop())
        case "start":
            given.change(rules.start)
        case "keep":
            given.change(rules.keep)
        case "roll_back":
            given.change(lambda note: rules.roll_back(note, "the centre was not reached"))
        case "refuse":
            given.change(lambda note: rules.refuse(note, Outcome(8, Status.REFUSED, Why.CONFIG_REJECTED)))


def main() -> None:
    changes, state_dir, local, name = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    text, given, left = sys.stdin.read(), Given(state_dir), [changes]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in CHANGING and str(state_dir) in str(arguments[0]):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(watch)
    step(name, given, local, text)


if __name__ == "__main__":
    main()
