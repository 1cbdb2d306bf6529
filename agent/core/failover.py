"""The five steps in order: measure -> judge -> decide -> route -> report. An event and the time in, effects out."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.core.decide import STAY_S, Candidate, Choice, choose
from agent.core.events import (
    EchoNotSent,
    EchoReturned,
    Effect,
    Event,
    KernelSeen,
    Noticed,
    OverrideAsked,
    OverrideEnded,
    RoutesRefused,
    RoutesRepaired,
    SendEchoes,
    SetRoutes,
    ShowState,
    Stopping,
    Tick,
)
from agent.core.judge import LIMITS, Judge, Verdict
from agent.core.links import LinkWatch
from agent.core.measure import PACE, Echoes
from agent.core.report import SUMMARY_EVERY_S
from agent.core.routes import Link, Wish, wish, with_configured_gateway
from agent.core.station import Family, Station, Uplink
from wire.messages import Active, Evidence, Fact, Health, Summary, UplinkState

REPEAT_S = 60  # the same trouble with the routes is told once in this time


@dataclass(slots=True)
class _Watched:
    """One uplink: what is known of it, and who measures and judges it."""

    uplink: Uplink
    interface: LinkWatch
    echoes: Echoes
    judge: Judge

    @property
    def link(self) -> Link:
        return self.interface.believed

    @property
    def trouble(self) -> str | None:
        if not self.link.carrier:
            return "no carrier" if self.link.index else "no such interface"
        return None if self.link.gateways else "no gateway"


@dataclass(frozen=True, slots=True)
class _Override:
    uplink: str
    until: float | None


class Failover:
    """`handle` may be called with any event at any time; `wake_at` names the next moment that needs a Tick.

    Echoes are judged on Tick only: after a stall every answer that was waiting has been handled before the Tick is,
    so that our own delay is never read as a link's silence.
    """

    def __init__(self, station: Station, now: float) -> None:
        self.station = station
        self._watched = {
            uplink.name: _Watched(
                uplink,
                LinkWatch(Link(uplink.interface)),
                Echoes(station.targets, PACE[uplink.kind], now),
                Judge(LIMITS[uplink.kind], now),
            )
            for uplink in station.uplinks
        }
        self._active: dict[Family, str | None] = dict.fromkeys(Family)
        self._moved_at: dict[Family, float] = dict.fromkeys(Family, now - STAY_S)
        self._override: _Override | None = None
        self._wish: Wish | None = None
        self._seen = False
        self._all_dead = False
        self._told_at: dict[str, float] = {}
        self._summary_at = now + SUMMARY_EVERY_S
        self._summary_from = now

    def handle(self, event: Event, now: float) -> list[Effect]:
        match event:
            case EchoReturned(uplink, seq, target, rtt_s):
                self._watched[uplink].echoes.returned(seq, target, rtt_s)
                return []
            case EchoNotSent(uplink, seq, target, _):
                self._watched[uplink].echoes.not_sent(seq, target)
                return []
            case RoutesRepaired(what):
                return self._once("ROUTES_REPAIRED", {"what": what}, now)
            case RoutesRefused(why):
                return self._once("ROUTES_REFUSED", {"why": why}, now)
            case Noticed(code, evidence):
                return [Fact(code, evidence=evidence)]
            case Stopping():
                return [Fact("AGENT_STOPPED"), *self._summarise(now)]
            case KernelSeen():
                return self._act([*self._see(event, now), *self._judge_troubled(now)], now)
            case OverrideAsked() | OverrideEnded():
                return self._act(list(self._obey(event, now)), now)
            case Tick():
                return self._act([*self._expire_override(now), *self._judge(now)], now)

    def _act(self, facts: list[Fact], now: float) -> list[Effect]:
        """What follows from new facts: the choice, its routes, the next echoes, the report."""
        facts += self._decide(now)
        state = [self.state(now)] if facts or now >= self._summary_at else []
        return [*self._route(), *facts, *self._measure(now), *self._report(now), *state]

    def wake_at(self) -> float:
        """The next moment at which something is due: an echo, a verdict by silence, a summary, an override's end."""
        moments = [self._summary_at]
        for watched in self._watched.values():
            moments += [watched.echoes.wake_at(), *self._silence_ends(watched)]
        ends = [watched.interface.wake_at() for watched in self._watched.values()]
        ends.append(self._override.until if self._override else None)
        return min(*moments, *(moment for moment in ends if moment is not None))

    def state(self, now: float) -> ShowState:
        carrying = set(self._active.values())
        return ShowState(
            self._active_now(),
            tuple(
                UplinkState(
                    name=name,
                    interface=watched.uplink.interface,
                    kind=watched.uplink.kind,
                    operator=watched.uplink.operator,
                    health=watched.judge.health,
                    since_s=round(now - watched.judge.since, 1),
                    rtt_ms=(sample := watched.echoes.sample(now)).rtt_ms,
                    loss=sample.loss,
                    carries_traffic=name in carrying,
                )
                for name, watched in self._watched.items()
            ),
        )

    # measure

    def _measure(self, now: float) -> Iterator[SendEchoes]:
        for name, watched in self._watched.items():
            if watched.trouble is not None:
                watched.echoes.skip(now)
            elif (seq := watched.echoes.due(now)) is not None:
                yield SendEchoes(name, seq, self.station.targets)

    # judge

    def _judge(self, now: float) -> Iterator[Fact]:
        if not self._seen:
            return
        for name, watched in self._watched.items():
            watched.interface.expire(now)
            for outcome in watched.echoes.settle(now):
                watched.judge.settle(outcome)
            echoes = watched.echoes
            verdict = watched.judge.judge(watched.trouble, echoes.unanswered_since, echoes.beat_s, now)
            yield from self._told(name, verdict, now)

    def _judge_troubled(self, now: float) -> Iterator[Fact]:
        """What the kernel says needs no echo: a cable that is out is out."""
        for name, watched in self._watched.items():
            if watched.trouble is not None:
                yield from self._told(name, watched.judge.judge(watched.trouble, None, 0, now), now)

    def _told(self, name: str, verdict: Verdict | None, now: float) -> Iterator[Fact]:
        if verdict is None:
            return
        sample = self._watched[name].echoes.sample(now)
        evidence = {**verdict.evidence, "rtt_ms": sample.rtt_ms, "loss": sample.loss}
        if evidence["cause"] == "silence" and not self._watched[name].echoes.could_send:
            evidence["cause"] = "nothing could be sent"
        yield Fact(f"UPLINK_{verdict.after.upper()}", name, verdict.before, verdict.after, evidence)

    def _silence_ends(self, watched: _Watched) -> Iterator[float]:
        if watched.judge.health is not Health.DEAD and (since := watched.echoes.unanswered_since) is not None:
            yield watched.judge.dead_at(since, watched.echoes.beat_s)

    # decide

    def _decide(self, now: float) -> Iterator[Fact]:
        if not self._seen:
            return
        moves: dict[tuple[str | None, str | None, str], list[Family]] = {}
        for family in Family:
            before = self._active[family]
            choice = self._choose(family, now)
            if choice.uplink != before:
                self._active[family], self._moved_at[family] = choice.uplink, now
                moves.setdefault((before, choice.uplink, choice.reason), []).append(family)
        for (before, after, reason), families in moves.items():
            yield Fact("TRAFFIC_MOVED", after, before, after, {"families": " ".join(families), "reason": reason})
        yield from self._notice_all_dead()

    def _choose(self, family: Family, now: float) -> Choice:
        candidates = tuple(
            Candidate(name, watched.judge.health, watched.judge.answers)
            for name, watched in self._watched.items()
            if watched.link.has(family)
        )
        override = self._override.uplink if self._override else None
        return choose(candidates, self._active[family], override, self._moved_at[family], now)

    def _notice_all_dead(self) -> Iterator[Fact]:
        all_dead = all(watched.judge.health is Health.DEAD for watched in self._watched.values())
        if all_dead and not self._all_dead:
            yield Fact("NO_UPLINK")
        self._all_dead = all_dead

    # route

    def _route(self) -> list[Effect]:
        if not self._seen:
            return []
        links = tuple(watched.link for watched in self._watched.values())
        wanted = wish(self.station, links, self._active_now())
        if wanted == self._wish:
            return []
        self._wish = wanted
        return [SetRoutes(wanted)]

    # report

    def _report(self, now: float) -> list[Effect]:
        return self._summarise(now) if now >= self._summary_at else []

    def _summarise(self, now: float) -> list[Effect]:
        uplinks = tuple(watched.echoes.summary(name, watched.judge.health) for name, watched in self._watched.items())
        summary = Summary(round(now - self._summary_from, 1), self._active_now(), uplinks)
        self._summary_from, self._summary_at = now, now + SUMMARY_EVERY_S
        return [summary]

    def _once(self, code: str, evidence: Evidence, now: float) -> list[Effect]:
        told_at = self._told_at.get(code)
        if told_at is not None and now < told_at + REPEAT_S:
            return []
        self._told_at[code] = now
        return [Fact(code, evidence=evidence)]

    # what was heard

    def _obey(self, event: OverrideAsked | OverrideEnded, now: float) -> Iterator[Fact]:
        match event:
            case OverrideAsked(uplink, for_s):
                self._override = _Override(uplink, None if for_s is None else now + for_s)
                yield Fact("OVERRIDE_SET", uplink, evidence={"for_s": for_s})
            case OverrideEnded() if self._override:
                self._override = None
                yield Fact("OVERRIDE_ENDED", evidence={"reason": "an operator ended it"})

    def _see(self, picture: KernelSeen, now: float) -> Iterator[Fact]:
        for watched, seen in zip(self._watched.values(), picture.links, strict=True):
            known = watched.link
            watched.interface.see(with_configured_gateway(seen, watched.uplink), now)
            for family in Family:
                before, after = known.gateway_of(family), watched.link.gateway_of(family)
                if self._seen and before and after and before != after:
                    yield Fact("GATEWAY_CHANGED", watched.uplink.name, before, after)
        if not self._seen:
            self._adopt(picture)
        self._seen = True

    def _adopt(self, picture: KernelSeen) -> None:
        """What an earlier run decided stays in force until there is a reason to change it."""
        names = {watched.uplink.interface: name for name, watched in self._watched.items()}
        for family, interface in picture.active:
            self._active[family] = names.get(interface)

    def _expire_override(self, now: float) -> Iterator[Fact]:
        if self._override and self._override.until is not None and now >= self._override.until:
            self._override = None
            yield Fact("OVERRIDE_ENDED", evidence={"reason": "its time is over"})

    def _active_now(self) -> Active:
        return Active(self._active[Family.IPV4], self._active[Family.IPV6])
