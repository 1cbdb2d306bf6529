"""Rules that count misses: mwan3's rounds of pings, so many losses in a row, and BFD's silence."""

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.detect.rule import Change, Seen
from bench.detect.schedule import PING_OCTETS, moments, spent, turns
from bench.detect.weather import Day, Link


@dataclass(frozen=True)
class InARow:
    """Alarm after `misses` echoes in a row without an answer in time, good after as many in a row with one."""

    name: str
    source: str
    spacing_s: float
    misses: int
    timeout_s: float = 1
    warm_s: float = 120
    repaired_after_s: float = 60

    def watch(self, _link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        chance = np.random.default_rng(seed)
        phase_s = chance.uniform(0, self.spacing_s)
        past, is_alarm = np.zeros(self.misses - 1, dtype=bool), False
        for day in days:
            sent_s = moments(day, self.spacing_s, phase_s)
            rtt_s = day.rtts(sent_s, chance)
            lost = np.concatenate([past, rtt_s > self.timeout_s])
            changes = self.changes(lost, sent_s + np.minimum(rtt_s, self.timeout_s), is_alarm)
            past = lost[len(lost) - self.misses + 1 :]
            is_alarm = changes[-1].is_alarm if changes else is_alarm
            yield Seen(changes, spent(rtt_s, PING_OCTETS))

    def changes(self, lost: np.ndarray, known_s: np.ndarray, was_alarm: bool) -> list[Change]:
        """lost: bool (misses - 1 + n,), beginning with the fates before; known_s: (n,) when each fate is known."""
        sums = np.cumsum(np.concatenate([[0], lost]))
        losses = sums[self.misses :] - sums[: -self.misses]
        clear = np.flatnonzero((losses == 0) | (losses == self.misses))
        return turns(np.maximum.accumulate(known_s)[clear], losses[clear] > 0, was_alarm)


@dataclass(frozen=True)
class Bfd:
    """Asynchronous mode, both sides alike: down after 3 x 300 ms in which no packet arrived.

    Packets leave every 225 to 300 ms (RFC 5880 6.8.7). The weather's loss is put on the way towards us, half of its
    round trip is the delay; the other way is taken as perfect. A session that is down sends about once a second
    (6.8.3), and is up when two of those packets have come (Down -> Init -> Up), that is 1 to 2 s after a repair.
    """

    name: str = "BFD 300 ms x 3"
    source: str = "notes/failover.md 2.4 and 1.3; FRRouting/frr fbfc822; RFC 5880 6.8.3, 6.8.4, 6.8.7"
    warm_s: float = 120
    repaired_after_s: float = 60
    silence_s: float = 0.9
    octets: int = 52  # IP bytes of one control packet: 20 + 8 + 24

    def watch(self, _link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        chance = np.random.default_rng(seed)
        session, next_s = _Session(self.silence_s, random.Random(seed)), None
        for day in days:
            begin_s = day.start_s if next_s is None else next_s
            steps_s = chance.uniform(0.225, 0.3, int(day.seconds / 0.225) + 2)
            sent_s = begin_s + np.concatenate([[0.0], np.cumsum(steps_s)])
            today = int(np.searchsorted(sent_s, day.stop_s))
            next_s, sent_s = sent_s[today], sent_s[:today]
            arrived_s = sent_s + day.rtts(sent_s, chance) - day.rtt_s / 2
            yield Seen(session.hear(sent_s, arrived_s, day.stop_s), 2.0 * self.octets * len(sent_s))


class _Session:
    def __init__(self, silence_s: float, chance: random.Random) -> None:
        self._silence_s = silence_s
        self._chance = chance
        self._heard_s: float | None = None
        self._up_s: float | None = 0.0  # since when the session is up; None while it is down
        self._slow_s = 0.0  # when the next packet of a session that is down leaves
        self._shakes = 0  # of the two that the handshake needs

    def hear(self, sent_s: np.ndarray, arrived_s: np.ndarray, stop_s: float) -> list[Change]:
        """sent_s, arrived_s: (n,), inf for a lost one."""
        heard_s = np.sort(arrived_s[np.isfinite(arrived_s)])
        before_s = self._heard_s if self._heard_s is not None else sent_s[0]
        edges_s = np.concatenate([[before_s], heard_s, [max(stop_s, heard_s[-1] if len(heard_s) else 0)]])
        self._heard_s = float(edges_s[-2])
        found: list[Change] = []
        self._shake(sent_s, arrived_s, found)
        for gap in np.flatnonzero(np.diff(edges_s) > self._silence_s):
            since_s = max(float(edges_s[gap]), self._up_s) if self._up_s is not None else stop_s
            if edges_s[gap + 1] - since_s > self._silence_s:
                found.append(Change(since_s + self._silence_s, True))
                self._up_s, self._slow_s, self._shakes = None, since_s + self._silence_s, 0
                self._shake(sent_s, arrived_s, found)
        return found

    def _shake(self, sent_s: np.ndarray, arrived_s: np.ndarray, found: list[Change]) -> None:
        """Sends slowly until two packets came: each fares like the first of the stream that leaves after it."""
        while self._up_s is None:
            index = bisect_left(sent_s, self._slow_s)
            if index == len(sent_s):
                return
            self._slow_s += self._chance.uniform(0.75, 1)
            if np.isfinite(arrived_s[index]):
                self._shakes += 1
                if self._shakes == 2:
                    self._up_s = float(arrived_s[index])
                    found.append(Change(self._up_s, False))


@dataclass(frozen=True)
class Mwan3:
    """Rounds of single pings, one address after the other until two answered; five failed rounds are down.

    The score counts as mwan3track's does: ten while online, five on the edge; a success on the way down mends all.
    """

    name: str = "mwan3, shipped configuration"
    source: str = "notes/failover.md 2.2 and 1.3; openwrt/packages 0521bb5, mwan3 2.12.2"
    warm_s: float = 120
    repaired_after_s: float = 180  # its alarm takes up to 130 s
    addresses: int = 4
    reliability: int = 2
    timeout_s: float = 4
    interval_s: float = 10
    down: int = 5
    up: int = 5

    def watch(self, _link: Link, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        chance = random.Random(seed)
        at_s, score, asked, answered = -1.0, self.down + self.up, 0, 0
        for day in days:
            at_s = at_s if at_s >= 0 else day.start_s + chance.uniform(0, self.interval_s)
            seen = Seen()
            while at_s < day.stop_s:
                rtt_s = day.fate(at_s, chance)
                asked += 1
                seen.octets += PING_OCTETS if rtt_s is None else 2 * PING_OCTETS
                if rtt_s is not None and rtt_s <= self.timeout_s:
                    answered += 1
                    at_s += rtt_s
                else:
                    at_s += self.timeout_s
                if answered == self.reliability or asked == self.addresses:
                    was_alarm, score = score < self.up, self.scored(score, answered == self.reliability)
                    if (score < self.up) != was_alarm:
                        seen.changes.append(Change(at_s, not was_alarm))
                    asked = answered = 0
                    at_s += self.interval_s
            yield seen

    def scored(self, score: int, is_success: bool) -> int:
        """The score after a round: 0 to 4 offline, 5 to 10 online."""
        if is_success:
            return score + 1 if score + 1 < self.up else self.down + self.up
        return score - 1 if score - 1 > self.up else 0


THREE = InARow("3 in a row at 1 s", "notes/failover.md 7.2; AiFw's gateway.rs 2be2ca8 counts three", 1.0, 3)
FIVE = InARow("5 in a row at 0.2 s", "notes/failover.md 7.2; FortiGate's failtime is five (1.1)", 0.2, 5)
