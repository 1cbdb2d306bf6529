"""What one look at an uplink can say, whom it looks at, and what looking may cost."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import FrameType

from agent.core.station import Family

HEADERS = {Family.IPV4: 20, Family.IPV6: 40}  # of IP; an ICMP or UDP header takes 8 more
Facts = dict[str, float | str | None]


class Layer(StrEnum):
    """In the order in which they are looked at."""

    LINK = "link"
    GATEWAY = "gateway"
    DHCP = "dhcp"
    INTERNET = "internet"
    MTU = "mtu"
    DNS = "dns"
    TCP = "tcp"
    MQTT = "mqtt"
    HTTP = "http"
    CLOCK = "clock"
    TLS = "tls"


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "not known"


class Outcome(Enum):
    """Each with what it means for its layer; agent/diagnose/words.py says it in words."""

    def __init__(self, word: str, state: State) -> None:
        self.word, self.state = word, state

    NOT_CONFIGURED = "not configured", State.UNKNOWN
    BELOW = "a lower layer has failed", State.UNKNOWN
    NO_BYTES = "no bytes left", State.UNKNOWN
    NO_TIME = "no time left", State.UNKNOWN
    CANNOT = "cannot look", State.UNKNOWN
    KEPT = "kept for the essential", State.UNKNOWN
    NO_NAME = "name not found", State.UNKNOWN

    LINK_READY = "link ready", State.OK
    LINK_GONE = "no such interface", State.FAILED
    LINK_OFF = "switched off", State.FAILED
    LINK_NO_CARRIER = "no carrier", State.FAILED
    LINK_NO_ADDRESS = "no address", State.FAILED
    LINK_NO_GATEWAY = "no gateway", State.FAILED

    GATEWAY_ANSWERS = "gateway answers", State.OK
    GATEWAY_SILENT = "gateway silent", State.FAILED
    GATEWAY_DOUBLE = "two gateways", State.FAILED
    NO_NEIGHBOURS = "point to point", State.UNKNOWN

    OFFERED = "offered the same", State.OK
    OFFERED_OTHER = "offered another gateway", State.UNKNOWN
    OFFERED_NEW = "offered", State.UNKNOWN
    NO_OFFER = "no offer", State.UNKNOWN

    ANSWERED = "all targets answer", State.OK
    PARTLY_ANSWERED = "some targets silent", State.FAILED
    SILENT = "all targets silent", State.FAILED

    MTU_WHOLE = "whole packets pass", State.OK
    MTU_TOLD = "smaller, and told", State.OK
    MTU_BLACK_HOLE = "large packets vanish", State.FAILED
    MTU_UNCLEAR = "nobody answers large echoes", State.UNKNOWN

    DNS_RIGHT = "right answer", State.OK
    DNS_HONEST = "answers; nothing to compare", State.UNKNOWN
    DNS_SILENT = "resolver silent", State.FAILED
    DNS_PERHAPS = "a resolver of another uplink, perhaps", State.UNKNOWN
    DNS_FORGED = "forged answer", State.FAILED
    DNS_REFUSED = "resolver refuses", State.FAILED
    DNS_NO_SUCH_NAME = "name missing", State.FAILED
    NO_RESOLVER = "no resolver", State.UNKNOWN

    CONNECTED = "connected", State.OK
    REFUSED = "refused", State.FAILED
    UNCONNECTED = "no connection", State.FAILED

    ACKNOWLEDGED = "acknowledged", State.OK
    UNACKNOWLEDGED = "not acknowledged", State.FAILED
    DECLINED = "declined", State.FAILED

    PAGE_RIGHT = "right page", State.OK
    PAGE_OTHER = "another page", State.FAILED
    PAGE_ERROR = "error page", State.FAILED
    PAGE_SILENT = "no page", State.FAILED

    CLOCK_RIGHT = "clock right", State.OK
    CLOCK_WRONG = "clock wrong", State.FAILED
    CLOCK_UNSURE = "clock not synchronised", State.UNKNOWN

    TLS_RIGHT = "certificate right", State.OK
    TLS_SILENT = "no handshake", State.FAILED
    TLS_BROKEN = "handshake fails", State.FAILED
    TLS_WRONG_NAME = "another name", State.FAILED
    TLS_UNTRUSTED = "untrusted issuer", State.FAILED
    TLS_NOT_NOW = "not valid now", State.FAILED


@dataclass(frozen=True, slots=True)
class Look:
    layer: Layer
    outcome: Outcome
    facts: Facts = field(default_factory=dict)

    @property
    def state(self) -> State:
        return self.outcome.state


@dataclass(frozen=True, slots=True)
class Subject:
    """The uplink that is looked at; every probe is bound to its device."""

    uplink: str
    device: str
    family: Family = Family.IPV4
    operator: str | None = None
    address: str | None = None
    gateway: str | None = None
    mtu: int = 1500
    mac: str | None = None
    """None where there are no neighbours: a point-to-point device."""
    only_uplink: bool = False


@dataclass(slots=True)
class Purse:
    """Bytes at the IP layer, sent and received. What could pass the cap is not begun."""

    cap: int
    spent: int = 0

    def allows(self, size: int) -> bool:
        return self.spent + size <= self.cap

    def spend(self, size: int) -> None:
        self.spent += size


class OutOfTime(BaseException):
    """Raised wherever the process happens to wait; no `except Exception` may swallow it."""


@contextmanager
def within_s(limit_s: float) -> Iterator[None]:
    """Ends what it surrounds after so long, whatever it waits for. In the main thread only."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(limit_s, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def left_s(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def milliseconds(seconds: float) -> float:
    """As a person reads them: a tenth is enough, but nothing takes no time."""
    return max(round(1e3 * seconds, 1), 0.1)
