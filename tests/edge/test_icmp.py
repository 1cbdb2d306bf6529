"""Our echoes: their bytes as scapy reads them, and on a real wire their times as icmplib measures them."""

import asyncio
import itertools
import logging
import socket
import statistics
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.events import EchoNotSent, EchoRefused, EchoReturned, Event, KernelSeen, SendEchoes
from agent.core.routes import Link
from agent.core.station import Centre, Family, Kind, Station, Uplink
from agent.edge.icmp import HEADER, PAYLOAD, Prober, _request, checksum
from lab.namespace import within
from tests.edge.conftest import become
from tests.edge.link import ELSEWHERE, FAR, FAR6, NEAR, another_way_out, far, ip, wire

logging.getLogger("scapy").setLevel(logging.ERROR)

STATION = Station("6408042001143", (Uplink("fibre", "wan0", Kind.FIBRE),), (FAR, FAR6), Centre("mqtt://198.51.100.10"))


@settings(deadline=None)
@given(
    ident=st.integers(0, 0xFFFF),
    number=st.integers(0, 0xFFFF),
    token=st.binary(min_size=4, max_size=4),
    seq=st.integers(0, 0xFFFFFFFF),
)
def test_scapy_reads_our_echo_as_it_was_meant(ident: int, number: int, token: bytes, seq: int) -> None:
    from scapy.layers.inet import ICMP, IP

    payload = PAYLOAD.pack(token, seq)
    sent = _request(Family.IPV4, ident, number, payload)
    read = ICMP(sent)
    assert (read.type, read.code, read.id, read.seq) == (8, 0, ident, number)
    assert bytes(read.payload) == payload
    expected = ICMP(type=8, id=ident, seq=number) / payload
    assert bytes(expected) == sent  # scapy computes the checksum by itself
    assert len(IP() / expected) == 36


def test_scapy_reads_our_ipv6_echo_as_it_was_meant() -> None:
    from scapy.layers.inet6 import ICMPv6EchoRequest

    payload = PAYLOAD.pack(b"mark", 77)
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
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        prober = Prober(STATION, heard.append)
        try:
            async with asynccontextmanager(test)(prober, heard):
                pass
        finally:
            prober.close()
        assert faults == []

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
        numbers = itertools.count(1)

        async def read_late() -> float:
            prober.send(SendEchoes("fibre", seq := next(numbers), (FAR,)))
            time.sleep(0.05)  # not to wait: to be busy
            await become(lambda: len(answers(heard)) == seq)
            return answers(heard)[-1].rtt_s

        async with asyncio.timeout(10):  # the kernel begins to stamp a moment after the first socket has asked for it
            while await read_late() > 0.025:
                pass
        heard_before = len(heard)
        for _ in range(10):
            await read_late()
        ours = [event.rtt_s * 1000 for event in answers(heard[heard_before:])]
        oracle = await asyncio.to_thread(ping, FAR, count=10, interval=0.01, timeout=1)
        assert max(ours) < 25
        assert statistics.median(ours) <= oracle.avg_rtt + 0.5  # icmplib's contains Python's own delay
        yield

    probing(test)


def test_a_router_that_cannot_deliver_is_heard_in_both_families(wan0: str) -> None:
    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        with within(far(wan0)):
            for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path(f"/proc/sys/net/{switch}").write_text("1")
        ip("-n", far(wan0), "route", "add", "unreachable", "203.0.113.200")
        ip("-n", far(wan0), "-6", "route", "add", "unreachable", "2001:db8:99::200")
        ip("route", "add", "203.0.113.200", "via", FAR, "dev", wan0)
        ip("-6", "route", "add", "2001:db8:99::200", "via", FAR6, "dev", wan0)
        for seq, target in ((1, "203.0.113.200"), (2, "2001:db8:99::200")):
            prober.send(SendEchoes("fibre", seq, (target,)))
            await become(lambda seq=seq: len([each for each in heard if isinstance(each, EchoRefused)]) == seq)
        assert [(each.seq, each.reason) for each in heard if isinstance(each, EchoRefused)] == [
            (1, "EHOSTUNREACH"),
            (2, "ENETUNREACH"),
        ]
        prober.send(SendEchoes("fibre", 3, (FAR, FAR6)))
        await become(lambda: len(answers(heard)) == 2)
        yield

    probing(test)


def test_an_echo_leaves_by_its_own_device_or_not_at_all(wan0: str) -> None:
    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        another_way_out()
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
def test_an_answer_counts_only_with_our_number_token_and_round_and_from_whom_we_asked() -> None:
    """The far end is silent, and answers by our hand: wrongly to the first echo, as it should to the second."""

    async def test(prober: Prober, heard: list[Event]) -> AsyncIterator[None]:
        with answering_by_hand() as (from_far, from_elsewhere):
            prober.send(SendEchoes("fibre", 1, (FAR,)))
            prober.send(SendEchoes("fibre", 2, (FAR,)))
            first, second = [await asyncio.to_thread(asked, from_far) for _ in range(2)]
            ident, number, token, seq = first
            for wrong in ((ident ^ 1, number, token, seq), (ident, number, b"else", seq), (ident, number, token, 3)):
                from_far.sendto(reply(*wrong), (NEAR, 0))
            from_far.sendto(reply(*first)[:-1], (NEAR, 0))
            from_elsewhere.sendto(reply(*first), (NEAR, 0))
            from_far.sendto(reply(*second), (NEAR, 0))
            await become(lambda: len(answers(heard)) > 0)
            assert [event.seq for event in answers(heard)] == [2]
            from_far.sendto(reply(*first), (NEAR, 0))
            await become(lambda: [event.seq for event in answers(heard)] == [2, 1])
        yield

    probing(test)


@contextmanager
def answering_by_hand() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The far end's two addresses; its kernel is told to answer no echo."""
    with within(far("wan0")), ExitStack() as opened:
        Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").write_text("1")
        pair = []
        for address in (FAR, ELSEWHERE):
            raw = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            raw.bind((address, 0))
            raw.settimeout(5)
            pair.append(raw)
        opened_in_far = opened.pop_all()
    with opened_in_far:
        yield pair[0], pair[1]


def asked(far_end: socket.socket) -> tuple[int, int, bytes, int]:
    """Identity, number, token and round of the next echo that came, behind twenty bytes of IP."""
    packet = far_end.recv(2048)
    return (*HEADER.unpack_from(packet, 20)[3:], *PAYLOAD.unpack_from(packet, 20 + HEADER.size))


def reply(ident: int, number: int, token: bytes, seq: int) -> bytes:
    payload = PAYLOAD.pack(token, seq)
    return HEADER.pack(0, 0, checksum(HEADER.pack(0, 0, 0, ident, number) + payload), ident, number) + payload


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
