"""One test of one uplink from begin to end: turn, proof, idle echoes, load, and what it all says."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from agent.bandwidth import speedtest, trains, transfer
from agent.bandwidth.bound import Bound, CannotMeasure, Carried
from agent.bandwidth.echoes import Echoes, Talk, added_ms
from agent.bandwidth.order import Order
from agent.bandwidth.turn import Desk, take
from agent.core.bandwidth import Measured, OneWay, of_goodput, of_train, of_transfer, result
from agent.core.delivery import IP_SHARE
from wire.bandwidth import PACKET_BYTES, TRAIN_AT_MOST, TRAIN_PACKETS, Ask, HowMuch, Received, Turn, Way
from wire.train import Estimate

IDLE_S = 0.6  # twelve echoes
DRAIN_S = 1.5  # a satellite's last answer
ANSWER_WITHIN_S = 8.0
OVERHEAD_BYTES = 25_000  # of the turn, the proof and the echoes
TRAINS_LAST_S, TRANSFERS_LAST_S = 30.0, 60.0


class Own(AbstractContextManager["Own"]):
    """The station's own traffic while something of ours runs, by the interface's counters."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self.mbps = {Way.UP: 0.0, Way.DOWN: 0.0}

    def __enter__(self) -> "Own":
        self._before, self._at = self._look(), time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        after, seconds = self._look(), max(time.monotonic() - self._at, 1e-3)
        for way, cost, was, now in zip(Way, (self._bound.up, self._bound.down), self._before, after, strict=True):
            self.mbps[way] = max(0, now - was) * 8e-6 / seconds
            cost.bytes -= max(0, was - now)  # what a queue of this machine has dropped never left it

    def _look(self) -> tuple[int, int]:
        """Of the others: all that was carried, less ours."""
        carried = self._bound.carried() or Carried(0, 0)
        return carried.up_bytes - self._bound.up.on_device, carried.down_bytes - self._bound.down.on_device


Load = Callable[["Session"], tuple[OneWay, OneWay]]


@dataclass(slots=True)
class Session:
    order: Order
    bound: Bound
    desk: Desk
    turn: Turn
    talk: Talk
    idle: Echoes
    rtt_s: float

    @property
    def left_bytes(self) -> int:
        return self.order.bytes - self.bound.up.bytes - self.bound.down.bytes


def measure(order: Order, how: str) -> Measured:
    """Raises CannotMeasure."""
    bound = Bound(order.device, order.server, ANSWER_WITHIN_S)
    try:
        return _measured(order, how, bound)
    except CannotMeasure as why:
        why.spent_bytes = bound.up.bytes + bound.down.bytes
        raise


def _measured(order: Order, how: str, bound: Bound) -> Measured:
    load, lasts_s = LOADS[how]
    desk, turn = take(bound, Ask(order.group, order.bytes, lasts_s), order.patience_s)
    with desk, trains.prove(bound, turn) as talk:
        idle = Echoes(talk)
        idle.watch(IDLE_S, DRAIN_S)
        if not idle.answered:
            raise CannotMeasure("no echo of a dozen has come back from the centre; this uplink loses nearly everything")
        rtt_s = min(echo.rtt_s for echo in idle.answered)
        ways = load(Session(order, bound, desk, turn, talk, idle, rtt_s))
    loss = order.loss if order.loss is not None else 1 - len(idle.answered) / idle.sent
    return result(order.uplink, how, ways, rtt_s, loss, bound.up.bytes + bound.down.bytes)


def public(order: Order) -> Measured:
    """By the vendor's own servers; nobody there counts an upload for us. Raises CannotMeasure."""
    bound = Bound(order.device, order.server, ANSWER_WITHIN_S)
    with Own(bound) as own:
        said = speedtest.run(order, "public", order.bytes)
        for cost, key in ((bound.up, "up_bytes"), (bound.down, "down_bytes")):
            size = round(said[key] / IP_SHARE)
            cost.add(size, size // 1500)
    ways = of_goodput(None, own.mbps[Way.UP], said["up_said_mbps"]), of_goodput(said["down_mbps"], own.mbps[Way.DOWN])
    return result(order.uplink, "public speedtest", ways, None, order.loss or 0.0, bound.up.bytes + bound.down.bytes)


def _trains(session: Session) -> tuple[OneWay, OneWay]:
    with Own(session.bound) as own:
        told = [_until_told(session, each) for each in (_up, _down)]
    return of_train(told[0], own.mbps[Way.UP]), of_train(told[1], own.mbps[Way.DOWN])


def _until_told(session: Session, send: Callable[[Session, int, int], Estimate | None]) -> Estimate | None:
    """A bucket larger than the train hides the shaper: then a longer one, if it may cost so much."""
    packets, number, told = TRAIN_PACKETS, 0, None
    share = 2 if send is _up else 1  # the other way wants its train too
    while packets <= TRAIN_AT_MOST and session.left_bytes > share * packets * (PACKET_BYTES + 48):
        told = send(session, number, packets) or told
        if told is not None and not told.at_least:
            break
        packets, number = 2 * packets, number + 2
    return told


def _up(session: Session, number: int, packets: int) -> Estimate | None:
    return trains.up(session.talk, session.desk, number, packets)[0]


def _down(session: Session, number: int, packets: int) -> Estimate | None:
    return trains.down(session.talk, number, packets, session.rtt_s)


def _transfers(session: Session) -> tuple[OneWay, OneWay]:
    bound, desk, turn, rtt_s = session.bound, session.desk, session.turn, session.rtt_s

    def up(size: int, echoes: Echoes) -> Received | None:
        return transfer.up(bound, desk, turn, size, rtt_s, echoes)

    def down(size: int, echoes: Echoes) -> Received | None:
        return transfer.down(bound, turn, size, rtt_s, echoes)

    first = _loaded(session, Way.UP, up, (session.left_bytes - OVERHEAD_BYTES) // 2)
    session.idle.watch(0.0, DRAIN_S)
    return first, _loaded(session, Way.DOWN, down, session.left_bytes - OVERHEAD_BYTES)


def _loaded(session: Session, way: Way, fill: Callable[[int, Echoes], Received | None], size: int) -> OneWay:
    """Both ways' headers are not in `size`: they are some 5 % of it."""
    echoes = Echoes(session.talk)
    with Own(session.bound) as own:
        told = fill(max(0, round(size * 0.9)), echoes)
    echoes.watch(0.0, DRAIN_S)
    clock_kept = not (echoes.stepped or session.idle.stepped)
    return of_transfer(
        told, own.mbps[way], added_ms(session.idle.answered, echoes.answered, way) if clock_kept else None
    )


def _speedtest(session: Session) -> tuple[OneWay, OneWay]:
    """The upload by the server's count, whatever speedtest-cli says."""
    with Own(session.bound) as own:
        host, port = session.bound.address[:2]
        host = f"[{host}]" if ":" in host else host
        size = session.left_bytes - OVERHEAD_BYTES
        said = speedtest.run(session.order, f"http://{host}:{port}/{session.turn.turn}", size)
        received = session.desk.ask(HowMuch())
        for cost, key in ((session.bound.up, "up_bytes"), (session.bound.down, "down_bytes")):
            size = round(said[key] / IP_SHARE)
            cost.add(size, size // 1500)
    counted_mbps = None
    if isinstance(received, Received) and received.seconds > 0:
        counted_mbps = received.bytes * 8e-6 / received.seconds
    return (
        of_goodput(counted_mbps, own.mbps[Way.UP], said["up_said_mbps"]),
        of_goodput(said["down_mbps"], own.mbps[Way.DOWN]),
    )


LOADS: dict[str, tuple[Load, float]] = {
    "train": (_trains, TRAINS_LAST_S),
    "transfer": (_transfers, TRANSFERS_LAST_S),
    "speedtest": (_speedtest, TRANSFERS_LAST_S),
}
