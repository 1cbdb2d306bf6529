"""Asks ModemManager, by its own mmcli, how each LTE uplink's modem hears its operator; seldom, and only to explain."""

import asyncio
import contextlib
import logging
import os
import signal as signals
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import TypeVar

from agent.core import signal
from agent.core.events import Event, KernelSeen, SignalSeen
from agent.core.station import Kind, Station
from wire.messages import Signal

log = logging.getLogger(__name__)

ANSWER_BYTES = 65_536  # the longest answer has some four thousand
POLL_S = 30  # how often ModemManager asks the modem by itself
T = TypeVar("T")
GONE = ("couldn't find", "couldn't get bus")
TURNS = ("strengths", "cell", "modem")


class Fault(Exception):
    """Why there is no answer, in one line."""


class Gone(Fault):
    """Whom we ask is not there: the modem, ModemManager, D-Bus or mmcli."""


@dataclass(frozen=True, slots=True)
class Pace:
    turn_s: float = 30.0
    """Between two questions about one modem; three of them, in turn, are a whole reading."""
    tell_s: float = 300.0
    """What has not changed is told again after this time."""
    look_s: float = 30.0
    """To the second look for a modem, and twice as long to each further one: ModemManager may start after us."""
    look_at_most_s: float = 600.0
    setup_s: float = 300.0
    """To the next try to set up polling, which a modem that is locked or disabled refuses."""
    answer_s: float = 5.0


@dataclass(slots=True)
class _Owned:
    """A modem that carries one of our uplinks, and what is known of it."""

    path: str
    uplink: str
    modem: signal.Modem
    ask_at: float
    setup_at: float
    strengths: signal.Strengths = field(default_factory=signal.Strengths)
    cell_id: str | None = None
    turns: Iterator[str] = field(default_factory=lambda: cycle(TURNS))


class Modems:
    """Looks for the modems of LTE uplinks until it has them, asks each in turn, and tells what is news."""

    def __init__(self, station: Station, emit: Callable[[Event], None], pace: Pace | None = None) -> None:
        self._names = tuple(uplink.name for uplink in station.uplinks)
        self._device = {uplink.name: uplink.interface for uplink in station.uplinks if uplink.kind is Kind.LTE}
        self._everybody = ", ".join(self._device)
        self._index: dict[str, int | None] = {}
        self._emit = emit
        self._pace = pace or Pace()
        self._owned: dict[str, _Owned] = {}
        self._told: dict[str, tuple[Signal | None, float]] = {}
        self._looked_at: float | None = None
        self._pause_s = self._pace.look_s
        self._hurry = asyncio.Event()
        self._faults: dict[str, str] = {}

    async def run(self) -> None:
        """Until it is cancelled, and never longer without: this only explains, it must not end what switches."""
        while self._device:
            self._hurry.clear()
            try:
                await self._round()
            except Exception as why:
                self._note(self._everybody, repr(why))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s()):
                    await self._hurry.wait()

    def see(self, picture: KernelSeen) -> None:
        """An interface may be renamed; and one that has come may be a modem's: then it is time to look."""
        for name, link in zip(self._names, picture.links, strict=True):
            if name not in self._device:
                continue
            self._device[name] = link.interface
            if link.index is not None and link.index != self._index.get(name):
                self._pause_s = self._pace.look_s
                self._hurry.set()
            self._index[name] = link.index

    async def _round(self) -> None:
        if self._missing() and _now() >= self._look_at():
            await self._look()
        for owned in list(self._owned.values()):
            if _now() >= owned.ask_at:
                owned.ask_at = _now() + self._pace.turn_s
                await self._ask(owned)

    def _idle_s(self) -> float:
        """A tenth of a turn at least, whatever happens."""
        moments = [owned.ask_at for owned in self._owned.values()]
        if self._missing():
            moments.append(self._look_at())
        return max(self._pace.turn_s / 10, min(moments) - _now())

    def _missing(self) -> dict[str, str]:
        """Interface -> uplink, of those whose modem is not known."""
        return {device: name for name, device in self._device.items() if name not in self._owned}

    def _look_at(self) -> float:
        return 0.0 if self._looked_at is None else self._looked_at + self._pause_s

    # to find

    async def _look(self) -> None:
        longer_s = min(2 * self._pause_s, self._pace.look_at_most_s) if self._looked_at is not None else self._pause_s
        self._looked_at = _now()
        self._pause_s = longer_s
        try:
            await self._find()
        except (Fault, signal.Unreadable) as why:
            self._note(self._everybody, str(why))
            return
        missing = ", ".join(self._missing().values())
        self._note(self._everybody, f"ModemManager knows no modem of {missing}" if missing else None)

    async def _find(self) -> None:
        known = {owned.path for owned in self._owned.values()}
        for path in signal.paths(await self._mmcli("-L")):
            if path in known:
                continue
            try:
                modem = signal.modem(await self._mmcli("-m", path))
                uplink = await self._uplink_of(modem)
            except (Fault, signal.Unreadable) as why:
                self._note("another modem", str(why))
                continue
            if uplink is not None:
                log.info("%s: its modem is %s", uplink, path)
                self._owned[uplink] = _Owned(path, uplink, modem, ask_at=_now(), setup_at=_now())
                self._tell(uplink, signal.signal(modem, signal.Strengths(), None))

    async def _uplink_of(self, modem: signal.Modem) -> str | None:
        """By its ports; or by its bearers, for a multiplexed connection has an interface that is no port."""
        missing = self._missing()
        for port in modem.interfaces:
            if port in missing:
                return missing[port]
        for bearer in modem.bearers:
            interface = signal.interface(await self._mmcli("-b", bearer))
            if interface in missing:
                return missing[interface]
        return None

    # to ask

    async def _ask(self, owned: _Owned) -> None:
        try:
            await self._take_turn(owned)
        except Gone as why:
            self._lose(owned, str(why))
        else:
            self._tell(owned.uplink, signal.signal(owned.modem, owned.strengths, owned.cell_id))

    async def _take_turn(self, owned: _Owned) -> None:
        """One question; raises Gone. Polling that is not set up, or no longer, is set up first."""
        if not owned.strengths.is_set_up and _now() >= owned.setup_at:
            owned.setup_at = _now() + self._pace.setup_s
            await self._read(owned, f"--signal-setup={POLL_S}", bytes, b"")
            return
        match next(owned.turns):
            case "strengths":
                owned.strengths = await self._read(owned, "--signal-get", signal.strengths, signal.Strengths())
            case "cell":
                owned.cell_id = await self._read(owned, "--location-get", signal.cell_id, None)
            case "modem":
                try:
                    owned.modem = signal.modem(await self._mmcli("-m", owned.path))
                except (Fault, signal.Unreadable) as why:
                    raise Gone(str(why)) from None

    async def _read(self, owned: _Owned, what: str, parse: Callable[[bytes], T], otherwise: T) -> T:
        """What a modem cannot tell, or will not, is not known; raises Gone."""
        about = f"{owned.uplink} {what}"
        try:
            read = parse(await self._mmcli("-m", owned.path, what))
        except Gone:
            raise
        except (Fault, signal.Unreadable) as why:
            self._note(about, str(why))
            return otherwise
        self._note(about, None)
        return read

    def _lose(self, owned: _Owned, why: str) -> None:
        log.info("%s: its modem does not answer any more: %s", owned.uplink, why)
        del self._owned[owned.uplink]
        self._looked_at, self._pause_s = _now(), self._pace.look_s
        self._tell(owned.uplink, None)

    # to tell

    def _tell(self, uplink: str, heard: Signal | None) -> None:
        told, at = self._told.get(uplink, (None, 0.0))
        if signal.is_news(told, heard) or (heard is not None and _now() >= at + self._pace.tell_s):
            self._told[uplink] = heard, _now()
            self._emit(SignalSeen(uplink, heard))

    def _note(self, about: str, fault: str | None) -> None:
        """Once for each fault, until it is gone or another one."""
        if fault is not None and self._faults.get(about) != fault:
            log.info("the signal of %s is not known: %s", about, fault)
        self._faults[about] = fault or ""

    async def _mmcli(self, *arguments: str) -> bytes:
        """Its answer; raises Fault, Gone. Whatever it does, it is no more when this returns.

        Who is cancelled meanwhile waits for its end, which has its limit: half a start or half an end leaves something.
        """
        asking = asyncio.ensure_future(self._run("mmcli", "-J", *arguments))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.gather(asking, return_exceptions=True)
            raise

    async def _run(self, *command: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        except OSError as why:
            raise Gone(f"mmcli cannot be started: {why.strerror}") from None
        try:
            async with asyncio.timeout(self._pace.answer_s):
                answer, complaint = await _bounded(process.stdout), await _bounded(process.stderr)
                await process.wait()
        except TimeoutError:
            raise Fault(f"mmcli did not answer within {self._pace.answer_s:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signals.SIGKILL)  # with all that it has started
                await process.communicate()  # to the end of what was written, or the pipes stay open
        if process.returncode:
            said = " ".join(complaint.decode(errors="replace").split()).removeprefix("error: ")
            raise (Gone if said.startswith(GONE) else Fault)(f"mmcli says: {said[:200]}")
        return answer


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """All that comes, to its end; raises Fault."""
    assert stream is not None
    data = b""
    while piece := await stream.read(ANSWER_BYTES):
        data += piece
        if len(data) > ANSWER_BYTES:
            raise Fault(f"mmcli says more than {ANSWER_BYTES} bytes")
    return data


def _now() -> float:
    return asyncio.get_running_loop().time()
