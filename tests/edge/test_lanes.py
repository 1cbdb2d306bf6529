"""The essential and the rest as real packets: refused at once, limited, queued behind, and IPv6 prefixes kept."""

import asyncio
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec
import pytest
from icmplib import ping

from agent.core.lanes import Standing
from agent.core.plan import Policy
from agent.core.routes import Link, wish
from agent.core.station import Centre, Essential, Kind, Lan, Metered, Nat, Station, Uplink
from agent.edge import nft
from agent.edge.shaper import Shaper
from lab.namespace import within
from tests.edge.conftest import wait_until
from tests.edge.link import far, ip
from tests.edge.servers import Udp, connect, tcp, udp
from tests.edge.test_traffic import SERVER, SERVER6, forward, go_by, lan, way
from wire.messages import Active

RESULTS, REST = 8443, 9999  # ports of the server; only the first is essential
UPLINKS = (
    Uplink("lte", "wan0", Kind.LTE, metered=Metered(3000), prefix6="2001:db8:a::/64"),
    Uplink("leo", "wan1", Kind.LEO, prefix6="2001:db8:b::/64"),
    Uplink("geo", "wan2", Kind.GEO),
)
STATION = Station(
    "6408042001143",
    UPLINKS,
    ("198.51.100.1",),
    Centre("mqtt://198.51.100.10"),
    Lan(("lan0",), Nat.MANAGED),
    (Essential(SERVER, (f"tcp/{RESULTS}", f"udp/{RESULTS}")), Essential(SERVER6, (f"tcp/{RESULTS}", f"udp/{RESULTS}"))),
)
PIECE = bytes(1000)
UDP_SEGMENT = 103  # linux/udp.h: cut so late that it passes us in one piece
BOTH = pytest.mark.parametrize("address", [SERVER, SERVER6])


@pytest.fixture
def client(cell: None) -> Iterator[str]:  # noqa: ARG001
    """The namespace of a client on a LAN behind two uplinks, with a server behind each."""
    with ExitStack() as built:
        name = built.enter_context(lan())
        forward()
        for n in range(2):
            built.enter_context(way(n))
        go_by(0)
        yield name


@pytest.fixture
def here(client: str) -> Iterator[str]:
    """The namespace of the station itself, under a name."""
    name = far("here")
    ip("netns", "attach", name, str(threading.get_native_id()))
    yield name
    ip("netns", "delete", name)
    assert client


def treat(policy: Policy, up_kbps: int | None = None, unqueued: str | None = None) -> None:
    """Make the kernel treat the first uplink so."""
    station = msgspec.structs.replace(STATION, uplinks=(with_width(up_kbps), *UPLINKS[1:]))
    links = tuple(Link(f"wan{n}", True, index=socket.if_nametoindex(f"wan{n}") if n < 2 else None) for n in range(3))
    wanted = wish(station, links, Active("lte"), standings=[Standing(policy, unqueued), Standing(), Standing()])

    async def make() -> None:
        await nft.Keeper().want(wanted.nft)
        if unqueued is None:
            await Shaper([].append).want(wanted.shapes)

    asyncio.run(make())


def with_width(up_kbps: int | None) -> Uplink:
    return msgspec.structs.replace(UPLINKS[0], up_kbps=up_kbps)


@BOTH
def test_in_reserve_the_rest_is_refused_at_once_and_the_essential_passes(client: str, address: str) -> None:
    treat(Policy.RESERVE)
    with serving(far("server0")):
        refused(client, address)
    with within(client):
        assert ping(address, count=3, interval=0.01, timeout=2).packets_received == 3


@BOTH
@pytest.mark.usefixtures("client")
def test_the_station_itself_is_refused_the_rest_too(here: str, address: str) -> None:
    treat(Policy.RESERVE)
    with serving(far("server0")):
        refused(here, address)


@contextmanager
def serving(namespace: str) -> Iterator[None]:
    """A server there would answer everything."""
    with ExitStack() as built:
        for port in (REST, RESULTS, 53):
            built.enter_context(udp(namespace, port))
            built.enter_context(tcp(namespace, port))
        yield


def refused(asking: str, address: str) -> None:
    """TCP by a reset, UDP by a message: no program waits for its patience to end."""
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect(asking, address, REST, socket.SOCK_STREAM)
    with connect(asking, address, REST, socket.SOCK_DGRAM) as rest, pytest.raises(OSError) as why:
        for _ in range(2):  # at the station the sending fails, on the LAN the waiting
            rest.send(b"?")
            rest.recv(1)
    assert not isinstance(why.value, TimeoutError)
    assert time.monotonic() - began < 4  # a wait for an answer would have lasted five
    connect(asking, address, RESULTS, socket.SOCK_STREAM).close()
    for port in (RESULTS, 53):
        assert answers(asking, address, port)


def answers(asking: str, address: str, port: int) -> bool:
    with connect(asking, address, port, socket.SOCK_DGRAM) as sending:
        sending.send(b"hallo")
        return sending.recv(9) == b"hallo"


@BOTH
def test_in_reserve_another_uplink_is_not_touched(client: str, address: str) -> None:
    treat(Policy.RESERVE)
    go_by(1)
    with udp(far("server1"), REST):
        assert answers(client, address, REST)


@BOTH
def test_a_flow_of_before_ends_for_both_sides_when_the_reserve_begins(client: str, address: str) -> None:
    """Else the far end would go on sending, and its bytes are paid for."""
    treat(Policy.OPEN)
    with tcp(far("server0"), REST) as listening, connect(client, address, REST, socket.SOCK_STREAM) as near:
        there, _ = listening.accept()
        with there:
            there.settimeout(5)
            near.send(b"before")
            assert there.recv(9) == b"before"
            treat(Policy.RESERVE)
            near.send(b"after")
            with pytest.raises(ConnectionResetError):
                near.recv(1)
            near.close()
            there.send(b"more of the film")  # it meets nobody now, and that is said by a reset
            with pytest.raises(ConnectionResetError):
                for _ in range(2):
                    there.recv(1)


def test_what_is_limited_without_queues_gets_what_it_may_and_the_essential_all(client: str) -> None:
    """A thin uplink whose kernel cannot queue: the rest has half of it, and what a network card puts together."""
    treat(Policy.OPEN, up_kbps=1000, unqueued="no HTB")
    with udp(far("server0"), REST) as rest, udp(far("server0"), RESULTS) as results:
        began = time.monotonic()
        flood(client, REST, 400)
        flood(client, RESULTS, 400)
        come(results, 400 * len(PIECE))
        lasted_s = time.monotonic() - began
        assert 60_000 < rest.bytes < 70_000 + 62_500 * lasted_s


def test_in_a_low_plan_the_rest_is_limited_in_both_directions(client: str) -> None:
    treat(Policy.LOW)
    with udp(far("server0"), REST) as rest, udp(far("server0"), RESULTS) as results:
        with connect(client, SERVER, RESULTS, socket.SOCK_DGRAM) as asking:
            asking.send(b"hallo")
            assert asking.recv(9) == b"hallo"
        began = time.monotonic()
        flood(client, REST, 400)
        flood(client, RESULTS, 400)
        come(results, 400 * len(PIECE))
        lasted_s = time.monotonic() - began
        assert 60_000 < rest.bytes < 70_000 + 12_000 * lasted_s
    assert incoming(client, REST) < 100
    assert incoming(client, RESULTS) == 200


def incoming(client: str, port: int) -> int:
    """How many of 200 pieces come back to one small question."""
    with within(far("server0")):
        serving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        serving.bind(("", port))
    with serving, connect(client, SERVER, port, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        asking.send(b"?")
        _, source = serving.recvfrom(9)
        for _ in range(200):
            serving.sendto(PIECE, source)
        asking.settimeout(0.3)  # nothing here waits in a queue
        heard = 0
        try:
            while True:
                heard += len(asking.recv(2000)) == len(PIECE)
        except TimeoutError:
            return heard


def flood(client: str, port: int, pieces: int) -> None:
    with connect(client, SERVER, port, socket.SOCK_DGRAM) as sending:
        for _ in range(pieces):
            try:
                sending.send(PIECE)
            except OSError:  # an answer to an earlier piece met a closed door
                continue


def come(server: Udp, size: int) -> None:
    wait_until(lambda: server.bytes >= size)


@contextmanager
def uploading(client: str, port: int, address: str = SERVER) -> Iterator[list[int]]:
    """As much TCP as goes; gives what has arrived."""
    arrived, over = [0], threading.Event()
    with tcp(far("server0"), port) as listening, connect(client, address, port, socket.SOCK_STREAM) as near:
        there, _ = listening.accept()

        def send() -> None:
            near.settimeout(0.2)
            while not over.is_set():
                try:
                    near.send(bytes(65_536))
                except TimeoutError:
                    continue

        def receive() -> None:
            there.settimeout(0.2)
            while not over.is_set():
                try:
                    arrived[0] += len(there.recv(65_536))
                except TimeoutError:
                    continue

        threads = [threading.Thread(target=each) for each in (send, receive)]
        for each in threads:
            each.start()
        try:
            yield arrived
        finally:
            over.set()
            for each in threads:
                each.join()
            there.close()


def round_trips_s(client: str, port: int, count: int) -> list[float]:
    found = []
    with connect(client, SERVER, port, socket.SOCK_DGRAM) as asking:
        for n in range(count):
            began = time.monotonic()
            asking.send(b"%09d" % n)
            try:
                while asking.recv(9) != b"%09d" % n:
                    pass
            except TimeoutError:
                pass  # five seconds are its time
            found.append(time.monotonic() - began)
    return found


def narrow(kbps: int) -> None:
    """The first uplink carries so much upstream, and its modem queues two seconds of it."""
    command = f"tc -n {far('wan0')} qdisc add dev core root tbf rate {kbps}kbit burst 3028b limit {kbps * 250}b"
    subprocess.run(command.split(), check=True)


def test_on_a_thin_uplink_the_essential_keeps_its_delay_while_the_rest_uploads(client: str) -> None:
    narrow(1100)
    treat(Policy.OPEN, up_kbps=1000)
    with udp(far("server0"), RESULTS), udp(far("server0"), REST), uploading(client, 7777) as arrived:
        wait_until(lambda: arrived[0] > 100_000)  # the queue of the rest is full
        essential, rest = (statistics.median(round_trips_s(client, port, 9)) for port in (RESULTS, REST))
        with within(client):
            echoes = ping(SERVER, count=9, interval=0.02, timeout=5)
    print(f"essential {essential * 1e3:.0f} ms, echo {echoes.avg_rtt:.0f} ms, rest {rest * 1e3:.0f} ms")
    assert essential < rest / 3
    assert echoes.packets_received == 9
    assert echoes.avg_rtt / 1e3 < rest / 3


def test_what_came_in_one_piece_does_not_stop_a_thin_uplink(client: str) -> None:
    """As a network card puts a fast sender's packets together: 40 kB are 0.3 s to the modem."""
    narrow(1100)
    treat(Policy.OPEN, up_kbps=1000)
    with udp(far("server0"), RESULTS), udp(far("server0"), REST) as rest:
        with connect(client, SERVER, REST, socket.SOCK_DGRAM) as sending:
            sending.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(PIECE))
            sending.send(40 * PIECE)
            (waited_s,) = round_trips_s(client, RESULTS, 1)
        come(rest, 40 * len(PIECE))
    print(f"{waited_s * 1e3:.0f} ms behind 40 kB in one piece")
    assert waited_s < 0.15


def test_on_a_thin_uplink_the_essential_keeps_its_rate_while_the_rest_uploads(client: str) -> None:
    narrow(2200)
    treat(Policy.OPEN, up_kbps=2000)
    with uploading(client, 7777) as rest:
        wait_until(lambda: rest[0] > 100_000)
        with uploading(client, RESULTS) as results:
            wait_until(lambda: results[0] > 50_000)
            began, results_before, rest_before = time.monotonic(), results[0], rest[0]
            wait_until(lambda: results[0] > results_before + 300_000)
            got, others = results[0] - results_before, rest[0] - rest_before
            kbps = got * 8 / 1000 / (time.monotonic() - began)
    print(f"essential {kbps:.0f} kbit/s, and the rest {kbps * others / got:.0f}")
    assert others < got / 3
    assert 1000 < kbps < 2200


def test_in_reserve_a_queue_stays_and_the_rest_is_refused(client: str) -> None:
    treat(Policy.RESERVE, up_kbps=1000)
    with udp(far("server0"), RESULTS), pytest.raises(ConnectionRefusedError):
        assert answers(client, SERVER, RESULTS)
        connect(client, SERVER, REST, socket.SOCK_STREAM)


# IPv6 by prefix


@pytest.mark.parametrize(
    ("source", "seen_by_lte", "seen_by_leo"),
    [
        ("2001:db8:a::9", "2001:db8:a::9", "2001:db8:b::9"),
        ("2001:db8:b::9", "2001:db8:a::9", "2001:db8:b::9"),
        ("fd00:9::9", "2001:db8:10::2", "2001:db8:11::2"),
    ],
    ids=["of the first uplink", "of the second uplink", "of neither"],
)
def test_an_address_of_an_uplinks_prefix_stays_or_goes_host_for_host(
    client: str, source: str, seen_by_lte: str, seen_by_leo: str
) -> None:
    treat(Policy.OPEN)
    give_prefixes(client, source)
    for n, expected in enumerate((seen_by_lte, seen_by_leo)):
        go_by(n)
        with udp(far(f"server{n}"), REST, lambda _, seen: seen.encode()):
            with within(client):
                asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            with asking:
                asking.settimeout(5)
                asking.bind((source, 0))
                asking.sendto(b"who am I?", (SERVER6, REST))
                assert asking.recv(99).decode() == expected


def give_prefixes(client: str, source: str) -> None:
    """The LAN has addresses of both prefixes, and each provider routes its own to the station."""
    ip("-n", client, "addr", "add", f"{source}/64", "dev", "eth0", "nodad")
    for n, prefix in enumerate(("2001:db8:a::", "2001:db8:b::")):
        ip("addr", "add", f"{prefix}1/64", "dev", "lan0", "nodad")
        ip("addr", "add", "fe80::2/64", "dev", f"wan{n}", "nodad")  # who forwards asks for neighbours by these
        ip("-n", far(f"wan{n}"), "addr", "add", "fe80::1/64", "dev", "end", "nodad")
        ip("-n", far(f"wan{n}"), "route", "add", f"{prefix}/64", "via", f"2001:db8:1{n}::2")
