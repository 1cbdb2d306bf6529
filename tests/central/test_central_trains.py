"""The server's packets: silence for strangers, never more out than in before the cookie, and every count bounded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.trains import Came, Trains
from central.core.turns import Turn, Turns
from wire.bandwidth import LEAST_BYTES, TRAIN_AT_MOST, Kind, Packet, packet_bytes, read_packet

TOKEN = b"01234567"
HOST, PORT = "192.0.2.7", 4711


class Server:
    def __init__(self, granted_bytes: int = 1_000_000) -> None:
        self.turns = Turns()
        assert isinstance(self.turns.ask("lte", granted_bytes, 30, TOKEN, 0.0), Turn)
        self.trains = Trains(self.turns, b"secret")

    def say(
        self, packet: Packet | bytes, size: int = 0, host: str = HOST, now: float = 1.0, ns: int = 0
    ) -> list[bytes]:
        data = packet if isinstance(packet, bytes) else packet_bytes(packet, size)
        return list(self.trains.answer(Came(data, host, PORT, ns), 5, now))

    def cookie(self, host: str = HOST) -> bytes:
        (answer,) = self.say(Packet(Kind.OPEN, TOKEN), host=host)
        return read_packet(answer).cookie


def go(cookie: bytes, train: int = 0, packets: int = 60, size: int = 1200) -> Packet:
    return Packet(Kind.GO, TOKEN, cookie, train, packets=packets, size=size)


def test_a_train_is_sent_to_whom_the_cookie_was() -> None:
    server = Server()
    train = [read_packet(data) for data in server.say(go(server.cookie()))]
    assert [packet.number for packet in train] == list(range(60))
    assert {packet.kind for packet in train} == {Kind.TRAIN}


@pytest.mark.parametrize("kind", list(Kind))
def test_without_a_turn_there_is_silence(kind: Kind) -> None:
    server = Server()
    cookie = server.cookie()
    assert server.say(Packet(kind, b"stranger", cookie, packets=60, size=1200)) == []
    assert server.say(replace(go(cookie), kind=kind), now=31.0) == []
    assert server.trains.counts.turnless == 2


def test_another_address_cannot_use_the_cookie() -> None:
    server = Server()
    assert server.say(go(server.cookie()), host="198.51.100.9") == []
    assert server.say(go(server.cookie("198.51.100.9"))) == []
    assert server.say(go(bytes(16))) == []
    assert server.trains.counts.unproven == 3


@given(
    st.sampled_from(list(Kind)),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.integers(0, 1400),
)
def test_before_the_cookie_has_come_back_no_answer_is_longer_than_its_question(
    kind: Kind, cookie: bytes, train: int, packets: int, size: int
) -> None:
    server = Server()
    asked = packet_bytes(Packet(kind, TOKEN, cookie, train, packets=packets, size=1200), size)
    assert sum(map(len, server.say(asked))) <= len(asked)


@given(st.binary(max_size=1300))
def test_any_bytes_are_survived_and_amplified_by_nothing(data: bytes) -> None:
    assert sum(map(len, Server().say(data))) <= len(data)


def test_an_echo_comes_back_as_long_as_it_came_with_both_moments() -> None:
    server = Server()
    (answer,) = server.say(Packet(Kind.ECHO, TOKEN, server.cookie(), number=9, sent_ns=3), size=100, ns=4)
    echoed = read_packet(answer)
    assert (len(answer), echoed.kind, echoed.number) == (100, Kind.ECHOED, 9)
    assert (echoed.sent_ns, echoed.received_ns, echoed.returned_ns) == (3, 4, 5)


def test_a_question_that_comes_twice_is_answered_once() -> None:
    server = Server()
    cookie = server.cookie()
    assert len(server.say(go(cookie, 0))) == 60
    assert server.say(go(cookie, 0)) == []
    assert len(server.say(go(cookie, 1))) == 60


def test_nobody_gets_more_than_his_turn_was_granted() -> None:
    server = Server(granted_bytes=100_000)
    cookie = server.cookie()
    sent = [server.say(go(cookie, n)) for n in range(5)]
    assert [len(train) for train in sent] == [60, 0, 0, 0, 0]
    assert server.trains.counts.limited == 4


@pytest.mark.parametrize(("packets", "size"), [(65_535, 65_535), (TRAIN_AT_MOST + 1, 9000), (1, 0), (0, 1200)])
def test_a_train_that_asks_for_too_much_is_cut(packets: int, size: int) -> None:
    server = Server(granted_bytes=10**7)
    train = server.say(go(server.cookie(), packets=packets, size=size))
    assert len(train) == min(packets, TRAIN_AT_MOST)
    assert all(LEAST_BYTES <= len(packet) <= 1200 for packet in train)


def test_a_train_up_is_counted_and_read_by_who_receives() -> None:
    server = Server()
    one = Packet(Kind.TRAIN, TOKEN, server.cookie(), train=3, packets=60, size=1200)
    for n in range(60):
        server.say(replace(one, number=n, sent_ns=n * 10_000), 1200, now=n * 0.002, ns=10**18 + n * 1_964_800)
    seen = server.trains.seen(TOKEN, 3, 60)
    assert seen.mbps == pytest.approx(5.0, rel=0.001)
    assert (seen.at_least, seen.lost, len(seen.came), seen.came[1]) == (False, 0, 60, (1, 1965))
    assert server.trains.quiet_since(TOKEN, 3) == (60, pytest.approx(0.118))


def test_of_a_train_that_never_came_nothing_is_said() -> None:
    seen = Server().trains.seen(TOKEN, 3, 60)
    assert (seen.mbps, seen.lost, seen.came) == (None, 60, ())


def test_a_flood_of_packets_and_of_trains_is_bounded() -> None:
    server = Server()
    one = Packet(Kind.TRAIN, TOKEN, server.cookie(), packets=60, size=1200)
    for n in range(2000):
        server.say(replace(one, train=n % 500, number=n % 65_536))
    for _ in range(2000):
        server.say(replace(one, train=0))
    assert len(server.trains.seen(TOKEN, 0, 60).came) <= TRAIN_AT_MOST
    assert len(server.trains._of[TOKEN].trains) <= 100
    server.trains.forget(TOKEN)
    assert server.trains._of == {}
