"""Echoes timed by ours or by icmplib, in a process of its own: python -m bench.measure.pinging WHO WORK TARGET COUNT.

Prints as JSON what each echo's number on the wire was said to take, in seconds.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable

from icmplib import ICMPLibError, ICMPRequest, ICMPv4Socket

from agent.core.events import EchoReturned, Event, SendEchoes
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge.icmp import Prober

DEVICE = "wan0"
EVERY_S = 0.02
PATIENCE_S = 1.0
IDENT = 4711


def main() -> int:
    who, work, target, count = sys.argv[1:]
    if work == "busy":
        threading.Thread(target=_work, daemon=True).start()
    said = WHO[who](target, int(count))
    print(json.dumps(said))
    return 0


def _work() -> None:
    while True:
        pass


def _ours(target: str, count: int) -> dict[int, float]:
    return asyncio.run(_probed(target, count))


async def _probed(target: str, count: int) -> dict[int, float]:
    said: dict[int, float] = {}

    def hear(event: Event) -> None:
        if isinstance(event, EchoReturned):
            said[event.seq] = event.rtt_s

    uplink = Uplink("bench", DEVICE, Kind.FIBRE)
    prober = Prober(Station("6408042001143", (uplink,), (target,), Centre("mqtt://198.51.100.10")), hear)
    begin_s = time.monotonic()
    for number in range(1, count + 1):  # a prober's numbers on the wire begin with 1
        prober.send(SendEchoes("bench", number, (target,)))
        await asyncio.sleep(begin_s + number * EVERY_S - time.monotonic())
    await asyncio.sleep(PATIENCE_S)
    prober.close()
    return said


def _icmplib(target: str, count: int) -> dict[int, float]:
    said: dict[int, float] = {}
    with ICMPv4Socket() as opened:
        begin_s = time.monotonic()
        for number in range(1, count + 1):
            request = ICMPRequest(target, IDENT, number)
            try:
                opened.send(request)
                said[number] = opened.receive(request, PATIENCE_S).time - request.time
            except ICMPLibError:
                continue
            finally:
                time.sleep(max(0.0, begin_s + number * EVERY_S - time.monotonic()))
    return said


WHO: dict[str, Callable[[str, int], dict[int, float]]] = {"ours": _ours, "icmplib": _icmplib}


if __name__ == "__main__":
    sys.exit(main())
