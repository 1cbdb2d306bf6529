"""Sends what people command, signed, again and again until it is answered or too late."""

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.db.utils import DatabaseError

from central.core.commands import address, pause_s
from central.edge import commands, store
from central.edge.seal import Seal, SealError
from central.edge.tables.models import Command as Row
from wire.command import Command, Kind
from wire.topics import Address, Down

LOOK_EVERY_S = 0.5
READY_PATIENCE_S = 5.0
TROUBLE_PAUSE_S = 5.0
STOP_PATIENCE_S = 2.0

log = logging.getLogger("siaga.commander")

Say = Callable[[str, bytes, bool], bool]
"""Topic, payload, retained; whether the broker may have it."""


class Commander:
    """A thread of its own, for the store and the signing; the collector's connection carries the words."""

    name = "commander"

    def __init__(self, data: Path, say: Say) -> None:
        self._data, self._say = data, say
        self._seal: Seal | None = None

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
            self._seal = self._seal or Seal(self._data)
            self._ready.set()
            for row in commands.waiting(time.time()):
                self._send(self._seal, row, time.time())
        except (SealError, DatabaseError) as why:
            log.error("nothing can be commanded now: %s", why)
            return TROUBLE_PAUSE_S
        return LOOK_EVERY_S

    def _send(self, seal: Seal, row: Row, now_s: float) -> None:
        is_config = row.kind == Kind.CONFIG
        to, until_s = "", 0.0
        if row.expires_s is not None:
            view = store.station(row.station)
            found = address(view, row.expires_s, now_s) if view is not None else None
            if found is None:
                return
            to, until_s = found.boot, found.until_s
        if row.sent and row.sent_to == to and now_s < row.sent_s + pause_s(row.sent, is_config, random.random()):
            return
        arguments = commands.arguments_of(row)
        command = Command(row.station, row.name, row.kind, row.by, row.asked_s, row.expires_s, to, until_s, arguments)
        topic = Address(row.station, Down.CONFIG if is_config else Down.COMMAND).topic
        if self._say(topic, seal.sign(command), is_config):
            commands.note_sent(row, to, now_s)
