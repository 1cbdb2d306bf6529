"""One uplink watched: what it may cost, what is counted apart, and what is kept of it for months."""

import pickle
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.history import DAY_S
from agent.core.measure import IDLE_S, REMEMBERED_S
from agent.core.memory import Watched
from agent.core.pace import ECHO_BYTES, Mood
from agent.core.station import Family, Kind
from agent.core.watch import UNSENDABLE_S, Ask, Role
from tests.core.driven import RTT_S, TARGETS
from tests.core.lived import Lived
from tests.core.lived import settled as proven
from wire.messages import Health

MB = 1_000_000
ECHO = ECHO_BYTES[Family.IPV4]


def woken_with(left_bytes: int, **others: object) -> Lived:
    """An uplink that is asked as densely as any, with so little left to spend."""
    lived = proven(Kind.LTE, day_mb=1, **others)
    lived.watch.wake(Role.WOKEN, lived.now)
    lived.known.spent.day_bytes = MB - left_bytes
    return lived


# the budget


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(Kind),
    role=st.sampled_from(Role),
    day_bytes=st.integers(0, 12_000),
    loss=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    cuts=st.lists(st.tuples(st.floats(0.1, 25), st.floats(0.1, 10)), max_size=4),
    answered=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_byte_is_sent_or_received_past_the_cap_however_bad_the_weather(
    kind: Kind,
    role: Role,
    day_bytes: int,
    loss: float,
    cuts: list[tuple[float, float]],
    answered: bool,
    seed: int,
) -> None:
    lived, chance = Lived(kind, role, day_mb=day_bytes / MB), random.Random(seed)
    lived.rtt_s = lambda _: None if chance.random() < loss else RTT_S[kind] * chance.uniform(0.9, 1.2)
    lived.users = (3, 3, 900) if answered else None
    for cut_s, calm_s in [*cuts, (1, 60)]:
        lived.cut_for(cut_s)
        lived.run(calm_s)
        assert lived.known.spent.day_bytes <= day_bytes
        assert (len(lived.asked) + lived.answered) * ECHO // 2 <= day_bytes


def test_what_is_spent_is_what_was_sent_and_received() -> None:
    lived, chance = proven(Kind.LTE), random.Random(4)
    before = lived.known.spent.day_bytes - lived.answered * ECHO // 2
    lived.rtt_s = lambda _: None if chance.random() < 0.2 else 0.06
    lived.run(300)
    lived.rtt_s = lambda _: 0.06
    lived.run(REMEMBERED_S + 5)
    lived.quiet()
    assert lived.known.spent.day_bytes - before == (len(lived.asked) + lived.answered) * ECHO // 2


def test_that_nothing_may_be_asked_any_more_is_told_once_with_what_was_spent() -> None:
    lived = woken_with(5_000)
    lived.run(600)
    assert lived.codes == ["BUDGET_SPENT"]
    evidence = lived.facts[0][1].evidence
    assert evidence["day_cap_mb"] == 1
    assert 0.9999 <= float(evidence["day_mb"] or 0) <= 1
    assert len(lived.asked) == 5_000 // ECHO


def test_it_is_told_again_when_the_next_day_is_spent_too() -> None:
    lived = woken_with(1_000)
    lived.run(60)
    lived.known.spent.day_s = DAY_S - 1
    lived.run(60)
    assert len(lived.asked) > 100
    lived.known.spent.day_bytes = MB
    lived.run(10)
    assert lived.codes == ["BUDGET_SPENT"] * 2


def test_what_was_not_asked_for_want_of_budget_is_in_the_summary() -> None:
    lived = woken_with(0)
    lived.run(60)
    assert lived.watch.summary().skipped == pytest.approx(60 / lived.pace(Mood.DOUBT), abs=2)
    assert lived.watch.summary().skipped == 0
    assert lived.asked == []


def test_so_are_those_that_were_spread() -> None:
    lived = proven(Kind.FIBRE, day_mb=1)
    lived.known.spent.day_bytes = 900_000
    lived.run(4 * 3600)
    spread = [pause_s for pause_s in lived.pauses_s if pause_s > lived.pace(Mood.CARRYING) + 0.01]
    assert len(spread) > 100
    wanted = sum(int(pause_s / lived.pace(Mood.CARRYING) + 1e-6) - 1 for pause_s in spread)
    assert lived.watch.summary().skipped == pytest.approx(wanted, rel=0.02)


def test_an_uplink_that_may_not_be_asked_is_not_held_to_be_unable_to_answer() -> None:
    lived = woken_with(0)
    lived.run(10)
    assert lived.watch.verified(lived.now)
    asked = proven(Kind.LTE, Role.STANDBY)
    asked.watch.wake(Role.WOKEN, asked.now)
    assert not asked.watch.verified(asked.now)
    asked.run(1)
    assert asked.watch.verified(asked.now)


def test_but_an_answer_that_is_overdue_is_held_against_it() -> None:
    lived = woken_with(3 * ECHO)
    lived.cut = True
    lived.run(10)
    assert lived.watch.echoes.seq > 0
    assert not lived.watch.verified(lived.now)


# what is counted apart


def test_a_target_that_cannot_be_sent_to_is_left_out_for_a_minute() -> None:
    lived = proven(Kind.FIBRE)
    lived.run(1)
    ask = lived.asked[-1][1]
    lived.watch.not_sent(ask.seq, ask.target, lived.now)
    since = lived.now
    lived.asked.clear()
    lived.run(UNSENDABLE_S + 30)
    seldom = lived.pace(Mood.CARRYING) * 10
    early = [at for at, each in lived.asked if each.target == ask.target and at < since + UNSENDABLE_S]
    later = [at for at, each in lived.asked if each.target == ask.target and at >= since + UNSENDABLE_S]
    assert all(after - before >= seldom - 0.01 for before, after in pairwise(early))
    assert len(early) <= UNSENDABLE_S / seldom + 1
    assert len(later) >= 30 / lived.pace(Mood.CARRYING) / len(TARGETS) - 1


def test_where_all_targets_cannot_be_sent_to_they_are_still_tried() -> None:
    lived = proven(Kind.FIBRE)
    for target in TARGETS:
        lived.watch.not_sent(0, target, lived.now)
    lived.run(10)
    assert {ask.target for _, ask in lived.asked} == set(TARGETS)


def test_the_first_answer_after_a_pause_is_reported_apart_from_all_others() -> None:
    """A radio that slept takes a second to wake up."""
    lived = proven(Kind.LTE, Role.STANDBY)
    lived.run(60)
    lived.rtt_s = lambda _: 1.0 if lived.pauses_s[-1] > IDLE_S else 0.06
    lived.watch.summary()
    lived.run(600)
    summary = lived.watch.summary()
    assert summary.after_idle_ms == 1000
    assert (summary.rtt_min_ms, summary.rtt_max_ms) == (60, 60)
    assert summary.answered == summary.sent
    assert (lived.watch.usual_rtt_ms, lived.facts) == (pytest.approx(60), [])


@pytest.mark.parametrize(("after_s", "late"), [(2.0, 1), (10.0, 1), (REMEMBERED_S - 0.1, 1), (REMEMBERED_S + 0.1, 0)])
def test_an_answer_within_half_a_minute_takes_its_loss_back(after_s: float, late: int) -> None:
    lived = proven(Kind.FIBRE)
    slow = lived.watch.echoes.seq + 1
    lived.rtt_s = lambda ask: after_s if ask.seq == slow else 0.008
    lived.run(1.8)
    suspected = lived.watch.judge.until_calm
    assert suspected > 0
    lived.run(40)
    summary = lived.watch.summary()
    assert (summary.lost, summary.late) == (1 - late, late)
    assert summary.answered == summary.sent - 1 + late


def test_the_suspicion_of_a_loss_is_gone_with_its_late_answer() -> None:
    lived = proven(Kind.FIBRE)
    slow = lived.watch.echoes.seq + 1
    lived.rtt_s = lambda ask: 1.6 if ask.seq == slow else 0.008
    lived.run(1.4)
    assert not lived.watch.judge.calm
    lived.run(0.5)
    assert lived.watch.judge.calm


# kept


def test_a_year_of_calm_and_troubles_leaves_no_more_in_memory_than_a_month() -> None:
    lived, chance = proven(Kind.LTE), random.Random(12)

    def month() -> int:
        for _ in range(15):
            lived.cut_for(chance.choice([0.3, 1.0, 3.0, 12.0, 40.0]))
            lived.run(90)
            while lived.watch.health is not Health.UP or not lived.watch.judge.calm:
                lived.run(5)
            _skip(lived, 2 * DAY_S)
        lived.asked.clear()
        lived.facts.clear()
        lived.watch.summary()
        return len(pickle.dumps(lived.watch))

    first = month()
    assert max(month() for _ in range(11)) < 1.2 * first
    assert lived.now > 360 * DAY_S
    assert len(msgspec.json.encode(lived.known)) < 4_000


def _skip(lived: Lived, seconds: float) -> None:
    """The calm stretch up to the next trouble."""
    lived.run(1)
    lived.quiet()
    lived.now = lived.watch.pass_over(int(seconds / lived.watch.spacing_s(lived.now)))


def test_an_agent_that_starts_again_knows_the_link_as_the_one_before_did() -> None:
    lived, chance = proven(Kind.LEO), random.Random(2)
    for _ in range(25):
        lived.cut_for(chance.uniform(0.5, 6))
        lived.run(40)
    lived.watch.judge.retune()
    again = Lived(Kind.LEO, known=msgspec.json.decode(msgspec.json.encode(lived.known), type=Watched))
    assert again.known == lived.known
    assert again.limit_s == lived.limit_s > proven(Kind.LEO).limit_s
    assert again.watch.usual_rtt_ms == lived.watch.usual_rtt_ms
    assert again.watch.budget.spent == lived.known.spent
    assert (again.watch.health, again.watch.echoes.seq) == (Health.UNKNOWN, 0)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_told_does_not_depend_on_what_the_clock_shows(kind: Kind) -> None:
    """Only monotonic time enters: neither where it begins nor a wall clock that is set changes anything."""
    assert _story(kind, 0.0) == _story(kind, 1e6)


def _story(kind: Kind, begin_s: float) -> list[object]:
    lived, chance = Lived(kind, begin_s=begin_s), random.Random(7)
    lived.users = (3, 3, 900)
    lived.watch.pace = {mood: 1.0137 * pause_s for mood, pause_s in lived.watch.pace.items()}  # no two moments tie

    def fate(_: Ask) -> float | None:
        return None if chance.random() < 0.01 else RTT_S[kind] + chance.uniform(0, 0.01)

    lived.rtt_s = fate
    for cut_s in (3.1, 0.7, 26.3):
        lived.run(121.7)
        lived.users = None if lived.users else (3, 3, 900)
        lived.cut_for(cut_s)
    lived.run(240.3)
    told = [(round(at - begin_s, 3), fact.code, fact.before, fact.after) for at, fact in lived.facts]
    assert len(told) > 4
    return [*told, len(lived.asked), lived.answered, lived.watch.summary(), round(lived.limit_s, 6)]
