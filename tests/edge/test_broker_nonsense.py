"""The courier against a broker that speaks nonsense, or refuses."""

import contextlib
import random
import socket
import time

import pytest

from agent.edge import broker as module
from tests.edge.brokers import CONNECTED, SUBSCRIBED, Start
from tests.edge.conftest import wait_until


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00\x05",
        b"\x20\x02\x00\xff",
        b"\x20\x00",
        b"\x20\x7f" + b"\x00" * 127,
        CONNECTED + b"\x90\x03\x00\x01\x80",
        CONNECTED + b"\x90\x03\x00\x01\x77",
        CONNECTED + b"\x90\x00",
        CONNECTED + SUBSCRIBED + b"\x30\x00",
        CONNECTED + SUBSCRIBED + b"\x30\x02\xff\xff",
        CONNECTED + SUBSCRIBED + b"\x32\x04\x00\x01\xff\x00",
        CONNECTED + SUBSCRIBED + b"\x40\x00",
        CONNECTED + SUBSCRIBED + b"\xff\xff\xff\xff\xff\xff",
        CONNECTED + SUBSCRIBED + b"\xf0\x00\x00\x00",
    ],
    ids=lambda data: data.hex(" ")[:60],
)
def test_a_broker_that_speaks_nonsense_is_left_and_tried_again(said: bytes, courier_to: Start) -> None:
    _nonsense_is_survived([said], courier_to)


def test_whatever_a_broker_says_the_courier_lives(courier_to: Start) -> None:
    chance = random.Random(5)
    said = []
    for _ in range(60):
        start = chance.choice([b"", CONNECTED, CONNECTED + SUBSCRIBED, CONNECTED + SUBSCRIBED])
        body = chance.randbytes(chance.randrange(12))
        said.append(start + bytes([chance.randrange(256), len(body)]) + body)
    _nonsense_is_survived(said, courier_to)


@pytest.mark.parametrize("said", [b"", b"\x20\x02\x00\x05", CONNECTED + b"\x90\x03\x00\x01\x80"])
def test_a_broker_that_refuses_is_tried_again_ever_less_often(said: bytes, courier_to: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        courier_to(server.getsockname()[1])
        came_at = []
        for _ in range(8):
            connection, _ = server.accept()
            came_at.append(time.monotonic())
            with connection:
                connection.recv(4096)
                connection.sendall(said)
    assert came_at[-1] - came_at[2] > 5 * module.BACKOFF_S[1] / 2


def _nonsense_is_survived(said: list[bytes], courier_to: Start) -> None:
    """Each connection hears one of these; the courier must come back for the next, and once more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        courier = courier_to(server.getsockname()[1])
        for data in [*said, b""]:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                connection.recv(4096)
                connection.sendall(data)
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    while connection.recv(4096):
                        pass
        wait_until(lambda: not courier.connected)
        assert courier.alive
