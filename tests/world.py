"""The simulator: a scenario's station in simulated time, with the real core and the lab's own weather.

What is real: agent.core, the weather model, the judging of expectations. What stands in for the world: the kernel
(it does as wished, in no time), the spool and the centre (lists). The same scenario files run against real kernels
and programs in tests/namespaces.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from agent.core.events import EchoReturned, Event, KernelSeen, SendEchoes, SetRoutes, Tick
from agent.core.failover import Failover
from agent.core.report import Numbering
from agent.core.routes import ACTIVE_TABLE, FIRST_UPLINK_TABLE, Link, Wish
from agent.core.station import Centre, Family, Kind, Metered, Station, Uplink
from lab.judgement import NOWHERE, Observation, Run, Verdict, judge, moves
from lab.scenario import (
    TARGETS,
    Action,
    Scenario,
    SetAgent,
    SetBroker,
    SetCarrier,
    SetGateway,
    SetTarget,
    SetWeather,
)
from lab.weather import Direction, LinkWeather
from wire.messages import Fact, Record, Stamp, Summary, decode_record

SETTLING_S = 40.0  # before the timeline begins; a GEO link needs seven good echoes a second apart
KERNEL_S = 0.003  # measured: 1 to 6 ms from an event to our hearing of it
CLIENT_EVERY_S = 0.01
ECHO_BYTES = 36
CLIENT_BYTES = 200


@dataclass
class Road:
    """One uplink's two directions; probes and the LAN client's packets share them."""

    interface: str
    up: Direction
    down: Direction
    carrier: bool = True
    gateway: str = "home"

    def trip_s(self, now: float, size: int) -> float | None:
        """Seconds there and back, or None for never."""
        there = self.up.admit(now, size) if self.carrier else None
        back = self.down.admit(there, size) if there is not None else None
        return None if back is None else back - now

    def change(self, weather: LinkWeather, now: float) -> None:
        self.up.change(weather.up, now)
        self.down.change(weather.down, now)


@dataclass
class World:
    scenario: Scenario
    seed: int = 1
    now: float = -SETTLING_S
    observations: list[Observation] = field(default_factory=list)
    facts: list[tuple[float, Fact]] = field(default_factory=list)
    centre: list[Record] = field(default_factory=list)
    echoes: int = 0
    client_gap_s: float = 0.0
    downloads_broken: int = 0

    def __post_init__(self) -> None:
        chance = Random(self.seed)
        self.station = Station(
            station="6408042001143",
            uplinks=tuple(
                Uplink(u.name, f"wan{n}", Kind(u.kind), metered=Metered(3000) if u.metered else None)
                for n, u in enumerate(self.scenario.uplinks)
            ),
            targets=TARGETS,
            centre=Centre("mqtt://198.51.100.10"),
        )
        self.roads = {
            uplink.name: Road(
                f"wan{n}",
                Direction(uplink.weather.up, chance, self.now),
                Direction(uplink.weather.down, chance, self.now),
            )
            for n, uplink in enumerate(self.scenario.uplinks)
        }
        self._coming: list[tuple[float, int, Event | Action]] = []
        self._order = count()
        self._dead_targets: set[str] = set()
        self._wish = Wish()
        self._spool: list[Record] = []
        self._broker_runs = True
        self._numbering = Numbering.begin("6408042001143", "epoch")
        self._core: Failover | None = None
        self._download_by: str | None = None
        self._client_sent_at = 0.0
        self._client_heard_at = 0.0
        for action in self.scenario.timeline:
            self._expect(action.at_s, action)
        self._start_agent()

    @property
    def active(self) -> str | None:
        """The uplink by which the kernel would send the LAN's IPv4 traffic."""
        return next((name for name, road in self.roads.items() if road.interface == self._carrying), None)

    @property
    def moves(self) -> list[tuple[float, str, str]]:
        return moves([each for each in self.observations if each.t_s >= 0])

    def run(self) -> list[Verdict]:
        """The whole scenario, and a verdict on each of its expectations."""
        self.run_until(0)
        self.observations.append(replace(self.observations[-1], t_s=0.0))
        self.run_until(self.scenario.lasts_s)
        stored = "everything" if self.centre == self._spool else f"{len(self.centre)} of {len(self._spool)} records"
        return judge(self.scenario.expect, Run(self.observations, self.client_gap_s, self.downloads_broken, stored))

    def run_until(self, end_s: float) -> None:
        while True:
            next_s = min([each[0] for each in self._coming[:1]] + ([self._core.wake_at()] if self._core else [end_s]))
            if next_s >= end_s:
                break
            self._pass_time(max(next_s, self.now))
            if self._coming and self._coming[0][0] <= self.now:
                self._happen(heapq.heappop(self._coming)[2])
            elif self._core:
                self._handle(Tick())
        self._pass_time(end_s)

    def _happen(self, event: Event | Action) -> None:
        match event:
            case SetWeather(_, uplink, weather):
                self.roads[uplink].change(weather, self.now)
            case SetCarrier(_, uplink, on):
                self.roads[uplink].carrier = on
                self._expect(self.now + KERNEL_S, self._picture())
            case SetGateway(_, uplink, to):
                self.roads[uplink].gateway = to
                self._expect(self.now + KERNEL_S, self._picture())
            case SetTarget(_, target, answers):
                (self._dead_targets.discard if answers else self._dead_targets.add)(target)
            case SetAgent(_, runs):
                self._start_agent() if runs else self._kill_agent()
            case SetBroker(_, runs):
                self._broker_runs = runs
                self._deliver()
            case _:
                self._handle(event)

    def _start_agent(self) -> None:
        self._core = Failover(self.station, self.now)
        self._expect(self.now + KERNEL_S, self._picture())

    def _kill_agent(self) -> None:
        self._core = None
        self._coming = [each for each in self._coming if not isinstance(each[2], Event)]
        heapq.heapify(self._coming)

    def _handle(self, event: Event) -> None:
        if self._core is None:
            return
        for effect in self._core.handle(event, self.now):
            match effect:
                case SetRoutes(wish, _):
                    self._wish = wish
                    self._keep_downloading()
                case SendEchoes():
                    self._send(effect)
                case Fact() | Summary():
                    self._report(effect)
        self._observe()

    def _keep_downloading(self) -> None:
        """A connection stays with its uplink until it must leave it; the next one goes by the choice."""
        leaving = {each.interface for each in self._wish.leaving if each.family is Family.IPV4}
        if self._download_by in leaving:
            self.downloads_broken += self.now >= 0
            self._download_by = None
        self._download_by = self._download_by or self._carrying

    def _send(self, order: SendEchoes) -> None:
        for target in order.targets:
            self.echoes += 1
            trip_s = self.roads[order.uplink].trip_s(self.now, ECHO_BYTES)
            if trip_s is not None and target not in self._dead_targets:
                self._expect(self.now + trip_s, EchoReturned(order.uplink, order.seq, target, trip_s))

    def _report(self, body: Fact | Summary) -> None:
        if isinstance(body, Fact):
            self.facts.append((self.now, body))
        line = self._numbering.record(body, Stamp("boot", self.now, 0, False))
        self._spool.append(decode_record(line.data))
        self._deliver()

    def _deliver(self) -> None:
        if self._broker_runs:
            self.centre += self._spool[len(self.centre) :]

    def _pass_time(self, until: float) -> None:
        """The LAN client goes on sending; the timeline's first second is where its watch begins."""
        while self._client_sent_at + CLIENT_EVERY_S <= until:
            self._client_sent_at += CLIENT_EVERY_S
            active = self.active
            trip_s = self.roads[active].trip_s(self._client_sent_at, CLIENT_BYTES) if active else None
            if trip_s is not None:
                heard_at = self._client_sent_at + trip_s
                self.client_gap_s = max(self.client_gap_s, heard_at - (self._client_heard_at or heard_at))
                self._client_heard_at = max(heard_at, self._client_heard_at)
        self.now = until

    def _picture(self) -> KernelSeen:
        links = tuple(
            Link(
                interface=road.interface,
                index=n + 1,
                carrier=road.carrier,
                addresses=((Family.IPV4, f"198.18.{n}.2"),),
                gateways=((Family.IPV4, f"198.18.{n}.{1 if road.gateway == 'home' else 254}"),),
            )
            for n, road in enumerate(self.roads.values())
        )
        found = self._carrying
        return KernelSeen(links, ((Family.IPV4, found),) if found else ())

    @property
    def _carrying(self) -> str | None:
        return next((route.device for route in self._wish.routes if route.table == ACTIVE_TABLE), None)

    def _observe(self) -> None:
        assert self._core is not None
        seen = Observation(
            t_s=self.now,
            active=self.active or NOWHERE,
            health={uplink.name: uplink.health for uplink in self._core.state(self.now).uplinks},
            gateway=dict(self._gateways()),
        )
        if not self.observations or replace(seen, t_s=self.observations[-1].t_s) != self.observations[-1]:
            self.observations.append(seen)

    def _gateways(self) -> Iterator[tuple[str, str]]:
        for n, name in enumerate(self.roads):
            for route in self._wish.routes:
                if route.table == FIRST_UPLINK_TABLE + n:
                    yield name, "home" if str(route.gateway).endswith(".1") else "moved"

    def _expect(self, at_s: float, event: Event | Action) -> None:
        heapq.heappush(self._coming, (at_s, next(self._order), event))
