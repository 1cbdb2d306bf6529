"""An adaptive transfer: TCP one way, counted by who receives, ended when its rate is known; with echoes beside it."""

import contextlib
import os
import select
import socket
import time

from agent.bandwidth.bound import Bound
from agent.bandwidth.echoes import Echoes
from agent.bandwidth.turn import Desk, abort
from wire.bandwidth import HowMuch, Received, Transfer, Turn, Way, line
from wire.settle import Settling

LONGEST_S = 20.0
BLOCK = os.urandom(65_536)  # an accelerator on the way must not squeeze it


def up(bound: Bound, desk: Desk, turn: Turn, size: int, rtt_s: float, echoes: Echoes) -> Received | None:
    """The server's count; it ends the connection when it has seen enough. Raises Unreachable."""
    opened = _begin(bound, turn, Way.UP, size, rtt_s)
    until, left = time.monotonic() + LONGEST_S, size
    try:
        while (now := time.monotonic()) < until:
            echoes.step()
            wants = [opened] if left else []
            wait_s = max(0.0, min(echoes.due_at, until) - now)
            readable, writable, _ = select.select([opened, echoes.talk.opened], wants, [], wait_s)
            if opened in readable:  # it never says anything here, so this is the end
                break
            with contextlib.suppress(BlockingIOError):
                left -= opened.send(BLOCK[: min(left, len(BLOCK))]) if writable else 0
            if writable and not left:
                opened.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass  # it has seen enough
    bound.charge(opened)
    abort(opened)
    reply = desk.ask(HowMuch())
    return reply if isinstance(reply, Received) and reply.mbps is not None else None


def down(bound: Bound, turn: Turn, size: int, rtt_s: float, echoes: Echoes) -> Received | None:
    """Our count. Raises Unreachable."""
    opened = _begin(bound, turn, Way.DOWN, size, rtt_s)
    settling = Settling(rtt_s)
    until, left = time.monotonic() + LONGEST_S, size
    while left > 0 and not settling.settled and (now := time.monotonic()) < until:
        echoes.step()
        wait_s = max(0.0, min(echoes.due_at, until) - now)
        readable, _, _ = select.select([opened, echoes.talk.opened], [], [], wait_s)
        if opened in readable:
            try:
                data = opened.recv(65_536)
            except ConnectionError:
                break
            if not data:
                break
            settling.take(len(data), time.monotonic())
            left -= len(data)
    bound.charge(opened)
    abort(opened)
    rate = settling.rate
    if rate is None:
        return None
    in_vain = min(left, round(rate.mbps * 125_000 * rtt_s))  # was on its way when we had seen enough
    bound.down.add(max(0, in_vain), 0)
    return Received(rate.bytes, rate.mbps, rate.settled, rate.seconds)


def _begin(bound: Bound, turn: Turn, way: Way, size: int, rtt_s: float) -> socket.socket:
    opened = bound.tcp()
    opened.sendall(line(Transfer(turn.turn, way, size, rtt_s)))
    opened.setblocking(False)
    return opened
