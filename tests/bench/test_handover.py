"""What is felt and seen around a switch becomes rows that hide nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.handover import FELT, Failback, HandOver, felt_rows, free_rows, metered_rows
from bench.loop import Loop
from bench.seen import Passed, note
from bench.switches import Switched, row
from bench.table import NEVER

GOOD = HandOver(0.4, 0.06, 0.09, 0.02, 0.02, 0.2)
STAYED = Failback("free", NEVER, 0.12, True, True, 12.0, 12.0)
LEFT = Failback("metered", 8.6, 12.0, True, False, 8.0, 8.1)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with closing(Loop()) as made:
        yield made


def test_one_of_twenty_may_be_late_and_two_may_not() -> None:
    late = HandOver(NEVER, 0.3, 0.6, 0.2, 0.02, 0.2)
    one, two = (felt_rows("external", [*[GOOD] * (20 - n), *[late] * n]) for n in (1, 2))
    assert one[0] == [
        "dead uplink, external NAT",
        "TCP of the LAN is told (reset)",
        "0.40 / 0.40 / never s",
        "≤ 1 s",
        "yes",
    ]
    assert [each[-1] for each in one] == ["yes"] * 5 + ["–"]
    assert [each[-1] for each in two] == ["no"] * 4 + ["yes", "–"]
    assert [each[1] for each in one] == [what for what, _ in FELT]


def test_a_download_that_breaks_or_moves_is_counted() -> None:
    broken = Failback("free", 9.0, 3.0, False, False, 1.0, 1.0)
    assert [each[-1] for each in free_rows([STAYED] * 20)] == ["yes", "–", "yes", "yes"]
    rows = free_rows([*[STAYED] * 19, broken])
    assert [each[2:] for each in rows] == [
        ["1 of 20", "0", "no"],
        ["0.12 / 0.12 / 3.00 s", "–", "–"],
        ["19 of 20", "20", "no"],
        ["19 of 20", "20", "no"],
    ]


def test_who_is_still_on_a_metered_standby_is_seen_whichever_way_he_sends() -> None:
    assert [each[-1] for each in metered_rows([LEFT] * 20)] == ["yes", "yes", "–", "yes"]
    again = Failback("metered", 8.6, 12.0, True, False, 8.0, 16.8)
    assert [each[-1] for each in metered_rows([*[LEFT] * 18, again, again])] == ["yes", "no", "–", "yes"]


def test_a_refused_packet_is_named() -> None:
    told = row(Switched(100, 2_000_000, {"ENETUNREACH to 203.0.113.99": 3}, 1_999_990))
    assert told[2:] == [
        "3 of 2.0 million refused in 100 switches, 3 ENETUNREACH to 203.0.113.99; 7 lost",
        "0",
        "no",
    ]
    assert row(Switched(100, 2_000_000, {}, 2_000_000))[-1] == "yes"


def packet(source: str, sport: int, dport: int, flags: int, payload: bytes = b"", protocol: int = 6) -> bytes:
    head = struct.pack("!BxHxxxxxBxx4s4x", 0x46, 0, protocol, socket.inet_aton(source)) + bytes(4)  # with an option
    if protocol == socket.IPPROTO_UDP:
        return head + struct.pack("!HHxxxx", sport, dport) + payload
    return head + struct.pack("!HHxxxxxxxxBBxxxxxx", sport, dport, 5 << 4, flags) + payload


def test_packets_at_a_provider_are_noted_by_the_servers_port() -> None:
    passed = Passed()
    note(passed, packet("198.18.1.2", 40000, 7007, 0x02), True, 1.0)
    note(passed, packet("198.51.100.20", 7007, 40000, 0x12), False, 1.1)
    note(passed, packet("198.18.1.2", 40001, 7007, 0, protocol=17), True, 2.0)
    note(passed, packet("198.51.100.10", 1883, 50000, 0x18, b"\x20\x02\x00\x00"), False, 3.0)
    note(passed, packet("198.51.100.10", 1883, 50000, 0x18, b"\x90\x03"), False, 4.0)
    note(passed, packet("198.51.100.20", 7080, 50000, 0x18, b"\x20\x02"), False, 5.0)
    assert passed == Passed({7007: 2.0}, {7007: 1.1, 1883: 4.0, 7080: 5.0}, {40000: {"198.18.1.2"}}, [3.0])


def test_the_loop_serves_sockets_and_moments_until_it_is_done_or_impatient(loop: Loop) -> None:
    near, far = socket.socketpair()
    heard: list[bytes] = []
    loop.hear(near, lambda _: heard.append(near.recv(10)))
    loop.every(0.001, lambda _: far.send(b"x") and None)
    with far:
        assert loop.run(lambda: len(heard) >= 3, 5)
        assert not loop.run(lambda: False, 0.01)
        loop.forget(near)
    assert near.fileno() == -1
