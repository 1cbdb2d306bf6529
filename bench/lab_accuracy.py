"""How exactly the lab's weather comes out, and how much it carries: prints a table and writes it into docs/lab.md.

Usage: python bench/lab_accuracy.py [--trace FILE]
Packets go from the station's router through one link to the internet; their arrival is stamped by the kernel.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import random
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lab import cell, namespace, weather  # noqa: E402
from lab.netns import Station  # noqa: E402
from lab.topology import SERVER, Topology  # noqa: E402

DOCS = ROOT / "docs" / "lab.md"
BEGIN, END = "<!-- measured by bench/lab_accuracy.py -->", "<!-- end of what was measured -->"
PORT = 9000
SO_TIMESTAMPNS, UDP_SEGMENT = 35, 103
HEADERS_BYTES = 28  # IPv4 and UDP
BIG_BYTES = 1400


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    sent_s: float
    came_s: float  # the kernel's stamp

    @property
    def took_ms(self) -> float:
        return 1e3 * (self.came_s - self.sent_s)


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    set_to: str
    measured: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, help="in Mahimahi's format; a made-up LTE uplink when left out")
    arguments = parser.parse_args()
    if not cell.inside():
        return cell.enter([sys.executable, *sys.argv])
    rows = [*noise(), *losses(), *queues(), *trace(arguments.trace), *capacity()]
    text = _table(rows)
    print(text)
    _write(text)
    return 0


def noise() -> Iterator[Row]:
    for rate, seconds in ((1_000, 8), (10_000, 5)):
        with _link({"delay_ms": 20}) as (_, near, far):
            came = _stream(near, far, rate * seconds, rate, BIG_BYTES)
        added_us = sorted(1e3 * (each.took_ms - 20) for each in came)
        yield Row(
            f"delay at {rate:,} packets/s",
            "20 ms",
            f"added p50 {_part(added_us, 0.5):.0f} µs, p99 {_part(added_us, 0.99):.0f} µs, "
            f"worst {added_us[-1] / 1e3:.1f} ms; {rate * seconds - len(came)} of {rate * seconds:,} lost",
        )


def losses() -> Iterator[Row]:
    sent = 20_000
    for what, change, expected in (
        ("independent loss", {"loss": 0.02}, 0.02),
        ("Gilbert-Elliott p 0.01, r 0.25", {"gilbert": {"p": 0.01, "r": 0.25}}, 0.01 / 0.26),
    ):
        with _link({"delay_ms": 1, **change}) as (_, near, far):
            came = {each.number for each in _stream(near, far, sent, 4_000, 100)}
        lost = [number not in came for number in range(sent)]
        bursts = sum(now and not before for before, now in itertools.pairwise([False, *lost]))
        told = f"{sum(lost) / sent:.2%} of {sent:,}, mean burst {sum(lost) / max(1, bursts):.2f}"
        yield Row(what, f"{expected:.2%}", told)


def queues() -> Iterator[Row]:
    for rate_mbps in (5, 20):
        size = BIG_BYTES + HEADERS_BYTES
        offered = int(1.5 * rate_mbps * 1e6 / 8 / size)
        with _link({"rate_mbps": rate_mbps, "buffer_kb": 256}) as (_, near, far):
            came = _stream(near, far, offered * 4, offered, BIG_BYTES)
        late = [each for each in came if each.came_s > came[-1].came_s - 2]
        carried = (len(late) - 1) * size * 8 / 1e6 / (late[-1].came_s - late[0].came_s)
        waited_ms = statistics.median(each.took_ms for each in late)
        yield Row(
            "rate and 256 kB of buffer, offered 150 %",
            f"{rate_mbps} Mbit/s, {256 * 8 / rate_mbps:.1f} ms of queue",
            f"{carried:.2f} Mbit/s, {waited_ms:.1f} ms",
        )


def trace(path: Path | None) -> Iterator[Row]:
    """Every opportunity has a packet waiting: what comes out must be the trace itself."""
    seconds = 10
    recorded = weather.read_trace(str(path or "made up"), path.read_text() if path else _made_up())
    file = Path("/run/bench.trace")
    file.write_text("\n".join(map(str, recorded.opportunities_ms)))
    with _link({"trace": str(file), "buffer_kb": 200}) as (_, near, far):
        came = _stream(near, far, 3_000 * seconds, 3_000, 1500 - HEADERS_BYTES)
    begin_s, end_s = came[0].came_s + 1, came[-1].came_s - 0.5  # in between packets always wait
    got_ms = [1e3 * each.came_s for each in came if begin_s < each.came_s < end_s]
    first = _first_used(got_ms, recorded)
    late_ms = sorted(each - recorded.at_ms(first + place) for place, each in enumerate(got_ms))
    offered = recorded.since(recorded.at_ms(first) + got_ms[-1] - got_ms[0]) - first
    yield Row(
        f"replay of a trace ({path.name if path else 'made-up LTE'}), saturated for {seconds} s",
        f"{offered:,} opportunities",
        f"{len(got_ms):,} packets; after its line, against the most punctual one, "
        f"p50 {_part(late_ms, 0.5) - late_ms[0]:.2f} ms, p99 {_part(late_ms, 0.99) - late_ms[0]:.2f} ms",
    )


def capacity() -> Iterator[Row]:
    for size, what in ((BIG_BYTES, "large packets"), (100, "small packets")):
        best, carried = 0, 0.0
        for rate in range(20_000, 300_000, 20_000):
            lost, carried_now = _flood(rate, size)
            if lost > 0:
                break
            best, carried = rate, carried_now
        yield Row(
            f"highest rate without loss, {what} ({size + HEADERS_BYTES} bytes), one link, no delay",
            "-",
            f"{best:,} packets/s = {carried:.0f} Mbit/s",
        )


def _flood(rate: int, size: int, seconds: float = 2.0) -> tuple[int, float]:
    """Lost packets and Mbit/s, by the counters of the far device; a burst is sent each millisecond."""
    with _link({}) as (station, near, _):
        counter = ["cat", "/sys/class/net/isp0/statistics/rx_packets"]
        before = int(station.run("internet", counter))
        burst = rate // 1000
        began_s, bursts = time.monotonic(), int(seconds * 1000)
        for number in range(bursts):
            _sleep_until(began_s + number / 1000)
            _send_burst(near, burst, size)
        took_s = time.monotonic() - began_s
        time.sleep(0.3)
        came = int(station.run("internet", counter)) - before
    return bursts * burst - came, came * (size + HEADERS_BYTES) * 8 / 1e6 / took_s


def _send_burst(near: socket.socket, packets: int, size: int) -> None:
    """Segmented by the kernel, so that the sender does not become what is measured."""
    most = min(60, 65_000 // size)
    while packets > 0:
        now = min(most, packets)
        segment = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))
        near.sendmsg([bytes(size * now)], [segment], 0, (SERVER, PORT))
        packets -= now


@contextmanager
def _link(change: dict[str, object]) -> Iterator[tuple[Station, socket.socket, socket.socket]]:
    """A station with one uplink; a socket at each end. Only the way up has the weather."""
    link = weather.changed(weather.LinkWeather(), {"up": change})
    with Station(Topology(("fibre",), ipv6=False), {"fibre": link}) as station:
        with namespace.within("tps"):
            near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with namespace.within("internet"):
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with near, far:
            far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            far.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: the receiver must not lose anything
            far.bind((SERVER, PORT))
            _send_one(near, 0, 100)
            _receive(far, 0.5)
            yield station, near, far


def _stream(near: socket.socket, far: socket.socket, packets: int, rate: int, size: int) -> list[Arrival]:
    """Sends from a child process, so that sender and receiver do not wait for each other."""
    child = os.fork()
    if child == 0:
        began_s = time.monotonic() + 0.01
        for number in range(packets):
            _sleep_until(began_s + number / rate)
            _send_one(near, number, size)
        os._exit(0)
    came = list(_receive(far, 1.5))
    os.waitpid(child, 0)
    return came


def _send_one(near: socket.socket, number: int, size: int) -> None:
    near.sendto(struct.pack("=Qd", number, time.time()).ljust(size, b"\0"), (SERVER, PORT))


def _receive(far: socket.socket, until_silent_s: float) -> list[Arrival]:
    far.settimeout(until_silent_s)
    came: list[Arrival] = []
    while True:
        try:
            data, ancillary, _, _ = far.recvmsg(2048, 64)
        except TimeoutError:
            return came
        number, sent_s = struct.unpack_from("=Qd", data)
        seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
        came.append(Arrival(number, sent_s, seconds + nanoseconds / 1e9))


def _sleep_until(at_s: float) -> None:
    left_s = at_s - time.monotonic()
    if left_s > 0.0003:
        time.sleep(left_s - 0.0002)
    while time.monotonic() < at_s:
        pass


def _made_up() -> str:
    """An LTE uplink of about 8 Mbit/s whose rate wanders; the same in every run."""
    chance, at_ms, rate, lines = random.Random(1), 0.0, 8.0, []
    while at_ms < 30_000:
        rate = min(20.0, max(0.3, rate * chance.gauss(1, 0.05)))
        at_ms += chance.expovariate(rate * 1e6 / 8 / 1500 / 1e3)
        lines.append(str(int(at_ms)))
    return "\n".join(lines)


def _first_used(got_ms: Sequence[float], recorded: weather.Trace) -> int:
    """The opportunity of the first packet: the replay began a while before, and only here do all others fit."""
    some = got_ms[:400]

    def misfit(first: int) -> float:
        late = [each - got_ms[0] - recorded.at_ms(first + place) for place, each in enumerate(some)]
        return max(late) - min(late)

    return min(range(recorded.since(6_000)), key=misfit)


def _part(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _table(rows: Sequence[Row]) -> str:
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    lines = [f"Measured on {machine} by `python bench/lab_accuracy.py`.", ""]
    lines += ["| what | set | measured |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.what} | {row.set_to} | {row.measured} |" for row in rows)])


def _write(text: str) -> None:
    page = DOCS.read_text() if DOCS.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    sys.exit(main())
