"""What can happen, and what may be asked for. Facts, the third kind, are messages: wire.messages.Fact."""

from dataclasses import dataclass

from agent.core.bandwidth import Measured
from agent.core.decide import Phase
from agent.core.memory import Memory
from agent.core.routes import Link, Wish
from agent.core.station import Family
from agent.core.twoway import Reflected
from wire.command import Command, Result
from wire.messages import Active, Evidence, Fact, Public, Signal, Summary, UplinkState
from wire.stamp import PORT


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment named by wake_at() has come, and nothing else is waiting to be handled."""

    late_s: float = 0.0
    """So long ago: what our own device takes from the sharpness of every figure."""


@dataclass(frozen=True, slots=True)
class EchoReturned:
    uplink: str
    seq: int
    target: str
    rtt_s: float


@dataclass(frozen=True, slots=True)
class EchoNotSent:
    """The kernel did not take the echo; this says nothing about the path."""

    uplink: str
    seq: int
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class EchoRefused:
    """A router on the way said that it could not deliver the echo."""

    uplink: str
    seq: int
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class StampReturned:
    """The centre's reflector has answered; duplicates too."""

    uplink: str
    target: str
    reflected: Reflected


@dataclass(frozen=True, slots=True)
class StampNotSent:
    """The kernel did not take the test packet; this says nothing about the path."""

    uplink: str
    seq: int
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class KernelSeen:
    """Everything the kernel says about our interfaces, as one picture; a picture again does no harm."""

    links: tuple[Link, ...]
    """One for each uplink, in its order."""
    active: tuple[tuple[Family, str], ...] = ()
    """The interface of the default route in our active table, as found; what an earlier run decided."""
    strangers: tuple[tuple[Family, str], ...] = ()
    """Default routes of the main table by interfaces that are no uplinks of ours."""


@dataclass(frozen=True, slots=True)
class RoutesRepaired:
    """Somebody changed our rules or routes, and they were made as wished again."""

    what: str


@dataclass(frozen=True, slots=True)
class RoutesRefused:
    """The kernel would not do as wished."""

    why: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The kernel has the routes of a new choice, and what held on to the uplinks that were left has let go."""

    moved: bool
    """A default route was replaced; else only old flows were moved."""
    took_ms: float
    """From the wish to its end."""
    flows: int
    """Entries of connection tracking that were deleted."""
    sockets: int | None
    """Sockets of this device that were aborted; None when the kernel cannot."""


@dataclass(frozen=True, slots=True)
class OverrideAsked:
    """An operator wants this uplink, good or not, for a while or until further notice."""

    uplink: str
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class OverrideEnded:
    """The operator gives the decision back."""


@dataclass(frozen=True, slots=True)
class TrafficCounted:
    """What an uplink has carried since its counters began; they may begin again from nought."""

    uplink: str
    rx_bytes: int
    tx_bytes: int
    asked: int | None = None
    """Packets that the LAN sent by this uplink; None when nobody counts them."""
    answered: int | None = None
    """Packets of the LAN's connections that came back, from beyond the gateway's own network."""


@dataclass(frozen=True, slots=True)
class Queued:
    """Whether the queues that were wished before an interface stand there."""

    interface: str
    unqueued: str | None
    """Why they do not."""


@dataclass(frozen=True, slots=True)
class DateKnown:
    """Today, by a clock that somebody has set."""

    year: int
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class PhaseSet:
    """The day has come to this phase, for a while or until further notice."""

    phase: Phase
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What was found when an uplink was looked at closely: the evidence of a fact."""

    uplink: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Noticed:
    """An edge has news of its own: a code of wire/codes.py and its evidence."""

    code: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """How this uplink's modem hears its operator; None when that is not known any more."""

    uplink: str
    signal: Signal | None


@dataclass(frozen=True, slots=True)
class BandwidthMeasured:
    """A test of an uplink's bandwidth has ended, and this is what it found and cost."""

    uplink: str
    measured: Measured

    @property
    def spent_bytes(self) -> int:
        return self.measured.spent_bytes


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A test of its bandwidth ended without a result, and cost this."""

    uplink: str
    why: str
    spent_bytes: int


@dataclass(frozen=True, slots=True)
class PublicSeen:
    """The centre was asked how it sees this uplink; None: no proper answer came."""

    uplink: str
    family: Family
    public: Public | None
    spent_bytes: int


@dataclass(frozen=True, slots=True)
class Commanded:
    """The centre wants this; it is surely the centre's, and was never heard before."""

    command: Command


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent was told to stop."""


Event = (
    Tick
    | EchoReturned
    | EchoNotSent
    | EchoRefused
    | StampReturned
    | StampNotSent
    | KernelSeen
    | RoutesRepaired
    | RoutesRefused
    | HandedOver
    | OverrideAsked
    | OverrideEnded
    | TrafficCounted
    | Queued
    | DateKnown
    | PhaseSet
    | Diagnosed
    | Noticed
    | SignalSeen
    | BandwidthMeasured
    | NotMeasured
    | PublicSeen
    | Commanded
    | Stopping
)


@dataclass(frozen=True, slots=True)
class SendEchoes:
    """One round: an echo to each target, all at once, by this uplink only."""

    uplink: str
    seq: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SendStamp:
    """One test packet (STAMP) to the reflector at this address, by this uplink only."""

    uplink: str
    seq: int
    target: str
    port: int = PORT


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """The rules and routes that should exist; the latest wish wins."""

    wish: Wish
    active: Active
    """The choice that it comes from."""


@dataclass(frozen=True, slots=True)
class ShowState:
    """How the station is now, for whoever watches; the latest one wins."""

    active: Active
    uplinks: tuple[UplinkState, ...]
    phase: str = "normal"


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Look closely at this uplink, once, and spend no more than this."""

    uplink: str
    cap_bytes: int


@dataclass(frozen=True, slots=True)
class Remember:
    """What the next run of the agent should know; the latest one wins."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class MeasureBandwidth:
    """Send a train each way by this uplink; what comes of it is a BandwidthMeasured or a NotMeasured."""

    uplink: str
    cap_bytes: int


@dataclass(frozen=True, slots=True)
class AskSeen:
    """Ask the centre by this uplink how it is seen; what comes of it is a PublicSeen."""

    uplink: str
    family: Family


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command."""

    result: Result


@dataclass(frozen=True, slots=True)
class Configure:
    """Try the configuration in this command."""

    command: Command


Effect = (
    AskSeen
    | SendEchoes
    | SendStamp
    | SetRoutes
    | ShowState
    | Diagnose
    | MeasureBandwidth
    | Answer
    | Configure
    | Remember
    | Fact
    | Summary
)
