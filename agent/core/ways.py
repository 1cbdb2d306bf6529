"""One uplink's test packets to the centre's reflector (STAMP): which echoes they go with, what each way comes to.

A packet leaves only with an echo: it wakes neither the agent nor a radio, and is never sent where no echo may be.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf
from statistics import median

from agent.core.budget import Budget
from agent.core.events import SendStamp, StampNotSent, StampReturned
from agent.core.history import DAY_S
from agent.core.judge import SLOWER_BY_S
from agent.core.oneway import Above, OneWay
from agent.core.pace import Mood
from agent.core.plan import Policy
from agent.core.reflector import reflector
from agent.core.routes import Link
from agent.core.span import ms, quantile, wilson
from agent.core.station import Family, Station
from agent.core.twoway import Counts, TwoWay, Verdict, total
from agent.core.watch import Ask
from wire.messages import EachWay, Evidence, Health
from wire.stamp import OPEN_BYTES, SEALED_BYTES

HEADERS = {Family.IPV4: 28, Family.IPV6: 48}  # of IP and UDP
SHARE = 0.125  # of a day's bytes in calm, where traffic is carried: 34 packets a minute on a free line
SUSPICION_EVERY_S = 0.4  # as many bytes as the echoes have then; of one loss in five, five are seen in ten seconds
SCARCE = 4  # when the share of calm is spent, echoes have so many times the bytes of this
ONLY_LIFE = frozenset({Mood.DOUBT, Mood.STANDBY, Mood.ABSENCE})  # moods that ask whether it lives, and not how well
LEARNT_S = 60.0  # before that a queue may be taken for the path
NEWEST = 3  # answers, that a verdict on delay is explained by
SPEAKS_FROM = 10  # packets; of fewer no verdict says on which way they were lost
ABOVE_AT_MOST = 600  # delays of one span; a span is a minute, unless nobody asks for it


class Ways:
    """Told what comes back; asked with each echo whether a test packet goes with it."""

    def __init__(self, station: Station, uplink: str, budget: Budget) -> None:
        self._uplink, self._budget = uplink, budget
        size = SEALED_BYTES if station.centre.stamp_key else OPEN_BYTES
        self._sessions = {
            (at := reflector(text)).family: _Session(at.address, at.port, 2 * (HEADERS[at.family] + size))
            for text in station.centre.stamp
        }
        self._sent_at = -inf
        self._newest: deque[Above] = deque(maxlen=NEWEST)
        self._above: deque[Above] = deque(maxlen=ABOVE_AT_MOST)

    def ask(self, echo: Ask, health: Health, link: Link, policy: Policy, now: float) -> SendStamp | None:
        """The packet that goes with this echo: to the first reflector of a family that the uplink has."""
        session = next((each for family, each in self._sessions.items() if link.has(family)), None)
        if session is None or health not in (Health.UP, Health.POOR) or policy is not Policy.OPEN:
            return None
        if echo.mood in ONLY_LIFE or now < self._sent_at + self._spacing_s(echo.mood, session.bytes, now):
            return None
        if not self._budget.allows(session.bytes, now):
            return None
        self._budget.charge(session.bytes)  # its answer too, as with echoes
        self._sent_at = now
        return SendStamp(self._uplink, session.two_way.send(now), session.address, session.port)

    def _spacing_s(self, mood: Mood, size: int, now: float) -> float:
        wanted_s = size * DAY_S / max(SHARE * self._budget.limits.day_bytes, size)
        match mood:
            case Mood.BURST:
                wanted_s = 0.0
            case Mood.SUSPICION:
                wanted_s = min(wanted_s, SUSPICION_EVERY_S)
        return self._budget.calm_spacing_s(wanted_s, SCARCE * size, now)

    def hear(self, event: StampReturned | StampNotSent, now: float) -> None:
        session = next((each for each in self._sessions.values() if each.address == event.target), None)
        if session is None:
            return
        match event:
            case StampNotSent(_, seq):
                session.two_way.not_sent(seq)
            case StampReturned(_, _, reflected):
                verdict = session.two_way.returned(reflected, now)
                if verdict in (None, Verdict.DUPLICATE) or reflected.up_s is None or reflected.down_s is None:
                    return
                above = session.one_way.take(now - reflected.rtt_s, reflected.up_s, reflected.down_s)
                if above.known_s >= LEARNT_S:
                    self._above.append(above)
                    self._newest.append(above)

    def summary(self, now: float) -> EachWay | None:
        """What became certain since the last one; begins the next. None where nothing did."""
        taken = []
        for session in self._sessions.values():
            session.two_way.settle(now)
            counts = session.two_way.take_counts()
            lost = counts.lost_up + counts.lost_down + counts.lost_unknown
            self._budget.charge(-counts.not_sent * session.bytes - lost * session.bytes // 2)
            taken.append(counts)
        found = _told(total(taken), list(self._above))
        self._above.clear()
        return None if found == EachWay() else found

    def explain(self, cause: object) -> Evidence:
        """What an uplink is poor of, way by way; nothing where that is not known."""
        if cause == "delay":
            return self._slow()
        counts = total([each.two_way.so_far() for each in self._sessions.values()])
        up, down = counts.up, counts.down
        if cause != "loss" or up.of < SPEAKS_FROM:
            return {}
        told: Evidence = {"up_lost": up.lost, "up_of": up.of, "down_lost": down.lost, "down_of": down.of}
        low, high = wilson(up.lost, up.lost + down.lost)
        if low is not None and high is not None and not low <= 0.5 <= high:
            told["mostly"] = "up" if low > 0.5 else "down"
        return told

    def _slow(self) -> Evidence:
        """Of the newest answers those that were slow themselves."""
        slow = [each for each in self._newest if each.up_s + each.down_s >= SLOWER_BY_S]
        if not slow:
            return {}
        up_s, down_s = median(each.up_s for each in slow), median(each.down_s for each in slow)
        return {"up_added_ms": round(1e3 * up_s, 1), "down_added_ms": round(1e3 * down_s, 1)}


@dataclass(slots=True)
class _Session:
    """With one address of the reflector, through one uplink."""

    address: str
    port: int
    bytes: int
    """Of a packet and its answer."""
    two_way: TwoWay = field(default_factory=TwoWay)
    one_way: OneWay = field(default_factory=OneWay)


def _told(counts: Counts, above: list[Above]) -> EachWay:
    up, down = counts.up, counts.down
    return EachWay(
        up_lost=up.lost,
        up_of=up.of,
        down_lost=down.lost,
        down_of=down.of,
        lost_unknown=counts.lost_unknown,
        late=counts.late,
        not_sent=counts.not_sent,
        duplicates=counts.duplicates,
        up_added_ms=ms(quantile(sorted(each.up_s for each in above), 0.95)),
        down_added_ms=ms(quantile(sorted(each.down_s for each in above), 0.95)),
    )
