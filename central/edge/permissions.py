"""Who may do what at the embedded broker: one user for each certificate, written anew when the register changes."""

import logging
import threading
import time

from django.db.utils import DatabaseError

from central.edge import rolls
from central.edge.broker import Broker, Secured
from central.edge.papers import Papers
from central.edge.store import let_go

LOOK_EVERY_S = 0.5
STOP_PATIENCE_S = 3.0

log = logging.getLogger("siaga.permissions")


def secured(papers: Papers, now_s: float) -> Secured:
    """What the broker's configuration says now."""
    return Secured(papers, tuple((live.station, live.serial) for live in rolls.live(now_s)))


class Doorkeeper:
    """A thread that looks at the register: who was revoked is dropped, who is new is let in, nobody else notices."""

    name = "doorkeeper"

    def __init__(self, papers: Papers, broker: Broker) -> None:
        self._papers, self._broker = papers, broker

    def start(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="doorkeeper", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Nothing to wait for: the broker was started with who is known."""

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_PATIENCE_S)

    def _watch(self) -> None:
        known: tuple[object, ...] = ()
        try:
            while True:
                known = self._look(known)
                if self._stopping.wait(LOOK_EVERY_S):
                    return
        finally:
            let_go()

    def _look(self, known: tuple[object, ...]) -> tuple[object, ...]:
        """What is known now; the same as before when the store or the disk takes nothing."""
        now_s = time.time()
        try:
            seen = (*rolls.generation(now_s), self._papers.certificate("server").stat().st_mtime_ns)
            if seen == known:
                return known
            self._broker.secure(secured(self._papers, now_s))
        except (DatabaseError, OSError) as why:
            log.error("the broker's users cannot be kept up to date: %s", why)
            return known
        return seen
