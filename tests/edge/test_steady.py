"""What the courier says while nothing happens, in how few packets, and how it leaves a broker that answers nothing."""

import socket
import struct
import time

import pytest
from msgspec import structs

from agent.core.decide import Phase
from agent.core.events import ShowState
from agent.edge import broker as module
from agent.edge.spool import Spool
from tests.edge.brokers import CONNECTED, FIBRE, SUBSCRIBED, Broker, Listen, Start
from tests.edge.conftest import wait_until
from tests.edge.records import STAMP, fill, largest_summary
from wire.messages import Active

DRIFTED = ShowState(Active("fibre"), (structs.replace(FIBRE, since_s=63.0),))
DATA_SEGMENTS_IN = 152  # in Linux's struct tcp_info


def test_a_state_that_says_nothing_new_waits_for_its_turn_and_goes_with_the_records(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: len(listener.states) == 1)
    fill(spool, 1)
    courier.show(DRIFTED)
    wait_until(lambda: listener.seqs == [1])
    assert len(listener.states) == 1
    monkeypatch.setattr(module, "STATE_EVERY_S", 0.0)
    courier.show(ShowState(Active("fibre"), DRIFTED.uplinks))
    fill(spool, 1)
    courier.poke()
    wait_until(lambda: listener.seqs == [1, 2])
    assert [topic.rsplit("/", 1)[1] for topic, _, _ in listener.heard] == ["state", "fact", "state", "fact"]
    assert listener.states[-1].uplinks == DRIFTED.uplinks


def test_figures_that_have_drifted_go_with_the_next_records(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start
) -> None:
    listener = listen(broker)
    courier = courier_to(broker.port)
    wait_until(lambda: len(listener.states) == 1)
    courier.show(ShowState(Active("fibre"), (structs.replace(FIBRE, loss=0.2),)))
    fill(spool, 1)
    courier.poke()
    wait_until(lambda: listener.seqs == [1])
    fill(spool, 1)
    courier.poke()
    wait_until(lambda: listener.seqs == [1, 2])
    assert [topic.rsplit("/", 1)[1] for topic, _, _ in listener.heard] == ["state", "state", "fact", "fact"]


def test_with_nothing_to_report_a_state_is_the_sign_of_life_and_no_ping_is_needed(
    broker: Broker, listen: Listen, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEPALIVE_S", 2)
    monkeypatch.setattr(module, "ALIVE_EVERY_S", 0.5)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.states) == 5, patience_s=20)
    assert [state.online for state in listener.states] == [True] * 5
    assert len({state.session for state in listener.states}) == 1


def test_who_reports_needs_no_other_sign_of_life(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY_S", 2.0)
    listener = listen(broker)
    courier = courier_to(broker.port)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        fill(spool, 1)
        courier.poke()
        wait_until(lambda: len(listener.seqs) == spool.head().seq)
        time.sleep(0.2)
    assert len(listener.states) == 1


def test_old_records_are_no_sign_of_life(
    broker: Broker, listen: Listen, spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY_S", 0.5)
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setitem(module.BACKLOG_BYTES_PER_S, Phase.NORMAL, 500)
    fill(spool, 60)
    listener = listen(broker)
    courier_to(broker.port)
    wait_until(lambda: len(listener.states) == 4, patience_s=20)
    assert 0 < len(listener.seqs) < 60


def test_a_state_and_the_records_of_its_minute_share_a_packet(
    spool: Spool, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATE_EVERY_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        courier = courier_to(server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            connection.recv(4096)
            connection.sendall(CONNECTED + SUBSCRIBED)
            _hear(connection, [b"up/state"])
            before = _packets(connection)
            spool.put(largest_summary(), STAMP)
            courier.show(DRIFTED)
            _hear(connection, [b"up/state", b"up/sum"])
            assert _packets(connection) == before + 1


@pytest.mark.parametrize("said", [b"", CONNECTED, CONNECTED + SUBSCRIBED], ids=["nothing", "connected", "subscribed"])
def test_a_broker_that_acknowledges_nothing_is_left(
    said: bytes, courier_to: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        courier_to(server.getsockname()[1])
        first, _ = server.accept()
        with first:
            first.sendall(said)
            second, _ = server.accept()
            second.close()


def _hear(connection: socket.socket, wanted: list[bytes]) -> None:
    """Until all of it was said."""
    heard = b""
    while not all(each in heard for each in wanted):
        heard += connection.recv(65536)


def _packets(connection: socket.socket) -> int:
    """That came with something in them."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("=I", info, DATA_SEGMENTS_IN)[0])
