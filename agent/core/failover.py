"""The five steps in order: measure -> judge -> decide -> route -> report. An event and the time in, effects out."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from agent.core import commands, roles
from agent.core.bandwidth import Allowance
from agent.core.decide import COMES_HOME, Choice, choose
from agent.core.events import (
    AskSeen,
    BandwidthMeasured,
    Commanded,
    DateKnown,
    Diagnose,
    Diagnosed,
    EchoNotSent,
    EchoRefused,
    EchoReturned,
    Effect,
    Event,
    HandedOver,
    KernelSeen,
    MeasureBandwidth,
    Noticed,
    NotMeasured,
    OverrideAsked,
    OverrideEnded,
    PhaseSet,
    PublicSeen,
    Queued,
    Remember,
    RoutesRefused,
    RoutesRepaired,
    SetRoutes,
    ShowState,
    SignalSeen,
    StampNotSent,
    StampReturned,
    Stopping,
    Tick,
    TrafficCounted,
)
from agent.core.fate import Fates
from agent.core.flows import Flows
from agent.core.lanes import Standing
from agent.core.line import Line, changes
from agent.core.memory import REMEMBER_EVERY_S, Memory, Watched
from agent.core.orders import Orders
from agent.core.report import SUMMARY_EVERY_S, handed_over
from agent.core.routes import FlowsOf, Link, Wish, wish, with_configured_gateway
from agent.core.station import Family, Station
from wire.evidence import VERDICTS
from wire.messages import Active, Evidence, Fact, Health, Summary

BY_HAND = "an operator at the station chose"
REPEAT_S = 60  # the same trouble with the routes is told once in this time


class Failover:
    """`handle` may be called with any event at any time; `wake_at` names the next moment that needs a Tick.

    Echoes are judged on Tick only: after a stall every answer that was waiting has been handled before the Tick is,
    so that our own delay is never read as a link's silence.
    """

    def __init__(
        self, station: Station, now: float, memory: Memory | None = None, chosen: Active | None = None
    ) -> None:
        """`chosen`: by an earlier run of this boot, as it was noted before the kernel was told."""
        known = memory or Memory()
        self._chosen = chosen or Active()
        self.station = station
        self._lines = {
            uplink.name: Line(station, uplink, known.uplinks.get(uplink.name, Watched()), now)
            for uplink in station.uplinks
        }
        self._fates = Fates(station.uplinks)
        self._active: dict[Family, str | None] = dict.fromkeys(Family)
        self._commands = commands.Commands()
        self._orders = Orders(known, now)
        self._wish: Wish | None = None
        self._wished_for: tuple[tuple[Link, ...], Active, FlowsOf, tuple[Standing, ...]] | None = None
        self._strangers: frozenset[tuple[Family, str]] = frozenset()
        self._now = now
        self._seen = False
        self._all_dead = False
        self._told_at: dict[str, float] = {}
        self._summary_at = now + SUMMARY_EVERY_S
        self._summary_from = now
        self._late_s = 0.0
        self._remember_at = now + REMEMBER_EVERY_S

    def handle(self, event: Event, now: float) -> list[Effect]:
        self._now = now
        match event:
            case EchoReturned(uplink, seq, target, rtt_s):
                self._lines[uplink].watch.returned(seq, target, rtt_s, now)
                return []
            case EchoNotSent(uplink, seq, target, _):
                self._lines[uplink].watch.not_sent(seq, target, now)
                return []
            case EchoRefused(uplink, seq):
                self._lines[uplink].watch.echoes.refused(seq)
                return []
            case StampReturned() | StampNotSent():
                self._lines[event.uplink].ways.hear(event, now)
                return []
            case TrafficCounted():
                self._lines[event.uplink].count(event, now)
                return []
            case DateKnown(year, month, day):
                for plan in (line.plan for line in self._lines.values() if line.plan is not None):
                    plan.dated(year, month, day)
                return []
            case Queued():
                named = [line for line in self._lines.values() if line.link.interface == event.interface]
                return self._act([fact for line in named for fact in line.hear_queued(event)], now)
            case RoutesRepaired(what):
                return [*self._once("ROUTES_REPAIRED", {"what": what}, now)]
            case RoutesRefused(why):
                return [*self._once("ROUTES_REFUSED", {"why": why}, now)]
            case HandedOver():
                self._commands.hand_over(event, now)
                return [handed_over(event)]
            case Diagnosed(uplink, evidence):
                done = self._lines[uplink].diagnosis.done(evidence)
                return [done, *self._do(self._commands.diagnosed(event), now)]
            case Commanded(command):
                return self._do(self._commands.hear(command, self._standing, now), now)
            case Noticed(code, evidence):
                return [Fact(code, evidence=evidence)]
            case SignalSeen(uplink, signal):
                facts = self._lines[uplink].reception.take(signal, now)
                return [*facts, self.state(now)] if facts else []
            case BandwidthMeasured() | NotMeasured():
                told = self._lines[event.uplink].note_test(event, now)
                return [*told, *self._do(self._commands.tested(event), now)]
            case PublicSeen():
                return self._hear_seen(event, now)
            case Stopping():
                return [Fact("AGENT_STOPPED"), *self._summarise(now), self._remember(now)]
            case KernelSeen():
                return self._act([*self._see(event, now), *self._judge_troubled(now)], now)
            case OverrideAsked() | OverrideEnded() | PhaseSet():
                ended = [] if isinstance(event, PhaseSet) else self._do(self._commands.interrupt(BY_HAND), now)
                return [*ended, *self._act(self._obey(self._orders.obey(event, now), now), now)]
            case Tick(late_s):
                self._late_s = max(self._late_s, late_s)
                effects = self._act([*self._obey(self._orders.expire(now), now), *self._judge(now)], now)
                return [*effects, *self._do(self._commands.look(self._standing, now), now)]

    def _act(self, facts: list[Fact], now: float) -> list[Effect]:
        """What follows from new facts: the choice, its routes, the next echoes, the report."""
        facts += self._decide(now)
        state = [self.state(now)] if facts or now >= self._summary_at else []
        return [
            *self._route(),
            *facts,
            *self._measure(now),
            *self._report(now),
            *self._examine(facts, now),
            *state,
            *self._test(now),
        ]

    def _do(self, wanted: Iterable[commands.Wanted], now: float) -> list[Effect]:
        """What a command wants, and what follows from it."""
        facts: list[Fact] = []
        others: list[Effect] = []
        for each in wanted:
            match each:
                case OverrideAsked() | OverrideEnded():
                    facts += self._obey(self._orders.obey(each, now), now)
                case Fact():
                    facts.append(each)
                case Diagnose(uplink):
                    others.append(self._lines[uplink].diagnosis.begin())
                case _:
                    others.append(each)
        return [*(self._act(facts, now) if facts else ()), *others]

    @property
    def _standing(self) -> commands.Station:
        carrying = frozenset(name for name in self._active.values() if name is not None)
        return commands.Station(self._lines, carrying, self._orders.phase, self._orders.uplink is not None)

    def _test(self, now: float) -> Iterator[MeasureBandwidth | AskSeen | Fact]:
        for line in self._lines.values() if self._seen else ():
            if (wanted := line.look_at_trials(self._orders.phase, now)) is not None:
                yield wanted
            yield from line.look_at_sight(now)

    def _hear_seen(self, seen: PublicSeen, now: float) -> list[Effect]:
        if not self._lines[seen.uplink].sight.take(seen, now):
            return []
        return [*self._fates.compare({name: line.sight.known for name, line in self._lines.items()}), self.state(now)]

    def _examine(self, facts: list[Fact], now: float) -> Iterator[Diagnose | Fact]:
        for fact in facts:
            line = self._lines.get(fact.uplink or "")
            if line is not None and (wanted := line.diagnosis.hear(fact, now)) is not None:
                yield wanted

    def wake_at(self) -> float:
        """The next moment at which something is due: an echo, a verdict by silence, a summary, an end of a choice."""
        moments = [self._summary_at, self._remember_at, self._commands.due_at]
        for line in self._lines.values() if self._seen else ():
            moments += [line.watch.wake_at(self._now), line.trials.due_at]
            if line.watch.health is Health.UP and self._now < line.home_at:
                moments.append(line.home_at)
        ends = [line.interface.wake_at() for line in self._lines.values()]
        ends += [line.flows_change_at(self._now) for line in self._lines.values()]
        return min(*moments, *self._orders.ends(), *(moment for moment in ends if moment is not None))

    def state(self, now: float) -> ShowState:
        carrying = set(self._active.values())
        return ShowState(
            self._active_now(),
            tuple(line.state(name in carrying, now) for name, line in self._lines.items()),
            self._orders.phase,
        )

    @property
    def lines(self) -> Mapping[str, Line]:
        """By the names of their uplinks; to be read, not changed."""
        return self._lines

    def allowance(self, uplink: str, now: float) -> Allowance:
        return self._lines[uplink].allowance(self._orders.phase, now)

    # measure

    def _measure(self, now: float) -> Iterator[Effect]:
        """A doubt of the uplink that carries traffic wakes the next one at the same moment."""
        if not self._seen:
            return
        roles.assign(self._lines, self._active, self._may_come_home(now), now)
        for line in self._lines.values():
            yield from line.ask(now)

    def _may_come_home(self, now: float) -> frozenset[str]:
        """To which uplinks traffic would come by itself, were it not there."""
        if not COMES_HOME[self._orders.phase] or self._orders.uplink is not None:
            return frozenset()
        return frozenset(
            name
            for name, line in self._lines.items()
            if line.watch.health is Health.UP and now >= line.home_at and line.link.gateways
        )

    # judge

    def _judge(self, now: float) -> Iterator[Fact]:
        if not self._seen:
            return
        for line in self._lines.values():
            line.interface.expire(now)
            line.watch.trouble = line.trouble
            yield from self._note(line, line.look(now), now)
            for fact in line.look_at_plan(now):
                self._remember_at = now  # a power cut must not open a plan again that was low
                yield fact

    def _judge_troubled(self, now: float) -> Iterator[Fact]:
        """What the kernel says needs no echo: a cable that is out is out."""
        for line in self._lines.values():
            line.watch.trouble = line.trouble
            if line.trouble is not None:
                yield from self._note(line, line.look(now), now)

    def _note(self, line: Line, facts: Iterator[Fact], now: float) -> Iterator[Fact]:
        """A fall from good is remembered against the uplink; when it is good again, the traffic waits for so long."""
        for fact in facts:
            if fact.code in VERDICTS:
                fact = replace(fact, evidence=fact.evidence | line.reception.evidence(now))
            if fact.before == Health.UP and fact.after is not None:
                line.relapses.fall(now)
            if fact.after == Health.UP:
                line.home_at = now + line.relapses.hold_s(now)
            yield fact

    # decide

    def _decide(self, now: float) -> Iterator[Fact]:
        if not self._seen:
            return
        moves: dict[tuple[str | None, str | None, str], list[Family]] = {}
        for family in Family:
            before = self._active[family]
            choice = self._choose(family, now)
            if choice.uplink != before:
                self._move(family, choice.uplink, now)
                moves.setdefault((before, choice.uplink, choice.reason), []).append(family)
        for (before, after, reason), families in moves.items():
            yield Fact("TRAFFIC_MOVED", after, before, after, {"families": " ".join(families), "reason": reason})
        yield from self._notice_all_dead()

    def _move(self, family: Family, uplink: str | None, now: float) -> None:
        before, self._active[family] = self._active[family], uplink
        if before is not None:
            self._lines[before].left_at[family] = now
        if uplink is not None:
            self._lines[uplink].left_at[family] = None

    def _choose(self, family: Family, now: float) -> Choice:
        sought = roles.sought(self._lines, self._active)
        candidates = tuple(
            line.candidate(family, family in sought, now) for line in self._lines.values() if line.link.has(family)
        )
        return choose(candidates, self._active[family], self._orders.uplink, self._orders.phase, now)

    def _notice_all_dead(self) -> Iterator[Fact]:
        all_dead = all(line.watch.health is Health.DEAD for line in self._lines.values())
        if all_dead and not self._all_dead:
            yield Fact("NO_UPLINK")
        self._all_dead = all_dead

    # route

    def _route(self) -> list[Effect]:
        if not self._seen:
            return []
        links = tuple(line.link for line in self._lines.values())
        flows_of = {family: self._flows(family) for family in Family}
        standings = tuple(line.standing for line in self._lines.values())
        reasons = links, self._active_now(), flows_of, standings
        if reasons == self._wished_for:
            return []
        self._wished_for = reasons
        wanted = wish(self.station, *reasons)
        if wanted == self._wish:
            return []
        self._wish = wanted
        return [SetRoutes(wanted, self._active_now())]

    def _flows(self, family: Family) -> tuple[Flows, ...]:
        active = self._active[family]
        chosen = Health.DEAD if active is None else self._lines[active].watch.health_of(family)
        return tuple(line.flows(family, chosen, self._now) for line in self._lines.values())

    # report

    def _report(self, now: float) -> Iterator[Effect]:
        if now >= self._summary_at:
            yield from self._summarise(now)
        if now >= self._remember_at:
            self._remember_at = now + REMEMBER_EVERY_S
            yield self._remember(now)

    def _remember(self, now: float) -> Remember:
        known = {name: each.known for name, each in self._lines.items()}
        return Remember(Memory(known, self._orders.phase, self._orders.phase_left_s(now)))

    def _summarise(self, now: float) -> list[Effect]:
        uplinks = tuple(line.summary(now) for line in self._lines.values())
        span_s, late_ms = round(now - self._summary_from, 1), round(self._late_s * 1e3, 1)
        self._summary_from, self._summary_at, self._late_s = now, now + SUMMARY_EVERY_S, 0.0
        return [Summary(span_s, self._active_now(), uplinks, late_ms)]

    def _once(self, code: str, evidence: Evidence, now: float) -> list[Fact]:
        told_at = self._told_at.get(code)
        if told_at is not None and now < told_at + REPEAT_S:
            return []
        self._told_at[code] = now
        return [Fact(code, evidence=evidence)]

    # what was heard

    def _obey(self, orders: Iterable[Fact], now: float) -> list[Fact]:
        """What follows from an order, or from its end; a phase is remembered at once."""
        told = list(orders)
        if any(fact.code == "PHASE_SET" for fact in told):
            self._remember_at = now
        return told

    def _see(self, picture: KernelSeen, now: float) -> Iterator[Fact]:
        for line, seen in zip(self._lines.values(), picture.links, strict=True):
            known = line.interface.remembered
            line.interface.see(with_configured_gateway(seen, line.uplink), now)
            if self._seen:
                yield from changes(line.uplink.name, known, line.link)
        strangers = frozenset(picture.strangers)
        for family, device in sorted(strangers - self._strangers):
            yield from self._once("STRANGE_DEFAULT", {"interface": device, "family": family}, now)
        self._strangers = strangers
        if not self._seen:
            self._adopt(picture, now)
            yield from self._fates.compare({})
        self._seen = True

    def _adopt(self, picture: KernelSeen, now: float) -> None:
        """What an earlier run decided stays in force until there is a reason to change it, done or only noted."""
        names = {line.uplink.interface: name for name, line in self._lines.items()}
        decided = {family: names[interface] for family, interface in picture.active if interface in names}
        noted = {Family.IPV4: self._chosen.ipv4, Family.IPV6: self._chosen.ipv6}
        decided |= {family: name for family, name in noted.items() if name in self._lines}
        for family, name in decided.items():
            self._move(family, name, now)

    def _active_now(self) -> Active:
        return Active(self._active[Family.IPV4], self._active[Family.IPV6])
