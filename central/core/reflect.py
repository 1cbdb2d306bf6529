"""What the reflector answers (STAMP, RFC 8762, stateful): told the time, it reads no clock and opens no socket.

An answer has exactly as many bytes as its request, so that it amplifies nothing; what is refused is counted, and gets
no answer at all. Each session has its own count of answers, which tells the asker's loss on the way there from that on
the way back. A packet over the limits is neither answered nor counted, and so looks like a loss on the way there: the
limits are far above what stations send.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from central.core.networks import source_of
from wire.stamp import Accuracy, KeyOf, Refused, Reply, Request, read_request, reply_bytes, timestamp

LARGEST_BYTES = 1472  # what one frame of Ethernet holds; fragments are for attackers


@dataclass(frozen=True, slots=True)
class Limits:
    source_per_s: float = 500  # a carrier's NAT: a hundred stations on suspicion (5 a second) look like one address
    source_burst: float = 1000
    total_per_s: float = 10_000  # a third of a core; 1,185 stations of three uplinks send 1,500, all on suspicion 6,000
    total_burst: float = 20_000
    sessions: int = 50_000  # seven times 1,185 stations with three uplinks in two families; 19 MB with the sources
    sources: int = 20_000
    kept_s: float = 3600  # an outage of less is still split into its two ways when it ends


@dataclass(frozen=True, slots=True)
class Asked:
    """A datagram as it came."""

    data: bytes
    host: str
    port: int
    ttl: int
    received_ns: int
    """Since 1970, by the clock that also tells when the answer leaves."""


@dataclass(slots=True)
class Counts:
    answered: int = 0
    malformed: int = 0
    reply: int = 0
    """Replies of a reflector, sent to us by mistake or to make us talk to each other."""
    unauthentic: int = 0
    limited: int = 0
    evicted: int = 0
    """Sessions that were forgotten before their time, because there were too many."""


class Reflection:
    """Bounded in sessions and sources; those that were quiet longest are forgotten first."""

    def __init__(self, key_of: KeyOf | None = None, limits: Limits | None = None) -> None:
        """With keys only sealed packets are answered, each with the key of its session's number (SSID)."""
        self.counts = Counts()
        self._key_of = key_of
        self._limits = limits or Limits()
        self._total = _Bucket(0.0, self._limits.total_burst)
        self._sources = _Recent(self._limits.sources, self._limits.kept_s, self._full_bucket)
        self._sessions = _Recent(self._limits.sessions, self._limits.kept_s, _Session)

    def answer(self, asked: Asked, clock: Accuracy, sent_ns: int, now: float) -> bytes | None:
        """None for silence. `clock` is the reflector's own; `sent_ns` is when this answer leaves."""
        if len(asked.data) > LARGEST_BYTES:
            self.counts.malformed += 1
            return None
        try:
            request = read_request(asked.data, self._key_of)
        except Refused as why:
            setattr(self.counts, str(why), getattr(self.counts, str(why)) + 1)
            return None
        if not self._may(asked.host, now):
            self.counts.limited += 1
            return None
        return self._replied(request, asked, clock, sent_ns, now)

    def _may(self, host: str, now: float) -> bool:
        """Asked only when the seal is good, so that nobody uses up what belongs to a station."""
        limits = self._limits
        source = self._sources.of(source_of(host), now)
        return source.gives(limits.source_per_s, limits.source_burst, now) and self._total.gives(
            limits.total_per_s, limits.total_burst, now
        )

    def _replied(self, request: Request, asked: Asked, clock: Accuracy, sent_ns: int, now: float) -> bytes:
        session = self._sessions.of((asked.host, asked.port, request.ssid), now)
        self.counts.evicted = self._sessions.evicted
        self.counts.answered += 1
        times = timestamp(sent_ns, clock.is_ptp), timestamp(asked.received_ns, clock.is_ptp)
        reply = Reply(session.answered & 0xFFFFFFFF, times[0], clock, times[1], request, asked.ttl)
        session.answered += 1
        packet = reply_bytes(reply, self._key_of(request.ssid) if self._key_of else None)
        return packet + asked.data[len(packet) :]

    def _full_bucket(self, now: float) -> "_Bucket":
        return _Bucket(now, self._limits.source_burst)


class _Dated(Protocol):
    at: float


Kept = TypeVar("Kept", bound=_Dated)


class _Recent(Generic[Kept]):
    """What is known of somebody, until he has been quiet for long or too many others have come since."""

    def __init__(self, most: int, kept_s: float, new: Callable[[float], Kept]) -> None:
        self._most, self._kept_s, self._new = most, kept_s, new
        self._known: OrderedDict[object, Kept] = OrderedDict()
        self.evicted = 0

    def of(self, who: object, now: float) -> Kept:
        while self._known and next(iter(self._known.values())).at < now - self._kept_s:
            self._known.popitem(last=False)
        known = self._known.get(who)
        if known is None:
            if len(self._known) >= self._most:
                self._known.popitem(last=False)
                self.evicted += 1
            known = self._known[who] = self._new(now)
        self._known.move_to_end(who)
        known.at = now
        return known

    def __len__(self) -> int:
        return len(self._known)


@dataclass(slots=True)
class _Session:
    at: float
    answered: int = 0


@dataclass(slots=True)
class _Bucket:
    """Of tokens, one for each answer."""

    at: float
    tokens: float
    counted_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.counted_at = self.at

    def gives(self, per_s: float, burst: float, now: float) -> bool:
        self.tokens = min(burst, self.tokens + (now - self.counted_at) * per_s)
        self.counted_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
