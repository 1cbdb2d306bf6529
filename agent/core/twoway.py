"""What became of the packets to a reflector (STAMP, RFC 8762): answered, late, or lost, and on which of the two ways.

The reflector counts what it answers. Between two answered packets its count has grown by those of the others that
reached it: so many of the unanswered were lost on the way back (down), the rest never arrived (up). No clock is needed.
Where the count says nothing, because it began anew (a reflector restarted, a NAT gave us another port, an interface
came back) or does not fit, the way is not known, and a loss is never made up. Two things it cannot see: a count that
began anew and has by chance grown to where the old one would stand, and a lost packet that overtook another.
"""

from collections import deque
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from agent.core.measure import REMEMBERED_S
from agent.core.span import wilson

LATE_AFTER_S = 10.0  # later, but within REMEMBERED_S, is late; later still is lost
PACKETS_AT_MOST = 4096  # not settled yet; a hundred a second for REMEMBERED_S, and more than any schedule
NUMBERS_AT_MOST = 64  # answers out of order; a reflector that makes more of them cannot be believed


class Verdict(StrEnum):
    ANSWERED = "answered"
    LATE = "late"
    DUPLICATE = "duplicate"
    LOST_UP = "lost up"
    LOST_DOWN = "lost down"
    LOST_UNKNOWN = "lost unknown"


@dataclass(frozen=True, slots=True)
class Reflected:
    """An answer of the reflector, as it came back to us. Differences of two clocks say something only by changing."""

    seq: int
    """Ours, as it carried it back."""
    number: int
    """The reflector's own count."""
    reflected_at_s: float
    """When the reflector had the packet, by its clock: the order in which it counted."""
    rtt_s: float
    """Without the time that the reflector took."""
    up_s: float | None = None
    """From our clock to the reflector's; None when a clock was set meanwhile."""
    down_s: float | None = None
    is_synchronised: bool = False
    """Both clocks were said to be."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Packets without an answer between two with one. Which of a gap's packets took which way is known only where all
    took the same; how many did, always."""

    first: int
    last: int
    up: int = 0
    down: int = 0
    unknown: int = 0

    @property
    def verdict(self) -> Verdict:
        """Of each of its packets."""
        if not self.unknown and not self.down:
            return Verdict.LOST_UP
        return Verdict.LOST_DOWN if not self.unknown and not self.up else Verdict.LOST_UNKNOWN


@dataclass(frozen=True, slots=True)
class Share:
    """So many lost of so many, with the interval of 95 % (Wilson); None where nothing is known."""

    lost: int
    of: int
    low: float | None
    high: float | None


@dataclass(slots=True)
class Counts:
    """Of packets that are settled; those that wait for the next answer to tell their way are in none yet."""

    answered: int = 0
    late: int = 0
    lost_up: int = 0
    lost_down: int = 0
    lost_unknown: int = 0
    duplicates: int = 0
    not_sent: int = 0

    @property
    def up(self) -> Share:
        return _share(self.lost_up, self.answered + self.late + self.lost_down + self.lost_up)

    @property
    def down(self) -> Share:
        """Of those that reached the reflector."""
        return _share(self.lost_down, self.answered + self.late + self.lost_down)


class TwoWay:
    """One session: one uplink, one address of the reflector. Bounded, however long nothing is heard."""

    def __init__(self, late_after_s: float = LATE_AFTER_S, settled_after_s: float = REMEMBERED_S) -> None:
        self._late_after_s, self._settled_after_s = late_after_s, settled_after_s
        self._packets: deque[_Packet] = deque()
        self._seq = 0
        self._before = _Heard(-1, -inf)
        """The newest settled answer that the count is compared with; before the first one a count of none."""
        self._numbers: set[int] = set()
        """Heard since then, out of order or twice."""
        self._open = _Open()
        self._counts = Counts()

    @property
    def undecided(self) -> int:
        """Lost, but which way the next answer must tell."""
        return self._open.packets

    def send(self, now: float) -> int:
        """The number of the packet that is sent now."""
        self._packets.append(_Packet(self._seq, now))
        self._seq += 1
        return self._seq - 1

    def not_sent(self, seq: int) -> None:
        """The kernel did not take it; that says nothing about the path."""
        packet = self._packet(seq)
        if packet is not None and packet.heard is None:
            packet.is_sent = False

    def returned(self, reflected: Reflected, now: float) -> Verdict | None:
        """None for what was never sent, or came too late to count as an answer."""
        packet = self._packet(reflected.seq)
        if packet is None or not packet.is_sent or now > packet.sent_at + self._settled_after_s:
            return None
        if packet.heard is not None:
            self._counts.duplicates += 1
            if reflected.number != packet.heard.number and len(self._numbers) <= NUMBERS_AT_MOST:
                self._numbers.add(reflected.number)  # doubled on the way up, so that the reflector counted twice
            return Verdict.DUPLICATE
        packet.heard = _Heard(reflected.number, reflected.reflected_at_s)
        packet.is_late = now > packet.sent_at + self._late_after_s
        return Verdict.LATE if packet.is_late else Verdict.ANSWERED

    def settle(self, now: float) -> list[Gap]:
        """What has become certain: gaps whose next answer is known, each once and in order."""
        gaps = []
        while self._packets and (
            now > self._packets[0].sent_at + self._settled_after_s or len(self._packets) > PACKETS_AT_MOST
        ):
            gaps += self._settled(self._packets.popleft())
        return gaps

    def take_counts(self) -> Counts:
        """Since the last time; begins the next ones."""
        counts, self._counts = self._counts, Counts()
        return counts

    def so_far(self) -> Counts:
        """What will be taken if nothing more comes of what was sent before the newest answered packet."""
        guess = deepcopy(self)
        answered = [place for place, packet in enumerate(guess._packets) if packet.heard is not None]
        for _ in range(answered[-1] + 1 if answered else 0):
            guess._settled(guess._packets.popleft())
        return guess._counts

    def _settled(self, packet: "_Packet") -> list[Gap]:
        if not packet.is_sent:
            self._counts.not_sent += 1
            return []
        if packet.heard is None:
            self._open.add(packet.seq)
            return []
        self._counts.late += packet.is_late
        self._counts.answered += not packet.is_late
        return self._compare(packet.heard)

    def _compare(self, heard: "_Heard") -> list[Gap]:
        if self._before.is_of_another_count(heard) or len(self._numbers) > NUMBERS_AT_MOST:
            self._numbers.clear()
            self._before = heard
            return self._close_gap(None)
        if heard.number < self._before.number or self._is_overtaken(heard):
            self._numbers.add(heard.number)  # the reflector had them in another order: who comes last closes the gap
            return []
        between = sum(self._before.number < number < heard.number for number in self._numbers)
        missing = heard.number - self._before.number - 1 - between
        self._numbers = {number for number in self._numbers if number > heard.number}
        self._before = heard
        return self._close_gap(missing)

    def _is_overtaken(self, heard: "_Heard") -> bool:
        """Something sent later was counted earlier."""
        return any(
            self._before.number < later.heard.number < heard.number
            and later.heard.reflected_at_s < heard.reflected_at_s
            for later in self._packets
            if later.heard is not None
        )

    def _close_gap(self, missing: int | None) -> list[Gap]:
        """`missing`: how many the reflector answered of those that are without an answer; None when it cannot tell."""
        lost, self._open = self._open, _Open()
        if not lost.packets:
            return []
        if missing is None or not 0 <= missing <= lost.packets:
            gap = Gap(lost.first, lost.last, unknown=lost.packets)
        else:
            gap = Gap(lost.first, lost.last, up=lost.packets - missing, down=missing)
        self._counts.lost_up += gap.up
        self._counts.lost_down += gap.down
        self._counts.lost_unknown += gap.unknown
        return [gap]

    def _packet(self, seq: int) -> "_Packet | None":
        if not self._packets or not self._packets[0].seq <= seq < self._seq:
            return None
        return self._packets[seq - self._packets[0].seq]


@dataclass(frozen=True, slots=True)
class _Heard:
    number: int
    reflected_at_s: float

    def is_of_another_count(self, later: "_Heard") -> bool:
        """A count grows; one that is lower at a later time, or the same again, has begun anew."""
        return later.number <= self.number and later.reflected_at_s >= self.reflected_at_s


@dataclass(slots=True)
class _Packet:
    seq: int
    sent_at: float
    is_sent: bool = True
    is_late: bool = False
    heard: _Heard | None = None


@dataclass(slots=True)
class _Open:
    """Settled without an answer, since the last one that had one; only their number is kept."""

    packets: int = 0
    first: int = field(default=0)
    last: int = field(default=0)

    def add(self, seq: int) -> None:
        self.first = self.first if self.packets else seq
        self.last = seq
        self.packets += 1


def total(several: Iterable[Counts]) -> Counts:
    summed = Counts()
    for counts in several:
        for name in Counts.__slots__:
            setattr(summed, name, getattr(summed, name) + getattr(counts, name))
    return summed


def _share(lost: int, of: int) -> Share:
    return Share(lost, of, *wilson(lost, of))
