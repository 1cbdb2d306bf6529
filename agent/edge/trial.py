"""A new configuration is on trial until the centre was reached with it; else the one before comes back by itself."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from agent.core import given as rules
from agent.core.events import Event, Noticed
from agent.core.given import TRIAL_S, Note, Outcome, Version
from agent.edge.given import Given
from wire.command import Command, Result, Status, Why, config_id
from wire.messages import Evidence

log = logging.getLogger(__name__)


class Trial:
    """`wants_restart` is set when another configuration is in force than the one that this run was started with."""

    def __init__(
        self,
        given: Given,
        local: str,
        station: str,
        emit: Callable[[Event], None],
        answer: Callable[[Result], None],
        now: float,
    ) -> None:
        """`local` is the hash of the technician's file."""
        self._given, self._local, self._station = given, local, station
        self._emit, self._answer = emit, answer
        self._until = now + TRIAL_S if given.note.on_trial else None
        self.wants_restart = False

    @property
    def told(self) -> dict[str, object]:
        """For `siaga-agent status`."""
        note = self._given.note
        current = note.current if note.current is not None and note.current.base == self._local else None
        return {"version": current.number if current else None, "on_trial": note.on_trial}

    def tell_start(self) -> None:
        """What has happened to configurations since the last run, once."""
        note = self._given.note
        if note.untold:
            self._tell_outcome(note)
            self._change(rules.told)
        current = note.current
        if current is not None and note.on_trial and note.starts == 1:
            self._emit(Noticed("CONFIG_TRIED", {"version": current.number, "by": current.by}))
        if current is not None and current.base != self._local != note.local:
            self._emit(Noticed("CONFIG_LOCAL", {"version": current.number}))
            self._change(lambda note: rules.tell_local(note, self._local))

    def look(self, is_confirmed: bool, now: float, card: ThreadPoolExecutor) -> None:
        """Now and then: has the centre been reached with what is on trial?"""
        if self._until is None or not (is_confirmed or now >= self._until):
            return
        self._until = None
        loop = asyncio.get_running_loop()
        card.submit(self._keep if is_confirmed else self._go_back, loop)

    def begin(self, command: Command, loop: asyncio.AbstractEventLoop) -> None:
        """In the card's thread: the new one is in force from the next start, which is asked for."""
        text = str(command.arguments["text"])
        number = int(float(command.arguments["version"] or 0))
        version = Version(number, sha256(text.encode()).hexdigest(), self._local, command.by)
        try:
            self._given.put(version, text)
            self._given.change(lambda note: rules.begin_trial(note, version))
        except OSError as why:
            refused = Result(self._station, command.id, Status.REFUSED, Why.CARD_REFUSES, why.strerror or str(why))
            self._answer(refused)
            return
        loop.call_soon_threadsafe(self._ask_for_restart)

    def _keep(self, loop: asyncio.AbstractEventLoop) -> None:
        note = self._change(rules.keep)
        loop.call_soon_threadsafe(self._tell_outcome, note)
        self._change(rules.told)

    def _go_back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._change(lambda note: rules.roll_back(note, f"the centre was not reached within {TRIAL_S:g} s"))
        loop.call_soon_threadsafe(self._ask_for_restart)

    def _ask_for_restart(self) -> None:
        self.wants_restart = True

    def _tell_outcome(self, note: Note) -> None:
        if (done := note.outcome) is not None:
            self._emit(_fact(done))
            self._answer(Result(self._station, config_id(done.number), done.status, done.code, done.text))

    def _change(self, how: Callable[[Note], Note]) -> Note:
        """A card that takes nothing now is asked again at the next start."""
        try:
            return self._given.change(how)
        except OSError as why:
            log.error("what became of a configuration cannot be put down: %s", why)
            return how(self._given.note)


def _fact(done: Outcome) -> Noticed:
    about: Evidence = {"version": done.number, "by": done.by, "text": done.text}
    if done.status is Status.DONE:
        return Noticed("CONFIG_APPLIED", about)
    return Noticed("CONFIG_ROLLED_BACK", about)
