"""The daemon as a whole, at work in a real kernel: what its edges see reaches the core, and what it learns the card."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from agent.core.events import Event, TrafficCounted
from agent.core.station import Centre, Kind, Station, Uplink
from agent.daemon import Daemon
from agent.edge import memory
from agent.edge.kernel import clean_up
from tests.edge.conftest import become
from tests.edge.link import FAR, ip, wire
from tests.edge.modem_bus import AT_HOME, HOME, QUICK, STATION, ModemBus


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


@pytest.mark.usefixtures("cell")
def test_a_modems_signal_is_in_the_status_and_costs_the_daemon_no_dbus(modem_bus: ModemBus, tmp_path: Path) -> None:
    station = replace(STATION, state_dir=str(tmp_path))
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def run() -> Any:
        daemon = Daemon(station, "0.1.0")
        daemon._modems._pace = QUICK
        working = asyncio.create_task(daemon.run())
        await become(lambda: daemon._answer({"do": "status"})["uplinks"][1]["signal"] == to_builtins(HOME))
        daemon._stop()
        async with asyncio.timeout(10):
            await working
        await clean_up(station)

    asyncio.run(run())
    assert not {"dbus", "gi"} & sys.modules.keys()
