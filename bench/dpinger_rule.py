"""What pfSense does, to measure ours against: dpinger's rule with pfSense's settings, real pings and one default route.

The rule is that of dpinger.c (github.com/dennypage/dpinger); settings and choice are those of gwlb.inc (of pfSense,
github.com/pfsense/pfsense). An installed dpinger watches in the place of our own loop. Run as a program in a router's
namespace. Not included: the rest of pfSense's reaction, which is PHP and takes time of its own, and IPv6.
"""

import json
import queue
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

SEND_EVERY_S = 0.5
LOST_AFTER_S = 2.0
WINDOW_S = 60.0
CHECK_EVERY_S = 1.0
LOSS_LIMIT_PERCENT = 20
LATENCY_LIMIT_MS = 500
HOLD_CHECKS = 10

_SLOTS = int(WINDOW_S / SEND_EVERY_S)
# 61,440: the most that fits into 16 bits and is whole windows, so that a number names its slot
_SEQUENCES = _SLOTS << 9
_METRIC = 1  # below those of DHCP: the one default route that is replaced
_ECHO = struct.Struct("!BBHHH")
_TOLD = re.compile(r"(?P<name>\S+) \S+: (?P<word>Alarm|Clear) (?P<report>.*)")  # as dpinger writes to stderr
_NFT = "table ip pfsense {\nchain out {\ntype nat hook postrouting priority srcnat\noifname wan* masquerade\n}\n}\n"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A member of the group; the first has the best tier."""

    name: str
    device: str
    address: str  # ours on that device
    router: str
    monitor: str  # pinged through this gateway only; pfSense skips one that another gateway has already
    latency_limit_ms: int = LATENCY_LIMIT_MS


@dataclass(frozen=True, slots=True)
class Report:
    latency_ms: float
    loss_percent: int

    def __str__(self) -> str:
        return f"latency {self.latency_ms:.0f} ms, loss {self.loss_percent} %"


@dataclass(frozen=True, slots=True)
class Alert:
    gateway: str
    in_alarm: bool
    told: str


class Window:
    """The last 120 echoes, each empty, sent, or answered. An answer that comes late un-loses its echo."""

    def __init__(self) -> None:
        self._sent_s: list[float | None] = [None] * _SLOTS
        self._latency_s: list[float | None] = [None] * _SLOTS
        self._next = 0

    def send(self, now_s: float) -> int:
        """The sequence number to send."""
        sequence, slot = self._next, self._next % _SLOTS
        self._sent_s[slot], self._latency_s[slot] = now_s, None
        self._next = (sequence + 1) % _SEQUENCES
        return sequence

    def answer(self, sequence: int, now_s: float) -> None:
        slot = sequence % _SLOTS
        sent_s = self._sent_s[slot]
        if sent_s is not None and self._latency_s[slot] is None:
            self._latency_s[slot] = now_s - sent_s

    def report(self, now_s: float) -> Report:
        answered = [latency_s for latency_s in self._latency_s if latency_s is not None]
        lost = sum(
            sent_s is not None and latency_s is None and now_s - sent_s > LOST_AFTER_S
            for sent_s, latency_s in zip(self._sent_s, self._latency_s, strict=True)
        )
        latency_ms = sum(answered) / len(answered) * 1e3 if answered else 0.0
        # an integer quotient, and what is still on its way is in neither number
        return Report(latency_ms, lost * 100 // (len(answered) + lost) if lost else 0)


@dataclass(slots=True)
class Alarm:
    """Raised at once, cleared by ten good checks in a row; one for latency, one for loss."""

    latency_limit_ms: int = LATENCY_LIMIT_MS
    _latency_hold: int = field(default=0, init=False)
    _loss_hold: int = field(default=0, init=False)

    @property
    def is_on(self) -> bool:
        return self._latency_hold > 0 or self._loss_hold > 0

    def check(self, report: Report) -> bool:
        """Whether something began or ended."""
        before = self._latency_hold > 0, self._loss_hold > 0
        self._latency_hold = _held(self._latency_hold, report.latency_ms > self.latency_limit_ms)
        self._loss_hold = _held(self._loss_hold, report.loss_percent > LOSS_LIMIT_PERCENT)
        return before != (self._latency_hold > 0, self._loss_hold > 0)


def _held(hold: int, is_above: bool) -> int:
    return HOLD_CHECKS if is_above else max(0, hold - 1)


def choose(gateways: Sequence[Gateway], in_alarm: set[str]) -> Gateway:
    """The best tier with a member that is not in alarm. When all are, all count as up: pfSense's plan B."""
    return next((gateway for gateway in gateways if gateway.name not in in_alarm), gateways[0])


def main() -> int:
    """Its argument is a JSON list of gateways, best tier first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gateways = [Gateway(**row) for row in json.loads(sys.argv[1])]
    _become_router(gateways)
    binary = shutil.which("dpinger")
    in_alarm: set[str] = set()
    active = gateways[0]
    for alert in _told_by_dpinger(binary, gateways) if binary else _pinged(gateways):
        print(f"{'ALARM' if alert.in_alarm else 'CLEAR'} {alert.gateway} {alert.told}", flush=True)
        (in_alarm.add if alert.in_alarm else in_alarm.discard)(alert.gateway)
        chosen = choose(gateways, in_alarm)
        if chosen != active:
            _send_by(chosen)
            active = chosen
    return 1


def _become_router(gateways: Sequence[Gateway]) -> None:
    _run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    _run("nft", "-f", "-", text=_NFT)
    for gateway in gateways:
        _run("ip", "route", "replace", gateway.monitor, "via", gateway.router, "dev", gateway.device)
    _send_by(gateways[0])


def _send_by(gateway: Gateway) -> None:
    """Atomic: the kernel has the old or the new default, never none."""
    _run("ip", "route", "replace", "default", "via", gateway.router, "dev", gateway.device, "metric", str(_METRIC))


def _run(*command: str, text: str = "") -> None:
    subprocess.run(command, input=text, text=True, check=True)


def _pinged(gateways: Sequence[Gateway]) -> Iterator[Alert]:
    """By our own loop."""
    monitors = [_Monitor(gateway) for gateway in gateways]
    while True:
        due_s = min(min(each.send_at_s, each.check_at_s) for each in monitors)
        answered, _, _ = select.select(monitors, [], [], max(0.0, due_s - time.monotonic()))
        for each in answered:
            each.receive()
        for each in monitors:
            each.send_when_due()
            if (alert := each.check_when_due()) is not None:
                yield alert


class _Monitor:
    """One gateway's echoes, by a socket of the kernel's own ping that is bound to the device."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._window, self._alarm = gateway, Window(), Alarm(gateway.latency_limit_ms)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, gateway.device.encode())
        self._socket.bind((gateway.address, 0))
        now_s = time.monotonic()
        self.send_at_s, self.check_at_s = now_s + SEND_EVERY_S, now_s + CHECK_EVERY_S

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> None:
        _, _, _, _, sequence = _ECHO.unpack_from(self._socket.recv(1024))
        self._window.answer(sequence, time.monotonic())

    def send_when_due(self) -> None:
        now_s = time.monotonic()
        if now_s >= self.send_at_s:
            self.send_at_s = now_s + SEND_EVERY_S  # it sleeps after it sent, as dpinger does
            echo = _ECHO.pack(8, 0, 0, 0, self._window.send(now_s))  # the kernel adds identifier and checksum
            self._socket.sendto(echo, (self._gateway.monitor, 0))

    def check_when_due(self) -> Alert | None:
        now_s = time.monotonic()
        if now_s < self.check_at_s:
            return None
        self.check_at_s = now_s + CHECK_EVERY_S
        report = self._window.report(now_s)
        return Alert(self._gateway.name, self._alarm.is_on, str(report)) if self._alarm.check(report) else None


def _told_by_dpinger(binary: str, gateways: Sequence[Gateway]) -> Iterator[Alert]:
    """By the installed dpinger, one process for each gateway, as pfSense starts it."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with ExitStack() as started:
        for gateway in gateways:
            command = [binary, *_options(gateway), gateway.monitor]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            started.callback(process.kill)
            threading.Thread(target=_hear, args=(process, lines), daemon=True).start()
        while line := lines.get():
            if (found := _TOLD.match(line)) is not None:
                yield Alert(found["name"], found["word"] == "Alarm", found["report"])


def _hear(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.put(line)
    lines.put("")  # one that has ended watches nothing, and so the whole ends


def _options(gateway: Gateway) -> list[str]:
    times_ms = {"-s": SEND_EVERY_S, "-l": LOST_AFTER_S, "-t": WINDOW_S, "-A": CHECK_EVERY_S}
    return [
        *("-f", "-r", "0", "-i", gateway.name, "-B", gateway.address),
        *(word for option, time_s in times_ms.items() for word in (option, str(round(time_s * 1e3)))),
        *("-D", str(gateway.latency_limit_ms), "-L", str(LOSS_LIMIT_PERCENT)),
    ]


if __name__ == "__main__":
    sys.exit(main())
