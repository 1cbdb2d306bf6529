"""What an uplink carries, counted over real packets: answers from beyond the gateway are life, and nothing else is."""

import asyncio
import logging
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from icmplib import ping

from agent.core import nft_table
from agent.core.events import Event, TrafficCounted
from agent.core.station import Centre, Kind, Lan, Nat, Station, Uplink
from agent.edge import nft
from agent.edge.counters import Counters
from agent.edge.traffic import Traffic
from lab.namespace import within
from tests.edge.conftest import become
from tests.edge.link import ELSEWHERE, ELSEWHERE6, far, ip, space, wire

UPLINKS = (Uplink("fibre", "wan0", Kind.FIBRE), Uplink("lte", "wan1", Kind.LTE), Uplink("geo", "wan2", Kind.GEO))
STATION = Station(
    "6408042001143", UPLINKS, ("198.51.100.1",), Centre("mqtt://198.51.100.10"), Lan(("lan0",), Nat.MANAGED)
)
TABLE = nft_table.text(STATION, tuple(uplink.interface for uplink in UPLINKS))
GATEWAYS, GATEWAYS6 = ("198.18.0.1", "198.18.1.1"), ("2001:db8:10::1", "2001:db8:11::1")
SERVER, SERVER6 = "203.0.113.100", "2001:db8:98::100"


@pytest.fixture
def client(cell: None) -> Iterator[str]:  # noqa: ARG001
    """A station with two uplinks, their gateways and a server behind each; gives the namespace of a client on its LAN.

    ELSEWHERE is an address on which the gateways answer in the name of another.
    """
    with ExitStack() as built:
        name = built.enter_context(lan())
        forward()
        for n in range(2):
            built.enter_context(way(n))
        go_by(0)
        asyncio.run(nft.Keeper().want(TABLE))
        yield name


@contextmanager
def lan() -> Iterator[str]:
    with space(far("lan")) as name:
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", name)
        give("lan0", "192.168.9.1/24", "fd00:9::1/64")
        give("eth0", "192.168.9.2/24", "fd00:9::2/64", inside=name)
        lead(name, "192.168.9.1", "fd00:9::1")
        yield name


@contextmanager
def way(n: int) -> Iterator[None]:
    """The n-th uplink: a wire to its gateway, and behind that a server; each gateway has the same server."""
    with wire(f"wan{n}") as near, space(far(f"server{n}")) as server:
        gateway = far(near)
        for where, device, last in (([], near, 2), (["-n", gateway], "end", 1)):
            ip(*where, "addr", "flush", "dev", device)
            ip(*where, "addr", "add", f"198.18.{n}.{last}/24", "dev", device)
            ip(*where, "addr", "add", f"2001:db8:1{n}::{last}/64", "dev", device, "nodad")
        ip("-n", gateway, "link", "add", "core", "type", "veth", "peer", "name", "eth0", "netns", server)
        give("core", "203.0.113.99/24", "2001:db8:98::99/64", inside=gateway)
        give("eth0", f"{SERVER}/24", f"{SERVER6}/64", inside=server)
        lead(server, "203.0.113.99", "2001:db8:98::99")
        with within(gateway):
            forward()
        yield


def give(device: str, address: str, address6: str, inside: str | None = None) -> None:
    where = ["-n", inside] if inside else []
    ip(*where, "addr", "add", address, "dev", device)
    ip(*where, "addr", "add", address6, "dev", device, "nodad")
    ip(*where, "link", "set", device, "up")


def lead(name: str, gateway: str, gateway6: str) -> None:
    ip("-n", name, "route", "add", "default", "via", gateway)
    ip("-n", name, "-6", "route", "add", "default", "via", gateway6)


def forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")


def go_by(n: int) -> None:
    ip("route", "replace", "default", "via", GATEWAYS[n])
    ip("-6", "route", "replace", "default", "via", GATEWAYS6[n])


def counts() -> dict[str, int]:
    """All that is not nought."""
    counters = Counters()
    try:
        return {name: packets for name, packets in counters.packets().items() if packets}
    finally:
        counters.close()


def answers(client: str, address: str, count: int = 3) -> int:
    """How many of the client's echoes are answered."""
    with within(client):
        return ping(address, count=count, interval=0.01, timeout=1).packets_received


def told(traffic: Traffic, heard: list[Event]) -> dict[str, TrafficCounted]:
    """What one look tells, by uplink."""
    heard.clear()
    traffic.look()
    events = [event for event in heard if isinstance(event, TrafficCounted)]
    assert len(events) == len(heard)
    return {event.uplink: event for event in events}


@pytest.mark.parametrize("server", [SERVER, SERVER6])
def test_answers_from_beyond_the_gateway_count_for_the_uplink_that_brought_them(client: str, server: str) -> None:
    assert answers(client, server) == 3
    assert counts() == {"asked-fibre": 3, "answered-fibre": 3}
    go_by(1)
    assert answers(client, server, 2) == 2
    assert counts() == {"asked-fibre": 3, "answered-fibre": 3, "asked-lte": 2, "answered-lte": 2}


@pytest.mark.parametrize("near", [GATEWAYS[0], GATEWAYS6[0], ELSEWHERE, ELSEWHERE6])
@pytest.mark.parametrize("first_hops", [32, 64, 128, 255])
def test_what_the_gateway_says_itself_or_in_the_name_of_others_is_no_answer(
    client: str, near: str, first_hops: int
) -> None:
    with within(far("wan0")):
        Path("/proc/sys/net/ipv4/ip_default_ttl").write_text(str(first_hops))
        Path("/proc/sys/net/ipv6/conf/all/hop_limit").write_text(str(first_hops))
        Path("/proc/sys/net/ipv6/conf/end/hop_limit").write_text(str(first_hops))
    assert answers(client, near) == 3
    assert counts() == {"asked-fibre": 3}


@pytest.mark.parametrize("server", [SERVER, SERVER6])
def test_an_error_message_from_beyond_is_no_answer(client: str, server: str) -> None:
    """Nobody listens on the port, and the server says so."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with within(client), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect((server, 9))
        asking.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(1)
    assert counts() == {"asked-fibre": 1}


@pytest.mark.usefixtures("client")
def test_what_the_agent_asks_itself_is_not_counted() -> None:
    assert ping(SERVER, count=3, interval=0.01, timeout=1).packets_received == 3
    assert ping(SERVER6, count=3, interval=0.01, timeout=1).packets_received == 3
    assert counts() == {}


def test_what_comes_in_from_outside_is_neither_asked_nor_answered(client: str) -> None:
    """A server that reaches into the LAN shows nothing: its echoes may come in while nothing goes out."""
    ip("-n", far("wan0"), "route", "add", "192.168.9.0/24", "via", "198.18.0.2")
    assert answers(far("server0"), "192.168.9.2") == 3
    assert counts() == {}
    assert client


def test_what_another_filter_forbids_was_not_asked(client: str) -> None:
    rules = "table inet other { chain forward { type filter hook forward priority 0; policy drop; }; }"
    subprocess.run(["nft", "-f", "-"], input=rules.encode(), check=True)
    with within(client):
        assert ping(SERVER, count=2, interval=0.01, timeout=0.05).packets_received == 0
    assert counts() == {}


def test_a_look_tells_of_each_uplink_that_is_there_and_only_of_what_has_changed(client: str) -> None:
    heard: list[Event] = []
    traffic = Traffic(STATION, heard.append)
    first = told(traffic, heard)
    assert first.keys() == {"fibre", "lte"}
    assert (first["fibre"].asked, first["fibre"].answered) == (0, 0)
    assert answers(client, SERVER) == 3
    second = told(traffic, heard)["fibre"]
    assert (second.asked, second.answered) == (3, 3)
    assert second.tx_bytes - first["fibre"].tx_bytes >= 3 * 28
    assert second.rx_bytes - first["fibre"].rx_bytes >= 3 * 28
    for device in ("wan0", "wan1"):  # neighbours and routers have something to say to each other at any time
        ip("link", "set", device, "down")
    told(traffic, heard)
    assert told(traffic, heard) == {}
    ip("link", "delete", "wan0")
    assert told(traffic, heard) == {}
    traffic.close()


def test_where_there_is_no_lan_bytes_are_counted_and_packets_are_not(client: str) -> None:
    heard: list[Event] = []
    alone = Station("6408042001143", UPLINKS, ("198.51.100.1",), Centre("mqtt://c"))
    seen = told(Traffic(alone, heard.append), heard)["fibre"]
    assert (seen.asked, seen.answered) == (None, None)
    assert seen.tx_bytes > 0
    assert client


def test_a_table_that_was_taken_away_counts_nothing_and_begins_again_when_it_is_back(client: str) -> None:
    heard: list[Event] = []
    traffic = Traffic(STATION, heard.append)
    assert answers(client, SERVER) == 3
    assert told(traffic, heard)["fibre"].answered == 3
    asyncio.run(nft.remove())
    assert told(traffic, heard)["fibre"].answered is None
    asyncio.run(nft.Keeper().want(TABLE))
    assert told(traffic, heard)["fibre"].answered == 0
    traffic.close()


def test_what_is_counted_is_nobodys_change_but_a_missing_rule_is_repaired(client: str) -> None:
    async def run() -> None:
        keeper = nft.Keeper()
        await keeper.want(TABLE)
        assert answers(client, SERVER) == 3
        await keeper.check()
        assert counts() == {"asked-fibre": 3, "answered-fibre": 3}  # not loaded again
        take_away_the_rule_with("iifname map")
        assert answers(client, SERVER) == 3
        assert counts() == {"asked-fibre": 6, "answered-fibre": 3}
        await keeper.check()
        assert counts() == {}
        assert answers(client, SERVER) == 3
        assert counts() == {"asked-fibre": 3, "answered-fibre": 3}

    asyncio.run(run())


def take_away_the_rule_with(words: str) -> None:
    command = ["nft", "--handle", "list", "chain", "inet", "siaga", "count"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (handle,) = (line.split("# handle ")[1] for line in shown.splitlines() if words in line)
    subprocess.run(["nft", "delete", "rule", "inet", "siaga", "count", "handle", handle], check=True)


def test_many_counters_come_in_several_messages_and_all_are_read(client: str) -> None:
    more = "\n".join(f"add counter inet siaga spare-{n} {{ packets {n} bytes 0 }}" for n in range(2000))
    subprocess.run(["nft", "-f", "-"], input=more.encode(), check=True)
    counters = Counters()
    found = counters.packets()
    counters.close()
    assert found | {f"spare-{n}": n for n in range(2000)} == found
    assert len(found) == 2000 + 2 * len(UPLINKS)
    assert client


def test_a_fault_is_told_once_and_the_counting_goes_on_when_it_is_over(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket that is closed can ask nothing; what was counted before stands meanwhile."""
    heard: list[Event] = []
    traffic = Traffic(STATION, heard.append)
    assert answers(client, SERVER) == 3
    assert told(traffic, heard)["fibre"].answered == 3
    closed = socket.socket()
    closed.close()
    assert answers(client, SERVER) == 3
    for _ in range(3):
        traffic.close()
        traffic._counters._socket = closed
        told(traffic, heard)
        assert traffic._told["fibre"].answered == 3
    assert caplog.text.count("the packets of the uplinks cannot be counted") == 1
    assert told(traffic, heard)["fibre"].answered == 6
    traffic.close()


def test_no_fault_of_a_look_ends_its_task(client: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    heard: list[Event] = []
    failing = True

    def hear(event: Event) -> None:
        heard.append(event)
        if failing:
            raise ZeroDivisionError("whoever hears it fails")

    async def run() -> None:
        nonlocal failing
        traffic = Traffic(STATION, hear)
        task = asyncio.create_task(traffic.run())
        await become(lambda: len(heard) >= 2)
        failing = False
        await become(lambda: {"fibre", "lte"} <= {e.uplink for e in heard if isinstance(e, TrafficCounted)})
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        traffic.close()

    asyncio.run(run())
    assert "whoever hears it fails" in caplog.text
    assert client
