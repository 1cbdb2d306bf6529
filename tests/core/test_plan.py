"""A metered plan: what is counted of it, and the policy that follows, which never flaps."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.budget import MB
from agent.core.events import DateKnown, Queued, Remember, Stopping, Tick, TrafficCounted
from agent.core.failover import Failover
from agent.core.history import DAY_S, MONTH_S
from agent.core.memory import Memory
from agent.core.plan import LOW_LASTS_S, Plan, Policy, Used, low_kbps, policy
from agent.core.station import Kind, Metered
from tests.core.driven import Driven, settled
from wire import evidence

PLAN = Metered(3000)  # reserve 300, low from 2025, the rest refused from 2700
ORDER = [Policy.OPEN, Policy.LOW, Policy.RESERVE]


def plan(metered: Metered = PLAN, **used: int) -> Plan:
    return Plan(metered, Used(**used), 0.0)


def test_nobody_has_counted_before_so_what_the_interface_carried_long_ago_is_not_ours() -> None:
    fresh = plan()
    fresh.count(50_000_000_000, 1)
    assert fresh.used.bytes == 0
    fresh.count(50_000_000_100, 11)
    assert fresh.used.bytes == 110


def test_a_modem_that_comes_back_counts_from_nought_and_all_of_it_counts() -> None:
    used = plan()
    for rx, tx in ((0, 0), (700, 300), (20, 5), (120, 5)):
        used.count(rx, tx)
    assert used.used.bytes == 1000 + 25 + 100


def test_what_was_carried_while_the_agent_was_down_counts() -> None:
    before = plan()
    before.count(0, 0)
    before.count(1000, 0)
    after = Plan(PLAN, msgspec.json.decode(msgspec.json.encode(before.used), type=Used), 0.0)
    after.count(5000, 0)
    assert after.used.bytes == 5000


@pytest.mark.parametrize(
    ("used_mb", "expected"),
    [
        (0, Policy.OPEN),
        (2025, Policy.OPEN),
        (2026, Policy.LOW),
        (2699, Policy.LOW),
        (2700, Policy.RESERVE),
        (9000, Policy.RESERVE),
    ],
)
def test_low_is_a_quarter_of_what_lies_beside_the_reserve(used_mb: int, expected: Policy) -> None:
    assert policy(PLAN, used_mb * MB) is expected


def test_a_reserve_of_nothing_is_the_end_of_the_plan() -> None:
    assert policy(Metered(100, reserve_mb=0), 99 * MB) is Policy.LOW
    assert policy(Metered(100, reserve_mb=0), 100 * MB) is Policy.RESERVE


@given(st.floats(0.1, 1e6), st.floats(0, 0.99))
def test_with_the_rest_at_its_limit_what_is_left_when_low_lasts_a_days_work(mb: float, reserved: float) -> None:
    metered = Metered(mb, mb * reserved)
    a_days_work = low_kbps(metered) * 2 * 125 * LOW_LASTS_S
    left = 0.25 * (mb - mb * reserved) * MB
    assert a_days_work <= left or low_kbps(metered) == 16


counters = st.lists(st.tuples(st.integers(0, 4000 * MB), st.integers(0, 4000 * MB)), max_size=30)


@given(counters)
def test_within_a_month_the_bytes_never_fall_and_the_policy_never_goes_back(seen: list[tuple[int, int]]) -> None:
    counted = plan()
    policies, carried = [counted.policy], [0]
    for n, (rx, tx) in enumerate(seen):
        counted.count(rx, tx)
        policies.append(counted.look(n * 60.0))
        carried.append(counted.used.bytes)
    assert carried == sorted(carried)
    assert policies == sorted(policies, key=ORDER.index)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.booleans(), st.booleans()), max_size=60))
def test_counters_that_begin_again_whenever_they_like_add_nothing_that_was_not_carried(
    moved: list[tuple[int, bool, bool]],
) -> None:
    """A modem may come back between two readings too; what it carried since the last one is then lost, and no more."""
    counted = plan()
    counted.count(0, 0)
    carried = since = unread = lost = 0
    for size, is_read, comes_back in moved:
        carried, since, unread = carried + size, since + size, unread + size
        if is_read:
            before = counted.used.bytes
            counted.count(since, 0)
            assert before < counted.used.bytes == carried - lost
            unread = 0
        if comes_back:
            lost, since, unread = lost + unread, 0, 0
            counted.count(0, 0)  # four readings a second: the interface is seen before it has carried as much again


@given(counters, st.data())
def test_whenever_it_is_restarted_the_same_bytes_are_counted(seen: list[tuple[int, int]], data: st.DataObject) -> None:
    whole, broken = plan(), plan()
    for rx, tx in seen:
        whole.count(rx, tx)
        broken.count(rx, tx)
        if data.draw(st.booleans()):
            broken = Plan(PLAN, msgspec.json.decode(msgspec.json.encode(broken.used), type=Used), 0.0)
    assert broken.used == whole.used


def test_a_month_is_thirty_days_in_which_the_agent_ran() -> None:
    spent = plan(bytes=2900 * MB)
    assert spent.look(MONTH_S - 1) is Policy.RESERVE
    assert spent.look(MONTH_S + 1) is Policy.OPEN
    assert spent.used.bytes == 0


def test_a_restart_goes_on_with_the_month() -> None:
    spent = plan(bytes=2900 * MB)
    spent.look(20 * DAY_S)
    again = Plan(PLAN, spent.used, 500.0)
    assert again.policy is Policy.RESERVE
    assert again.look(500.0 + 9 * DAY_S) is Policy.RESERVE
    assert again.look(500.0 + 10 * DAY_S) is Policy.OPEN


def test_a_plan_with_a_day_begins_anew_on_that_day() -> None:
    spent = Plan(replace_day(21), Used(bytes=2900 * MB), 0.0)
    for date in ((2027, 1, 21), (2027, 1, 31), (2027, 2, 1), (2027, 2, 20)):
        spent.dated(*date)
        assert spent.look(0.0) is Policy.RESERVE, date
    spent.dated(2027, 2, 21)
    assert spent.look(0.0) is Policy.OPEN


def test_a_station_that_was_off_for_months_finds_its_plan_new() -> None:
    spent = Plan(replace_day(1), Used(bytes=2900 * MB, period=12 * 2026 + 11), 0.0)
    spent.dated(2027, 2, 14)
    assert spent.look(0.0) is Policy.OPEN


def test_a_clock_that_was_wrong_begins_no_month_when_it_is_set_back() -> None:
    spent = Plan(replace_day(1), Used(bytes=2900 * MB, period=12 * 2036 + 1), 0.0)
    spent.dated(2027, 2, 14)
    assert spent.look(0.0) is Policy.RESERVE
    spent.dated(2027, 3, 1)
    assert spent.look(0.0) is Policy.OPEN


def test_the_date_says_nothing_of_a_plan_without_a_day() -> None:
    spent = plan(bytes=2900 * MB)
    spent.dated(2027, 2, 14)
    spent.dated(2027, 3, 14)
    assert spent.look(0.0) is Policy.RESERVE


def test_where_no_date_ever_comes_a_plan_with_a_day_is_not_shut_for_ever() -> None:
    spent = Plan(replace_day(1), Used(bytes=2900 * MB), 0.0)
    assert spent.look(31 * DAY_S) is Policy.RESERVE
    assert spent.look(32 * DAY_S) is Policy.OPEN


def replace_day(day: int) -> Metered:
    return Metered(3000, from_day=day)


def metered_station() -> Driven:
    driven = Driven()
    uplinks = tuple(
        msgspec.structs.replace(uplink, metered=PLAN if uplink.name == "lte" else None, up_kbps=1000)
        for uplink in driven.station.uplinks
    )
    driven.station = msgspec.structs.replace(driven.station, uplinks=uplinks)
    driven.restart()
    driven.run(30)
    driven.facts.clear()
    return driven


def carry(driven: Driven, mb: float, uplink: str = "lte") -> None:
    driven.handle(TrafficCounted(uplink, int(mb * MB), 0))
    driven.run(15)  # a standby is looked at each twelve seconds


def test_each_change_of_policy_is_told_once_and_wished_at_once() -> None:
    driven = metered_station()
    carry(driven, 0)
    assert "goto refuse" not in driven.wish.nft
    carry(driven, 2100)
    assert driven.codes == ["PLAN_LOW"]
    assert "drop" in driven.wish.nft
    carry(driven, 2800)
    driven.run(3600)
    assert driven.codes == ["PLAN_LOW", "PLAN_RESERVE"]
    assert 'oifname "wan1" goto refuse' in driven.wish.nft
    told = driven.fact("PLAN_RESERVE")
    assert (told.uplink, told.before, told.after) == ("lte", "low", "reserve")
    assert evidence.told_en(told) == "2800 of 3000 MB used, 300 MB kept in reserve"


def test_traffic_that_changes_no_policy_changes_no_wish() -> None:
    driven = metered_station()
    carry(driven, 0)
    driven.run(120)  # until nothing more is asked of a metered uplink that was left
    before = driven.wishes
    for mb in range(0, 2000, 100):
        carry(driven, mb)
    assert driven.wishes == before
    assert driven.codes == []


def test_traffic_leaves_an_uplink_of_whose_plan_only_the_reserve_is_left_for_a_good_one() -> None:
    driven = settled(metered=("home",), home=Kind.LTE, other=Kind.LTE)
    assert driven.active == "home"
    carry(driven, 0, "home")
    carry(driven, 18_500, "home")
    driven.run(30)
    assert driven.moves == [("home", "other")]
    assert driven.active == "other"


def test_an_uplink_without_a_plan_is_never_limited() -> None:
    driven = metered_station()
    carry(driven, 0, "fibre")
    carry(driven, 100_000, "fibre")
    assert driven.codes == []


def test_a_power_cut_does_not_open_a_plan_that_was_low() -> None:
    """It is remembered when it is told; what else was counted since the last look is what a cut may cost."""
    driven = metered_station()
    carry(driven, 0)
    remembered: list[Memory] = []
    handle = driven.core.handle

    def listen(event: object, now: float) -> list[object]:
        effects = handle(event, now)
        remembered.extend(effect.memory for effect in effects if isinstance(effect, Remember))
        return effects

    driven.core.handle = listen  # type: ignore[method-assign, assignment]
    carry(driven, 2100)
    assert len(remembered) == 1
    again = Failover(driven.station, 0.0, msgspec.json.decode(msgspec.json.encode(remembered[0]), type=Memory))
    assert again.lines["lte"].plan.policy is Policy.LOW


def test_a_plan_begins_anew_with_the_date_and_it_is_told() -> None:
    driven = metered_station()
    driven.core.lines["lte"].plan.metered = replace_day(1)
    carry(driven, 0)
    carry(driven, 2800)
    driven.handle(DateKnown(2027, 1, 31))
    driven.handle(DateKnown(2027, 2, 1))
    driven.run(15)
    assert driven.codes == ["PLAN_RESERVE", "PLAN_OPEN"]
    assert "goto refuse" not in driven.wish.nft


def test_a_memory_of_an_older_agent_knows_of_no_plan() -> None:
    old = b'{"uplinks":{"lte":{"spent":{"month_bytes":7}}},"phase":"normal","phase_left_s":null,"v":1}'
    known = msgspec.json.decode(old, type=Memory).uplinks["lte"]
    assert (known.spent.month_bytes, known.used) == (7, Used())


def test_what_is_remembered_of_a_plan_is_what_was_counted() -> None:
    driven = metered_station()
    carry(driven, 0)
    carry(driven, 70)
    (memory,) = [each.memory for each in driven.handle(Stopping()) if isinstance(each, Remember)]
    assert memory.uplinks["lte"].used.bytes == 70 * MB


def test_where_the_kernel_cannot_queue_the_rest_is_held_to_half_and_it_is_told_once() -> None:
    driven = metered_station()
    carry(driven, 0)
    assert "meta priority set 51a9:3" in driven.wish.nft
    for _ in range(3):
        driven.handle(Queued("wan0", "tc: Specified qdisc kind is unknown."))
    assert driven.codes == ["QUEUE_REFUSED"]
    assert 'oifname "wan0" limit rate over 62500 bytes/second burst 3036 bytes drop' in driven.wish.nft
    assert {shape.interface for shape in driven.wish.shapes} == {"wan0", "wan1"}  # it may be able to later
    driven.handle(Queued("wan0", None))
    assert driven.codes == ["QUEUE_REFUSED", "QUEUE_SET"]
    assert "limit rate" not in driven.wish.nft


def test_an_interface_that_comes_back_is_wished_new_queues() -> None:
    driven = metered_station()
    driven.links["fibre"] = replace(driven.links["fibre"], index=77)
    driven.see()
    driven.handle(Tick())
    assert [shape.index for shape in driven.wish.shapes] == [77, 2]
