"""Trains of packets each way, once the server knows that we are where we say."""

import time
from dataclasses import replace

from agent.bandwidth.bound import Bound, Unreachable
from agent.bandwidth.echoes import Talk
from agent.bandwidth.turn import Desk
from wire.bandwidth import PACKET_BYTES, Await, Kind, Packet, Seen, Turn, packet_bytes, stamped
from wire.train import Arrival, Estimate, estimate

TRIES = 4
FIRST_TRY_S = 1.0  # doubled each time: a sleeping radio and a satellite need more
QUIET_S = 1.0  # as the server


def prove(bound: Bound, turn: Turn) -> Talk:
    """Bring the cookie back to where it was sent; raises Unreachable."""
    talk = Talk(bound, bound.udp(), bytes.fromhex(turn.turn), b"")
    for attempt in range(TRIES):
        talk.send(Packet(Kind.OPEN, talk.turn))
        came = talk.wait(time.monotonic() + FIRST_TRY_S * 2**attempt)
        if came is not None and came.packet.kind is Kind.COOKIE:
            talk.cookie = came.packet.cookie
            return talk
    talk.opened.close()
    raise Unreachable(f"the centre's bandwidth server answers by TCP and not by UDP on {bound.device}; is UDP blocked?")


def up(talk: Talk, desk: Desk, train: int, packets: int) -> tuple[Estimate | None, Seen]:
    """By the server's count; raises Unreachable."""
    one = Packet(Kind.TRAIN, talk.turn, talk.cookie, train, packets=packets, size=PACKET_BYTES)
    ready = [packet_bytes(replace(one, number=number), PACKET_BYTES) for number in range(packets)]
    for packet in ready:
        try:
            talk.opened.send(stamped(packet, time.time_ns()))
        except OSError:  # no room: what is before us is slower than we are, and the rest is enough
            break
        talk.bound.up.add(PACKET_BYTES + talk.headers_bytes)
    seen = desk.ask(Await(train, packets), QUIET_S + 5)
    if not isinstance(seen, Seen):
        raise Unreachable("the centre's bandwidth server answers what was not asked")
    if seen.mbps is None:
        return None, seen
    return Estimate(seen.mbps, seen.error, seen.at_least, seen.burst_bytes, len(seen.came), seen.lost), seen


def down(talk: Talk, train: int, packets: int, rtt_s: float) -> Estimate | None:
    """By our count. A train of which nothing came is asked for once more, under its next number."""
    for number in (train, train + 1):
        talk.send(Packet(Kind.GO, talk.turn, talk.cookie, number, packets=packets, size=PACKET_BYTES))
        arrivals = _arrivals(talk, number, packets, rtt_s)
        if arrivals:
            return estimate(arrivals, packets)
    return None


def _arrivals(talk: Talk, train: int, packets: int, rtt_s: float) -> list[Arrival]:
    arrivals: list[Arrival] = []
    until = time.monotonic() + rtt_s * 2 + QUIET_S
    while len(arrivals) < packets and (came := talk.wait(until)) is not None:
        packet = came.packet
        if packet.kind is Kind.TRAIN and packet.train == train and packet.cookie == talk.cookie:
            arrivals.append(Arrival(packet.number, packet.sent_ns / 1e9, came.received_ns / 1e9, came.size))
            until = time.monotonic() + QUIET_S
    return arrivals
