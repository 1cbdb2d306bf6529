"""Our test packets to a reflector (STAMP), on a real wire: what comes back, and what the lab says was lost."""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from agent.core.events import KernelSeen, SendStamp, StampNotSent, StampReturned
from agent.core.oneway import OneWay
from agent.core.routes import Link
from agent.core.span import wilson
from agent.core.station import Centre, Kind, Station, Uplink
from agent.core.twoway import Counts, TwoWay, Verdict
from agent.edge.stamp import Asker
from central.core.reflect import Limits
from central.edge.reflector import Reflector, listener
from lab import namespace, relay_control, weather
from lab.weather import LinkWeather
from tests.edge.conftest import become
from tests.edge.link import FAR, FAR6, NEAR, another_way_out, far, ip, space, wire
from wire.stamp import NS, Accuracy, Reply, Request, nanoseconds, read_request, reply_bytes, timestamp

STATION = Station("6408042001143", (Uplink("fibre", "wan0", Kind.FIBRE),), (FAR,), Centre("mqtt://198.51.100.10"))
KEY = b"sixteen letters!"
ROOT = Path(__file__).parents[2]
PLENTY = Limits(source_per_s=1e6, source_burst=1e6)


@pytest.fixture
def wan0(cell: None) -> Iterator[str]:  # noqa: ARG001
    with wire("wan0") as name:
        yield name


@contextmanager
def reflecting(there: str, key: bytes | None = None) -> Iterator[Reflector]:
    """A reflector in that namespace, for both families."""
    with namespace.within(there):
        bound = listener("::", 862)
    with closing(bound):
        reflector = Reflector(bound, (lambda _: key) if key else None, PLENTY)
        reflector.start()
        try:
            yield reflector
        finally:
            reflector.stop()


class Asking:
    """An asker with its loss and delays, as the daemon will have them."""

    def __init__(self, key: bytes | None = None, ssid: int = 0) -> None:
        self.asker = Asker(STATION, self._hear, key, ssid)
        self.heard: list[StampReturned] = []
        self.verdicts: list[Verdict | None] = []
        self.not_sent: list[StampNotSent] = []
        self.two_way, self.one_way = TwoWay(), OneWay()

    def ask(self, target: str = FAR) -> int:
        seq = self.two_way.send(time.monotonic())
        self.asker.send(SendStamp("fibre", seq, target))
        return seq

    def settled(self) -> Counts:
        self.two_way.settle(time.monotonic() + 1e6)
        return self.two_way.take_counts()

    def _hear(self, event: StampReturned | StampNotSent) -> None:
        if isinstance(event, StampNotSent):
            self.two_way.not_sent(event.seq)
            self.not_sent.append(event)
        else:
            self.heard.append(event)
            self.verdicts.append(self.two_way.returned(event.reflected, time.monotonic()))


def asking(test: Callable[[Asking], AsyncIterator[None]], key: bytes | None = None, ssid: int = 0) -> None:
    """Run the test's coroutine."""

    async def run() -> None:
        here = Asking(key, ssid)
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        try:
            async with asynccontextmanager(test)(here):
                pass
        finally:
            here.asker.close()
        assert faults == []

    asyncio.run(run())


@pytest.mark.parametrize("target", [FAR, FAR6])
@pytest.mark.parametrize("key", [None, KEY])
def test_a_packet_comes_back_with_both_numbers_and_all_times(wan0: str, target: str, key: bytes | None) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        with reflecting(far(wan0), key) as reflector:
            for count in range(1, 11):
                here.ask(target)
                await become(lambda count=count: len(here.heard) == count)
        for number, event in enumerate(here.heard):
            found = event.reflected
            assert (event.uplink, event.target, found.seq, found.number) == ("fibre", target, number, number)
            assert found.up_s is not None
            assert found.down_s is not None
            assert min(found.up_s, found.down_s) > 0  # one kernel has one clock
            assert found.rtt_s == pytest.approx(found.up_s + found.down_s, abs=1e-6)
            assert found.rtt_s < 0.1
        assert here.settled() == Counts(answered=10)
        assert (reflector.counts.answered, here.asker.refused) == (10, 0)
        yield

    asking(test, key, ssid=7 if key else 0)


def test_a_reflector_with_another_key_is_silence(wan0: str) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        with reflecting(far(wan0), KEY[::-1]) as reflector:
            here.ask()
            await become(lambda: reflector.counts.unauthentic == 1)
        assert here.heard == []
        yield

    asking(test, KEY)


def test_the_time_is_the_wires_and_not_that_of_a_busy_interpreter(wan0: str) -> None:
    """The loop is kept from reading for 50 ms; the kernel's stamps know better."""

    async def test(here: Asking) -> AsyncIterator[None]:
        async def read_late() -> float:
            before = len(here.heard)
            here.ask()
            until_s = time.monotonic() + 0.05
            while time.monotonic() < until_s:  # not to wait: to be busy
                pass
            await become(lambda: len(here.heard) > before)
            return here.heard[-1].reflected.rtt_s

        with reflecting(far(wan0)):
            async with asyncio.timeout(10):  # the kernel begins to stamp a moment after the first socket asked for it
                while await read_late() > 0.025:
                    pass
            assert statistics.median([await read_late() for _ in range(9)]) < 0.025
        yield

    asking(test)


def test_a_packet_leaves_by_its_own_device_or_not_at_all(wan0: str) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        another_way_out()
        with reflecting(far(wan0)):
            here.ask()
            await become(lambda: len(here.heard) == 1)
            ip("link", "set", wan0, "down")
            for target in (FAR, FAR6):
                here.ask(target)
        assert [(event.seq, event.target) for event in here.not_sent] == [(1, FAR), (2, FAR6)]
        assert {event.reason for event in here.not_sent} <= {"ENETUNREACH", "ENETDOWN", "EADDRNOTAVAIL", "EHOSTUNREACH"}
        assert here.settled() == Counts(answered=1, not_sent=2)
        yield

    asking(test)


def test_a_device_that_comes_back_under_another_name_is_asked_through_again_and_no_loss_is_made_up(wan0: str) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        with reflecting(far(wan0)):
            here.asker.see(KernelSeen((Link(wan0, True, index=1),)))
            for _ in range(3):
                here.ask()
            await become(lambda: len(here.heard) == 3)
            ip("link", "set", wan0, "down")
            ip("link", "set", wan0, "name", "wan7")
            ip("link", "set", "wan7", "up")
            ip("addr", "replace", f"{NEAR}/24", "dev", "wan7")
            here.asker.see(KernelSeen((Link("wan7", True, index=2),)))
            for _ in range(3):
                here.ask()
            await become(lambda: len(here.heard) == 6)
            ip("link", "set", "wan7", "down")
            ip("link", "set", "wan7", "name", wan0)
        assert [event.reflected.number for event in here.heard] == [0, 1, 2, 0, 1, 2]  # another port: another session
        assert here.settled() == Counts(answered=6)
        yield

    asking(test)


def test_a_reflector_that_restarts_makes_up_no_loss(wan0: str) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        for run in range(1, 4):
            with reflecting(far(wan0)):
                for _ in range(5):
                    here.ask()
                await become(lambda run=run: len(here.heard) == 5 * run)
        assert [event.reflected.number for event in here.heard] == [*range(5)] * 3
        assert here.settled() == Counts(answered=15)
        yield

    asking(test)


def test_only_an_answer_to_what_we_asked_from_whom_we_asked_is_believed(wan0: str) -> None:
    """The far end answers by our hand: wrongly to the first packet, as it should to the second; and twice."""

    async def test(here: Asking) -> AsyncIterator[None]:
        with by_hand(wan0) as (from_there, from_elsewhere):
            here.ask()
            (first, port) = await asyncio.to_thread(asked, from_there)
            wrong = [
                Request(first.seq ^ 1, first.timestamp, first.accuracy),
                Request(first.seq, first.timestamp ^ 1, first.accuracy),
                Request(first.seq, first.timestamp, first.accuracy, ssid=9),
            ]
            for request in wrong:
                from_there.sendto(answer(request), (NEAR, port))
            from_elsewhere.sendto(answer(first), (NEAR, port))
            from_there.sendto(b"nonsense", (NEAR, port))
            await become(lambda: here.asker.refused == 5)
            assert here.heard == []
            for _ in range(2):
                from_there.sendto(answer(first), (NEAR, port))
            await become(lambda: here.verdicts == [Verdict.ANSWERED, Verdict.DUPLICATE])
        yield

    asking(test)


@contextmanager
def by_hand(name: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The reflector's own socket, and one at another port."""
    with ExitStack() as opened:
        with namespace.within(far(name)):
            pair = [opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
            for port, each in zip((862, 863), pair, strict=True):
                each.bind((FAR, port))
                each.settimeout(5)
        yield pair[0], pair[1]


def asked(there: socket.socket) -> tuple[Request, int]:
    data, (_, port) = there.recvfrom(2048)
    return read_request(data), port


def answer(request: Request, number: int = 0, far_clock_s: float = 0.0, took_s: float = 0.0) -> bytes:
    came_ns = nanoseconds(request.timestamp) + round(far_clock_s * NS)
    left_ns = came_ns + round(took_s * NS)
    return reply_bytes(Reply(number, timestamp(left_ns), Accuracy(), timestamp(came_ns), request, 64))


@pytest.mark.parametrize("took_s", [0.0, -5.0, 5.0])
def test_a_far_clock_of_another_decade_or_that_is_set_makes_no_round_trip_wrong(wan0: str, took_s: float) -> None:
    async def test(here: Asking) -> AsyncIterator[None]:
        with by_hand(wan0) as (there, _):
            for number, far_clock_s in enumerate((-1e9, 3.0, 0.5e9)):
                here.ask()
                (request, port) = await asyncio.to_thread(asked, there)
                there.sendto(answer(request, number, far_clock_s, took_s), (NEAR, port))
                await become(lambda number=number: len(here.heard) == number + 1)
                found = here.heard[-1].reflected
                assert 0 < found.rtt_s < 0.5
                if took_s:
                    assert (found.up_s, found.down_s) == (None, None)
                else:
                    assert found.up_s == pytest.approx(far_clock_s, abs=0.5)
                    assert found.down_s == pytest.approx(-far_clock_s, abs=0.5)
        yield

    asking(test)


class Weathered:
    """The wire with the lab's relay in it: two TAPs, and its own count of what it dropped."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def change(self, **directions: object) -> None:
        link = weather.changed(LinkWeather(), directions)
        relay_control.ask(self._control, {"weather": weather.written(link)})

    def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = relay_control.ask(self._control, {})["counts"]
        return found


@pytest.fixture
def weathered(cell: None) -> Iterator[Weathered]:  # noqa: ARG001
    control = Path(f"/run/stamp-{os.getpid()}.socket")
    with space(far("wan0")) as there, ExitStack() as opened:
        taps = [namespace.open_tap(name, "wan0") for name in (f"edge-{os.getpid()}", there)]
        command = [sys.executable, "-m", "lab", "relay", *map(str, taps), str(control), "7"]
        relay = subprocess.Popen(command, cwd=ROOT, pass_fds=taps)
        opened.callback(control.unlink, missing_ok=True)
        opened.callback(relay.wait)
        opened.callback(relay.kill)
        for tap in taps:
            os.close(tap)
        for where, address in (([], NEAR), (["-n", there], FAR)):
            ip(*where, "addr", "add", f"{address}/24", "dev", "wan0")
            ip(*where, "link", "set", "wan0", "up")
        yield Weathered(control)


PACKETS = 1500


@pytest.mark.parametrize(("up", "down"), [(0.1, 0.0), (0.0, 0.1), (0.2, 0.05), (0.03, 0.3)])
def test_the_split_of_loss_is_that_of_the_weather(weathered: Weathered, up: float, down: float) -> None:
    """The relay counts what it drops; ARP has been asked before, so that it counts our packets alone."""

    async def test(here: Asking) -> AsyncIterator[None]:
        weathered.change()
        with reflecting(far("wan0")) as reflector:
            await answered_again(here)
            here.two_way = TwoWay()  # from here on, with a session of its own
            here.asker.close()
            keep_neighbours()
            before, reached = weathered.counts(), reflector.counts.answered
            weathered.change(up={"loss": up}, down={"loss": down})
            for _ in range(PACKETS // 10):
                for _ in range(10):
                    here.ask()
                await asyncio.sleep(0.01)  # a pace: a thousand a second
            weathered.change()
            await answered_again(here)
            after, reached = weathered.counts(), reflector.counts.answered - reached
        counts = here.settled()
        lost = {way: after[way]["lost"] - before[way]["lost"] for way in after}
        came = {way: after[way]["packets"] - before[way]["packets"] for way in after}
        assert counts.lost_unknown == 0
        assert counts.up.of == counts.lost_up + reached
        for way, share in (("up", counts.up), ("down", counts.down)):
            low, high = wilson(lost[way], came[way])
            assert (low or 0) <= share.lost / share.of <= (high or 0)
            assert abs(share.lost - lost[way]) <= 3  # what else the kernel sends by itself
        yield

    asking(test)


async def answered_again(here: Asking) -> None:
    """Asks until one packet comes back, so that whatever was on its way has arrived before it."""
    async with asyncio.timeout(10):
        while True:
            seq = here.ask()
            until_s = time.monotonic() + 0.2
            while time.monotonic() < until_s:
                if any(event.reflected.seq == seq for event in here.heard[-20:]):
                    return
                await asyncio.sleep(0.005)


def keep_neighbours() -> None:
    """ARP is asked and answered no more, and cannot be lost."""
    for where in ([], ["-n", far("wan0")]):
        for line in ip(*where, "-4", "neigh", "show", "dev", "wan0").splitlines():
            address, _, mac, *_ = line.split()
            ip(*where, "neigh", "replace", address, "lladdr", mac, "dev", "wan0", "nud", "permanent")


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_queue_is_seen_on_its_own_way(weathered: Weathered, way: str) -> None:
    """The link becomes 80 ms slower on one way; the other stands where it stood."""

    async def test(here: Asking) -> AsyncIterator[None]:
        async def above(packets: int) -> tuple[float, float]:
            found = []
            for _ in range(packets):
                await answered_again(here)
                reflected = here.heard[-1].reflected
                assert reflected.up_s is not None and reflected.down_s is not None
                found.append(here.one_way.take(time.monotonic(), reflected.up_s, reflected.down_s))
            return statistics.median(each.up_s for each in found), statistics.median(each.down_s for each in found)

        with reflecting(far("wan0")):
            weathered.change(up={"delay_ms": 10}, down={"delay_ms": 20})
            assert max(await above(40)) < 0.01
            slower = {"up": {"delay_ms": 10}, "down": {"delay_ms": 20}}
            slower[way]["delay_ms"] += 80
            weathered.change(**slower)
            ups, downs = await above(20)
            assert (ups if way == "up" else downs) == pytest.approx(0.08, abs=0.01)
            assert (downs if way == "up" else ups) < 0.01
        yield

    asking(test)
