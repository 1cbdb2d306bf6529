"""What the centre commands: whether it may be done now (a table), how it is begun, and what came of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agent.core.bandwidth import told as told_measured
from agent.core.decide import Phase
from agent.core.diagnosis import ALLOWANCE_BYTES
from agent.core.drill import STAY_AT_LEAST_S, STAY_AT_MOST_S, STAY_S, Drill
from agent.core.events import (
    Answer,
    BandwidthMeasured,
    Configure,
    Diagnose,
    Diagnosed,
    HandedOver,
    MeasureBandwidth,
    NotMeasured,
    OverrideAsked,
    OverrideEnded,
)
from agent.core.line import Line
from agent.core.trials import COST_BYTES
from wire.command import TEXT_LETTERS, Command, Kind, Result, Status, Why
from wire.messages import Evidence, Fact, Health

MOVE_AT_MOST_S = 86_400.0
PATIENCE_S = 180.0  # with a test or a look, which end by themselves long before

Wanted = OverrideAsked | OverrideEnded | Diagnose | MeasureBandwidth | Configure | Answer | Fact


@dataclass(frozen=True, slots=True)
class Situation:
    """What the policy looks at: the station, and the uplink that the command names."""

    phase: Phase = Phase.NORMAL
    carrying: Health = Health.UP
    """Of what carries the traffic; dead when nothing does."""
    overridden: bool = False
    busy: bool = False
    named: Health | None = Health.UP
    """None: the station has no such uplink."""
    paid: bool = True
    """The named uplink's budget and plan allow it."""
    used: bool = False
    """Its users need it."""
    standby: bool = True
    """There is one that lives: the named one, if one is named."""


Rule = Callable[[Situation], Why | None]


def _known(now: Situation) -> Why | None:
    return Why.NO_SUCH_UPLINK if now.named is None else None


def _free(now: Situation) -> Why | None:
    return Why.BUSY if now.busy else None


def _calm(now: Situation) -> Why | None:
    return None if now.phase is Phase.NORMAL else Why.PHASE_FORBIDS


def _calm_or_cut_off(now: Situation) -> Why | None:
    """While votes are counted nothing moves that works."""
    return None if now.carrying is Health.DEAD else _calm(now)


def _up(now: Situation) -> Why | None:
    return None if now.named is Health.UP else Why.UPLINK_NOT_UP


def _alive(now: Situation) -> Why | None:
    return Why.UPLINK_NOT_UP if now.named is Health.DEAD else None


def _paid(now: Situation) -> Why | None:
    return None if now.paid else Why.BUDGET_FORBIDS


def _unused(now: Situation) -> Why | None:
    return Why.UPLINK_IN_USE if now.used else None


def _undecided(now: Situation) -> Why | None:
    return Why.OPERATOR_DECIDES if now.overridden else None


def _standby(now: Situation) -> Why | None:
    return None if now.standby else Why.NO_STANDBY


RULES: Mapping[str, tuple[Rule, ...]] = {
    Kind.MEASURE: (_known, _calm, _free, _up, _paid, _unused),
    Kind.DIAGNOSE: (_known, _free, _paid),
    Kind.MOVE: (_known, _calm_or_cut_off, _free, _alive),
    Kind.AUTO: (),
    Kind.DRILL: (_known, _calm_or_cut_off, _free, _undecided, _standby),
    Kind.CONFIG: (_calm, _free),
}
"""The first that objects names the reason; what is not here is done by nobody."""


def refusal(kind: str, now: Situation) -> Why | None:
    if kind not in RULES:
        return Why.UNKNOWN_KIND
    return next((why for rule in RULES[kind] if (why := rule(now)) is not None), None)


@dataclass(frozen=True, slots=True)
class Station:
    """How it stands at this moment."""

    lines: Mapping[str, Line]
    carrying: frozenset[str]
    phase: Phase
    overridden: bool


class Commands:
    """`hear` a command that is the centre's and was never heard before; the others say what came of it."""

    def __init__(self) -> None:
        self._at_work: Command | None = None
        self._uplink = ""
        self._drill: Drill | None = None
        self._until = float("inf")

    @property
    def due_at(self) -> float:
        return min(self._until, self._drill.due_at if self._drill else float("inf"))

    def hear(self, command: Command, station: Station, now: float) -> Iterator[Wanted]:
        if command.kind in RULES and (mistake := _mistake(command)) is not None:
            yield from _ended(command, Status.REFUSED, Why.BAD_ARGUMENTS, mistake)
        elif (why := refusal(command.kind, self._situation(command, station, now))) is not None:
            yield from _ended(command, Status.REFUSED, why, _more(command, station, why, now))
        else:
            yield from self._begin(command, station, now)

    def _situation(self, command: Command, station: Station, now: float) -> Situation:
        name = _uplink(command)
        line = station.lines.get(name or "")
        healths = [station.lines[each].watch.health for each in station.carrying]
        return Situation(
            station.phase,
            next((health for health in healths if health is not Health.DEAD), Health.DEAD),
            station.overridden,
            self._at_work is not None,
            Health.UP if name is None else line.watch.health if line is not None else None,
            line is None or _is_paid(command.kind, line, station.phase, now),
            line is not None and line.trials.is_used,
            _standby_of(name, station) is not None,
        )

    def _begin(self, command: Command, station: Station, now: float) -> Iterator[Wanted]:
        uplink, for_s = _uplink(command) or "", command.arguments.get("for_s")
        match command.kind:
            case Kind.MOVE:
                assert isinstance(for_s, int | float)
                yield OverrideAsked(uplink, for_s)
                yield from _ended(command, Status.DONE, "COMMAND_DONE", f"traffic goes by {uplink} for {for_s:g} s")
            case Kind.AUTO:
                yield OverrideEnded()
                yield from self.interrupt("auto was commanded")
                yield from _ended(command, Status.DONE, "COMMAND_DONE", "the agent decides")
            case Kind.MEASURE:
                self._work(command, uplink, now)
                yield MeasureBandwidth(uplink, COST_BYTES)
            case Kind.DIAGNOSE:
                self._work(command, uplink, now)
                yield Diagnose(uplink, ALLOWANCE_BYTES)
            case Kind.DRILL:
                self._work(command, uplink, now)
                standby = _standby_of(_uplink(command), station)
                assert standby is not None
                home = min(station.carrying - {standby}, default=standby)
                self._drill = Drill(home, standby, float(for_s or STAY_S), now)
                self._until = float("inf")
                yield self._drill.begin()
            case Kind.CONFIG:
                yield Configure(command)

    def _work(self, command: Command, uplink: str, now: float) -> None:
        self._at_work, self._uplink, self._until = command, uplink, now + PATIENCE_S

    def tested(self, event: BandwidthMeasured | NotMeasured) -> Iterator[Wanted]:
        if self._at_work is None or self._at_work.kind != Kind.MEASURE or event.uplink != self._uplink:
            return
        match event:
            case BandwidthMeasured(_, measured):
                yield from self._end(Status.DONE, "COMMAND_DONE", "", told_measured(measured))
            case NotMeasured(_, why):
                yield from self._end(Status.FAILED, Why.NO_RESULT, why)

    def diagnosed(self, event: Diagnosed) -> Iterator[Wanted]:
        if self._at_work is not None and self._at_work.kind == Kind.DIAGNOSE and event.uplink == self._uplink:
            yield from self._end(Status.DONE, "COMMAND_DONE", str(event.evidence.get("code", "")), event.evidence)

    def hand_over(self, event: HandedOver, now: float) -> None:
        if self._drill is not None and event.moved:
            self._drill.hand_over(event.took_ms, now)

    def interrupt(self, why: str) -> Iterator[Wanted]:
        """Somebody else has chosen an uplink: a drill does not choose against him."""
        if self._drill is not None:
            self._drill.failure = why
            yield from self._end_drill()

    def look(self, station: Station, now: float) -> Iterator[Wanted]:
        """At every Tick."""
        if self._drill is not None:
            yield from self._look_at_drill(self._drill, station, now)
        elif now >= self._until:
            yield from self._end(Status.FAILED, Why.NO_RESULT, f"nothing came within {PATIENCE_S:g} s")

    def _look_at_drill(self, drill: Drill, station: Station, now: float) -> Iterator[Wanted]:
        watch = station.lines[drill.standby].watch
        sample = watch.sample(now)
        home = station.lines[drill.home].watch.health
        wanted = drill.look(watch.health, home, sample.rtt_ms, sample.loss, now)
        if wanted is not None:
            yield wanted
        if drill.is_over and isinstance(wanted, OverrideEnded):
            yield from self._end_drill()

    def _end_drill(self) -> Iterator[Wanted]:
        drill, self._drill = self._drill, None
        assert drill is not None
        if drill.failure is not None:
            return self._end(Status.FAILED, Why.DRILL_FAILED, drill.failure, drill.evidence)
        told = f"{drill.standby} carried the traffic and {drill.home} took it back"
        return self._end(Status.DONE, "COMMAND_DONE", told, drill.evidence)

    def _end(self, status: Status, code: str, text: str, evidence: Evidence | None = None) -> Iterator[Wanted]:
        command, self._at_work, self._until = self._at_work, None, float("inf")
        assert command is not None
        return _ended(command, status, code, text, evidence)


def _ended(
    command: Command, status: Status, code: str, text: str, evidence: Evidence | None = None
) -> Iterator[Fact | Answer]:
    """Into the history, and back to who gave it."""
    text = text[:TEXT_LETTERS]
    about: Evidence = {"kind": command.kind, "by": command.by, "id": command.id, "why": code, "text": text}
    uplink = _uplink(command)
    match status:
        case Status.DONE:
            yield Fact("COMMAND_DONE", uplink, evidence=about)
        case Status.REFUSED:
            yield Fact("COMMAND_REFUSED", uplink, evidence=about)
        case Status.FAILED:
            yield Fact("COMMAND_FAILED", uplink, evidence=about)
    yield Answer(Result(command.station, command.id, status, code, text, evidence or {}))


def _mistake(command: Command) -> str | None:
    """What is missing in its arguments, or beyond bounds."""
    uplink, for_s = command.arguments.get("uplink"), command.arguments.get("for_s")
    match command.kind:
        case Kind.MEASURE | Kind.DIAGNOSE | Kind.MOVE if not isinstance(uplink, str):
            return "uplink: the name of one is needed"
        case Kind.DRILL if not isinstance(uplink, str | None):
            return "uplink: is no name"
        case Kind.MOVE if not (isinstance(for_s, int | float) and 0 < for_s <= MOVE_AT_MOST_S):
            return f"for_s: above 0 and at most {MOVE_AT_MOST_S:g}; a move from afar always ends by itself"
        case Kind.DRILL if for_s is not None and not (
            isinstance(for_s, int | float) and STAY_AT_LEAST_S <= for_s <= STAY_AT_MOST_S
        ):
            return f"for_s: {STAY_AT_LEAST_S:g} to {STAY_AT_MOST_S:g}"
    return None


def _uplink(command: Command) -> str | None:
    name = command.arguments.get("uplink")
    return name[:64] if isinstance(name, str) else None


def _is_paid(kind: str, line: Line, phase: Phase, now: float) -> bool:
    match kind:
        case Kind.MEASURE:
            may = line.allowance(phase, now)
            return may.why_not is None and may.bytes >= COST_BYTES
        case Kind.DIAGNOSE:
            return line.watch.budget.allows(ALLOWANCE_BYTES, now)
    return True


def _more(command: Command, station: Station, why: Why, now: float) -> str:
    """What the name alone does not say."""
    line = station.lines.get(_uplink(command) or "")
    match why:
        case Why.NO_SUCH_UPLINK:
            return f"there are {', '.join(station.lines)}"
        case Why.PHASE_FORBIDS:
            return f"phase {station.phase}"
        case Why.BUDGET_FORBIDS if line is not None and command.kind == Kind.MEASURE:
            return line.allowance(station.phase, now).why_not or ""
        case Why.UPLINK_NOT_UP if line is not None:
            return f"{line.uplink.name} is {line.watch.health}"
    return ""


def _standby_of(named: str | None, station: Station) -> str | None:
    """The named uplink, or the best one that carries nothing, if it lives."""
    others = {name: line.watch.health for name, line in station.lines.items() if name not in station.carrying}
    alive = [name for name, health in others.items() if health is not Health.DEAD and named in (None, name)]
    good = [name for name in alive if others[name] is Health.UP]
    return next(iter(good or alive), None)
