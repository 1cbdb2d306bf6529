"""The daemon as a whole, at work in a real kernel: what its edges see reaches the core, and what it learns the card."""

import asyncio
from pathlib import Path

import pytest

from agent.core.events import Event, TrafficCounted
from agent.core.station import Centre, Kind, Station, Uplink
from agent.daemon import Daemon
from agent.edge import memory
from agent.edge.kernel import clean_up
from tests.edge.conftest import become
from tests.edge.link import FAR, ip, wire


@pytest.mark.usefixtures("cell")
def test_traffic_is_heard_by_the_core_and_its_memory_outlives_the_run(tmp_path: Path) -> None:
    station = Station(
        "6408042001143",
        (Uplink("fibre", "wan0", Kind.FIBRE),),
        (FAR,),
        Centre("mqtt://127.0.0.1:1"),
        state_dir=str(tmp_path),
    )

    async def run() -> list[Event]:
        daemon = Daemon(station, "0.1.0")
        heard: list[Event] = []
        handle = daemon._core.handle

        def listen(event: Event, now: float) -> object:
            heard.append(event)
            return handle(event, now)

        daemon._core.handle = listen  # type: ignore[method-assign, assignment]
        working = asyncio.create_task(daemon.run())
        await become(lambda: any(isinstance(event, TrafficCounted) for event in heard))
        daemon._stop()
        async with asyncio.timeout(10):
            await working
        await clean_up(station)
        return heard

    with wire("wan0"):
        ip("route", "add", "default", "via", FAR)
        heard = asyncio.run(run())
    assert {event.uplink for event in heard if isinstance(event, TrafficCounted)} == {"fibre"}
    known, set_aside = memory.read(tmp_path / "memory.json")
    assert known is not None
    assert set_aside is None
