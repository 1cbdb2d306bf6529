"""What bounds a look: its time, whatever it waits for, and its bytes; and what a peer may say without doing harm."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnose import clock, dns, words
from agent.diagnose.http import Page
from agent.diagnose.look import Layer, Look, Outcome, OutOfTime, Purse, within_s
from agent.edge.carried import SEGMENT_BYTES, carried

NOW_S = 1_800_000_000.0  # in January 2027


def test_a_look_ends_when_its_time_is_over_whatever_it_waits_for() -> None:
    near, far = socket.socketpair()
    began_at = time.monotonic()
    with near, far, pytest.raises(OutOfTime), within_s(0.2):
        try:
            near.recv(1)
        except Exception:  # a library that swallows what it does not know must not swallow this
            pytest.fail("swallowed")
    assert 0.15 < time.monotonic() - began_at < 5


def test_a_look_that_is_done_in_time_is_left_alone() -> None:
    with within_s(0.05):
        pass
    time.sleep(0.1)


def test_no_time_at_all_is_over_at_once() -> None:
    with pytest.raises(OutOfTime), within_s(-1):
        time.sleep(5)


def test_a_purse_allows_what_is_left_and_no_more() -> None:
    purse = Purse(100)
    purse.spend(60)
    assert purse.allows(40)
    assert not purse.allows(41)


def test_a_connection_costs_what_the_kernel_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            near.sendall(b"x" * 1000)
            assert far.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            far.sendall(b"y" * 500)
            assert near.recv(500) == b"y" * 500
            assert 1500 + 5 * SEGMENT_BYTES <= carried(near) <= 1500 + 12 * SEGMENT_BYTES


@pytest.mark.parametrize(
    ("wall_s", "synced", "centre_s", "outcome"),
    [
        (NOW_S, True, None, Outcome.CLOCK_RIGHT),
        (NOW_S, False, None, Outcome.CLOCK_UNSURE),
        (0.0, False, None, Outcome.CLOCK_WRONG),
        (0.0, True, None, Outcome.CLOCK_WRONG),
        (NOW_S, False, NOW_S - 299, Outcome.CLOCK_RIGHT),
        (NOW_S, False, NOW_S + 301, Outcome.CLOCK_WRONG),
        (NOW_S, True, NOW_S - 86_400 * 365, Outcome.CLOCK_WRONG),
    ],
)
def test_a_clock_is_right_by_the_centre_else_by_its_own_word(
    wall_s: float, synced: bool, centre_s: float | None, outcome: Outcome
) -> None:
    look = clock.look(wall_s, synced, centre_s)
    assert look.outcome is outcome
    assert words.line(look, "en")


@given(st.binary(max_size=300))
def test_whatever_a_resolver_sends_it_is_an_answer_or_none(data: bytes) -> None:
    for message in (data, b"\x12\x34\x81\x80" + data, b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + data):
        answer = dns._read(message, 0x1234, 1, 0.1)
        assert answer is None or isinstance(answer.rcode, int)


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("http://centre.example/siaga/check", Page("centre.example", 80, "/siaga/check")),
        ("http://198.51.100.10:8080/", Page("198.51.100.10", 8080, "/")),
        ("http://[2001:db8::1]:81/a?b=c", Page("2001:db8::1", 81, "/a?b=c")),
    ],
)
def test_an_address_of_a_page_is_taken_apart(url: str, page: Page) -> None:
    assert Page.of(url) == page


def test_a_decimal_has_a_comma_in_indonesian() -> None:
    look = Look(Layer.GATEWAY, Outcome.GATEWAY_ANSWERS, {"gateway": "192.168.8.1", "ms": 0.4, "mac": "02:00"})
    assert words.line(look, "id") == "gateway   baik             192.168.8.1 menjawab dalam 0,4 ms, MAC 02:00"
    assert words.line(look, "en") == "gateway   ok         192.168.8.1 answers in 0.4 ms, MAC 02:00"


def test_out_of_time_in_a_thread_beside_is_nobodys_business() -> None:
    """Only the main thread hears the alarm; a library's own threads go on."""
    ended = threading.Event()
    beside = threading.Thread(target=lambda: (time.sleep(0.3), ended.set()))
    beside.start()
    with pytest.raises(OutOfTime), within_s(0.1):
        time.sleep(5)
    beside.join()
    assert ended.is_set()
