"""The split of loss into up and down by test packets (STAMP), beside the emulator's own count of what it dropped."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from agent.core.events import SendStamp, StampNotSent, StampReturned
from agent.core.span import wilson
from agent.core.station import Centre, Kind, Station, Uplink
from agent.core.twoway import Counts, Share, TwoWay
from agent.edge.stamp import Asker
from bench import table
from bench.measure.links import Link, way
from central.core.reflect import Limits
from central.edge.reflector import Reflector, listener
from lab import namespace
from lab.topology import SERVER
from wire.stamp import PORT

LOSSES = ((0.1, 0.0), (0.0, 0.1), (0.2, 0.05), (0.03, 0.3))  # up, down
PACKETS = 1500
EVERY_S = 0.002
CALM_S = 0.5  # for whatever is on its way


def measure() -> str:
    rows = []
    with way("{delay_ms: 12}") as link, _reflecting(link):
        for up, down in LOSSES:
            counts, dropped = _asked(link, up, down)
            rows += [_row(up, down, way, share, dropped[way]) for way, share in _shares(counts)]
            print(rows[-2:], counts, file=sys.stderr, flush=True)
    head = ["loss up / down", "way", "told, of packets", "share", "emulator dropped", "share, Wilson 95 %", "within"]
    note = (
        f"{PACKETS} packets each, {1 / EVERY_S:g} a second, over the lab's relay, round trip 24 ms, answered by "
        "the centre's reflector. The relay counts all that it drops; what the kernel sends by itself is among it. "
        "Down is of those that reached the reflector."
    )
    return f"{table.render(head, rows)}\n\n{note}"


@contextmanager
def _reflecting(link: Link) -> Iterator[None]:
    assert link.station is not None
    with namespace.within(link.station.topology.name("internet")):
        bound = listener("::", PORT)
    with closing(bound):
        reflector = Reflector(bound, limits=Limits(source_per_s=1e6, source_burst=1e6))
        reflector.start()
        try:
            yield
        finally:
            reflector.stop()


def _asked(link: Link, up: float, down: float) -> tuple[Counts, dict[str, tuple[int, int]]]:
    """What became of the packets, and for each way how many the relay dropped of how many, in the same moments."""
    station = link.station
    assert station is not None
    before = station.statistics("lte")
    counts = asyncio.run(_ask(link, up, down))
    after = station.statistics("lte")
    return counts, {
        way: (after[way]["lost"] - before[way]["lost"], after[way]["packets"] - before[way]["packets"]) for way in after
    }


async def _ask(link: Link, up: float, down: float) -> Counts:
    two_way = TwoWay()

    def hear(event: StampReturned | StampNotSent) -> None:
        if isinstance(event, StampReturned):
            two_way.returned(event.reflected, time.monotonic())
        else:
            two_way.not_sent(event.seq)

    uplink = Uplink("lte", link.device, Kind.LTE)
    asker = Asker(Station("6408042001143", (uplink,), (SERVER,), Centre("mqtt://198.51.100.10")), hear)

    async def ask(packets: int) -> None:
        begin_s = time.monotonic()
        for number in range(1, packets + 1):
            asker.send(SendStamp("lte", two_way.send(time.monotonic()), SERVER))
            await asyncio.sleep(begin_s + number * EVERY_S - time.monotonic())
        await asyncio.sleep(CALM_S)

    assert link.station is not None
    with namespace.within(link.namespace):
        await ask(1)  # with it the socket is opened, and stays there
    link.station.set_weather("lte", {"up": {"loss": up}, "down": {"loss": down}})
    await ask(PACKETS)
    link.station.set_weather("lte", {"up": {"loss": 0.0}, "down": {"loss": 0.0}})
    await ask(1)  # it is answered, which tells the way of those that were lost last
    asker.close()
    two_way.settle(time.monotonic() + 1e6)
    return two_way.take_counts()


def _shares(counts: Counts) -> tuple[tuple[str, Share], tuple[str, Share]]:
    return ("up", counts.up), ("down", counts.down)


def _row(up: float, down: float, way: str, told: Share, dropped: tuple[int, int]) -> list[str]:
    low, high = wilson(*dropped)
    share = told.lost / told.of if told.of else None
    inside = share is not None and low is not None and high is not None and low <= share <= high
    return [
        f"{up:.0%} / {down:.0%}",
        way,
        f"{told.lost} of {told.of}",
        "-" if share is None else f"{share:.2%}",
        f"{dropped[0]} of {dropped[1]}",
        f"{dropped[0] / max(dropped[1], 1):.2%}, {low or 0:.2%} to {high or 0:.2%}",
        "yes" if inside else "no",
    ]
