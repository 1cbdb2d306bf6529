"""What an uplink has been like: its silences, how it goes bad, its round-trip times; bounded, and kept across restarts.

It learns from what the uplink came through, never from an outage: Watch decides what it is told.
"""

from dataclasses import dataclass
from math import sqrt

import msgspec

from agent.core.change import Rates
from agent.core.station import Kind

HOUR_S, DAY_S = 3600, 86_400
MONTH_S = 30 * DAY_S
HALF_LIFE_S = 14 * DAY_S  # an uplink's weather of last month is not today's

EDGES_S = (0.0, *(0.05 * 1.15**n for n in range(46)))  # of the bins of silences, up to 27 s: past every ceiling
LAST_EDGE_S = 0.05 * 1.15**46
TOP = 40  # the longest silences tell the tail: of fewer chance speaks, more are not the tail
PRIOR = 20  # silences in a day
OUTCOMES = 30  # a few bursts show what a link is like
GOES_ON_AT_MOST = 0.9  # bursts of ten; what lasts longer is no burst
SHORTEST_EXCESS_S = 0.02  # equal lengths do not mean that the next one cannot be longer

FIRST_TIMEOUT_S = 1.0  # RFC 6298 2.1, until an RTT is known
LONGEST_TIMEOUT_S = 3.0  # an LTE tail of ten seconds must not make the detector blind
DEVIATIONS = 6  # RFC 6298 has four; with the usual one-sided jitter one answer in fifty then comes after its time
SLACK_S = 0.02  # a board's own scheduling; a link without variation would else be doubted for it
BASE_DOUBLES_IN_S = 6 * HOUR_S  # an evening's congestion must not become what is usual; a new route must, within a day
BASE_LEARNS_FROM = 25  # answers, before which the smoothed RTT stands for the usual one


@dataclass(frozen=True, slots=True)
class Usual:
    """What a kind of link is taken for until it has a history: as if PRIOR silences and OUTCOMES losses had been so."""

    silence_s: float
    loss_goes_on: float = 0.05
    """Of all losses, how many are followed by another one."""
    delay_goes_on: float = 0.5
    """Of slow answers: a queue lasts."""


USUAL = {
    Kind.FIBRE: Usual(silence_s=0.1),
    Kind.LTE: Usual(silence_s=0.15),  # hand-over between cells
    Kind.LEO: Usual(silence_s=0.15),  # hand-over between satellites
    Kind.GEO: Usual(silence_s=0.25),  # a lost echo is noticed by the next answer, 0.3 s later
}


class Silences(msgspec.Struct):
    """Lengths of silences that the uplink came through: how many and how long together, in each bin of EDGES_S."""

    watched_s: float = 0.0
    counts: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(EDGES_S))
    sums_s: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(EDGES_S))

    def take(self, length_s: float) -> None:
        place = max(place for place, edge_s in enumerate(EDGES_S) if length_s >= edge_s)
        self.counts[place] += 1
        self.sums_s[place] += length_s

    def length_s(self, per_month: float, usual: Usual) -> float:
        """The length that silences reach so many times in 30 days."""
        return self._tail(usual).length_s(per_month)

    def per_month(self, length_s: float, usual: Usual) -> float:
        """How many silences of at least this length are to be expected in 30 days."""
        return self._tail(usual).per_month_past(length_s)

    def fade(self, share: float) -> None:
        self.watched_s *= share
        self.counts = [count * share for count in self.counts]
        self.sums_s = [sum_s * share for sum_s in self.sums_s]

    def _tail(self, usual: Usual) -> "_Tail":
        """Beyond the highest threshold that TOP silences have passed; before there are so many, beyond nought."""
        count = sum_s = 0.0
        upper_s = LAST_EDGE_S
        for edge_s, here, here_s in zip(reversed(EDGES_S), reversed(self.counts), reversed(self.sums_s), strict=True):
            if count + here >= TOP:
                share = (TOP - count) / here  # a bin may hold thousands: only its longest belong to the tail
                from_s = upper_s - (upper_s - edge_s) * share
                sum_s += (TOP - count) * max(from_s + upper_s, 2 * here_s / here) / 2
                excess_s = max(TOP * SHORTEST_EXCESS_S, sum_s - TOP * from_s)
                return _Tail(from_s, TOP, excess_s, TOP / max(self.watched_s, HOUR_S) * MONTH_S)
            count, sum_s, upper_s = count + here, sum_s + here_s, edge_s
        count += PRIOR
        return _Tail(0.0, count, PRIOR * usual.silence_s + sum_s, count / (DAY_S + self.watched_s) * MONTH_S)


@dataclass(frozen=True, slots=True)
class _Tail:
    """Exponential excesses over a threshold (Pickands 1975), of a mean that is known from `count` of them only.

    What is to be expected of the next ones is then a Lomax law: a few long silences promise longer ones.
    """

    from_s: float
    count: float
    excess_s: float
    """Of all together."""
    per_month: float

    def length_s(self, per_month: float) -> float:
        rarer: float = max(1.0, self.per_month / per_month) ** (1 / self.count)
        return self.from_s + self.excess_s * (rarer - 1)

    def per_month_past(self, length_s: float) -> float:
        further: float = 1 + max(0.0, length_s - self.from_s) / self.excess_s
        return self.per_month / float(further**self.count)


class Outcomes(msgspec.Struct):
    """How outcomes followed one another: after a good one, and after a bad one."""

    after_good: float = 0.0
    begins: float = 0.0
    after_bad: float = 0.0
    goes_on: float = 0.0

    def take(self, bad: bool, after_bad: bool) -> None:
        if after_bad:
            self.after_bad += 1
            self.goes_on += bad
        else:
            self.after_good += 1
            self.begins += bad

    def rates(self, least: float, most: float, goes_on: float) -> Rates:
        """`least` and `most` bound how often it goes bad: less is not worth knowing, more is not to be got used to."""
        begins = (1000 * least + self.begins) / (1000 + self.after_good)
        begins = min(max(begins, least), most)
        tries = OUTCOMES + self.after_bad
        goes_on = (OUTCOMES * goes_on + self.goes_on) / tries
        goes_on += sqrt(goes_on * (1 - goes_on) / tries)
        return Rates(round(begins, 4), round(min(max(goes_on, begins), GOES_ON_AT_MOST), 2))

    def known_to_go_on(self) -> float:
        """As seen, without any prior; a burst is taken for five long at most, or a proof would take minutes."""
        return min(self.goes_on / self.after_bad, 0.8) if self.after_bad >= 20 else 0.0

    def fade(self, share: float) -> None:
        self.after_good, self.begins = self.after_good * share, self.begins * share
        self.after_bad, self.goes_on = self.after_bad * share, self.goes_on * share


class Trip(msgspec.Struct):
    """The round trip to one target: smoothed RTT and deviation (RFC 6298), and the usual RTT, which moves slowly."""

    smoothed_s: float | None = None
    deviation_s: float = 0.0
    usual_s: float = 0.0
    heard: int = 0

    @property
    def timeout_s(self) -> float:
        """How long an answer may take before it is missed."""
        if self.smoothed_s is None:
            return FIRST_TIMEOUT_S
        return min(self.smoothed_s + max(DEVIATIONS * self.deviation_s, SLACK_S), LONGEST_TIMEOUT_S)

    def learn(self, rtt_s: float, since_s: float) -> None:
        """`since_s`: time since the last one. What came after its time counts as twice that time and no more, so that
        the late answers after an outage do not become what is expected.
        """
        self.heard = min(self.heard + 1, BASE_LEARNS_FROM)
        if self.smoothed_s is None:
            self.smoothed_s, self.deviation_s = rtt_s, rtt_s / 2
        else:
            rtt_s = min(rtt_s, 2 * self.timeout_s)
            self.deviation_s += (abs(rtt_s - self.smoothed_s) - self.deviation_s) / 4
            self.smoothed_s += (rtt_s - self.smoothed_s) / 8
        if self.heard < BASE_LEARNS_FROM:
            self.usual_s = self.smoothed_s
        else:
            step = 2 ** (min(since_s, 60.0) / BASE_DOUBLES_IN_S)
            self.usual_s *= step if rtt_s > self.usual_s else 1 / step


class History(msgspec.Struct):
    """One uplink's; a few kilobytes, however long it has been watched."""

    silences: Silences = msgspec.field(default_factory=Silences)
    losses: Outcomes = msgspec.field(default_factory=Outcomes)
    delays: Outcomes = msgspec.field(default_factory=Outcomes)
    trips: dict[str, Trip] = {}
    after_idle: Trip = msgspec.field(default_factory=Trip)
    """The first echo after a pause: an LTE radio that slept answers a second later."""

    def fade(self, passed_s: float) -> None:
        share = 2 ** (-passed_s / HALF_LIFE_S)
        self.silences.fade(share)
        self.losses.fade(share)
        self.delays.fade(share)
