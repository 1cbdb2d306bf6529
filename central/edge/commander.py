"""Sends what people command, signed, again and again until it is answered or too late."""

import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.db.utils import DatabaseError

from central.core.commands import address, pause_s
from central.edge import commands, store
from central.edge.tables.models import Command as Row
from wire.command import Command, Kind, Result, Status, Why, encode
from wire.topics import Address, Down

LOOK_EVERY_S = 0.5
READY_PATIENCE_S = 5.0
TROUBLE_PAUSE_S = 5.0
STOP_PATIENCE_S = 2.0
CHILD_PATIENCE_S = 60.0

log = logging.getLogger("siaga.commander")

Say = Callable[[str, bytes, bool], bool]
"""Topic, payload, retained; whether the broker may have it."""


class Unsigned(Exception):
    """Nothing can be sent; the sentence says why."""


class Commander:
    """A thread of its own, for the store and the signing; the collector's connection carries the words."""

    name = "commander"

    def __init__(self, data: Path, say: Say) -> None:
        self._data, self._say = data, say

    def start(self) -> None:
        self._stopping, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="commander", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        self._ready.wait(READY_PATIENCE_S)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_PATIENCE_S)

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                self._stopping.wait(self._look())
        finally:
            store.let_go()

    def _look(self) -> float:
        """How long to wait for the next look."""
        try:
            now_s = time.time()
            due = [(row, command) for row in commands.waiting(now_s) if (command := _addressed(row, now_s)) is not None]
            if due or not self._ready.is_set():  # the first time the keys are made, if there are none
                self._send(due, _signed(self._data, [command for _, command in due]), now_s)
                self._ready.set()
        except (Unsigned, DatabaseError) as why:
            log.error("nothing can be commanded now: %s", why)
            return TROUBLE_PAUSE_S
        return LOOK_EVERY_S

    def _send(self, due: list[tuple[Row, Command]], signed: list[bytes], now_s: float) -> None:
        for (row, command), payload in zip(due, signed, strict=True):
            if not payload:
                too_long = "signed it is longer than a message may be"
                commands.settle(Result(row.station, row.name, Status.REFUSED, Why.BAD_ARGUMENTS, too_long), now_s)
                continue
            is_config = command.kind == Kind.CONFIG
            topic = Address(row.station, Down.CONFIG if is_config else Down.COMMAND).topic
            if self._say(topic, payload, is_config):
                commands.note_sent(row, command.boot, now_s)


def _addressed(row: Row, now_s: float) -> Command | None:
    """What is to be sent now, if anything."""
    boot, until_s = "", 0.0
    if row.expires_s is not None:
        view = store.station(row.station)
        found = address(view, row.expires_s, now_s) if view is not None else None
        if found is None:
            return None
        boot, until_s = found.boot, found.until_s
    pause = pause_s(row.sent, row.kind == Kind.CONFIG, random.random()) if row.sent else 0.0
    if row.sent_to == boot and now_s < row.sent_s + pause:
        return None
    arguments = commands.arguments_of(row)
    return Command(row.station, row.name, row.kind, row.by, row.asked_s, row.expires_s, boot, until_s, arguments)


def _signed(data: Path, wanted: list[Command]) -> list[bytes]:
    """By a child, which alone reads the key; raises Unsigned."""
    lines = b"".join(encode(command) + b"\n" for command in wanted)
    try:
        child = [sys.executable, "-m", "central.edge.seal", str(data)]
        done = subprocess.run(child, input=lines, capture_output=True, timeout=CHILD_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Unsigned(f"who signs does not work: {why}") from None
    signed = done.stdout.splitlines()
    if done.returncode or len(signed) != len(wanted):
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unsigned(words[-1] if words else f"who signs ended with {done.returncode}")
    return signed
