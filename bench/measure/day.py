"""What watching a standby costs: the agent's core is given a day's answers, and what it asks for is counted."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from agent.core.events import EchoReturned, Event, KernelSeen, SendEchoes, SendStamp, StampReturned, Tick
from agent.core.failover import Failover
from agent.core.pace import ECHO_BYTES
from agent.core.routes import Link
from agent.core.station import Centre, Family, Kind, Metered, Station, Uplink, family_of
from agent.core.twoway import Reflected
from agent.core.ways import HEADERS
from bench import table
from lab.scenario import TARGETS
from lab.topology import CENTRE
from wire.stamp import OPEN_BYTES, PORT

DAY_S = 86_400.0
PLAN_MB = 3000  # a month
ACTIVE = "carrying"
ACTIVE_LOSS = 0.01
RTT_S = {Kind.LTE: 0.06, Kind.GEO: 0.6}
JITTER_S = 0.01
STAMP_BYTES = 2 * (OPEN_BYTES + HEADERS[Family.IPV4])  # there and back
TARGET_MB = {Kind.LTE: 2.0, Kind.GEO: 1.0}
DAYS = {"every echo answered": 0.0, "1 % lost": 0.01, "5 % lost": 0.05, "dead all day": 1.0}


def measure() -> str:
    with ProcessPoolExecutor() as pool:
        found = dict(zip(DAYS, pool.map(spent, DAYS.values()), strict=True))
    rows = [_row(kind, name, days) for kind in TARGET_MB for name, days in found.items()]
    head = ["standby", "its day", "echoes", "STAMP packets", "MB", "at most", "reached"]
    note = (
        f"Simulated: the core (agent/core/failover.py) for a day, beside an LTE that carries the traffic and loses "
        f"{ACTIVE_LOSS:.0%} of its echoes, which wakes the standbys now and then. Bytes of IP packets with headers: "
        "each echo and each test packet, and its answer where there was one. All of reachability, round trip and loss "
        "comes from these."
    )
    return f"{table.render(head, rows)}\n\n{note}"


def spent(loss: float, lasts_s: float = DAY_S) -> dict[str, tuple[int, int, int]]:
    """Echoes, test packets and bytes of each uplink when its standbys lose so much."""
    station = _station()
    losses = {uplink.name: ACTIVE_LOSS if uplink.name == ACTIVE else loss for uplink in station.uplinks}
    world = World(station, losses)
    world.run(lasts_s)
    return {name: (world.echoes[name], world.stamps[name], world.octets[name]) for name in losses}


class World:
    """Links that lose at random, and a kernel that does as wished at once."""

    def __init__(self, station: Station, losses: Mapping[str, float]) -> None:
        self._losses = losses
        self._kinds = {uplink.name: uplink.kind for uplink in station.uplinks}
        self._chance = random.Random(1)
        self._core = Failover(station, 0.0)
        self._now = 0.0
        self._coming: list[tuple[float, int, Event]] = [(0.0, 0, KernelSeen(_links(station)))]
        self._order: Iterator[int] = count(1)
        self.echoes: Counter[str] = Counter()
        self.stamps: Counter[str] = Counter()
        self.octets: Counter[str] = Counter()
        self._reflections: Counter[str] = Counter()

    def run(self, lasts_s: float) -> None:
        while True:
            heard_at = self._coming[0][0] if self._coming else math.inf
            tick_at = max(self._core.wake_at(), self._now)
            self._now = min(heard_at, tick_at)
            if self._now >= lasts_s:
                return
            event = heapq.heappop(self._coming)[2] if heard_at <= tick_at else Tick()
            for effect in self._core.handle(event, self._now):
                match effect:
                    case SendEchoes(name, seq, targets):
                        for target in targets:
                            self.echoes[name] += 1
                            if (rtt_s := self._trip_s(name, ECHO_BYTES[family_of(target)])) is not None:
                                self._expect(rtt_s, EchoReturned(name, seq, target, rtt_s))
                    case SendStamp(name, seq, target):
                        self.stamps[name] += 1
                        if (rtt_s := self._trip_s(name, STAMP_BYTES)) is not None:
                            self._expect(rtt_s, StampReturned(name, target, self._reflected(name, seq, rtt_s)))

    def _trip_s(self, name: str, both_bytes: int) -> float | None:
        """Seconds there and back; None for a packet that is lost on its way there."""
        if self._chance.random() < self._losses[name]:
            self.octets[name] += both_bytes // 2
            return None
        self.octets[name] += both_bytes
        return RTT_S[self._kinds[name]] + self._chance.expovariate(1 / JITTER_S)

    def _reflected(self, name: str, seq: int, rtt_s: float) -> Reflected:
        number = self._reflections[name]
        self._reflections[name] += 1
        return Reflected(seq, number, self._now + rtt_s / 2, rtt_s, rtt_s / 2, rtt_s / 2)

    def _expect(self, after_s: float, event: Event) -> None:
        heapq.heappush(self._coming, (self._now + after_s, next(self._order), event))


def _station() -> Station:
    active = Uplink(ACTIVE, "wan0", Kind.LTE)
    standbys = [
        Uplink(kind, f"wan{place}", kind, metered=Metered(PLAN_MB)) for place, kind in enumerate(TARGET_MB, start=1)
    ]
    return Station(
        "6408042001143", (active, *standbys), TARGETS, Centre(f"mqtt://{CENTRE}", stamp=(f"{CENTRE}:{PORT}",))
    )


def _links(station: Station) -> tuple[Link, ...]:
    return tuple(
        Link(
            uplink.interface,
            carrier=True,
            addresses=((Family.IPV4, f"198.18.{place}.2"),),
            gateways=((Family.IPV4, f"198.18.{place}.1"),),
            index=place,
        )
        for place, uplink in enumerate(station.uplinks, start=1)
    )


def _row(kind: Kind, day: str, found: Mapping[str, tuple[int, int, int]]) -> list[str]:
    echoes, stamps, octets = found[kind]
    reached = "yes" if octets <= TARGET_MB[kind] * 1e6 else "no"
    return [kind.upper(), day, f"{echoes:,}", f"{stamps:,}", f"{octets / 1e6:.2f}", f"{TARGET_MB[kind]:g} MB", reached]
