"""One uplink at work: its interface, who measures and judges it, how often it fell, and what its old flows do."""

from collections.abc import Iterator

from msgspec import structs

from agent.core.bandwidth import Allowance
from agent.core.bandwidth import told as told_measured
from agent.core.decide import Candidate, Phase, Relapses
from agent.core.diagnosis import Diagnosis
from agent.core.events import (
    AskSeen,
    BandwidthMeasured,
    MeasureBandwidth,
    NotMeasured,
    Queued,
    SendEchoes,
    SendStamp,
    TrafficCounted,
)
from agent.core.flows import Flows, changes_at, flows
from agent.core.lanes import Standing
from agent.core.links import LinkWatch
from agent.core.memory import Watched
from agent.core.plan import Plan, Policy, told
from agent.core.routes import Link
from agent.core.sight import Sight
from agent.core.signal import Reception
from agent.core.station import Family, Station, Uplink
from agent.core.trials import Trials
from agent.core.watch import Watch
from agent.core.ways import Ways
from wire.messages import Evidence, Fact, Forecast, Health, UplinkState, UplinkSummary


class Line:
    def __init__(self, station: Station, uplink: Uplink, known: Watched, now: float) -> None:
        self.uplink, self.known = uplink, known
        self.interface = LinkWatch(Link(uplink.interface))
        self.watch = Watch(uplink, station.targets, now, known)
        self.plan = Plan(uplink.metered, known.used, now) if uplink.metered else None
        self.unqueued: str | None = None
        self.ways = Ways(station, uplink.name, self.watch.budget)
        self.diagnosis = Diagnosis(uplink.name, self.watch.budget)
        self.trials = Trials(station, uplink, now)
        self.sight = Sight(station, uplink, self.watch.budget, now)
        self.relapses = Relapses()
        self.reception = Reception(uplink.name)
        self.home_at = now
        """Before this moment the traffic does not come home to it."""
        self.left_at: dict[Family, float | None] = dict.fromkeys(Family, now)
        """When the traffic of a family left it, at our start if it did before; None while it carries it."""

    @property
    def link(self) -> Link:
        return self.interface.believed

    @property
    def trouble(self) -> str | None:
        """What makes it unusable whatever its echoes do."""
        if not self.link.carrier:
            return "no carrier" if self.link.index else "no such interface"
        return None if self.link.gateways else "no gateway"

    @property
    def is_metered(self) -> bool:
        return self.uplink.metered is not None

    @property
    def standing(self) -> Standing:
        return Standing(self.plan.policy if self.plan else Policy.OPEN, self.unqueued)

    def count(self, counted: TrafficCounted, now: float) -> None:
        self.watch.count(counted, now)
        self.trials.count(counted.tx_bytes, counted.rx_bytes, now)
        if self.plan is not None:
            self.plan.count(counted.rx_bytes, counted.tx_bytes)

    def ask(self, now: float) -> Iterator[SendEchoes | SendStamp]:
        """The echo that is due now, and the test packet that goes with it."""
        if (echo := self.watch.ask(now)) is None:
            return
        yield SendEchoes(self.uplink.name, echo.seq, (echo.target,))
        packet = self.ways.ask(echo, self.watch.health, self.link, self.standing.policy, now)
        if packet is not None:
            yield packet

    def look(self, now: float) -> Iterator[Fact]:
        for fact in self.watch.look(now):
            explained = self.ways.explain(fact.evidence.get("cause")) if fact.after == Health.POOR else {}
            yield structs.replace(fact, evidence=fact.evidence | explained) if explained else fact

    def allowance(self, phase: Phase, now: float) -> Allowance:
        if phase is not Phase.NORMAL:
            return Allowance(why_not=f"phase {phase}: no bandwidth is tested while votes are counted or sent")
        if self.plan is not None and self.plan.policy is not Policy.OPEN:
            return Allowance(why_not=f"the plan of {self.uplink.name} runs low: no bandwidth is tested")
        return Allowance(self.watch.budget.calm_left_bytes(now), self.watch.sample(now).loss)

    def look_at_trials(self, phase: Phase, now: float) -> MeasureBandwidth | Fact | None:
        if now < self.trials.due_at:
            return None
        return self.trials.look(self.allowance(phase, now), self.watch.health, now)

    def look_at_sight(self, now: float) -> list[AskSeen]:
        if now < self.sight.look_at or (self.plan is not None and self.plan.policy is Policy.RESERVE):
            return []
        good = [each for each in Family if self.link.has(each) and self.watch.health_of(each) is Health.UP]
        return self.sight.look(self.link, frozenset(good), now)

    def note_test(self, ended: BandwidthMeasured | NotMeasured, now: float) -> Iterator[Fact]:
        self.watch.budget.charge(ended.spent_bytes)
        match ended:
            case BandwidthMeasured(uplink, measured):
                self.trials.done(measured, now)
                yield Fact("BANDWIDTH_MEASURED", uplink, evidence=told_measured(measured))
            case NotMeasured(_, why):
                if (fact := self.trials.skip(why)) is not None:
                    yield fact

    def candidate(self, family: Family, is_sought: bool, now: float) -> Candidate:
        """Where a family is sought, because who carries it answers no more, it must itself have answered."""
        watch = self.watch
        return Candidate(
            self.uplink.name,
            watch.health_of(family),
            watch.judge.answers,
            watch.verified(now) and (not is_sought or watch.answers_in(family, now)),
            watch.fresh(now),
            self.home_at,
            watch.judge.delayed,
            watch.sample(now).rtt_ms if watch.judge.delayed else watch.usual_rtt_ms,
            self.plan is not None and self.plan.policy is Policy.RESERVE,
        )

    def state(self, carries_traffic: bool, now: float) -> UplinkState:
        sample = self.watch.sample(now)
        return UplinkState(
            name=self.uplink.name,
            interface=self.link.interface,
            kind=self.uplink.kind,
            operator=self.uplink.operator,
            health=self.watch.health,
            since_s=round(now - self.watch.judge.since, 1),
            rtt_ms=sample.rtt_ms,
            loss=self.watch.loss_while_so(now),
            carries_traffic=carries_traffic,
            signal=self.reception.known(now),
            public=tuple(self.sight.known.values()),
            forecast=self.forecast(now),
        )

    def forecast(self, now: float) -> Forecast | None:
        sample = self.watch.sample(now)
        if self.watch.health is Health.DEAD or sample.rtt_ms is None:
            return None
        return self.trials.forecast(sample.rtt_ms / 1e3, sample.loss or 0.0, now)

    def look_at_plan(self, now: float) -> Iterator[Fact]:
        if self.plan is None or (before := self.plan.policy) is (after := self.plan.look(now)):
            return
        evidence: Evidence = {**told(self.plan)}
        match after:
            case Policy.LOW:
                yield Fact("PLAN_LOW", self.uplink.name, before, after, evidence)
            case Policy.RESERVE:
                yield Fact("PLAN_RESERVE", self.uplink.name, before, after, evidence)
            case Policy.OPEN:
                yield Fact("PLAN_OPEN", self.uplink.name, before, after, evidence)

    def hear_queued(self, queued: Queued) -> Iterator[Fact]:
        if queued.unqueued == self.unqueued:
            return
        self.unqueued = queued.unqueued
        if queued.unqueued is None:
            yield Fact("QUEUE_SET", self.uplink.name)
        else:
            yield Fact("QUEUE_REFUSED", self.uplink.name, evidence={"why": queued.unqueued})

    def summary(self, now: float) -> UplinkSummary:
        heard, each_way = self.reception.known(now), self.ways.summary(now)
        return structs.replace(self.watch.summary(), signal=heard, each_way=each_way)

    def flows(self, family: Family, chosen: Health, now: float) -> Flows:
        left_at = self.left_at[family]
        left_s = None if left_at is None else now - left_at
        return flows(self.watch.health_of(family), self.is_metered, left_s, chosen)

    def flows_change_at(self, now: float) -> float | None:
        moments = [changes_at(self.is_metered, left_at, now) for left_at in self.left_at.values()]
        return min((moment for moment in moments if moment is not None), default=None)


def changes(uplink: str, before: Link, after: Link) -> Iterator[Fact]:
    """What an interface changed since it had an address and a gateway; that one comes or goes is no change."""
    if before.interface != after.interface and before.index == after.index:
        yield Fact("INTERFACE_RENAMED", uplink, before.interface, after.interface)
    for family in Family:
        old, new = before.gateway_of(family), after.gateway_of(family)
        if old and new and old != new:
            yield Fact("GATEWAY_CHANGED", uplink, old, new)
        had, has = before.addresses_of(family), after.addresses_of(family)
        if had and has and not set(had) & set(has):
            yield Fact("ADDRESS_CHANGED", uplink, had[0], has[0])
