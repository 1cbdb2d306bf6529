"""What the echoes of a span, a minute, come to: RTT, PDV, loss with its interval, runs of loss; see docs/measuring.md.

`Echo` is the value that all of measuring is about; the figures are read from it when the span ends, so that an answer
that came late is no loss in any of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import sqrt

from wire.messages import Health, UplinkSummary

WILSON_Z = 1.96  # 95 %


@dataclass(slots=True)
class Echo:
    seq: int
    target: str
    sent_at: float
    after_idle: bool
    usual_s: float
    """The usual RTT to this target when it was sent."""
    sent: bool = True
    rtt_s: float | None = None
    settled: bool = False
    mark: object = None
    """What the judge needs to take back what it made of a loss."""

    @property
    def lost(self) -> bool:
        return self.settled and self.sent and self.rtt_s is None


@dataclass(slots=True)
class Span:
    """A late answer to the span before lowers this span's `lost`: sums stay true over all spans."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    late: int = 0
    not_sent: int = 0
    duplicates: int = 0
    refused: int = 0
    rtts_s: list[float] = field(default_factory=list)
    """Of answers that came in this span, but the first after a pause."""
    after_idle_s: list[float] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)
    """Sent in this span, or still on their way when it began."""

    def next(self) -> "Span":
        """The span behind it; what is on its way goes over."""
        return Span(echoes=[echo for echo in self.echoes if not echo.settled])

    def summary(self, name: str, health: Health, skipped: int) -> UplinkSummary:
        rtts_s = sorted(self.rtts_s)
        ended = [echo for echo in self.echoes if echo.settled and echo.sent]
        runs = list(_runs(ended))
        low, high = wilson(sum(echo.lost for echo in ended), len(ended))
        return UplinkSummary(
            name=name,
            health=health,
            sent=self.sent,
            answered=self.answered,
            lost=self.lost,
            late=self.late,
            not_sent=self.not_sent,
            skipped=skipped,
            duplicates=self.duplicates,
            refused=self.refused,
            rtt_min_ms=ms(quantile(rtts_s, 0.0)),
            rtt_p50_ms=ms(quantile(rtts_s, 0.5)),
            rtt_p95_ms=ms(quantile(rtts_s, 0.95)),
            rtt_p99_ms=ms(quantile(rtts_s, 0.99)),
            rtt_max_ms=ms(quantile(rtts_s, 1.0)),
            after_idle_ms=ms(quantile(sorted(self.after_idle_s), 0.5)),
            pdv_p95_ms=ms(quantile(sorted(_variations(ended)), 0.95)),
            ipdv_mean_ms=ms(_mean([abs(after - before) for before, after in _neighbours(ended)])),
            loss_low=low,
            loss_high=high,
            loss_runs=len(runs),
            longest_run_s=round(max(runs, default=0.0), 3),
        )


def wilson(bad: int, of: int) -> tuple[float | None, float | None]:
    """The 95 % interval of a share (Wilson 1927); None where there is nothing to know it from."""
    if not of:
        return None, None
    share, z2 = bad / of, WILSON_Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    reach = WILSON_Z / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return round(max(0.0, middle - reach), 5), round(min(1.0, middle + reach), 5)


def quantile(ordered: list[float], share: float) -> float | None:
    """Nearest rank: always a value that was measured."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _variations(echoes: Iterable[Echo]) -> Iterator[float]:
    """PDV (RFC 5481): each delay less the smallest to the same target in the span."""
    for some in _by_target(echoes):
        rtts_s = [echo.rtt_s for echo in some if echo.rtt_s is not None and not echo.after_idle]
        smallest_s = min(rtts_s, default=0.0)
        yield from (rtt_s - smallest_s for rtt_s in rtts_s)


def _neighbours(echoes: Iterable[Echo]) -> Iterator[tuple[float, float]]:
    """For IPDV (RFC 3393): consecutive delays to the same target; not defined where either is lost."""
    for some in _by_target(echoes):
        for one, other in pairwise(some):
            if one.rtt_s is not None and other.rtt_s is not None and not (one.after_idle or other.after_idle):
                yield one.rtt_s, other.rtt_s


def _by_target(echoes: Iterable[Echo]) -> Iterator[list[Echo]]:
    ordered = sorted(echoes, key=lambda echo: (echo.target, echo.seq))
    for _, some in groupby(ordered, key=lambda echo: echo.target):
        yield list(some)


def _runs(echoes: list[Echo]) -> Iterator[float]:
    """The length of each run of losses in seconds: from its first echo to the first one after it that was answered, or
    to its last where none was yet (RFC 3357 counts packets; seconds are what people wait).
    """
    first: Echo | None = None
    for echo in echoes:
        if echo.lost:
            first = first or echo
        elif first is not None:
            yield echo.sent_at - first.sent_at
            first = None
    if first is not None:
        yield echoes[-1].sent_at - first.sent_at


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
