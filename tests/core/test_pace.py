"""How often an uplink is asked: every mood has its pace, a standby costs little, and targets take turns."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.history import DAY_S
from agent.core.memory import Watched
from agent.core.pace import BURST, BURST_EVERY, ECHO_BYTES, PACES, PATIENT, Mood, Rotation
from agent.core.station import Family, Kind, Uplink
from agent.core.watch import Watch
from wire.messages import Health

TARGETS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
MB = 1e6


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("mood", Mood)
def test_every_kind_has_a_pace_for_every_mood(kind: Kind, mood: Mood) -> None:
    assert PACES[kind][mood] > 0


@pytest.mark.parametrize("kind", Kind)
def test_nothing_is_asked_more_densely_than_in_doubt(kind: Kind) -> None:
    assert min(Mood, key=lambda mood: PACES[kind][mood]) is Mood.DOUBT


@pytest.mark.parametrize("kind", Kind)
def test_suspicion_is_denser_than_calm_and_what_is_paid_for_already_is_not(kind: Kind) -> None:
    assert PACES[kind][Mood.SUSPICION] < PACES[kind][Mood.CARRYING] <= PACES[kind][Mood.SPARED]
    assert PACES[kind][Mood.CARRYING] < PACES[kind][Mood.ABSENCE] < PACES[kind][Mood.STANDBY]


def test_a_budget_that_runs_low_never_slows_a_doubt() -> None:
    assert set(Mood) - PATIENT == {Mood.DOUBT, Mood.SUSPICION}


@pytest.mark.parametrize("kind", Kind)
def test_a_month_of_calm_standby_costs_at_most_20_mb(kind: Kind) -> None:
    cycle_s = BURST_EVERY * PACES[kind][Mood.STANDBY] + BURST * PACES[kind][Mood.BURST]
    assert 30 * DAY_S / cycle_s * (BURST_EVERY + BURST) * ECHO_BYTES[Family.IPV4] <= 20 * MB


@pytest.mark.parametrize("kind", Kind)
def test_and_so_it_does_when_it_is_watched_for_a_day(kind: Kind) -> None:
    watch, asked_at = calm_day(kind)
    assert watch.health is Health.UP
    assert len(asked_at) * 30 * ECHO_BYTES[Family.IPV4] <= 20 * MB
    pauses_s = [after - before for before, after in pairwise(asked_at)]
    seldom = PACES[kind][Mood.STANDBY]
    assert max(pauses_s) <= seldom + 0.001
    in_bursts = sum(pause_s < seldom / 2 for pause_s in pauses_s)
    assert in_bursts / len(pauses_s) == pytest.approx(BURST / (BURST_EVERY + BURST), rel=0.05)


def calm_day(kind: Kind) -> tuple[Watch, list[float]]:
    """A standby that always answers, after it has proven good: when it was asked in a day."""
    watch, now, asked_at = Watch(Uplink("lte", "wwan0", kind), TARGETS, 0.0, Watched()), 0.0, []
    while now < DAY_S + 60:
        if (ask := watch.ask(now)) is not None:
            asked_at.append(now)
            watch.returned(ask.seq, ask.target, 0.06, now + 0.06)
            list(watch.look(now + 0.06))
        now = max(now + 0.06, watch.wake_at(now + 0.06))
    return watch, [at for at in asked_at if at > 60]


@given(st.integers(1, 12), st.integers(1, 40))
def test_targets_take_turns(count: int, rounds: int) -> None:
    targets = tuple(f"192.0.2.{n}" for n in range(count))
    rotation = Rotation(targets)
    visits = Counter(rotation.next(frozenset()) for _ in range(count * rounds))
    assert visits == dict.fromkeys(targets, rounds)


@settings(deadline=None)
@given(st.integers(2, 12), st.data())
def test_a_target_that_is_set_aside_is_asked_each_tenth_time(count: int, data: st.DataObject) -> None:
    targets = tuple(f"192.0.2.{n}" for n in range(count))
    aside = frozenset(data.draw(st.sets(st.sampled_from(targets), min_size=1, max_size=count - 1)))
    rotation = Rotation(targets)
    turns = [rotation.next(aside) for _ in range(100 * len(aside))]
    assert [n for n, target in enumerate(turns, 1) if target in aside] == list(range(10, len(turns) + 1, 10))
    visits = Counter(target for target in turns if target in aside)
    assert visits == dict.fromkeys(aside, 10)


@given(st.integers(1, 12))
def test_when_all_are_set_aside_all_are_still_asked(count: int) -> None:
    targets = tuple(f"192.0.2.{n}" for n in range(count))
    rotation = Rotation(targets)
    visits = Counter(rotation.next(frozenset(targets)) for _ in range(100 * count))
    assert visits == dict.fromkeys(targets, 100)


def test_a_target_that_is_taken_in_again_takes_its_turn() -> None:
    rotation = Rotation(TARGETS)
    for _ in range(37):
        rotation.next(frozenset(TARGETS[:1]))
    assert {rotation.next(frozenset()) for _ in range(3)} == set(TARGETS)
