"""What a bandwidth test of one uplink found, and who may not test at the same time."""

from dataclasses import dataclass

import msgspec

from agent.core.delivery import IP_SHARE, Way, message_s, photos_s
from agent.core.station import Kind, Uplink
from wire.bandwidth import Received
from wire.messages import Evidence
from wire.train import Estimate

REGENCY_DIGITS, VILLAGE_DIGITS = 4, 10
AT_LEAST = "≥"
SETTLED_ERROR = 0.05  # how far the samples of a transfer may be apart


class OneWay(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of IP packets, Mbit/s."""

    capacity_mbps: float | None = None
    """What the way can carry."""
    error: float | None = None
    """Half the interval of confidence, as a fraction."""
    at_least: bool = False
    """So many bytes were carried this fast; for longer it may be less."""
    own_mbps: float | None = None
    """What the station's own traffic took meanwhile, by the interface's counters."""
    available_mbps: float | None = None
    """Capacity less own traffic."""
    goodput_mbps: float | None = None
    """Payload of TCP, as the receiver counted it."""
    said_mbps: float | None = None
    """What a sender claims that nobody counted for."""
    added_ms: float | None = None
    """Working latency: delay above idle at p95 while loaded; None: no load seen."""
    burst_bytes: int = 0
    """Passed before the shaper began."""
    lost: int = 0


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    uplink: str
    how: str
    up: OneWay
    down: OneWay
    rtt_ms: float | None
    loss: float
    spent_bytes: int
    """At the IP layer, both ways, of everything."""
    photos_s: float | None
    """Predicted for 20 MB of photos of result forms, now."""
    message_s: float | None
    """Predicted for one message of 1 kB, now."""


@dataclass(frozen=True, slots=True)
class Allowance:
    bytes: int = 0
    loss: float | None = None
    """Of the uplink's echoes."""
    why_not: str | None = None


def told(tested: Measured) -> Evidence:
    """As a fact rests on it."""
    up, down = tested.up, tested.down
    return {
        "how": tested.how,
        "up_mbps": _rounded(up.capacity_mbps),
        "up_available_mbps": _rounded(up.available_mbps),
        "up_is": AT_LEAST if up.at_least else "=",
        "down_mbps": _rounded(down.capacity_mbps),
        "down_available_mbps": _rounded(down.available_mbps),
        "down_is": AT_LEAST if down.at_least else "=",
        "photos_s": _rounded(tested.photos_s),
        "message_s": _rounded(tested.message_s),
        "spent_bytes": tested.spent_bytes,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def of_train(told: Estimate | None, own_mbps: float) -> OneWay:
    if told is None:
        return OneWay(own_mbps=own_mbps)
    available_mbps = max(0.0, told.mbps - own_mbps)
    return OneWay(
        told.mbps, told.error, told.at_least, own_mbps, available_mbps, burst_bytes=told.burst_bytes, lost=told.lost
    )


def of_transfer(told: Received | None, own_mbps: float, added_ms: float | None) -> OneWay:
    """It had to share with the station's own traffic: what it got is what was free."""
    if told is None or told.mbps is None:
        return OneWay(own_mbps=own_mbps)
    free_mbps = told.mbps / IP_SHARE
    return OneWay(
        free_mbps + own_mbps,
        SETTLED_ERROR if told.settled else None,
        not told.settled,
        own_mbps,
        free_mbps,
        told.mbps,
        added_ms=added_ms,
    )


def of_goodput(counted_mbps: float | None, own_mbps: float, said_mbps: float | None = None) -> OneWay:
    """`said_mbps` is a sender's word; it is shown and never believed."""
    if counted_mbps is None:
        return OneWay(own_mbps=own_mbps, said_mbps=said_mbps)
    free_mbps = counted_mbps / IP_SHARE
    return OneWay(free_mbps + own_mbps, None, True, own_mbps, free_mbps, goodput_mbps=counted_mbps, said_mbps=said_mbps)


def result(
    uplink: str, how: str, ways: tuple[OneWay, OneWay], rtt_s: float | None, loss: float, spent_bytes: int
) -> Measured:
    up, down = ways
    way = Way(up.available_mbps, rtt_s, loss) if up.available_mbps and rtt_s is not None else None
    return Measured(
        uplink,
        how,
        up,
        down,
        None if rtt_s is None else rtt_s * 1e3,
        loss,
        spent_bytes,
        photos_s(way) if way else None,
        message_s(way) if way else None,
    )


def group(station: str, uplink: Uplink) -> str:
    """Who shares the air with us: a satellite's beam covers a regency, a cell about a village; a fibre is its own."""
    owner = uplink.shared_fate or uplink.operator or "anybody"
    match uplink.kind:
        case Kind.GEO | Kind.LEO:
            return f"{uplink.kind} {owner} {station[:REGENCY_DIGITS]}"
        case Kind.LTE:
            return f"{uplink.kind} {owner} {station[:VILLAGE_DIGITS]}"
        case _:
            return f"{uplink.kind} {station} {uplink.name}"
