"""What the centre believes of a station: wills, old news, silence, the word, and the high-water mark."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core import dating, fleet
from central.core.fleet import SILENT_AFTER_S, StationView, Word, advance, hear, recall, take_in, word
from central.core.intake import opened
from tests.central.station import SANGATTA, delivery, fact, stamp, state, summary, uplink, will
from wire.messages import Active, Forecast, Health, Record, Signal

NEW = StationView(SANGATTA)


def test_a_station_is_ready_while_its_preferred_uplink_carries() -> None:
    assert word(hear(NEW, state(carries="fibre"), 1000), 1001) is Word.READY


def test_another_uplink_is_a_backup_even_for_one_family() -> None:
    assert word(hear(NEW, state(carries="lte"), 1000), 1001) is Word.BACKUP
    mixed = replace(NEW, state=None)
    both = state()
    both = type(both)(**{**{f: getattr(both, f) for f in both.__struct_fields__}, "active": Active("fibre", "lte")})
    assert word(hear(mixed, both, 1000), 1001) is Word.BACKUP


def test_no_live_uplink_is_a_disturbance() -> None:
    dead = (uplink("fibre", Health.DEAD), uplink("lte", Health.DEAD))
    assert word(hear(NEW, state(carries="fibre", uplinks=dead), 1000), 1001) is Word.DOWN
    assert word(hear(NEW, state(carries=None), 1000), 1001) is Word.DOWN


def test_unknown_is_never_green() -> None:
    unproven = (uplink("fibre", Health.UNKNOWN),)
    assert word(NEW, 1000) is Word.UNKNOWN
    assert word(hear(NEW, state(uplinks=unproven), 1000), 1001) is Word.UNKNOWN
    assert word(take_in(NEW, opened(delivery([fact(1)])), 1000), 1001) is Word.UNKNOWN


def test_silence_comes_at_its_deadline_by_itself() -> None:
    view = hear(NEW, state(), 1000)
    assert view.silent_at_s == 1000 + SILENT_AFTER_S
    assert word(view, 1000 + SILENT_AFTER_S - 0.1) is Word.READY
    assert word(view, 1000 + SILENT_AFTER_S) is Word.UNKNOWN


def test_a_clock_that_was_set_back_makes_nothing_green() -> None:
    view = hear(NEW, state(), 1000)
    assert word(view, 1000 - 3600) is Word.UNKNOWN
    assert fleet.age_s(view, 990) == 0


def test_the_will_of_the_newest_session_takes_the_station_off() -> None:
    view = hear(hear(NEW, state(session="a"), 1000), will(session="a"), 1010)
    assert not view.online
    assert view.state == state(session="a"), "what was last known stays known"
    assert view.heard_s == 1000, "a will is the broker's word"


def test_the_will_of_an_older_session_says_nothing() -> None:
    view = hear(hear(NEW, state(uptime_s=1, session="a"), 1000), state(uptime_s=2, session="b"), 1001)
    assert hear(view, will(session="a"), 1002) == view
    assert recall(view, will(session="a")) == view


def test_older_states_of_the_same_boot_change_nothing() -> None:
    view = hear(NEW, state(uptime_s=60), 1000)
    for old in (state(uptime_s=59, carries="lte"), state(uptime_s=60)):
        assert hear(view, old, 1010) == view
        assert recall(view, old) == view


def test_a_restarted_agent_counts_from_zero_and_is_news() -> None:
    view = hear(hear(NEW, state(uptime_s=9000), 1000), state(uptime_s=1, boot="boot-2"), 1010)
    assert (view.state.stamp.boot, view.heard_s) == ("boot-2", 1010)


def test_what_the_broker_remembers_says_how_but_not_when() -> None:
    view = recall(NEW, state())
    assert view.state == state()
    assert fleet.age_s(view, 1000) is None
    assert word(view, 1000) is Word.UNKNOWN
    newer = recall(hear(NEW, state(uptime_s=60), 1000), state(uptime_s=90, carries="lte"))
    assert (newer.state.active.ipv4, newer.heard_s) == ("lte", 1000)


def test_a_remembered_state_of_another_boot_does_not_overwrite() -> None:
    view = hear(NEW, state(boot="boot-2"), 1000)
    assert recall(view, state(uptime_s=9000, boot="boot-1")) == view


def test_late_facts_do_not_displace_newer_ones() -> None:
    view = take_in(NEW, opened(delivery([fact(7), fact(8), fact(9)])), 1000)
    late = take_in(view, opened(delivery([fact(1), summary(2), fact(9)])), 1010)
    assert [news.seq for news in late.news] == [9, 8, 7]
    assert late.news[0].arrived_s == 1000
    anew = take_in(late, opened(delivery([fact(1, epoch="epoch-2")])), 1020)
    assert [(news.epoch, news.seq) for news in anew.news] == [("epoch-2", 1), ("epoch-1", 9), ("epoch-1", 8)]


def test_what_belongs_to_a_move_is_no_news_of_its_own() -> None:
    view = take_in(
        NEW, opened(delivery([fact(1), fact(2, "TRAFFIC_MOVED"), fact(3, "HANDED_OVER"), fact(4, "FLOWS_LEFT")])), 1000
    )
    assert [news.fact.code for news in view.news] == ["TRAFFIC_MOVED", "UPLINK_DEAD"]


def test_the_time_of_a_fact_is_the_centres_clock_also_after_a_restart() -> None:
    view = hear(NEW, state(uptime_s=60, boot="one"), 1000)
    assert dating.happened_s(view.boots, stamp(50, boot="one")) == 990
    view = hear(view, state(uptime_s=5, boot="two"), 2000)
    assert dating.happened_s(view.boots, stamp(50, boot="one")) == 990
    assert dating.happened_s(view.boots, stamp(1, boot="two")) == 1996
    assert dating.happened_s(view.boots, stamp(1, boot="three")) is None


def minute(uptime_s: float, boot: str = "boot-1", **figures: object) -> Record:
    """A summary written then; its figures are those of 60 echoes."""
    record = summary(1)
    (measured,) = record.body.uplinks
    body = msgspec.structs.replace(record.body, uplinks=(msgspec.structs.replace(measured, **figures),))
    return msgspec.structs.replace(record, stamp=stamp(uptime_s, boot), body=body)


def told(view: StationView, record: Record, now_s: float) -> StationView:
    return take_in(view, opened(delivery([record])), now_s)


def test_a_summary_is_a_sign_of_life_and_has_the_newer_figures() -> None:
    signal, before = Signal("lte", rsrp_dbm=-90), hear(NEW, state(uptime_s=60), 1000)
    after = told(before, minute(120, rtt_p50_ms=9.5, lost=6, answered=54, signal=signal), 1060)
    fibre, lte = after.state.uplinks
    assert (fibre.rtt_ms, fibre.loss, fibre.signal, fibre.since_s) == (9.5, 0.1, signal, 120.0)
    assert (lte.rtt_ms, lte.loss, lte.since_s) == (8.4, 0.01, 120.0), "of which the summary says nothing"
    assert (after.heard_s, after.silent_at_s) == (1060, 1060 + SILENT_AFTER_S)
    assert after.state.session == before.state.session
    assert hear(after, state(uptime_s=119), 1061) == after, "an older state is older than the figures"


def test_how_old_a_forecast_is_goes_on_with_the_figures() -> None:
    forecast = Forecast(20.0, 0.4, 8.0, 30.0)
    view = hear(NEW, state(uplinks=(msgspec.structs.replace(uplink("fibre"), forecast=forecast),)), 1000)
    assert told(view, minute(120), 1060).state.uplinks[0].forecast == Forecast(20.0, 0.4, 8.0, 90.0)


@pytest.mark.parametrize("figures", [{"answered": 4, "lost": 0}, {"rtt_p50_ms": None}])
def test_figures_of_a_few_echoes_are_no_newer_ones(figures: dict[str, object]) -> None:
    fibre = told(hear(NEW, state(), 1000), minute(120, **figures), 1060).state.uplinks[0]
    assert (fibre.rtt_ms, fibre.loss) == (8.4, 0.01)


def test_what_a_dead_uplink_did_before_is_not_what_it_does() -> None:
    view = hear(NEW, state(uplinks=(uplink("fibre", Health.DEAD),)), 1000)
    assert told(view, minute(120, rtt_p50_ms=9.5), 1060).state.uplinks[0].rtt_ms == 8.4


def test_a_fact_is_a_sign_of_life_too() -> None:
    record = msgspec.structs.replace(fact(1), stamp=stamp(100.0))
    assert told(hear(NEW, state(uptime_s=60), 1000), record, 1040).heard_s == 1040


@pytest.mark.parametrize("uptime_s", [30.0, 60.0])
def test_what_was_written_before_the_state_is_no_sign_of_life(uptime_s: float) -> None:
    view = told(before := hear(NEW, state(uptime_s=60), 1000), minute(uptime_s, rtt_p50_ms=9.5), 1020)
    assert (view.state, view.heard_s, view.silent_at_s) == (before.state, 1000, before.silent_at_s)


def test_what_an_earlier_run_wrote_is_no_sign_of_life() -> None:
    view = hear(hear(NEW, state(uptime_s=100, boot="boot-0"), 900), state(uptime_s=1), 1000)
    assert told(view, minute(199, boot="boot-0"), 1001).heard_s == 1000


def test_what_comes_late_makes_no_state_newer_and_yet_is_a_sign_of_life() -> None:
    view, now_s = hear(NEW, state(uptime_s=60), 1000), 1060 + dating.ANOTHER_CLOCK_S + 1
    after = told(view, minute(120), now_s)
    assert (after.state, after.heard_s, after.silent_at_s) == (view.state, 1000, now_s + SILENT_AFTER_S)


def test_no_record_brings_back_a_station_whose_will_was_heard() -> None:
    view = hear(hear(NEW, state(uptime_s=60), 1000), will(), 1010)
    after = told(view, minute(70), 1011)
    assert (after.online, after.heard_s) == (False, 1000)


def test_of_a_state_that_was_only_remembered_the_next_summary_says_when() -> None:
    view = recall(hear(NEW, state(uptime_s=60), 1000), state(uptime_s=90))
    assert told(view, minute(120), 1061).heard_s == 1061


def test_a_station_is_shown_as_people_read_it() -> None:
    assert fleet.shown("6408042001143") == "64.08.04.2001 · TPS 143"


@pytest.mark.parametrize(
    ("mark", "oldest", "later", "becomes"),
    [
        (0, 1, [], 0),
        (0, 1, [1, 2, 3], 3),
        (0, 1, [2, 3], 0),
        (2, 1, [4, 5], 2),
        (2, 1, [3, 4, 6], 4),
        (0, 5, [5, 6], 6),
        (0, 5, [], 4),
        (9, 5, [10], 10),
        (0, 4, [2, 3, 4, 6], 4),
    ],
)
def test_the_mark_stops_at_a_hole(mark: int, oldest: int, later: list[int], becomes: int) -> None:
    assert advance(mark, oldest, singly(later)) == becomes


def test_the_mark_passes_what_the_station_dropped() -> None:
    assert advance(2, 1, [(3, 3), (4, 9), (10, 10), (12, 12)]) == 10
    assert advance(2, 1, [(1, 9), (5, 5), (10, 10)]) == 10
    assert advance(2, 1, [(4, 9)]) == 2


def singly(seqs: Iterable[int]) -> list[tuple[int, int]]:
    return [(seq, seq) for seq in seqs]


deliveries = st.lists(
    st.tuples(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 20)), min_size=1, max_size=20
)


@given(deliveries)
def test_the_mark_is_the_largest_n_with_nothing_missing_below(said: list[tuple[list[int], int]]) -> None:
    stored: set[int] = set()
    mark, gone_below = 0, 1
    for seqs, oldest in said:
        stored |= set(seqs)
        gone_below = max(gone_below, oldest)
        before, mark = mark, advance(mark, oldest, singly(seq for seq in sorted(stored) if seq > mark))
        complete = [n for n in range(1, 42) if all(seq in stored or seq < gone_below for seq in range(1, n + 1))]
        assert mark == max(complete, default=0)
        assert mark >= before


@given(st.permutations(range(1, 30)), st.data())
def test_reordering_and_doubling_end_at_the_same_mark(order: list[int], data: st.DataObject) -> None:
    doubled = [seq for seq in order for _ in range(data.draw(st.integers(1, 2)))]
    stored: set[int] = set()
    mark = 0
    for seq in doubled:
        stored.add(seq)
        mark = advance(mark, 1, singly(sorted(n for n in stored if n > mark)))
    assert mark == 29


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5), st.booleans()), max_size=12))
def test_states_may_be_heard_twice(said: list[tuple[str, int, bool]]) -> None:
    view = NEW
    for n, (session, uptime_s, online) in enumerate(said):
        message = state(uptime_s=uptime_s, session=session) if online else will(session=session)
        view = hear(view, message, 1000 + n)
        assert hear(view, message, 2000 + n) == view
