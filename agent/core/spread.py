"""The mean rate of an hour from many short bursts: a link that changes is known by many moments, not by many bytes.

Each burst is looked at for one window of time, from the moment at which its first packet could have come at all. A
window that began with the first arrival would begin where the link is good, and see it better than it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wire.train import Arrival

BURSTS, PACKETS = 50, 16  # in an hour; 0.98 MB
SHORTEST_S, LONGEST_S = 0.02, 0.5
FIRST_WINDOW_S = 0.033
FILLED = 1.0  # of a window, by a burst at the mean rate: what is slower still fills it, what is faster is extended


@dataclass(frozen=True, slots=True)
class Burst:
    carried_bytes: float
    """In the whole window."""
    window_s: float


def window_s(burst_bytes: int, mbps: float | None) -> float:
    """For the next bursts, by the mean of those before."""
    if not mbps:
        return FIRST_WINDOW_S
    return min(LONGEST_S, max(SHORTEST_S, FILLED * burst_bytes * 8e-6 / mbps))


def burst(arrivals: Sequence[Arrival], sent: int, least_delay_s: float, lasts_s: float) -> Burst:
    """`least_delay_s` is the shortest time from stamp to stamp, of these packets and of echoes just before.

    A burst that is over before its window goes on at its own rate: so many packets mark as many steps less one half.
    """
    if not arrivals:
        return Burst(0.0, lasts_s)
    begin_s = min(each.sent_s for each in arrivals) + least_delay_s
    inside = [each for each in arrivals if each.came_s - begin_s <= lasts_s]
    carried = float(sum(each.size_bytes for each in inside))
    if len(inside) < sent:
        return Burst(carried, lasts_s)
    took_s = max(max(each.came_s for each in inside) - begin_s, 1e-4)
    return Burst(carried * (1 - 1 / (2 * sent)) * max(lasts_s / took_s, 1.0), lasts_s)


def mean_mbps(bursts: Sequence[Burst]) -> float | None:
    """Sums over sums: a window counts for what it carried, not for how fast it was."""
    time_s = sum(each.window_s for each in bursts)
    return 8e-6 * sum(each.carried_bytes for each in bursts) / time_s if time_s else None
