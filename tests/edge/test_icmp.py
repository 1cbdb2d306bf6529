"""Our echoes: their bytes as scapy reads them, and on a real wire their times as icmplib measures them."""

import asyncio
import logging
import statistics
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.events import EchoNotSent, EchoReturned, Event, KernelSeen, SendEchoes
from agent.core.routes import Link
from agent.core.station import Centre, Family, Kind, Station, Uplink
from agent.edge.icmp import PAYLOAD, Prober, _request, checksum
from tests.edge.conftest import become
from tests.edge.link import FAR, FAR6, far, ip, wire

logging.getLogger("scapy").setLevel(logging.ERROR)

STATION = Station("6408042001143", (Uplink("fibre", "wan0", Kind.FIBRE),), (FAR, FAR6), Centre("mqtt://198.51.100.10"))


@settings(deadline=None)
@given(
    ident=st.integers(0, 0xFFFF),
    number=st.integers(0, 0xFFFF),
    token=st.binary(min_size=8, max_size=8),
    seq=st.integers(0, 0xFFFFFFFF),
)
def test_scapy_reads_our_echo_as_it_was_meant(ident: int, number: int, token: bytes, seq: int) -> None:
    from scapy.layers.inet import ICMP

    payload = PAYLOAD.pack(token, seq, 0)
    sent = _request(Family.IPV4, ident, number, payload)
    read = ICMP(sent)
    assert (read.type, read.code, read.id, read.seq) == (8, 0, ident, number)
    assert bytes(read.payload) == payload
    expected = ICMP(type=8, id=ident, seq=number) / payload
    assert bytes(expected) == sent  # scapy computes the checksum by itself


def test_scapy_reads_our_ipv6_echo_as_it_was_meant() -> None:
    from scapy.layers.inet6 import ICMPv6EchoRequest

    payload = PAYLOAD.pack(b"a token!", 77, 0)
    read = ICMPv6EchoRequest(_request(Family.IPV6, 4711, 9, payload))
    assert (read.type, read.code, read.cksum, read.id, read.seq) == (128, 0, 0, 4711, 9)
    assert bytes(read.data) == payload


@settings(deadline=None)
@given(st.binary(max_size=100).map(lambda data: data + b"\0" * (len(data) % 2)))
def test_the_checksum_is_scapys(data: bytes) -> None:
    from scapy.utils import checksum as scapys

    assert checksum(data) == scapys(data)


@pytest.fixture
def wan0(cell: None) -> Iterator[str]:  # noqa: ARG001
    with wire("wan0") as name:
        yield name


def probing(test: Callable[[Prober, list[Event]], AsyncIterator[None]]) -> None:
    """Run the test's coroutine with a prober and what it emits."""

    async def run() -> None:
        heard: list[Event] = []
        prober = Prober(STATION, heard.append)
        try:
            async with asynccontextmanager(test)(prober, heard):
                pass
        finally:
            prober.close()

    asyncio.run(run())


def answers(heard: list[Event]) -> list[EchoReturned]:
    return [event for event in heard if isinstance(event, EchoReturned)]


@pytest.mark.usefixtures("wan0")
def test_an_echo_comes_back_in_both_families_with_its_number() -> None:
    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        for seq in range(1, 21):
            prober.send(SendEchoes("fibre", seq, (FAR, FAR6)))
            await become(lambda seq=seq: len(answers(heard)) == 2 * seq)
        assert {(event.seq, event.target) for event in answers(heard)} == {
            (seq, target) for seq in range(1, 21) for target in (FAR, FAR6)
        }
        assert all(0 < event.rtt_s < 0.1 for event in answers(heard))
        assert not any(isinstance(event, EchoNotSent) for event in heard)
        yield

    probing(test)


@pytest.mark.usefixtures("wan0")
def test_many_echoes_at_once_are_told_apart() -> None:
    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        for seq in range(1, 101):
            prober.send(SendEchoes("fibre", seq, (FAR,)))
        await become(lambda: len(answers(heard)) == 100)
        assert [event.seq for event in answers(heard)] == list(range(1, 101))
        yield

    probing(test)


@pytest.mark.usefixtures("wan0")
def test_the_time_is_the_wires_and_not_that_of_a_busy_interpreter() -> None:
    """The loop is kept from reading for 50 ms; the kernel's stamps know better. icmplib bears witness."""
    import time

    from icmplib import ping

    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        for seq in range(1, 11):
            prober.send(SendEchoes("fibre", seq, (FAR,)))
            time.sleep(0.05)  # not to wait: to be busy
            await become(lambda seq=seq: len(answers(heard)) == seq)
        ours = [event.rtt_s * 1000 for event in answers(heard)]
        oracle = await asyncio.to_thread(ping, FAR, count=10, interval=0.01, timeout=1)
        assert max(ours) < 25
        assert statistics.median(ours) <= oracle.avg_rtt + 0.5  # icmplib's contains Python's own delay
        yield

    probing(test)


def test_an_echo_leaves_by_its_own_device_or_not_at_all(wan0: str) -> None:
    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        ip("addr", "add", "192.0.2.1/32", "dev", "lo")
        prober.send(SendEchoes("fibre", 1, (FAR,)))
        await become(lambda: len(answers(heard)) == 1)
        ip("link", "set", wan0, "down")
        prober.send(SendEchoes("fibre", 2, (FAR, FAR6)))
        refused = [event for event in heard if isinstance(event, EchoNotSent)]
        assert {(event.seq, event.target) for event in refused} == {(2, FAR), (2, FAR6)}
        assert {event.reason for event in refused} <= {"ENETUNREACH", "ENETDOWN", "EADDRNOTAVAIL", "EHOSTUNREACH"}
        yield

    probing(test)


def test_a_device_that_comes_back_with_another_index_is_heard_again(wan0: str) -> None:
    def index() -> int:
        return int(ip("link", "show", wan0).split(":")[0])

    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        prober.see(KernelSeen((Link(wan0, True, index=index()),)))
        prober.send(SendEchoes("fibre", 1, (FAR,)))
        await become(lambda: len(answers(heard)) == 1)
        ip("netns", "delete", far(wan0))
        ip("link", "add", "other", "type", "veth")  # takes the next number
        while ip("-o", "link").count(f" {wan0}@"):
            await asyncio.sleep(0.01)
        prober.send(SendEchoes("fibre", 2, (FAR,)))
        assert isinstance(heard[-1], EchoNotSent)
        with wire(wan0):
            prober.see(KernelSeen((Link(wan0, True, index=index()),)))
            prober.send(SendEchoes("fibre", 3, (FAR,)))
            await become(lambda: [event.seq for event in answers(heard)] == [1, 3])
        ip("link", "delete", "other")
        yield

    probing(test)


@pytest.mark.usefixtures("wan0")
def test_answers_to_others_are_not_taken_for_ours() -> None:
    from icmplib import ping

    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        prober.send(SendEchoes("fibre", 1, (FAR,)))
        await become(lambda: len(answers(heard)) == 1)
        (line,) = [each for each in prober._lines.values() if each.opened]
        await asyncio.to_thread(ping, FAR, count=5, interval=0.01, timeout=1, id=line.ident)
        await become(lambda: True)
        assert len(answers(heard)) == 1
        yield

    probing(test)
