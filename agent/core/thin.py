"""Many summaries as one, when the spool has no room for all: sums stay true, bounds stay bounds.

Counts add up. The smallest and the largest stay. A quantile of the whole cannot be known from quantiles of its parts:
the largest p95 of them is one that the whole does not exceed; of medians the mean is taken, weighted by answers. Delay
variation stays what it was within the worst of the parts.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import fields, replace

from agent.core.span import wilson
from wire.messages import EachWay, Record, Stamp, Summary, UplinkSummary

Parts = Sequence[UplinkSummary]


def merge(parts: Sequence[Summary]) -> Summary:
    """Of one boot, in order; an uplink that is missing in some of them was not there then."""
    names = dict.fromkeys(uplink.name for part in parts for uplink in part.uplinks)
    uplinks = tuple(_merged([each for part in parts for each in part.uplinks if each.name == name]) for name in names)
    span_s = round(sum(part.span_s for part in parts), 1)
    return Summary(span_s, parts[-1].active, uplinks, max(part.own_delay_ms for part in parts))


def groups(records: Iterable[Record], span_s: float) -> Iterable[tuple[Record, ...]]:
    """Summaries that become one of about so long: of one boot, consecutive but for facts between them."""
    summaries = [record for record in records if isinstance(record.body, Summary)]
    for _, together in groupby(summaries, lambda each: (each.stamp.boot, int(each.stamp.uptime_s // span_s))):
        yield tuple(together)


def stamp(group: Sequence[Record]) -> Stamp:
    """As a summary has it: when its span ended."""
    return group[-1].stamp


def _merged(parts: Parts) -> UplinkSummary:
    return UplinkSummary(**{name: how(parts, name) for name, how in FIELDS.items()})


def _last(parts: Parts, name: str) -> Any:
    return getattr(parts[-1], name)


def _last_known(parts: Parts, name: str) -> Any:
    return next((value for part in reversed(parts) if (value := getattr(part, name)) is not None), None)


def _sum(parts: Parts, name: str) -> Any:
    return sum(getattr(part, name) for part in parts)


def _of(choose: Callable[[Iterable[float]], float]) -> Callable[[Parts, str], Any]:
    def chosen(parts: Parts, name: str) -> Any:
        known = [value for part in parts if (value := getattr(part, name)) is not None]
        return choose(known) if known else None

    return chosen


def _mean(parts: Parts, name: str) -> Any:
    """Weighted by answers."""
    known = [(value, part.answered) for part in parts if (value := getattr(part, name)) is not None]
    weight = sum(answered for _, answered in known)
    return round(sum(value * answered for value, answered in known) / weight, 3) if weight else None


def _loss(bound: int) -> Callable[[Parts, str], Any]:
    def interval(parts: Parts, _: str) -> Any:
        lost = _sum(parts, "lost")
        return wilson(lost, lost + _sum(parts, "answered"))[bound]

    return interval


def _each_way(parts: Parts, _: str) -> EachWay | None:
    known = [part.each_way for part in parts if part.each_way is not None]
    if not known:
        return None
    sums = {name: sum(getattr(each, name) for each in known) for name in WAY_COUNTS}
    worst = {name: max(_known(known, name), default=None) for name in WAY_DELAYS}
    return replace(EachWay(), **sums, **worst)


def _known(ways: Sequence[EachWay], name: str) -> list[float]:
    return [value for each in ways if (value := getattr(each, name)) is not None]


WAY_DELAYS = ("up_added_ms", "down_added_ms")
WAY_COUNTS = tuple(field.name for field in fields(EachWay) if field.name not in WAY_DELAYS)
FIELDS: dict[str, Callable[[Parts, str], Any]] = {
    "name": _last,
    "health": _last,
    **dict.fromkeys(("sent", "answered", "lost", "late", "not_sent", "skipped"), _sum),
    **dict.fromkeys(("loss_runs", "duplicates", "refused"), _sum),
    "rtt_min_ms": _of(min),
    **dict.fromkeys(("rtt_p50_ms", "ipdv_mean_ms"), _mean),
    **dict.fromkeys(
        ("rtt_p95_ms", "rtt_p99_ms", "rtt_max_ms", "longest_run_s", "after_idle_ms", "pdv_p95_ms"), _of(max)
    ),
    "signal": _last_known,
    "loss_low": _loss(0),
    "loss_high": _loss(1),
    "each_way": _each_way,
}
"""How each field of the whole comes from those of its parts."""
