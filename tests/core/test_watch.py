"""One uplink watched: how densely it is asked in each mood, and what ends, explains or prolongs a silence."""

import random
from itertools import groupby, pairwise

import pytest

from agent.core.history import HOUR_S
from agent.core.judge import LIMITS
from agent.core.pace import BURST, BURST_EVERY, Mood
from agent.core.station import Kind
from agent.core.watch import DOUBLINGS_AT_MOST, Ask, Role
from tests.core.driven import RTT_S
from tests.core.lived import Lived, settled
from wire.messages import Health

NARROW = [Kind.LTE, Kind.LEO, Kind.GEO]
ANSWERED = (3, 3, 900)
"""Users who are answered, far from filling the line."""


def steps(pauses_s: list[float]) -> list[tuple[float, int]]:
    """Equal pauses in a row, and how many."""
    return [(pause_s, len(list(some))) for pause_s, some in groupby(pauses_s)]


def lose_one(lived: Lived) -> None:
    """The next echo is lost, and found to be."""
    usual, lost = lived.rtt_s, lived.watch.echoes.seq + 1
    lived.rtt_s = lambda ask: None if ask.seq == lost else usual(ask)
    while lived.watch.judge.calm:
        lived.run(0.05)


# moods


@pytest.mark.parametrize("kind", Kind)
def test_a_calm_uplink_that_carries_traffic_is_asked_at_the_pace_of_its_kind(kind: Kind) -> None:
    lived = settled(kind)
    lived.run(60)
    assert set(lived.pauses_s) == {lived.pace(Mood.CARRYING)}


@pytest.mark.parametrize("kind", Kind)
def test_when_an_answer_is_overdue_the_next_echo_leaves_at_once_and_then_they_come_densely(kind: Kind) -> None:
    lived = settled(kind)
    lived.run(5)
    timeout_s = lived.watch.echoes.trip(lived.asked[-1][1].target).timeout_s
    assert timeout_s < RTT_S[kind] + 0.05
    lived.asked.clear()
    lived.cut = True
    lived.run(LIMITS[kind].floor_s + 2)
    doubt_s = lived.pace(Mood.DOUBT)
    assert lived.pauses_s[0] == pytest.approx(max(timeout_s, doubt_s), abs=0.001)
    assert set(lived.pauses_s[1:]) == {doubt_s}


def test_before_it_is_overdue_nothing_is_asked_more_densely() -> None:
    lived = settled(Kind.GEO)
    lived.cut = True
    lived.run(lived.pace(Mood.CARRYING))
    first_at = lived.asked[0][0]
    overdue_at = lived.watch.echoes.overdue_at
    assert lived.watch.spacing_s(overdue_at - 0.001) == lived.pace(Mood.CARRYING)
    assert lived.watch.spacing_s(overdue_at) == lived.pace(Mood.DOUBT)
    assert first_at + 0.6 < overdue_at < first_at + 0.65


@pytest.mark.parametrize("kind", Kind)
def test_a_loss_is_suspicious_until_as_many_good_answers_as_it_weighs_have_come(kind: Kind) -> None:
    lived = settled(kind)
    lose_one(lived)
    weight = lived.watch.judge.until_calm
    lived.asked.clear()
    lived.run((weight + 8) * lived.pace(Mood.CARRYING))
    assert lived.watch.judge.calm
    (suspicion_s, count), (calm_s, _) = steps(lived.pauses_s)
    assert (suspicion_s, calm_s) == (lived.pace(Mood.SUSPICION), lived.pace(Mood.CARRYING))
    assert abs(count - weight) <= 2


def test_a_standby_is_asked_seldom_and_then_three_times_in_a_row() -> None:
    lived = settled(Kind.LTE, Role.STANDBY)
    lived.run(1500)
    seldom, burst = (lived.pace(Mood.STANDBY), BURST_EVERY), (lived.pace(Mood.BURST), BURST)
    whole = steps(lived.pauses_s)[1:-1]
    assert len(whole) >= 8
    assert set(whole) == {seldom, burst}


@pytest.mark.parametrize("kind", NARROW)
def test_echoes_are_spared_only_while_users_are_answered(kind: Kind) -> None:
    lived = settled(kind)
    lived.users = ANSWERED
    lived.run(30)
    assert lived.pauses_s[-1] == lived.pace(Mood.SPARED)
    lived.users = (0, 0, 0)
    lived.run(2)
    lived.asked.clear()
    lived.run(10)
    assert set(lived.pauses_s) == {lived.pace(Mood.CARRYING)}


def test_on_fibre_nothing_is_spared() -> None:
    lived = settled(Kind.FIBRE)
    lived.users = ANSWERED
    lived.run(30)
    assert set(lived.pauses_s) == {lived.pace(Mood.CARRYING)}


def test_users_who_are_answered_spare_nothing_where_a_loss_is_suspicious() -> None:
    lived = settled(Kind.LTE)
    lived.users = ANSWERED
    lived.run(10)
    lose_one(lived)
    lived.run(5)
    assert lived.pauses_s[-1] == lived.pace(Mood.SUSPICION)


@pytest.mark.parametrize("kind", Kind)
def test_each_proof_that_fails_doubles_the_pause_to_the_next(kind: Kind) -> None:
    lived = settled(kind)
    watch = lived.watch
    lose_all = random.Random(1)
    lived.rtt_s = lambda _: None if lose_all.random() < 0.4 else RTT_S[kind]
    while watch.health is Health.UP:
        lived.run(1)
    wanted_s = set()
    while watch.judge.proof.failed < 3:
        lived.run(0.02)
        if not watch.silent(lived.now) and watch.health is Health.POOR and watch.judge.proof.failed < 3:
            wanted_s.add((watch.judge.proof.failed, watch.spacing_s(lived.now)))
    assert wanted_s <= {(failed, lived.pace(Mood.PROOF) * 2**failed) for failed in range(3)}
    assert len(wanted_s) >= 2


def test_but_not_without_end() -> None:
    lived = settled()
    lived.watch.judge.health = Health.POOR
    lived.watch.judge.proof.failed = 50
    assert lived.watch.spacing_s(lived.now) <= lived.pace(Mood.PROOF) * 2**DOUBLINGS_AT_MOST


def test_an_uplink_of_which_nothing_is_known_is_asked_at_the_same_pace_however_often_it_fails() -> None:
    lived = Lived(Kind.FIBRE)
    lived.run(0.5)
    assert lived.watch.health is Health.UNKNOWN
    lived.watch.judge.proof.failed = 3
    assert lived.watch.spacing_s(lived.now) == lived.pace(Mood.PROOF)


@pytest.mark.parametrize("kind", Kind)
def test_past_the_ceiling_a_dead_uplink_is_asked_seldom(kind: Kind) -> None:
    lived = settled(kind)
    lived.cut = True
    lived.run(120)
    since = lived.asked[0][0]
    ceiling_s = LIMITS[kind].ceiling_s
    gaps = [(before - since, after - before) for (before, _), (after, _) in pairwise(lived.asked)]
    dense = [gap for at, gap in gaps[1:] if at < ceiling_s - 1]
    seldom = [gap for at, gap in gaps if at > ceiling_s]
    assert dense == pytest.approx([lived.pace(Mood.DOUBT)] * len(dense))
    assert seldom == pytest.approx([lived.pace(Mood.ABSENCE)] * len(seldom))
    assert len(seldom) > 10


def test_a_dead_uplink_that_answers_is_asked_as_for_a_proof() -> None:
    lived = settled(Kind.LTE)
    lived.cut_for(60)
    lived.run(5)
    assert lived.watch.health is Health.DEAD
    assert lived.pauses_s[-1] == lived.pace(Mood.PROOF)


def test_an_uplink_in_trouble_is_not_asked() -> None:
    lived = settled()
    lived.watch.trouble = "no carrier"
    lived.run(60)
    assert lived.asked == []
    assert lived.codes == ["UPLINK_DEAD"]


# users' answers


@pytest.mark.parametrize("kind", Kind)
def test_while_users_are_answered_no_uplink_dies_of_lost_echoes(kind: Kind) -> None:
    lived = settled(kind)
    lived.users = ANSWERED
    lived.run(5)
    lived.rtt_s = lambda _: None
    lived.run(120)
    assert "UPLINK_DEAD" not in lived.codes
    lived.users = (0, 0, 0)
    lived.run(10)
    assert "UPLINK_DEAD" in lived.codes


def test_an_answer_to_a_user_ends_a_silence_like_that_of_an_echo() -> None:
    lived = settled()
    lived.users = (0, 0, 0)
    lived.rtt_s = lambda _: None
    lived.run(0.9)
    assert lived.watch.silent(lived.now)
    lived.users = ANSWERED
    lived.count()
    assert not lived.watch.silent(lived.now)
    assert sum(lived.known.history.silences.counts) == 1


@pytest.mark.parametrize("kind", NARROW)
def test_users_who_ask_and_are_not_answered_make_the_next_echo_due_at_once(kind: Kind) -> None:
    lived = settled(kind)
    lived.users = ANSWERED
    lived.run(20)
    lived.one()
    lived.run(0.01)
    asked_at, doubt_s = lived.asked[-1][0], lived.pace(Mood.DOUBT)
    assert lived.watch.spacing_s(lived.now) > 2 * doubt_s
    lived.users = (9, 0, 0)
    lived.count()
    assert lived.watch.spacing_s(lived.now) == doubt_s
    assert lived.watch.wake_at(lived.now) <= asked_at + doubt_s + 1e-9


def test_a_doubt_of_users_is_over_with_the_next_answer() -> None:
    lived = settled(Kind.LTE)
    lived.users = ANSWERED
    lived.run(20)
    lived.users = (9, 0, 0)
    lived.run(10)
    assert lived.pauses_s[-1] == lived.pace(Mood.CARRYING)
    assert lived.facts == []


# silences


def test_a_silence_that_was_survived_is_learnt_with_its_length() -> None:
    lived = settled()
    silences = lived.known.history.silences
    lived.cut_for(0.9)
    lived.run(2)
    assert sum(silences.counts) == 1
    assert 0.65 < sum(silences.sums_s) < 1.2
    assert lived.facts == []


def test_so_is_one_that_was_read_as_death_and_ended_before_the_ceiling() -> None:
    lived = settled()
    lived.cut_for(5)
    lived.run(5)
    assert lived.codes[0] == "UPLINK_DEAD"
    assert sum(lived.known.history.silences.sums_s) == pytest.approx(5, abs=0.4)


@pytest.mark.parametrize("kind", Kind)
def test_an_outage_past_the_ceiling_is_not_learnt(kind: Kind) -> None:
    lived = settled(kind)
    lived.cut_for(LIMITS[kind].ceiling_s + 8)
    lived.run(10)
    assert sum(lived.known.history.silences.counts) == 0


def test_nor_is_what_a_standby_meets_with_an_echo_in_twelve_seconds() -> None:
    lived = settled(Kind.LTE, Role.STANDBY)
    while lived.watch.wake_at(lived.now) > lived.now + 0.1:
        lived.run(0.05)
    lived.cut_for(1.5)
    lived.run(20)
    assert lived.watch.echoes.seq > 20
    assert sum(lived.known.history.silences.counts) == 0


def test_a_link_that_comes_through_its_gaps_is_soon_given_the_time_for_them() -> None:
    """A dish is without a satellite for three seconds now and then."""
    lived = settled(Kind.LEO)
    deaths = []
    before_s = lived.limit_s
    for _ in range(30):
        lived.cut_for(3.0)
        lived.run(57)
        deaths.append("UPLINK_DEAD" in lived.codes)
        lived.facts.clear()
    assert deaths[0]
    assert not any(deaths[10:])
    assert lived.limit_s > max(3.0, 2 * before_s)
    lived.cut = True
    lived.run(LIMITS[Kind.LEO].ceiling_s + 2)
    assert lived.watch.health is Health.DEAD


def test_gaps_of_users_are_learnt_only_where_the_uplink_carries_traffic() -> None:
    """What is watched by an echo in twelve seconds is not watched time."""
    watched_s = [settled(Kind.LTE, role).known.history.silences.watched_s for role in (Role.CARRYING, Role.STANDBY)]
    assert watched_s[0] > 100
    assert watched_s[1] == 0


# its own load


def loaded(kind: Kind, rx_bytes: int, rtt_s: float | None, share: float, seed: int = 3) -> Lived:
    """Two minutes in which a share of all echoes takes this RTT, while users receive so many bytes in each quarter."""
    lived = settled(kind)
    chance = random.Random(seed)

    def fate(_: Ask) -> float | None:
        return rtt_s if chance.random() < share else RTT_S[kind]

    lived.users = (3, 3, rx_bytes)
    lived.run(5)
    lived.rtt_s = fate
    lived.run(120)
    return lived


@pytest.mark.parametrize("kind", [Kind.FIBRE, Kind.LTE])
@pytest.mark.parametrize(("rtt_s", "share"), [(None, 0.3), (0.7, 0.8)])
def test_what_an_uplinks_own_users_do_to_it_never_makes_it_poor(kind: Kind, rtt_s: float | None, share: float) -> None:
    busy, idle = loaded(kind, 250_000, rtt_s, share), loaded(kind, 900, rtt_s, share)
    assert "UPLINK_POOR" not in busy.codes
    assert "UPLINK_POOR" in idle.codes


def test_nor_does_the_judge_learn_that_this_is_how_the_link_is() -> None:
    lived = loaded(Kind.FIBRE, 250_000, None, 0.3)
    assert lived.known.history.losses.begins == 0


def test_an_uplink_that_is_busy_and_falls_silent_dies_as_any_other() -> None:
    lived = settled(Kind.FIBRE)
    lived.users = (3, 3, 250_000)
    lived.run(10)
    lived.cut, lived.users = True, (3, 0, 0)
    lived.run(3)
    assert lived.codes == ["UPLINK_DEAD"]


# each hour


def test_limits_follow_the_history_each_hour() -> None:
    lived = settled(Kind.LTE)
    lived.run(10)
    lived.known.history.silences.take(8.0)
    before_s = lived.limit_s
    lived.quiet()
    lived.watch.pass_over(int(1.1 * HOUR_S / lived.pace(Mood.CARRYING)))
    assert lived.limit_s > before_s
