"""One link's emulated way: moves frames between two TAP devices, each direction through its own weather."""

from __future__ import annotations

import ctypes
import errno
import gc
import heapq
import json
import os
import select
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from random import Random

from lab import namespace, weather
from lab.reading import Refusal
from lab.weather import Direction, LinkWeather, Trace, Weather

_ETHERNET_BYTES = 14  # weather counts IP packets
_FRAMES_A_TURN = 16  # so that neither direction waits long for the other
_GONE = (errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.EINVAL)  # the device is down: lost, as on a cable
_PR_SET_TIMERSLACK = 29


def run(near_tap: int, far_tap: int, control_path: str, seed: int) -> None:
    """Relays until the process ends. Near is the provider's side, far is the internet."""
    _hurry()
    pipes = {
        "up": Pipe(near_tap, far_tap, Random(f"{seed} up")),
        "down": Pipe(far_tap, near_tap, Random(f"{seed} down")),
    }
    control = Control(control_path, pipes, (near_tap, far_tap))
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection takes milliseconds, and the loop below makes no cycles
    relay(list(pipes.values()), control)


def relay(pipes: list[Pipe], control: Control) -> None:
    by_descriptor = {pipe.source: pipe for pipe in pipes}
    descriptors = [*by_descriptor, control.socket.fileno()]
    monotonic = time.monotonic
    while True:
        now_s = monotonic()
        next_s = min(pipe.release(now_s) for pipe in pipes)
        # epoll would round the time-out up to whole milliseconds
        ready, _, _ = select.select(descriptors, (), (), max(0.0, next_s - monotonic()))
        for descriptor in ready:
            pipe = by_descriptor.get(descriptor)
            if pipe is None:
                control.answer()
            else:
                pipe.take()


class Pipe:
    """One direction: source, weather, a heap of frames that wait for their release, sink."""

    def __init__(self, source: int, sink: int, chance: Random) -> None:
        self.source, self.sink = source, sink
        self.direction = Direction(Weather(), chance, time.monotonic())
        self._waiting: list[tuple[float, int, bytes]] = []
        self._taken = 0

    def take(self) -> None:
        read, admit, monotonic = os.read, self.direction.admit, time.monotonic
        for _ in range(_FRAMES_A_TURN):
            try:
                frame = read(self.source, 65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE:
                    return
                raise
            # each frame has its own stamp: one for the turn would release the last frames too early
            release_s = admit(monotonic(), len(frame) - _ETHERNET_BYTES)
            if release_s is not None:
                self._taken += 1
                heapq.heappush(self._waiting, (release_s, self._taken, frame))

    def release(self, now_s: float) -> float:
        """Sends what is due; when to come back."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now_s:
            frame = heapq.heappop(waiting)[2]
            try:
                os.write(self.sink, frame)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
        return waiting[0][0] if waiting else now_s + 1.0


class Control:
    """Answers JSON on a Unix datagram socket: {"weather": {"up": {}, "down": {}}}, {"carrier": false} or {}."""

    def __init__(self, path: str, pipes: dict[str, Pipe], taps: tuple[int, int]) -> None:
        self._pipes, self._taps = pipes, taps
        self._traces: dict[str, Trace] = {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def answer(self) -> None:
        try:
            request, peer = self.socket.recvfrom(65536)
        except BlockingIOError:
            return
        try:
            self._obey(json.loads(request))
            counts = {name: asdict(pipe.direction.counts) for name, pipe in self._pipes.items()}
            now = {name: asdict(pipe.direction.weather) for name, pipe in self._pipes.items()}
            answer: dict[str, object] = {"counts": counts, "weather": now}
        except (Refusal, OSError, ValueError) as error:
            answer = {"error": str(error)}
        if peer:
            with suppress(OSError):  # whoever asked may have gone
                self.socket.sendto(json.dumps(answer).encode(), peer)

    def _obey(self, request: dict[str, object]) -> None:
        if "weather" in request:
            link = weather.changed(LinkWeather(), request["weather"])
            for name, wanted in (("up", link.up), ("down", link.down)):
                direction = self._pipes[name].direction
                if direction.weather != wanted:  # a trace that goes on must not start again
                    direction.change(wanted, time.monotonic(), self._trace(wanted.trace))
        if "carrier" in request:
            for tap in self._taps:
                namespace.set_tap_carrier(tap, bool(request["carrier"]))

    def _trace(self, path: str | None) -> Trace | None:
        if path is None:
            return None
        if path not in self._traces:
            self._traces[path] = weather.read_trace(path, Path(path).read_text())
        return self._traces[path]


def _hurry() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # ns; the default makes every timer 50 us late
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        return  # only root may; the lab works without, less exactly
