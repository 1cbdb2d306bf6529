"""What measuring may spend: never a byte past a cap, and what is left of a day lasts to its end."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.budget import CALM_SHARE, FREE_MB_PER_DAY, FREE_MB_PER_MONTH, MB, Budget, Caps, Spent, caps
from agent.core.history import DAY_S, HOUR_S, MONTH_S
from agent.core.station import Kind, Metered, Spending, Uplink

SIZE = 72


def budget(day_bytes: float = 10_000, month_bytes: float = 100_000, now: float = 0.0) -> Budget:
    return Budget(Caps(day_bytes, month_bytes), Spent(), now)


def uplink(metered: float | None = None, spending: Spending | None = None) -> Uplink:
    return Uplink("lte", "wwan0", Kind.LTE, metered=Metered(metered) if metered else None, budget=spending)


def ask(spending: Budget, now: float, size: int = SIZE) -> bool:
    allowed = spending.allows(size, now)
    if allowed:
        spending.charge(size)
    return allowed


def day(spending: Budget, begins: float, wanted_s: float) -> list[float]:
    """The moments of a day's calm echoes."""
    moments, now = [], begins
    while now < begins + DAY_S:
        if ask(spending, now):
            moments.append(now)
        now += spending.calm_spacing_s(wanted_s, SIZE, now)
    return moments


@settings(deadline=None)
@given(
    asks=st.lists(st.tuples(st.floats(0, DAY_S / 2), st.integers(1, 3000)), max_size=150),
    day_bytes=st.integers(0, 10_000),
    month_bytes=st.integers(0, 40_000),
)
def test_no_byte_is_spent_past_a_cap(asks: list[tuple[float, int]], day_bytes: int, month_bytes: int) -> None:
    spending, now = budget(day_bytes, month_bytes), 0.0
    days: dict[int, int] = {}
    months: dict[int, int] = {}
    for passed_s, size in asks:
        now += passed_s
        if ask(spending, now, size):
            days[int(now // DAY_S)] = days.get(int(now // DAY_S), 0) + size
            months[int(now // MONTH_S)] = months.get(int(now // MONTH_S), 0) + size
    assert all(spent <= day_bytes for spent in days.values())
    assert all(spent <= month_bytes for spent in months.values())


def test_what_just_fits_is_allowed() -> None:
    spending = budget(day_bytes=10 * SIZE)
    assert [ask(spending, 0.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_new_day_begins_from_nought_and_the_month_goes_on() -> None:
    spending = budget(day_bytes=SIZE, month_bytes=3 * SIZE)
    assert [ask(spending, now) for now in (0.0, DAY_S - 0.1)] == [True, False]
    assert [ask(spending, n * DAY_S) for n in range(1, 5)] == [True, True, False, False]
    assert spending.spent.month_bytes == 3 * SIZE


def test_a_new_month_begins_from_nought() -> None:
    spending = budget(month_bytes=SIZE)
    assert [ask(spending, now) for now in (0.0, MONTH_S - 0.1, MONTH_S, MONTH_S + 1)] == [True, False, True, False]


def test_a_day_begins_when_the_one_before_has_run_and_not_when_it_is_noticed() -> None:
    spending = budget(day_bytes=SIZE)
    assert ask(spending, 1.5 * DAY_S)
    assert not ask(spending, 1.9 * DAY_S)
    assert ask(spending, 2.0 * DAY_S)


def test_the_agents_clock_may_begin_anywhere() -> None:
    spending = budget(day_bytes=SIZE, now=1e6)
    assert ask(spending, 1e6)
    assert not ask(spending, 1e6 + DAY_S - 1)
    assert ask(spending, 1e6 + DAY_S)


# a restart


def test_a_restart_forgets_nothing_that_was_spent() -> None:
    first = budget(day_bytes=2 * SIZE)
    assert ask(first, HOUR_S)
    kept = msgspec.json.decode(msgspec.json.encode(first.spent), type=Spent)
    second = Budget(first.limits, kept, 7e5)
    assert ask(second, 7e5)
    assert not ask(second, 7e5 + 22 * HOUR_S)
    assert ask(second, 7e5 + 23 * HOUR_S)


def test_restarts_are_no_way_to_spend_more() -> None:
    spent, count = Spent(), 0
    for _ in range(100):
        count += ask(Budget(Caps(5 * SIZE, 5 * SIZE), spent, 0.0), 0.0)
    assert count == 5


def test_a_smaller_plan_takes_hold_at_once() -> None:
    first = budget(day_bytes=1000)
    first.charge(900)
    assert not Budget(Caps(500, 500), first.spent, 0.0).allows(1, 0.0)


# spreading


@given(share=st.floats(0, CALM_SHARE - 0.001), wanted_s=st.floats(0.1, 20))
def test_while_its_share_lasts_calm_is_as_dense_as_wanted(share: float, wanted_s: float) -> None:
    spending = budget(1e6, 1e7)
    spending.charge(int(share * 1e6))
    assert spending.calm_spacing_s(wanted_s, SIZE, 1.0) == wanted_s


@given(share=st.floats(0, 1.2), of_month=st.floats(0, 1.2), wanted_s=st.floats(0.1, 20))
def test_it_is_never_denser_than_wanted(share: float, of_month: float, wanted_s: float) -> None:
    spending = budget(1e6, 1e7)
    spending.spent.day_bytes, spending.spent.month_bytes = int(share * 1e6), int(of_month * 1e7)
    assert spending.calm_spacing_s(wanted_s, SIZE, 1.0) >= wanted_s


def test_what_is_left_lasts_to_the_end_of_the_day() -> None:
    spending = budget(day_bytes=5000 * SIZE, month_bytes=1e9)
    moments = day(spending, 0.0, 1.0)
    pauses_s = [after - before for before, after in zip(moments, [*moments[1:], DAY_S], strict=True)]
    assert len(moments) <= 5000
    assert pauses_s[:3999] == [1.0] * 3999
    assert 1.0 < max(pauses_s) < 200


def test_of_what_is_left_some_is_there_for_trouble_until_late() -> None:
    spending = budget(day_bytes=5000 * SIZE, month_bytes=1e9)
    now = 0.0
    while now < 20 * HOUR_S:
        assert ask(spending, now)
        now += spending.calm_spacing_s(1.0, SIZE, now)
    assert spending.limits.day_bytes - spending.spent.day_bytes > 300 * SIZE  # a minute of doubt, five times a second


def test_what_is_left_lasts_to_the_end_of_the_month() -> None:
    spending = budget(day_bytes=1e9, month_bytes=20_000 * SIZE)
    moments = [moment for n in range(30) for moment in day(spending, n * DAY_S, 60.0)]
    pauses_s = [after - before for before, after in zip(moments, [*moments[1:], MONTH_S], strict=True)]
    assert len(moments) <= 20_000
    assert max(pauses_s) < HOUR_S


@pytest.mark.parametrize(("of_day", "of_month", "spacing_s"), [(0.99, 0.81, 1244), (0.81, 0.99, 3732), (0.5, 0.9, 373)])
def test_the_scarcer_of_day_and_month_spreads_them(of_day: float, of_month: float, spacing_s: int) -> None:
    spending = budget(1e6, 1e7)
    spending.spent.day_bytes, spending.spent.month_bytes = int(of_day * 1e6), int(of_month * 1e7)
    assert spending.calm_spacing_s(1.0, SIZE, 0.0) == pytest.approx(spacing_s, abs=1)


@given(st.integers(0, 200), st.floats(0, DAY_S - 1))
def test_a_cap_that_is_reached_or_passed_is_no_division_by_nought(over: int, at: float) -> None:
    spending = budget(day_bytes=100, month_bytes=100)
    spending.charge(100 + over)
    assert 1.0 <= spending.calm_spacing_s(1.0, SIZE, at) <= 2 * MONTH_S
    assert not spending.allows(1, at)


def test_where_nothing_may_be_spent_nothing_is() -> None:
    spending = budget(0, 0)
    assert not spending.allows(1, 0.0)
    assert spending.calm_spacing_s(1.0, SIZE, 0.0) >= 1.0


# caps


def test_a_free_line_has_plenty() -> None:
    assert caps(uplink()) == Caps(FREE_MB_PER_DAY * MB, FREE_MB_PER_MONTH * MB)


def test_a_metered_line_spends_a_twentieth_of_its_plan_and_a_tenth_of_that_in_a_day() -> None:
    assert caps(uplink(metered=1000)) == Caps(5 * MB, 50 * MB)


@pytest.mark.parametrize("metered", [None, 1000.0])
def test_what_is_configured_wins(metered: float | None) -> None:
    assert caps(uplink(metered, Spending(3, 70))) == Caps(3 * MB, 70 * MB)
    assert caps(uplink(metered, Spending(mb_per_day=3))).day_bytes == 3 * MB
    assert caps(uplink(metered, Spending(mb_per_month=2))) == Caps(2 * MB, 2 * MB)
    assert caps(uplink(metered, Spending(mb_per_day=0))).day_bytes == 0
    assert caps(uplink(metered, Spending(mb_per_month=0))) == Caps(0, 0)


def test_what_is_not_configured_stays_as_it_was() -> None:
    assert caps(uplink(1000, Spending(mb_per_day=3))).month_bytes == 50 * MB
    assert caps(uplink(None, Spending(mb_per_month=5000))).day_bytes == FREE_MB_PER_DAY * MB
