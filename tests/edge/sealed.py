"""A centre that signs commands, and an agent's inbox that hears them: what the tests of commands share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from agent.core.events import Commanded, Event, Noticed
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge.given import Given
from agent.edge.inbox import AUTHORITY, Inbox
from central.edge.seal import Seal
from wire.command import Command, Result, config_id
from wire.topics import Down

STATION = "6408042001143"
BOOT = "a1b2c3d4e5f6"
BY = "Siti Rahma"
_numbers = count(1)


def command(kind: str = "auto", **changed: Any) -> Command:
    """One that this run of the station would obey."""
    now_s = time.time()
    told: dict[str, Any] = {"station": STATION, "id": f"wish-{next(_numbers)}", "boot": BOOT, "until_s": 1100.0}
    return Command(**{**told, "kind": kind, "by": BY, "issued_s": now_s, "expires_s": now_s + 100, **changed})


def configuration(number: int, text: str, **changed: Any) -> Command:
    arguments = {"version": number, "text": text, "hash": sha256(text.encode()).hexdigest()}
    told: dict[str, Any] = {
        "id": config_id(number),
        "boot": "",
        "until_s": 0,
        "expires_s": None,
        "arguments": arguments,
    }
    return command("config", **{**told, **changed})


@dataclass
class Agent:
    """Without the core: what would be done is in `done`, as often as it would be."""

    state_dir: Path
    uptime_s: float = 1000.0
    boot: str = BOOT
    done: list[Command] = field(default_factory=list)
    told: list[Noticed] = field(default_factory=list)
    answers: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        uplinks = (Uplink("fibre", "wan0", Kind.FIBRE),)
        station = Station(STATION, uplinks, ("198.51.100.1",), Centre("mqtt://x"), state_dir=str(self.state_dir))
        self.card = ThreadPoolExecutor(1)
        self.given = Given(self.state_dir)
        self.inbox = Inbox(
            station, lambda: (self.boot, self.uptime_s), self._emit, self.answers.append, self.given, self.card
        )

    def _emit(self, event: Event) -> None:
        match event:
            case Commanded(command):
                self.done.append(command)
            case Noticed():
                self.told.append(event)

    def hear(self, payload: bytes, kind: Down = Down.COMMAND, is_retained: bool = False) -> None:
        self.inbox.hear(kind, payload, is_retained)

    def settle(self, result: Result) -> None:
        self.card.submit(self.inbox.settle, result).result()

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        async def working() -> None:
            self.inbox.open(asyncio.get_running_loop())
            task = asyncio.create_task(self.inbox.run())
            try:
                async with asyncio.timeout(60):
                    await test()
            finally:
                task.cancel()

        asyncio.run(working())
        self.card.shutdown()

    @property
    def ignored(self) -> list[str]:
        return [str(each.evidence["why"]) for each in self.told if each.code == "COMMAND_IGNORED"]


def enrolled(folder: Path) -> tuple[Seal, Path]:
    """A centre, and the state directory of a station that is enrolled there."""
    seal, state_dir = Seal(folder / "centre"), folder / "station"
    state_dir.mkdir(exist_ok=True)
    (state_dir / AUTHORITY).write_bytes((folder / "centre" / "ca" / "ca.crt").read_bytes())
    return seal, state_dir
