"""What can happen, and what may be asked for. Facts, the third kind, are messages: wire.messages.Fact."""

from dataclasses import dataclass

from agent.core.routes import Link, Wish
from agent.core.station import Family
from wire.messages import Active, Evidence, Fact, Summary, UplinkState


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment named by wake_at() has come, and nothing else is waiting to be handled."""


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
class KernelSeen:
    """Everything the kernel says about our interfaces, as one picture; a picture again does no harm."""

    links: tuple[Link, ...]
    """One for each uplink, in its order."""
    active: tuple[tuple[Family, str], ...] = ()
    """The interface of the default route in our active table, as found; what an earlier run decided."""


@dataclass(frozen=True, slots=True)
class RoutesRepaired:
    """Somebody changed our rules or routes, and they were made as wished again."""

    what: str


@dataclass(frozen=True, slots=True)
class RoutesRefused:
    """The kernel would not do as wished."""

    why: str


@dataclass(frozen=True, slots=True)
class OverrideAsked:
    """An operator wants this uplink, good or not, for a while or until further notice."""

    uplink: str
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class OverrideEnded:
    """The operator gives the decision back."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """An edge has news of its own: a code of wire/codes.py and its evidence."""

    code: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent was told to stop."""


Event = (
    Tick
    | EchoReturned
    | EchoNotSent
    | KernelSeen
    | RoutesRepaired
    | RoutesRefused
    | OverrideAsked
    | OverrideEnded
    | Noticed
    | Stopping
)


@dataclass(frozen=True, slots=True)
class SendEchoes:
    """One round: an echo to each target, all at once, by this uplink only."""

    uplink: str
    seq: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """The rules and routes that should exist; the latest wish wins."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class ShowState:
    """How the station is now, for whoever watches; the latest one wins."""

    active: Active
    uplinks: tuple[UplinkState, ...]


Effect = SendEchoes | SetRoutes | ShowState | Fact | Summary
