"""Asking how the centre sees an uplink: by that uplink only, and whatever answers does no harm."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.core.events import AskSeen, Event, PublicSeen
from agent.core.sight import ALLOWANCE_BYTES
from agent.core.station import Centre, Family, Kind, Station, Uplink
from agent.edge import seen
from agent.edge.seen import Mirror
from lab.namespace import within
from tests.edge.conftest import become
from tests.edge.link import ELSEWHERE, ELSEWHERE6, NEAR, another_way_out, far, ip, wire
from wire.messages import Public

PORT = 8080
GOOD = Public("203.0.113.77", 64500, "Telkom")
Speak = Callable[[socket.socket], None]


def says(*pieces: bytes, pause_s: float = 0.0) -> Speak:
    def speak(opened: socket.socket) -> None:
        for piece in pieces:
            opened.sendall(piece)
            time.sleep(pause_s)

    return speak


def page(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n\r\n{body}".encode()


def endless(opened: socket.socket) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        opened.sendall(b"x" * 65_536)


@contextmanager
def server(address: str, speak: Speak) -> Iterator[list[tuple[str, bytes]]]:
    """On the far side; gives who asked, and what."""
    asked: list[tuple[str, bytes]] = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with within(far("wan0")):
        listener = socket.create_server((address, PORT), family=family)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                opened, peer = listener.accept()
                with opened, contextlib.suppress(OSError):
                    asked.append((peer[0], opened.recv(4096)))
                    speak(opened)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answer(address: str = ELSEWHERE, family: Family = Family.IPV4) -> PublicSeen:
    """What comes of one question."""
    host = f"[{address}]" if ":" in address else address
    made = Station(
        "6408042001143",
        (Uplink("fibre", "wan0", Kind.FIBRE),),
        ("198.51.100.1",),
        Centre("mqtt://c", seen=f"http://{host}:{PORT}/siaga/seen"),
    )

    async def ask() -> Event:
        heard: list[Event] = []
        mirror = Mirror(made, heard.append)
        task = asyncio.create_task(mirror.run())
        mirror.order(AskSeen("fibre", family))
        await become(lambda: bool(heard))
        assert not task.done()
        task.cancel()
        return heard[0]

    told = asyncio.run(ask())
    assert isinstance(told, PublicSeen)
    return told


@pytest.fixture
def way(cell: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    """By the uplink's device alone the far side can be reached; everything else goes elsewhere."""
    monkeypatch.setattr(seen, "WITHIN_S", 3.0)
    with wire():
        ip("route", "add", ELSEWHERE, "dev", "wan0", "via", "198.18.0.1")
        ip("-6", "route", "add", ELSEWHERE6, "dev", "wan0", "via", "2001:db8:1::1")
        another_way_out()
        yield


@pytest.mark.usefixtures("way")
def test_the_centre_is_asked_by_the_uplink_and_its_answer_is_read() -> None:
    body = json.dumps({"address": GOOD.address, "asn": GOOD.asn, "operator": GOOD.operator})
    with server(ELSEWHERE, says(page(body))) as asked:
        told = answer()
    assert told.public == GOOD
    assert asked[0][0] == NEAR
    assert asked[0][1].startswith(b"GET /siaga/seen HTTP/1.0\r\nHost: 203.0.113.7:8080\r\n")
    assert 500 < told.spent_bytes < 1_500


@pytest.mark.usefixtures("way")
def test_ipv6_is_asked_by_ipv6() -> None:
    with server(ELSEWHERE6, says(page('{"address": "2001:db8:5::7"}'))):
        told = answer(ELSEWHERE6, Family.IPV6)
    assert (told.family, told.public) == (Family.IPV6, Public("2001:db8:5::7"))


BAD = {
    "a portal's page": says(page("<html>Silakan masuk</html>")),
    "a portal that sends elsewhere": says(page("", "302 Found")),
    "an error": says(page('{"address": "203.0.113.77"}', "500 Oops")),
    "nothing": says(),
    "no HTTP": says(b"SSH-2.0-OpenSSH\r\n"),
    "another family's address": says(page('{"address": "2001:db8::1"}')),
    "a large page": says(page("x" * 3_000)),
    "a page without end": endless,
    "a slow page": says(*(bytes([each]) for each in page('{"address": "203.0.113.77"}')), pause_s=0.2),
}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("speak", BAD.values(), ids=list(BAD))
def test_whatever_else_answers_is_no_answer_and_costs_no_more_than_was_allowed(speak: Speak) -> None:
    with server(ELSEWHERE, speak):
        told = answer()
    assert told.public is None
    assert told.spent_bytes <= 2 * ALLOWANCE_BYTES


@pytest.mark.usefixtures("way")
def test_nobody_there_no_device_and_no_name_are_no_answer() -> None:
    assert answer().public is None
    assert answer("nowhere.invalid").public is None
    ip("link", "delete", "wan0")
    assert answer().public is None
