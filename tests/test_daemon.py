"""The loop: what has arrived is heard before time is called, and what others ask of it does no harm."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core import words
from agent.core.decide import Phase
from agent.core.events import (
    DateKnown,
    KernelSeen,
    Noticed,
    OverrideAsked,
    OverrideEnded,
    PhaseSet,
    Remember,
    SignalSeen,
    Stopping,
    Tick,
)
from agent.core.memory import Memory
from agent.core.routes import Link
from agent.core.station import Centre, Kind, Station, Uplink
from agent.daemon import WAITING_AT_MOST, Daemon
from agent.edge import memory
from agent.table import table
from wire.messages import Active, Fact, Health, Signal, UplinkState


def with_daemon(tmp_path: Path, test: Callable[[Daemon], Awaitable[Any]]) -> Any:
    """A daemon that was made and not started: nothing is sent, routed or connected."""
    uplinks = (Uplink("fibre", "wan0", Kind.FIBRE), Uplink("lte", "wan1", Kind.LTE))
    station = Station("6408042001143", uplinks, ("198.51.100.1",), Centre("mqtt://127.0.0.1"), state_dir=str(tmp_path))

    async def run() -> Any:
        daemon = Daemon(station, "0.1.0")
        try:
            return await test(daemon)
        finally:
            daemon._spool.close()

    return asyncio.run(run())


def test_what_has_arrived_while_the_loop_stood_still_is_heard_before_the_tick(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        arrived = Noticed("AGENT_STARTED", {})

        def hear() -> None:
            near.recv(1)
            daemon.emit(arrived)

        with near, far:
            loop = asyncio.get_running_loop()
            loop.add_reader(near, hear)
            await asyncio.sleep(0)
            daemon._core._summary_at = 0.0  # something is due
            assert daemon._core.wake_at() <= time.monotonic()
            far.send(b"x")
            assert await daemon._next() is arrived
            assert isinstance(await daemon._next(), Tick)
            loop.remove_reader(near)

    with_daemon(tmp_path, test)


def test_events_are_heard_in_order(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        events = [Noticed("AGENT_STARTED", {"n": n}) for n in range(5)]
        for event in events:
            daemon.emit(event)
        assert [await daemon._next() for _ in events] == events

    with_daemon(tmp_path, test)


def test_what_waits_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(daemon: Daemon) -> None:
        for _ in range(WAITING_AT_MOST + 7):
            daemon.emit(Tick())
        assert len(daemon._waiting) == WAITING_AT_MOST
        daemon._courier.start()
        daemon._check_health()
        daemon._courier.stop()

    with_daemon(tmp_path, test)
    assert "7 events were dropped" in caplog.text


@pytest.mark.parametrize(
    ("request_line", "event"),
    [
        ('{"do": "move", "uplink": "lte"}', None),
        ('{"do": "move", "uplink": "lte", "for_s": null}', OverrideAsked("lte", None)),
        ('{"do": "move", "uplink": "lte", "for_s": 60}', OverrideAsked("lte", 60)),
        ('{"do": "move", "uplink": "lte", "for_s": 0.5}', OverrideAsked("lte", 0.5)),
        ('{"do": "move", "uplink": "geo", "for_s": 60}', None),
        ('{"do": "move", "uplink": 7, "for_s": 60}', None),
        ('{"do": "move", "uplink": "lte", "for_s": "60"}', None),
        ('{"do": "move", "uplink": "lte", "for_s": -1}', None),
        ('{"do": "move", "uplink": "lte", "for_s": 0}', None),
        ('{"do": "move", "uplink": "lte", "for_s": NaN}', None),
        ('{"do": "move", "uplink": "lte", "for_s": Infinity}', None),
        ('{"do": "move", "uplink": "lte", "for_s": 1' + "0" * 400 + "}", None),
        ('{"do": "auto"}', OverrideEnded()),
        ('{"do": "phase", "phase": "count", "for_s": null}', PhaseSet(Phase.COUNT, None)),
        ('{"do": "phase", "phase": "upload", "for_s": 21600}', PhaseSet(Phase.UPLOAD, 21600)),
        ('{"do": "phase", "phase": "normal", "for_s": null}', PhaseSet(Phase.NORMAL, None)),
        ('{"do": "phase", "phase": "normal", "for_s": 60}', None),
        ('{"do": "phase", "phase": "count"}', None),
        ('{"do": "phase", "phase": "count", "for_s": 0}', None),
        ('{"do": "phase", "phase": "count", "for_s": NaN}', None),
        ('{"do": "phase", "phase": "count", "for_s": 1' + "0" * 400 + "}", None),
        ('{"do": "phase", "phase": "dinner", "for_s": null}', None),
        ('{"do": "phase", "phase": 7, "for_s": null}', None),
        ('{"do": "dance"}', None),
        ("{}", None),
        ("[]", None),
        ("7", None),
        ("null", None),
    ],
)
def test_a_request_is_done_or_refused_in_one_sentence(request_line: str, event: object, tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        answer = daemon._answer(json.loads(request_line))
        assert list(daemon._waiting) == ([event] if event else [])
        assert answer == {"done": True} if event else len(answer["error"].splitlines()) == 1

    with_daemon(tmp_path, test)


def test_the_status_is_plain_json(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> dict[str, Any]:
        return json.loads(json.dumps(daemon._answer({"do": "status"})))

    status = with_daemon(tmp_path, test)
    assert status["station"] == "6408042001143"
    assert [uplink["name"] for uplink in status["uplinks"]] == ["fibre", "lte"]
    assert status["centre"] == {"connected": False, "unsent": 0}
    assert status["phase"] == "normal"
    assert [uplink["signal"] for uplink in status["uplinks"]] == [None, None]


def test_who_asks_modems_hears_of_an_interface_that_was_renamed(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        daemon.emit(KernelSeen((Link("wan0", index=1), Link("wwan9", index=2))))
        await daemon._next()
        assert daemon._modems._device == {"lte": "wwan9"}

    with_daemon(tmp_path, test)


def test_the_status_shows_a_signal_that_was_heard(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> dict[str, Any]:
        heard = Signal("lte", -97.0, -11.5, 9.2, None, "Telkomsel", "51010", "0A1B2C3D", "home")
        daemon._core.handle(SignalSeen("lte", heard), time.monotonic())
        return json.loads(json.dumps(daemon._answer({"do": "status"})))

    status = with_daemon(tmp_path, test)
    line = "lte Telkomsel (51010) · home · RSRP -97 dBm · RSRQ -11.5 dB · SNR 9.2 dB · cell 0A1B2C3D"
    assert f"signal of lte: {line}" in table(status).splitlines()
    assert "signal of fibre" not in table(status)
    assert "rssi_dbm" not in status["uplinks"][1]["signal"]


def test_what_is_remembered_is_on_the_card_when_the_agent_ends_and_known_to_the_next(tmp_path: Path) -> None:
    async def learn(daemon: Daemon) -> None:
        for phase in ("upload", "normal", "count"):
            daemon._apply(Remember(Memory(phase=phase)), time.monotonic())
        daemon._card.shutdown()
        assert daemon._fault is None

    async def know(daemon: Daemon) -> Any:
        daemon._tell_start()
        assert [event.code for event in daemon._waiting if isinstance(event, Noticed)] == ["AGENT_STARTED"]
        return daemon._answer({"do": "status"})["phase"]

    with_daemon(tmp_path, learn)
    assert memory.read(tmp_path / "memory.json") == (Memory(phase="count"), None)
    assert with_daemon(tmp_path, know) == "count"


def test_a_memory_that_is_damaged_is_told_and_the_agent_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_bytes(b"\0" * 512)

    async def test(daemon: Daemon) -> None:
        daemon._tell_start()
        told = Noticed("MEMORY_RESET", {"set_aside": str(tmp_path / "memory.json.damaged-1")})
        assert told in daemon._waiting

    with_daemon(tmp_path, test)


def test_a_fact_is_one_readable_line() -> None:
    fact = Fact("UPLINK_DEAD", "lte", "up", "dead", {"cause": "no carrier", "rtt_ms": None})
    assert words.sentence(fact) == "UPLINK_DEAD lte: up -> dead: the cable is out or the modem is off"
    assert words.sentence(Fact("NO_UPLINK")) == "NO_UPLINK"
    assert words.sentence(Fact("TRAFFIC_MOVED", "lte", None, "lte")) == "TRAFFIC_MOVED lte: nothing -> lte"


def test_systemds_status_line_names_the_active_uplink_and_all_healths() -> None:
    from agent.core.events import ShowState

    uplinks = (UplinkState("fibre", "wan0", "fibre", Health.DEAD, 1, False),)
    assert words.line(ShowState(Active(), uplinks)) == "traffic by nothing; fibre dead"


def test_a_stop_is_heard_once(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        daemon._stop()
        daemon._stop()
        assert list(daemon._waiting) == [Stopping()]

    with_daemon(tmp_path, test)


def test_the_date_reaches_the_core_when_the_clock_is_set(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        daemon._courier._thread = threading.current_thread()  # as if it had been started
        daemon._calendar.new_date = lambda: (2027, 2, 14)  # type: ignore[method-assign]
        daemon._check_health()
        assert await daemon._next() == DateKnown(2027, 2, 14)

    with_daemon(tmp_path, test)


def test_the_status_tells_the_plan_of_who_is_metered(tmp_path: Path) -> None:
    async def test(daemon: Daemon) -> None:
        assert [uplink["plan"] for uplink in daemon._answer({"do": "status"})["uplinks"]] == [None, None]

    with_daemon(tmp_path, test)
