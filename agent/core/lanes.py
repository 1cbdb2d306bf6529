"""How an uplink treats the essential and the rest: who queues behind whom, what is dropped, what is refused."""

from dataclasses import dataclass

from agent.core.plan import Policy, low_kbps
from agent.core.station import Uplink

POLICED_SHARE = 0.5  # of a thin uplink, to the rest where nobody can queue it: the other half is free at any moment
HANDLE = "51a9"  # of our root qdisc, by which it is recognised
FIRST, ESSENTIAL, REST = f"{HANDLE}:1", f"{HANDLE}:2", f"{HANDLE}:3"
"""The classes. First goes what others wait for in seconds: echoes, names, time; never behind a long upload."""
ASSURED = {FIRST: 0.1, ESSENTIAL: 0.8, REST: 0.1}  # of the uplink, to each when all want it; unused shares are lent
QUEUE_S = {FIRST: 0.1, ESSENTIAL: 0.25, REST: 0.5}  # of the rate that the class can reach
PACKETS_AT_LEAST = 10  # in a queue, so that a thin one still has room
PACKET_BYTES = 1514


@dataclass(frozen=True, slots=True)
class Shape:
    """The queues that should stand before an uplink's interface."""

    interface: str
    index: int
    """An interface that comes back is another one, and has no queue of ours."""
    up_kbps: int
    rest_kbps: int
    """What the rest can reach at most."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """What one uplink does with traffic. As it is without any limit: everything passes."""

    queued: bool = False
    """The kernel queues by classes."""
    refused: bool = False
    """The rest, in the direction of the uplink."""
    up_kbps: int | None = None
    """The rest above it is dropped, where it is neither refused nor queued."""
    down_kbps: int | None = None
    """The rest that comes in above it is dropped; its senders notice."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lanes of an uplink depend on beside its configuration."""

    policy: Policy = Policy.OPEN
    unqueued: str | None = None
    """Why the kernel cannot queue on this uplink; None when it can, or was not asked yet."""


def lanes(uplink: Uplink, standing: Standing) -> Lanes:
    queued = uplink.up_kbps is not None and standing.unqueued is None
    if standing.policy is Policy.RESERVE:
        return Lanes(queued, refused=True)
    low = _low_kbps(uplink, standing)
    if queued or uplink.up_kbps is None:
        return Lanes(queued, up_kbps=None if queued else low, down_kbps=low)
    policed = int(uplink.up_kbps * POLICED_SHARE)
    return Lanes(up_kbps=policed if low is None else min(low, policed), down_kbps=low)


def shape(uplink: Uplink, standing: Standing, interface: str, index: int | None) -> Shape | None:
    """Wished also where the kernel could not do it the last time: it may be able to now."""
    if uplink.up_kbps is None or index is None:
        return None
    low = _low_kbps(uplink, standing)
    return Shape(interface, index, uplink.up_kbps, uplink.up_kbps if low is None else min(low, uplink.up_kbps))


def _low_kbps(uplink: Uplink, standing: Standing) -> int | None:
    return None if uplink.metered is None or standing.policy is Policy.OPEN else low_kbps(uplink.metered)


def tc_text(shape: Shape) -> str:
    """What `tc -batch` makes of an interface that has no queue of ours.

    The class is said by the packet's priority, which our nft table sets: no filter is needed, and not every kernel has
    one. Below each class a TBF that never holds anything back cuts what a network card has put together: 64 kB in one
    piece would stop a thin uplink for half a second.
    """
    device, most_kbps = shape.interface, shape.up_kbps
    lines = [
        f"qdisc add dev {device} root handle {HANDLE}: htb default {REST.partition(':')[2]}",
        f"class add dev {device} parent {HANDLE}: classid {HANDLE}:10 htb {_rate(most_kbps, most_kbps)}",
    ]
    for n, (name, share) in enumerate(ASSURED.items()):
        most_kbps = shape.rest_kbps if name == REST else shape.up_kbps
        rate = _rate(max(8, min(int(shape.up_kbps * share), most_kbps)), most_kbps)
        limit_bytes = max(PACKETS_AT_LEAST * PACKET_BYTES, int(most_kbps * 125 * QUEUE_S[name]))
        lines += [
            f"class add dev {device} parent {HANDLE}:10 classid {name} htb prio {n} {rate}",
            f"qdisc add dev {device} parent {name} handle {HANDLE[:3]}{'bcd'[n]}: tbf rate 10gbit "
            f"burst {2 * PACKET_BYTES}b limit {limit_bytes}b",
        ]
    return "\n".join(lines) + "\n"


def _rate(assured_kbps: int, most_kbps: int) -> str:
    """What a timer of ten milliseconds misses may go at once."""
    burst = f"{max(2 * PACKET_BYTES, int(most_kbps * 125 * 0.01))}b"
    return f"rate {assured_kbps}kbit ceil {most_kbps}kbit burst {burst} cburst {burst} quantum {PACKET_BYTES}"
