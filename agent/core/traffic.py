"""What users' own traffic tells of an uplink, for nothing: that it lives, that it is doubtful, that it is busy."""

from enum import Enum, auto

from agent.core.events import TrafficCounted
from agent.core.station import Kind

BUSY_ABOVE_BPS = {  # bytes a second: who is slow or lossy below that is not slow because of its users
    Kind.FIBRE: 500_000,
    Kind.LTE: 125_000,
    Kind.LEO: 500_000,
    Kind.GEO: 30_000,  # fills a return channel of 256 kbit/s
}
BUSY_SHARE = 0.5  # of the most that the uplink was seen to carry
LIFE_LASTS_S = 1.0  # counters are read four times a second
BUSY_LASTS_S = 2.0  # a queue of a second or two empties after the load has ended
PEAK_HALF_LIFE_S = 86_400
ASKED_AT_LEAST = 5  # packets without an answer; fewer may be a one-way protocol's


class Sign(Enum):
    NONE = auto()
    LIFE = auto()
    """Answers came from beyond the gateway."""
    DOUBT = auto()
    """Users asked and nothing came back, though there were answers before."""


class Traffic:
    """Counters in, signs out. Counters that begin again from nought are a new beginning, not a sign."""

    def __init__(self, kind: Kind) -> None:
        self._above_bps = BUSY_ABOVE_BPS[kind]
        self._last: TrafficCounted | None = None
        self._at = 0.0
        self._peaks_bps = [0.0, 0.0]
        self._busy_until: float | None = None
        self._asked = 0
        """Since the last answer."""
        self._expects = False
        """There were answers, and no doubt was told since."""
        self.answers_until = 0.0

    def busy(self, now: float) -> bool:
        """The uplink is filled by its own users: slow answers and losses are theirs, not the provider's."""
        return self._busy_until is not None and now < self._busy_until

    def answers(self, now: float) -> bool:
        """Users are being answered."""
        return now < self.answers_until

    def take(self, counted: TrafficCounted, now: float) -> Sign:
        last, self._last = self._last, counted
        passed_s, self._at = now - self._at, now
        if last is None or passed_s <= 0 or counted.rx_bytes < last.rx_bytes or counted.tx_bytes < last.tx_bytes:
            self._asked, self._expects = 0, False
            return Sign.NONE
        self._weigh((counted.rx_bytes - last.rx_bytes, counted.tx_bytes - last.tx_bytes), passed_s, now)
        asked, answered = _more(last.asked, counted.asked), _more(last.answered, counted.answered)
        if answered > 0:
            self._asked, self._expects, self.answers_until = 0, True, now + LIFE_LASTS_S
            return Sign.LIFE
        self._asked += max(asked, 0)
        if self._expects and self._asked >= ASKED_AT_LEAST:
            self._expects, self.answers_until = False, now  # said once, until there are answers again
            return Sign.DOUBT
        return Sign.NONE

    def _weigh(self, moved: tuple[int, int], passed_s: float, now: float) -> None:
        fade = 2 ** (-passed_s / PEAK_HALF_LIFE_S)
        for way, size in enumerate(moved):
            rate_bps = size / max(passed_s, 0.1)
            self._peaks_bps[way] = max(self._peaks_bps[way] * fade, rate_bps)
            if rate_bps >= max(self._above_bps, BUSY_SHARE * self._peaks_bps[way]):
                self._busy_until = now + BUSY_LASTS_S


def _more(before: int | None, after: int | None) -> int:
    """Nought where nobody has counted before: what has grown since nobody knows when is not news."""
    return 0 if before is None or after is None else after - before
