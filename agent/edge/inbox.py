"""What comes as a command: judged cheaply, verified by a child, put down on the card, and only then done, once.

Whoever can write to the broker may send anything, as much as he likes: each step is bounded, and what is dropped is
counted and told at most once a minute.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from agent.core.events import Commanded, Event, Noticed
from agent.core.given import Outcome, Question, Verdict, is_news, refuse
from agent.core.station import Station
from agent.edge import child, clock
from agent.edge.given import Given
from agent.edge.ledger import Ledger
from wire.command import (
    LIFE_AT_MOST_S,
    NAME_LETTERS,
    TEXT_LETTERS,
    Command,
    Kind,
    Result,
    Signed,
    Status,
    Why,
    config_id,
    decode,
)
from wire.messages import BadMessage
from wire.topics import Down

log = logging.getLogger(__name__)

AUTHORITY = "centre-ca.crt"
WAITING_AT_MOST = 4
JUDGED_A_MINUTE = 10
AGAIN_AFTER_S = 1.0  # an answer is repeated no faster
TOLD_EVERY_S = 60.0
JUST_STARTED_S = 180.0  # until the centre must have heard that this is another run


class Ignored(Exception):
    """Why nothing is done about it; it may not even be the centre's."""


class Inbox:
    """`hear` is for the courier's thread and does not wait; the rest is the loop's."""

    def __init__(
        self,
        station: Station,
        uptime: Callable[[], tuple[str, float]],
        emit: Callable[[Event], None],
        answer: Callable[[Result], None],
        given: Given,
        card: ThreadPoolExecutor,
    ) -> None:
        """`uptime` gives this run's name and its seconds. Raises OSError."""
        state_dir = Path(station.state_dir)
        self._station, self._uptime, self._emit, self._answer = station, uptime, emit, answer
        self._authority, self._card = state_dir / AUTHORITY, card
        self._ledger, self._given = Ledger(state_dir / "commands.json", station.station), given
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._something = asyncio.Event()
        self._waiting: dict[str, tuple[Command, bytes]] = {}
        self._judged: deque[float] = deque(maxlen=JUDGED_A_MINUTE)
        self._answered_at: dict[str, float] = {}
        self._ignored, self._told_at = 0, -TOLD_EVERY_S

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def hear(self, kind: Down, payload: bytes, is_retained: bool) -> None:
        """In the courier's thread. What crosses to the loop is bounded here."""
        try:
            command = self._read(kind, payload, is_retained)
        except (Ignored, BadMessage) as why:
            self._ignore(str(why))
            return
        if command is None:
            return
        if (result := self._known(command)) is not None:
            self._repeat(result)
        elif not self._ledger.knows(command.id):
            self._take(command, payload)

    def settle(self, result: Result) -> None:
        """Waits for the card: what came of a command is put down, then sent."""
        version = _version(result.id)
        if version is None:
            self._ledger.end(result)
        elif result.code == Why.BUSY:
            return  # the centre asks again
        elif is_news(self._given.note, version):
            outcome = Outcome(version, result.status, result.code, result.text)
            _try_to(lambda: self._given.change(lambda note: refuse(note, outcome)))
        self._answer(result)

    async def run(self) -> None:
        """Until it is cancelled; a child that is at work is ended then."""
        while True:
            await self._something.wait()
            self._something.clear()
            while (first := self._first()) is not None:
                await self._judge(*first)
                with self._lock:
                    del self._waiting[first[0].id]

    def _first(self) -> tuple[Command, bytes] | None:
        with self._lock:
            return next(iter(self._waiting.values()), None)

    # cheap, and for everybody

    def _read(self, kind: Down, payload: bytes, is_retained: bool) -> Command | None:
        """None for what is only late news of our last run. Raises Ignored, BadMessage."""
        if kind is Down.COMMAND and is_retained:
            raise Ignored("it was retained, and a command never is")
        command = decode(decode(payload, Signed).body.encode(), Command)
        if command.station != self._station.station:
            raise Ignored("it is for another station")
        if (command.kind == Kind.CONFIG) != (kind is Down.CONFIG):
            raise Ignored("its topic is not for its kind")
        if not all(0 < len(name) <= NAME_LETTERS and name.isprintable() for name in (command.id, command.by)):
            raise Ignored(f"an id and a person's name have 1 to {NAME_LETTERS} letters")
        if kind is Down.CONFIG:
            if _version(command.id) is None or command.id != config_id(_number(command)):
                raise Ignored("its id is not that of its version")
        elif _version(command.id) is not None:
            raise Ignored("its id is that of a configuration")
        elif (why := self._stale(command)) is not None:
            if self._uptime()[1] < JUST_STARTED_S:
                return None
            raise Ignored(why)
        return command

    def _stale(self, command: Command) -> str | None:
        """By this run's own uptime, which the centre has read from its states: no clock is needed."""
        boot, uptime_s = self._uptime()
        if command.boot != boot:
            return "it is for another run of this agent"
        if not uptime_s < command.until_s <= uptime_s + LIFE_AT_MOST_S:
            return "its time is over"
        return None

    def _known(self, command: Command) -> Result | None:
        if command.kind != Kind.CONFIG:
            return self._ledger.result(command.id)
        outcome, number = self._given.note.outcome, _number(command)
        if outcome is not None and outcome.number == number:
            return Result(self._station.station, command.id, outcome.status, outcome.code, outcome.text)
        return None

    def _take(self, command: Command, payload: bytes) -> None:
        if command.kind == Kind.CONFIG and not is_news(self._given.note, _number(command)):
            return  # on trial, or older than what is in force
        with self._lock:
            if command.id in self._waiting:
                return
            if is_taken := len(self._waiting) < WAITING_AT_MOST:
                self._waiting[command.id] = command, payload
        if is_taken:
            self._later(self._something.set)
        else:
            self._ignore("too many at once")

    def _repeat(self, result: Result) -> None:
        now = time.monotonic()
        if now >= self._answered_at.get(result.id, 0) + AGAIN_AFTER_S:
            self._answered_at = {id: at for id, at in self._answered_at.items() if now < at + AGAIN_AFTER_S}
            self._answered_at[result.id] = now
            self._answer(result)

    def _ignore(self, why: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._ignored += 1
            if now < self._told_at + TOLD_EVERY_S:
                return
            times, self._ignored, self._told_at = self._ignored, 0, now
        self._later(self._emit, Noticed("COMMAND_IGNORED", {"times": times, "why": why[:TEXT_LETTERS]}))

    def _later(self, what: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)

    # in the loop

    async def _judge(self, command: Command, payload: bytes) -> None:
        now = time.monotonic()
        if len(self._judged) == JUDGED_A_MINUTE and now < self._judged[0] + 60:
            self._ignore("too many in a minute")
            return
        self._judged.append(now)
        try:
            authority = self._authority.read_text(encoding="ascii")
        except (OSError, ValueError):
            self._refuse(command, Why.NOT_ENROLLED, "")
            return
        try:
            verdict = await self._verify(authority, payload)
        except (OSError, TimeoutError) as why:
            self._ignore(f"it could not be verified: {why}")
            return
        if verdict.forged:
            self._ignore(verdict.forged)
            self._refuse(command, Why.BAD_SIGNATURE, verdict.forged)
        elif verdict.flaws:
            self._reject(command, verdict.flaws)
        elif command.kind == Kind.CONFIG or await self._begin(command):
            self._emit(Commanded(command))

    async def _verify(self, authority: str, payload: bytes) -> Verdict:
        """Raises OSError, TimeoutError."""
        wall_s, synced = clock.wall()
        state_dir = self._station.state_dir
        signed = payload.decode(errors="replace")
        asked = Question(signed, authority, self._station.station, state_dir, wall_s if synced else None)
        code, printed = await child.run([sys.executable, "-m", "agent.verify"], msgspec.json.encode(asked))
        if code != 0:
            raise OSError(f"the child ended with {code}")
        try:
            return msgspec.json.decode(printed, type=Verdict)
        except (msgspec.DecodeError, UnicodeDecodeError) as why:
            raise OSError(f"the child said {why}") from None

    async def _begin(self, command: Command) -> bool:
        """Whether it may be done, which is on the card then."""
        if self._stale(command) is not None:
            about = {"kind": command.kind, "by": command.by, "id": command.id, "why": Why.TOO_LATE}
            self._emit(Noticed("COMMAND_EXPIRED", {key: str(value) for key, value in about.items()}))
            self._answer(Result(self._station.station, command.id, Status.EXPIRED, Why.TOO_LATE))
            return False
        try:
            await asyncio.get_running_loop().run_in_executor(self._card, self._ledger.begin, command.id)
        except OSError as why:
            self._refuse(command, Why.CARD_REFUSES, str(why.strerror or why))
            return False
        return True

    def _refuse(self, command: Command, why: Why, text: str) -> None:
        """Not put down: the true one may still come."""
        log.warning("%s by %s refused: %s %s", command.kind[:NAME_LETTERS], command.by, why, text)
        self._answer(Result(self._station.station, command.id, Status.REFUSED, why, text[:TEXT_LETTERS]))

    def _reject(self, command: Command, flaws: tuple[str, ...]) -> None:
        text = "; ".join(flaws)[:TEXT_LETTERS]
        self._emit(Noticed("CONFIG_REJECTED", {"version": _number(command), "by": command.by, "text": text}))
        result = Result(self._station.station, command.id, Status.REFUSED, Why.CONFIG_REJECTED, text)
        self._card.submit(self.settle, result)


def _number(command: Command) -> int:
    version = command.arguments.get("version")
    return int(version) if isinstance(version, int | float) and 0 < version < 2**53 else 0


def _version(command: str) -> int | None:
    """Of a configuration's id."""
    number = command.removeprefix("config-")
    return int(number) if number != command and number.isascii() and number.isdigit() and len(number) < 16 else None


def _try_to(change: Callable[[], object]) -> None:
    try:
        change()
    except OSError as why:
        log.error("what came of a configuration cannot be put down: %s", why)
