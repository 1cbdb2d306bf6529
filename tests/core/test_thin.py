"""Many summaries as one: nothing is counted twice or lost, and what is said of the whole is true of its parts."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from agent.core.span import quantile, wilson
from agent.core.thin import FIELDS, groups, merge
from wire.messages import Active, EachWay, Fact, Health, Record, Signal, Stamp, Summary, UplinkSummary


def part(name: str = "fibre", rtts_ms: list[float] | None = None, lost: int = 0, **more: object) -> UplinkSummary:
    ordered = sorted(rtts_ms or [])
    figures = {"min": 0.0, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    told = {f"rtt_{called}_ms": quantile(ordered, share) for called, share in figures.items()}
    return UplinkSummary(
        name,
        Health.UP,
        len(ordered) + lost,
        len(ordered),
        lost,
        0,
        0,
        **told,
        **more,  # type: ignore[arg-type]
    )


def summary(*uplinks: UplinkSummary, active: str = "fibre") -> Summary:
    return Summary(60.0, Active(active), uplinks)


def record(seq: int, uptime_s: float, boot: str = "b1", body: Summary | Fact | None = None) -> Record:
    return Record("e", seq, Stamp(boot, uptime_s, 0.0, False), body or summary(part()))


def test_every_field_of_an_uplink_says_how_it_is_merged() -> None:
    assert set(FIELDS) == {field.name for field in fields(UplinkSummary)}


@given(st.lists(st.tuples(st.lists(st.floats(1, 2000), max_size=30), st.integers(0, 30)), min_size=1, max_size=12))
def test_counts_add_up_and_bounds_hold_for_the_whole(minutes: list[tuple[list[float], int]]) -> None:
    whole = sorted(rtt for rtts, _ in minutes for rtt in rtts)
    lost = sum(lost for _, lost in minutes)
    merged = merge([summary(part(rtts_ms=rtts, lost=gone)) for rtts, gone in minutes])
    (uplink,) = merged.uplinks
    assert merged.span_s == 60.0 * len(minutes)
    assert (uplink.sent, uplink.answered, uplink.lost) == (len(whole) + lost, len(whole), lost)
    assert (uplink.rtt_min_ms, uplink.rtt_max_ms) == (quantile(whole, 0.0), quantile(whole, 1.0))
    assert (uplink.loss_low, uplink.loss_high) == wilson(lost, len(whole) + lost)
    for named, share in ((uplink.rtt_p95_ms, 0.95), (uplink.rtt_p99_ms, 0.99)):
        assert (named is None) == (not whole)
        if named is not None:
            assert named >= (quantile(whole, share) or 0.0)
    if whole and uplink.rtt_p50_ms is not None:
        assert whole[0] - 0.001 <= uplink.rtt_p50_ms <= whole[-1] + 0.001


def test_what_lasts_is_as_it_was_last() -> None:
    heard, later = Signal("lte", -90.0), Signal("lte", -100.0)
    one = summary(part("lte", signal=heard), active="fibre")
    other = summary(part("lte", signal=later), active="lte")
    silent = summary(part("lte"), active="lte")
    merged = merge([one, other, silent])
    assert merged.active == Active("lte")
    assert merged.uplinks[0].signal == later


def test_each_way_adds_up_and_the_worst_delay_stays() -> None:
    ways = [EachWay(1, 36, 2, 35, late=1, up_added_ms=3.0), None, EachWay(4, 30, 0, 26, 5, up_added_ms=2.0), EachWay()]
    (uplink,) = merge([summary(part(each_way=each)) for each in ways]).uplinks
    assert uplink.each_way == EachWay(5, 66, 2, 61, 5, late=1, up_added_ms=3.0)
    assert merge([summary(part())]).uplinks[0].each_way is None


def test_an_uplink_that_came_later_is_there() -> None:
    merged = merge([summary(part()), summary(part(), part("lte", [5.0]))])
    assert [(uplink.name, uplink.answered) for uplink in merged.uplinks] == [("fibre", 0), ("lte", 1)]


def test_the_worst_own_delay_stays() -> None:
    late = Summary(60.0, Active(), (part(),), own_delay_ms=40.0)
    assert merge([late, summary(part())]).own_delay_ms == 40.0


def test_a_whole_is_of_one_boot_and_of_one_stretch_of_time_and_facts_are_left_alone() -> None:
    fact = record(4, 200.0, body=Fact("AGENT_STARTED"))
    minutes = [record(1, 60.0), record(2, 120.0), record(3, 180.0), fact, record(5, 240.0), record(6, 301.0)]
    other = [record(7, 60.0, "b2"), record(8, 120.0, "b2")]
    found = [tuple(each.seq for each in group) for group in groups([*minutes, *other], 300.0)]
    assert found == [(1, 2, 3, 5), (6,), (7, 8)]


def test_what_is_merged_again_is_as_if_it_had_been_merged_at_once() -> None:
    minutes = [summary(part(rtts_ms=[10.0 + n, 20.0], lost=n % 2)) for n in range(12)]
    at_once = merge(minutes)
    twice = merge([merge(minutes[:5]), merge(minutes[5:])])
    for name in ("sent", "answered", "lost", "rtt_min_ms", "rtt_max_ms", "rtt_p95_ms", "loss_low", "loss_high"):
        assert getattr(at_once.uplinks[0], name) == getattr(twice.uplinks[0], name)
