"""Bandwidth tests with real packets: the kernel's shapers read through a wire, turns, a server that bears nonsense."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.bandwidth import run, trains, words
from agent.bandwidth.bound import Bound, Unreachable
from agent.bandwidth.order import Order
from agent.bandwidth.turn import Desk, NoTurn, take
from agent.core.bandwidth import Measured
from agent.core.events import Effect
from agent.core.station import Centre, Station, Uplink
from agent.core.station import Kind as Carrier
from agent.daemon import Daemon
from agent.edge.kernel import clean_up
from central.core.quiet import DAY_S, Hours
from central.core.turns import Limits
from central.edge.broker import listener
from central.edge.measuring import Measuring
from central.edge.reflector import listener as datagrams
from lab.namespace import within
from tests.edge.conftest import become, wait_until
from tests.edge.link import FAR, far, ip, wire
from wire.bandwidth import PACKET_BYTES, Ask, HowMuch, Kind, Packet, Received, packet_bytes
from wire.messages import Fact, Health

PORT = 8621
SERVER = f"{FAR}:{PORT}"
NEAR = 0.4  # on a busy machine; how near it really is, bench/measure says
FRAME_SHARE = (PACKET_BYTES + 28) / (PACKET_BYTES + 42)  # a shaper of the kernel counts Ethernet too
ASK = Ask("lte", 1_000_000, 20.0)


@pytest.fixture
def wan(cell: None) -> Iterator[str]:  # noqa: ARG001
    with wire() as name:
        yield name


@pytest.fixture
def server(wan: str) -> Iterator[Measuring]:
    with serving(wan) as part:
        yield part


@contextmanager
def serving(wan: str, limits: Limits | None = None, quiet: tuple[Hours, ...] = ()) -> Iterator[Measuring]:
    with within(far(wan)):
        opened = datagrams("::", PORT), listener("::", PORT)
    part = Measuring(*opened, limits, quiet)
    part.start()
    try:
        yield part
    finally:
        part.stop()
        for each in opened:
            each.close()


def shape(wan: str, mbps: float, bucket_bytes: int = 3000, queue_bytes: int = 200_000) -> None:
    """Both ways, by the kernel's token bucket."""
    shaper = f"root tbf rate {mbps}mbit burst {bucket_bytes} limit {queue_bytes}"
    for where, device in (([], wan), (["-n", far(wan)], "end")):
        subprocess.run(["tc", *where, "qdisc", "replace", "dev", device, *shaper.split()], check=True)


def order(wan: str, size: int = 400_000, server: str = SERVER, loss: float | None = None) -> Order:
    return Order("lte", wan, server, "lte", size, 5.0, 1, loss)


def in_a_calm_moment(wan: str) -> Measured:
    """A machine that is busy elsewhere serves its own shaper late; what it loses then is lost to the link itself."""
    tries = [run.measure(order(wan), "train") for _ in range(4)]
    return min(tries, key=lambda each: max(each.up.error or 1.0, each.down.error or 1.0))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("bucket_bytes", [3000, 32_000])
def test_trains_read_the_kernels_shaper_both_ways_behind_its_bucket(wan: str, bucket_bytes: int) -> None:
    shape(wan, 5, bucket_bytes)
    found = in_a_calm_moment(wan)
    for way in (found.up, found.down):
        assert way.capacity_mbps == pytest.approx(5 * FRAME_SHARE, rel=NEAR)
        assert not way.at_least
    assert 2 * 60 * 1228 < found.spent_bytes < 200_000


@pytest.mark.usefixtures("server")
def test_a_bucket_larger_than_the_train_is_met_with_a_longer_one(wan: str) -> None:
    shape(wan, 5, 100_000)
    found = run.measure(order(wan, 1_000_000), "train")
    assert found.up.capacity_mbps == pytest.approx(5 * FRAME_SHARE, rel=NEAR)
    assert found.up.burst_bytes > 0


@pytest.mark.usefixtures("server")
def test_without_the_bytes_for_it_what_was_seen_is_at_least(wan: str) -> None:
    shape(wan, 5, 100_000)
    found = run.measure(order(wan, 200_000), "train")
    assert found.up.at_least
    assert "at least" in words.told(found)


@pytest.mark.usefixtures("server")
def test_a_transfer_ends_when_its_rate_is_known_and_tells_what_a_load_adds(wan: str) -> None:
    shape(wan, 4, queue_bytes=50_000)
    found = run.measure(order(wan, 6_000_000), "transfer")
    for way in (found.up, found.down):
        assert way.goodput_mbps == pytest.approx(4 * 1448 / 1514, rel=NEAR)
        assert not way.at_least
        assert way.added_ms is not None and 20 < way.added_ms < 130  # the queue holds 100 ms
    assert found.spent_bytes < 3_000_000


@pytest.mark.usefixtures("server")
def test_a_transfer_keeps_to_its_bytes(wan: str) -> None:
    before = carried(wan)
    found = run.measure(order(wan, 400_000), "transfer")
    assert carried(wan) - before < 1.3 * 400_000
    assert found.spent_bytes == pytest.approx(carried(wan) - before, rel=0.15)


@pytest.mark.usefixtures("server")
def test_the_stations_own_traffic_is_subtracted(wan: str) -> None:
    shape(wan, 8)
    with flooding(wan, mbps=3):
        found = run.measure(order(wan), "train")
    assert found.up.own_mbps == pytest.approx(3, rel=0.25)
    assert found.up.capacity_mbps == pytest.approx(8 * FRAME_SHARE, rel=0.5)
    assert found.up.capacity_mbps is not None and found.up.own_mbps is not None
    assert found.up.available_mbps == pytest.approx(found.up.capacity_mbps - found.up.own_mbps)


@pytest.mark.usefixtures("server")
def test_speedtest_cli_is_asked_and_its_upload_is_counted_by_the_server(wan: str) -> None:
    shape(wan, 4)
    found = run.measure(order(wan, 1_500_000), "speedtest")
    assert found.up.goodput_mbps == pytest.approx(4 * 1448 / 1514, rel=NEAR)
    assert found.up.said_mbps is not None
    assert found.spent_bytes < 1_500_000


def test_one_of_a_group_tests_and_the_next_comes_when_he_has_ended(wan: str, server: Measuring) -> None:
    bound = Bound(wan, SERVER, 5.0)
    first, turn = take(bound, ASK, 0.0)
    with pytest.raises(NoTurn, match="come again"):
        take(bound, ASK, 1.0)
    other, _ = take(bound, Ask("geo", 1000, 20.0), 0.0)
    first.close()
    wait_until(lambda: server._turns.of(bytes.fromhex(turn.turn), time.monotonic()) is None)
    again, _ = take(bound, ASK, 0.0)
    for desk in (other, again):
        desk.close()


def test_in_quiet_hours_nobody_has_a_turn_and_is_told_so(wan: str) -> None:
    all_day = (Hours(0, DAY_S - 1), Hours(DAY_S // 2, DAY_S // 2 - 1))
    with serving(wan, quiet=all_day), pytest.raises(NoTurn, match=r"quiet hours, .* for \d+ min more"):
        take(Bound(wan, SERVER, 5.0), ASK, 0.0)


def test_a_turn_of_the_dead_ends(wan: str) -> None:
    with serving(wan, Limits(turn_s=1.0)):
        bound = Bound(wan, SERVER, 5.0)
        dead, _ = take(bound, ASK, 0.0)
        desk, _ = take(bound, ASK, 10.0)
        desk.close()
        dead.close()


def test_nonsense_is_borne_and_the_next_test_works(wan: str, server: Measuring) -> None:
    bound = Bound(wan, SERVER, 5.0)
    with bound.udp() as stranger:
        for data in (b"x", b"x" * 1200, os.urandom(62), packet_bytes(Packet(Kind.GO, b"stranger", packets=60))):
            stranger.send(data)
    for said in (
        b"\n",
        b"{}\n",
        b"[" * 100_000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /zz/speedtest/upload.php\n",
        b"\xff\n",
    ):
        with bound.tcp() as tcp:
            tcp.sendall(said)
            assert len(read_all(tcp)) < 200
    wait_until(lambda: server.counts.malformed + server.counts.turnless >= 4)
    assert server.counts.answered == 0
    assert run.measure(order(wan), "train").up.capacity_mbps is not None


@pytest.mark.usefixtures("server")
def test_a_train_is_not_sent_to_who_has_not_proven_where_he_is(wan: str) -> None:
    bound = Bound(wan, SERVER, 5.0)
    desk, turn = take(bound, ASK, 0.0)
    with desk, trains.prove(bound, turn) as proven, bound.udp() as stranger:
        go = Packet(Kind.GO, proven.turn, proven.cookie, 0, packets=60, size=PACKET_BYTES)
        stranger.send(packet_bytes(go))
        assert trains.down(proven, 0, 60, 0.01) is not None  # and so the stranger's question was heard before
        with pytest.raises(BlockingIOError):
            stranger.recv(2000)


@pytest.mark.usefixtures("server")
def test_nothing_is_downloaded_without_a_turn(wan: str) -> None:
    bound = Bound(wan, SERVER, 5.0)
    desk, turn = take(bound, ASK, 0.0)
    with desk:
        for name, status in (("0123456789abcdef", b"404"), ("nonsense", b"404"), (turn.turn, b"200")):
            with bound.tcp() as asking:
                asking.sendall(f"GET /{name}/speedtest/random350x350.jpg HTTP/1.1\r\n\r\n".encode())
                said = read_all(asking)
            assert said.split()[1] == status
            assert (len(said) > 200_000) == (status == b"200")


@pytest.mark.usefixtures("server")
def test_an_upload_beyond_the_turn_is_cut(wan: str) -> None:
    bound = Bound(wan, SERVER, 5.0)
    desk, turn = take(bound, Ask("lte", 50_000, 20.0), 0.0)
    with desk, bound.tcp() as posting:
        head = f"POST /{turn.turn}/speedtest/upload.php HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n"
        with pytest.raises(ConnectionError):
            posting.sendall(head.encode() + bytes(9_000_000))
        counted = desk.ask(HowMuch())
        assert isinstance(counted, Received)
        assert counted.bytes < 50_000 + 65_536 + 1


@pytest.mark.usefixtures("wan")
def test_a_server_that_is_not_there_is_told_in_a_sentence(wan: str) -> None:
    with pytest.raises(Unreachable, match=f"{FAR} port {PORT} cannot be reached by {wan}: Connection refused"):
        Desk(Bound(wan, SERVER, 2.0))
    with pytest.raises(Unreachable, match=r"cannot be reached by nowhere0: No such device"):
        Desk(Bound("nowhere0", SERVER, 2.0))


@pytest.mark.usefixtures("server")
def test_the_command_prints_what_a_program_can_read(wan: str, tmp_path: Path) -> None:
    shape(wan, 5)
    config = tmp_path / "agent.yaml"
    config.write_text(
        'station: "6408042001143"\n'
        f"uplinks: [{{name: lte, interface: {wan}, kind: lte}}]\n"
        "targets: [198.51.100.1]\n"
        f'centre: {{broker: "mqtt://{FAR}", measure: "{SERVER}"}}\n'
        f"state_dir: {tmp_path}\n"
    )
    command = [sys.executable, "-m", "agent", "measure", "lte", "--config", str(config)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["up"]["capacity_mbps"] == pytest.approx(5 * FRAME_SHARE, rel=NEAR)
    refused = subprocess.run([*command, "--bytes", "5"], capture_output=True, text=True, check=False, timeout=60)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "needs at least" in refused.stderr


@pytest.mark.usefixtures("server")
def test_the_daemon_lets_a_child_measure_reports_it_and_charges_it(wan: str, tmp_path: Path) -> None:
    shape(wan, 5)
    ip("route", "add", "default", "via", FAR)
    uplink = Uplink("lte", wan, Carrier.LTE)
    station = Station("6408042001143", (uplink,), (FAR,), Centre("mqtt://127.0.0.1:1", SERVER), state_dir=str(tmp_path))

    async def run() -> tuple[Fact, int]:
        daemon = Daemon(station, "0.1.0")
        told: list[Fact] = []
        apply = daemon._apply

        def listen(effect: Effect, now: float) -> None:
            if isinstance(effect, Fact) and effect.code.startswith("BANDWIDTH"):
                told.append(effect)
            apply(effect, now)

        daemon._apply = listen  # type: ignore[method-assign]
        working = asyncio.create_task(daemon.run())
        line = daemon._core._lines["lte"]
        await become(lambda: line.watch.health is Health.UP, 30)
        before = line.watch.budget.spent.day_bytes
        line.trials.due_at = 0.0
        await become(lambda: bool(told), 30)
        spent = line.watch.budget.spent.day_bytes - before
        daemon._stop()
        async with asyncio.timeout(10):
            await working
        await clean_up(station)
        return told[0], spent

    fact, spent = asyncio.run(run())
    assert (fact.code, fact.uplink) == ("BANDWIDTH_MEASURED", "lte")
    assert fact.evidence["up_mbps"] == pytest.approx(5 * FRAME_SHARE, rel=0.2)
    assert 2 * 60 * 1228 < float(fact.evidence["spent_bytes"] or 0) <= spent < 250_000


def carried(wan: str) -> int:
    """Without Ethernet's headers, nearly."""
    now = Bound(wan, SERVER, 1.0).carried()
    assert now is not None
    return now.up_bytes + now.down_bytes


def read_all(tcp: socket.socket) -> bytes:
    found = b""
    try:
        while data := tcp.recv(65_536):
            found += data
    except ConnectionError:
        pass
    return found


@contextmanager
def flooding(wan: str, mbps: float) -> Iterator[None]:
    """The station's own traffic, up."""
    over = threading.Event()
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flood.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, wan.encode())

    def pour() -> None:
        sent, began = 0, time.monotonic()
        while not over.wait(0.002):
            while sent < (time.monotonic() - began) * mbps * 125_000:
                sent += flood.sendto(bytes(1000), (FAR, 9)) + 42

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        yield
    finally:
        over.set()
        pouring.join()
        flood.close()
