"""The metrics' place: who reads them, who cannot, and what nobody can do to the agent there."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.station import Centre, Kind, Lan, Station, Uplink
from agent.edge import metrics
from agent.edge.metrics import AT_ONCE, Responder
from lab.namespace import within
from tests.edge.conftest import become
from tests.edge.link import ip, space
from tests.test_daemon import with_daemon

TEXT = "siaga_build_info 1.0\n" * 5_000
LAN_ADDRESS = "192.168.77.1"
UPLINK_ADDRESS = "198.18.0.2"


def station(at: str | None, *inside: str) -> Station:
    uplinks = (Uplink("fibre", "wan0", Kind.FIBRE),)
    return Station("6408042001143", uplinks, ("198.51.100.1",), Centre("mqtt://c"), Lan(inside), metrics=at)


def served(at: str | None, meanwhile: Callable[[Responder], Awaitable[Any]], *inside: str) -> Any:
    """What `meanwhile` gives while the metrics are served there."""

    async def both() -> Any:
        responder = Responder(station(at, *inside), lambda: TEXT)
        task = asyncio.create_task(responder.run())
        try:
            return await meanwhile(responder)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(both())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def get(address: str, port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    asking = http.client.HTTPConnection(address, port, timeout=5)
    asking.request(method, path)
    answer = asking.getresponse()
    return answer.status, answer.read().decode()


async def listening(responder: Responder, *devices: str) -> None:
    await become(lambda: set(devices) <= responder._listening.keys())


def asked(question: Callable[[int], Any], address: str = "127.0.0.1") -> Any:
    port = free_port()

    async def ask(responder: Responder) -> Any:
        await listening(responder, "lo")
        return await asyncio.to_thread(question, port)

    return served(f"{address}:{port}", ask)


def say(port: int, data: bytes, then: bytes = b"") -> bytes:
    """All that comes back, until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as speaking:
        try:
            speaking.sendall(data)
            if then:
                speaking.sendall(then)
            heard = b""
            while piece := speaking.recv(65536):
                heard += piece
            return heard
        except OSError:
            return b""


def test_prometheus_gets_all_of_it() -> None:
    assert asked(lambda port: get("127.0.0.1", port)) == (200, TEXT)
    assert asked(lambda port: get("127.0.0.1", port, "/metrics?x=1")) == (200, TEXT)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/metrics/x", 404), ("POST", "/metrics", 405)]
)
def test_anything_else_is_not_there(method: str, path: str, status: int) -> None:
    assert asked(lambda port: get("127.0.0.1", port, path, method))[0] == status


@pytest.mark.parametrize(
    "nonsense", [b"\0" * 5000, b"GET\r\n\r\n", b"\r\n\r\n", b"GET /metrics HTTP/9\r\n\r\n", b"x" * 100_000]
)
def test_nonsense_loses_its_answer_and_nothing_else(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    def question(port: int) -> tuple[bytes, tuple[int, str]]:
        return say(port, nonsense), get("127.0.0.1", port)

    nothing, good = asked(question)
    assert b"siaga" not in nothing
    assert good == (200, TEXT)
    assert caplog.text == ""


def test_who_is_slow_is_let_go_and_others_are_served_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "WITHIN_S", 0.5)

    def question(port: int) -> tuple[int, str]:
        slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(AT_ONCE)]
        for each in slow:
            each.sendall(b"GET /metrics HTTP/1.1\r\n")  # and never the end of it
        try:
            turned_away = say(port, b"GET /metrics HTTP/1.1\r\n\r\n")
            assert turned_away == b""
            for each in slow:
                assert each.recv(100) == b""  # closed by the other side
        except ConnectionResetError:
            pass
        finally:
            for each in slow:
                each.close()
        for _ in range(100):
            if (answer := say(port, b"GET /metrics HTTP/1.1\r\n\r\n")) != b"":
                return 200, answer.decode().partition("\r\n\r\n")[2]
        return 0, ""

    assert asked(question) == (200, TEXT)


def test_who_asks_and_does_not_read_or_never_stops_sending_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "WITHIN_S", 0.5)

    def question(port: int) -> tuple[int, str]:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as endless, pytest.raises(OSError):
            while True:
                endless.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 1000)
        return get("127.0.0.1", port)

    assert asked(question) == (200, TEXT)


def test_without_a_place_nothing_listens() -> None:
    async def look(responder: Responder) -> dict[str, Any]:
        await asyncio.sleep(0)
        return responder._listening

    assert served(None, look) == {}


def test_a_port_that_is_taken_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "LOOK_EVERY_S", 0.01)
    port = free_port()

    async def look(responder: Responder) -> tuple[int, str]:
        with socket.create_server(("127.0.0.1", port)):
            await become(lambda: "cannot be served" in caplog.text)
            await asyncio.sleep(0.1)
        await listening(responder, "lo")
        return await asyncio.to_thread(get, "127.0.0.1", port)

    assert served(f"127.0.0.1:{port}", look) == (200, TEXT)
    assert caplog.text.count("cannot be served") == 1
    assert f"metrics cannot be served on 127.0.0.1:{port} by lo: Address already in use" in caplog.text


def make_lan() -> None:
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "phone", "netns", "inside")
    ip("address", "add", f"{LAN_ADDRESS}/24", "dev", "lan0")
    ip("link", "set", "lan0", "up")
    ip("-n", "inside", "address", "add", "192.168.77.9/24", "dev", "phone")
    ip("-n", "inside", "link", "set", "phone", "up")


def from_there(space: str, address: str, port: int) -> tuple[int, str] | None:
    with within(space):
        try:
            return get(address, port)
        except OSError:
            return None


@pytest.mark.usefixtures("cell")
def test_the_lan_and_this_device_read_it_and_an_uplink_does_not_whatever_address_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "LOOK_EVERY_S", 0.01)

    async def look(responder: Responder) -> list[tuple[int, str] | None]:
        await listening(responder, "lo")
        make_lan()  # later than the agent, as it may be at a start
        await listening(responder, "lan0")
        monkeypatch.setattr(http.client.HTTPConnection, "timeout", 1, raising=False)
        places = (
            ("inside", LAN_ADDRESS),
            ("outside", LAN_ADDRESS),
            ("outside", UPLINK_ADDRESS),
            ("inside", UPLINK_ADDRESS),
        )
        answers = [await asyncio.to_thread(from_there, *place, 9815) for place in places]
        own = await asyncio.to_thread(get, LAN_ADDRESS, 9815)
        ip("link", "delete", "lan0")
        make_lan()
        known = responder._listening["lan0"][0]
        await become(lambda: responder._listening["lan0"][0] != known)
        return [*answers, own, await asyncio.to_thread(from_there, "inside", LAN_ADDRESS, 9815)]

    with space("inside"), space("outside"):
        ip("link", "add", "wan0", "type", "veth", "peer", "name", "end", "netns", "outside")
        ip("address", "add", f"{UPLINK_ADDRESS}/24", "dev", "wan0")
        ip("link", "set", "wan0", "up")
        ip("-n", "outside", "address", "add", "198.18.0.1/24", "dev", "end")
        ip("-n", "outside", "link", "set", "end", "up")
        ip("-n", "outside", "route", "add", "192.168.77.0/24", "via", UPLINK_ADDRESS)
        answers = served(f"{LAN_ADDRESS}:9815", look, "lan0")
    good = (200, TEXT)
    assert answers == [good, None, None, None, good, good]


def test_the_daemon_writes_what_prometheus_reads(tmp_path: Path) -> None:
    async def test(daemon: Any) -> str:
        return daemon._metrics()

    written = with_daemon(tmp_path, test)
    assert 'siaga_build_info{version="0.1.0"} 1.0' in written
    assert 'siaga_uplink_health{uplink="fibre",health="unknown"} 1.0' in written
