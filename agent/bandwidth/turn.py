"""Our turn at the centre's server: asked for, waited for, and over when this connection is closed."""

import socket
import time
from contextlib import AbstractContextManager
from types import TracebackType

from agent.bandwidth.bound import Bound, CannotMeasure, Unreachable
from wire.bandwidth import LINE_BYTES_AT_MOST, Ask, Await, Busy, HowMuch, Refused, Reply, Turn, line, read_reply
from wire.messages import BadMessage


class NoTurn(CannotMeasure):
    """Others test."""


class Desk(AbstractContextManager["Desk"]):
    """The connection that holds the turn."""

    def __init__(self, bound: Bound) -> None:
        self._bound, self._socket = bound, bound.tcp()
        self._lines = self._socket.makefile("rb")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._bound.charge(self._socket)
        self._lines.close()
        self._socket.close()

    def ask(self, question: Ask | Await | HowMuch, patience_s: float = 0.0) -> Reply:
        """Waits so much longer than a round trip may take; raises Unreachable."""
        try:
            self._socket.settimeout(self._bound.timeout_s + patience_s)
            self._socket.sendall(line(question))
            said = self._lines.readline(LINE_BYTES_AT_MOST)
        except OSError as why:
            raise Unreachable(f"the centre's bandwidth server does not answer: {why.strerror or why}") from None
        try:
            reply = read_reply(said)
        except BadMessage:
            reason = "speaks another language" if said else "has ended the turn"
            raise Unreachable(f"the centre's bandwidth server {reason}") from None
        if isinstance(reply, Refused):
            raise Unreachable(f"the centre's bandwidth server refuses: {reply.why}")
        return reply


def take(bound: Bound, ask: Ask, patience_s: float) -> tuple[Desk, Turn]:
    """Comes again when it is told to, while patience lasts; raises NoTurn and Unreachable."""
    until = time.monotonic() + patience_s
    while True:
        desk = Desk(bound)
        try:
            reply = desk.ask(ask)
        except Unreachable:
            desk.close()
            raise
        if isinstance(reply, Turn):
            return desk, reply
        desk.close()
        again_s = reply.again_s if isinstance(reply, Busy) else patience_s
        if time.monotonic() + again_s > until:
            raise NoTurn(_why(reply, again_s))
        time.sleep(again_s)


def _why(reply: Reply, again_s: float) -> str:
    if isinstance(reply, Busy) and reply.quiet:
        return f"the centre keeps quiet hours, in which no bandwidth is measured, for {again_s / 60:.0f} min more"
    return f"others who share this beam or cell are testing; come again in {again_s:.0f} s"


def abort(connection: socket.socket) -> None:
    """At once, so that what is queued is not sent any more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
