"""The core driven by hand: links that answer after their RTT or not at all, and a kernel that does as wished at once.

Simpler and faster than tests/world.py, which has the lab's weather and scenarios.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from agent.core.events import EchoNotSent, EchoReturned, Effect, Event, KernelSeen, SendEchoes, SetRoutes, Tick
from agent.core.failover import Failover
from agent.core.routes import ACTIVE_TABLE, Link, Wish
from agent.core.station import Centre, Family, Kind, Metered, Station, Uplink
from wire.messages import Active, Fact, Health, Summary

RTT_S = {Kind.FIBRE: 0.008, Kind.LTE: 0.06, Kind.LEO: 0.04, Kind.GEO: 0.6}
TARGETS = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
SETTLED_S = 30.0
"""Long enough for every kind of link to have proven good."""


def station(kinds: Mapping[str, Kind], targets: tuple[str, ...] = TARGETS, metered: Sequence[str] = ()) -> Station:
    return Station(
        station="6408042001143",
        uplinks=tuple(
            Uplink(name, f"wan{n}", kind, metered=Metered(20_000) if name in metered else None)
            for n, (name, kind) in enumerate(kinds.items())
        ),
        targets=targets,
        centre=Centre("mqtt://198.51.100.10"),
    )


class Driven:
    """Seconds pass because we say so. Moments are counted from the agent's start."""

    def __init__(self, targets: tuple[str, ...] = TARGETS, metered: Sequence[str] = (), **kinds: Kind) -> None:
        self.station = station(kinds or {"fibre": Kind.FIBRE, "lte": Kind.LTE}, targets, metered)
        self.now = 0.0
        self.rtt_s = {uplink.name: RTT_S[uplink.kind] for uplink in self.station.uplinks}
        self.cut: set[str] = set()
        """Uplinks that swallow every packet, there or back, while it is under way."""
        self.dead_targets: set[str] = set()
        self.dead_ways: set[tuple[str, str]] = set()
        """Uplinks, and the targets that do not answer by them."""
        self.unsendable: set[str] = set()
        """Uplinks for which the kernel takes no echo."""
        self.links = {
            uplink.name: Link(
                uplink.interface,
                carrier=True,
                addresses=((Family.IPV4, f"198.18.{n}.2"),),
                gateways=((Family.IPV4, f"198.18.{n}.1"),),
                index=n + 1,
            )
            for n, uplink in enumerate(self.station.uplinks)
        }
        self.facts: list[tuple[float, Fact]] = []
        self.told: list[Effect] = []
        """All effects of the newest event that had a fact among them, in order."""
        self.summaries: list[Summary] = []
        self.wish = Wish()
        self.wishes = 0
        self.echoes = 0
        self._coming: list[tuple[float, int, Event]] = []
        self._order = count()
        self.core = Failover(self.station, self.now)
        self.see()

    @property
    def active(self) -> str | None:
        """The uplink by which the kernel sends."""
        devices = [route.device for route in self.wish.routes if route.table == ACTIVE_TABLE]
        return next((uplink.name for uplink in self.station.uplinks if uplink.interface in devices), None)

    @property
    def moves(self) -> list[tuple[str | None, str | None]]:
        return [(fact.before, fact.after) for _, fact in self.facts if fact.code == "TRAFFIC_MOVED"]

    @property
    def codes(self) -> list[str]:
        return [fact.code for _, fact in self.facts]

    def health(self, uplink: str) -> Health:
        return next(each.health for each in self.core.state(self.now).uplinks if each.name == uplink)

    def fact(self, code: str) -> Fact:
        """The newest of that code."""
        return [fact for _, fact in self.facts if fact.code == code][-1]

    def change(self, uplink: str, **fields: object) -> None:
        """Something about an interface changed, and the kernel says so."""
        self.links[uplink] = replace(self.links[uplink], **fields)  # type: ignore[arg-type]
        self.see()

    def see(self) -> None:
        self.handle(self.picture())

    def picture(self) -> KernelSeen:
        found = tuple((route.family, route.device) for route in self.wish.routes if route.table == ACTIVE_TABLE)
        return KernelSeen(tuple(self.links.values()), found)

    def restart(self, chosen: Active | None = None) -> None:
        """kill -9 and a new agent: the kernel keeps what it had, and perhaps a choice was noted."""
        self._coming = []
        picture = self.picture()
        self.core = Failover(self.station, self.now, chosen=chosen)
        self.handle(picture)

    def run(self, seconds: float) -> None:
        """All echoes are answered, and every Tick comes when it is due."""
        end = self.now + seconds
        while True:
            answer_at = self._coming[0][0] if self._coming else end
            tick_at = max(self.core.wake_at(), self.now)
            if min(answer_at, tick_at) >= end:
                break
            if answer_at <= tick_at:
                self.now = answer_at
                self._hear()
            else:
                self.now = tick_at
                self.handle(Tick())
        self.now = end

    def stall(self, seconds: float) -> None:
        """The loop stands still; then it hears everything that has waited, and only then ticks."""
        self.now += seconds
        while self._coming and self._coming[0][0] <= self.now:
            self._hear()
        self.handle(Tick())

    def _hear(self) -> None:
        event = heapq.heappop(self._coming)[2]
        if isinstance(event, EchoReturned) and event.uplink in self.cut:
            return
        self.handle(event)

    def handle(self, event: Event) -> list[Effect]:
        effects = self.core.handle(event, self.now)
        if any(isinstance(effect, Fact) for effect in effects):
            self.told = effects
        for effect in effects:
            match effect:
                case SetRoutes(wish, _):
                    self.wish, self.wishes = wish, self.wishes + 1
                case SendEchoes():
                    self._send(effect)
                case Fact():
                    self.facts.append((self.now, effect))
                case Summary():
                    self.summaries.append(effect)
        return effects

    def _send(self, order: SendEchoes) -> None:
        for target in order.targets:
            self.echoes += 1
            if order.uplink in self.unsendable:
                self._expect(self.now, EchoNotSent(order.uplink, order.seq, target, "ENETUNREACH"))
            elif (
                order.uplink not in self.cut
                and target not in self.dead_targets
                and (order.uplink, target) not in self.dead_ways
            ):
                rtt_s = self.rtt_s[order.uplink]
                self._expect(self.now + rtt_s, EchoReturned(order.uplink, order.seq, target, rtt_s))

    def _expect(self, at: float, event: Event) -> None:
        heapq.heappush(self._coming, (at, next(self._order), event))


def settled(targets: tuple[str, ...] = TARGETS, metered: Sequence[str] = (), **kinds: Kind) -> Driven:
    """A station whose links have all proven good."""
    driven = Driven(targets, metered, **kinds)
    driven.run(SETTLED_S)
    assert {driven.health(uplink.name) for uplink in driven.station.uplinks} == {Health.UP}
    driven.facts.clear()
    return driven
