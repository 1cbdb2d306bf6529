"""How long it takes to deliver something by an uplink now: what its rate, its round trip and its losses say together.

Not rate alone: a new connection needs two round trips before its first byte, slow start doubles once a round trip, and
losses hold TCP back the more the longer the way. Over a geostationary satellite these three are most of the time.
"""

from dataclasses import dataclass
from math import sqrt

PHOTOS_BYTES = 20_000_000
MESSAGE_BYTES = 1000
SEGMENT_BYTES = 1448
IP_SHARE = SEGMENT_BYTES / 1500  # of what IP carries, payload of TCP
FIRST_WINDOW = 10  # segments, RFC 6928
SETTING_UP = 2  # round trips: TCP, then TLS 1.3
RESENT_AT_LEAST_S = 0.2  # Linux's shortest wait before it sends again
LOSS_AT_MOST = 0.45  # more is no way at all


@dataclass(frozen=True, slots=True)
class Way:
    """Up an uplink, as measured."""

    mbps: float
    """Free for IP packets."""
    rtt_s: float
    loss: float


def photos_s(way: Way, size_bytes: int = PHOTOS_BYTES) -> float:
    """By a connection that is opened for it, until its last byte is acknowledged."""
    ceiling = max(min(_line_bytes_per_s(way), _loss_bytes_per_s(way)), 1.0)
    passed_s, left, window = SETTING_UP * way.rtt_s, float(size_bytes), float(FIRST_WINDOW * SEGMENT_BYTES)
    while left > window and window < ceiling * way.rtt_s:
        passed_s, left, window = passed_s + way.rtt_s, left - window, window * 2
    return passed_s + left / ceiling + way.rtt_s


def message_s(way: Way, size_bytes: int = MESSAGE_BYTES) -> float:
    """By the connection that is open, until the centre says that it has it; with what losses cost on average.

    Each wait before it is sent again is twice the one before.
    """
    loss = min(way.loss, LOSS_AT_MOST)
    again_s = way.rtt_s + max(RESENT_AT_LEAST_S, way.rtt_s / 2)
    return way.rtt_s + size_bytes / max(_line_bytes_per_s(way), 1.0) + again_s * loss / (1 - 2 * loss)


def _line_bytes_per_s(way: Way) -> float:
    return way.mbps * 125_000 * IP_SHARE


def _loss_bytes_per_s(way: Way) -> float:
    """CUBIC's mean window, or Reno's where that is larger (RFC 9438 5.1 and 5.2; Mathis 1997)."""
    loss = min(way.loss, LOSS_AT_MOST)
    if loss <= 0 or way.rtt_s <= 0:
        return float("inf")
    segments = max(sqrt(1.5 / loss), 1.054 * float((way.rtt_s / loss) ** 0.75), 1.0)
    return segments * SEGMENT_BYTES / way.rtt_s
