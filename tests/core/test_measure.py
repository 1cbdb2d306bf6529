"""Echoes and their answers: what is sent, answered, late, lost, and what was never sent."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.measure import PACE, REMEMBERED_S, WINDOW_S, Echoes, Pace
from agent.core.station import Kind
from wire.messages import Health

PACE_HERE = Pace(every_s=0.5, lost_after_s=1.0)
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def echoes(*targets: str, now: float = 0.0) -> Echoes:
    return Echoes(targets or (A,), PACE_HERE, now)


def settled(watched: Echoes, now: float) -> list[dict[str, bool]]:
    return list(watched.settle(now))


def test_echoes_leave_on_a_fixed_schedule_and_not_after_the_answer() -> None:
    watched = echoes()
    sent_at = []
    for hundredth in range(300):
        now = hundredth / 100
        if (seq := watched.due(now)) is not None:
            sent_at.append(now)
            watched.returned(seq, A, 0.3)
    assert sent_at == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_late_loop_sends_one_echo_and_keeps_to_the_schedule() -> None:
    watched = echoes()
    assert watched.due(0.0) == 1
    assert watched.due(5.2) == 2
    assert watched.due(5.3) is None
    assert watched.wake_at() == 5.5


def test_nothing_is_lost_before_its_time_is_up() -> None:
    watched = echoes()
    watched.due(0.0)
    assert settled(watched, 0.99) == []
    assert settled(watched, 1.0) == [{A: False}]
    assert settled(watched, 9.0) == []


def test_an_answered_round_counts_at_once() -> None:
    watched = echoes(A, B)
    watched.due(0.0)
    watched.returned(1, A, 0.01)
    assert settled(watched, 0.1) == []
    watched.returned(1, B, 0.02)
    assert settled(watched, 0.1) == [{A: True, B: True}]


def test_rounds_settle_in_order_even_when_the_newer_is_answered_first() -> None:
    watched = echoes()
    watched.due(0.0)
    watched.due(0.5)
    watched.returned(2, A, 0.01)
    assert settled(watched, 0.6) == []
    assert settled(watched, 1.0) == [{A: False}, {A: True}]


def test_a_late_answer_unloses_its_echo() -> None:
    watched = echoes()
    watched.due(0.0)
    settled(watched, 1.0)
    assert watched.sample(1.0).loss == 1.0
    watched.returned(1, A, 1.2)
    assert watched.sample(1.2).loss == 0.0
    summary = watched.summary("fibre", Health.UP)
    assert (summary.sent, summary.answered, summary.lost, summary.late) == (1, 1, 0, 1)
    assert summary.rtt_max_ms == 1200


def test_a_late_answer_to_the_minute_before_lowers_this_minutes_losses_so_that_sums_stay_true() -> None:
    watched = echoes()
    watched.due(0.0)
    settled(watched, 1.0)
    before = watched.summary("fibre", Health.UP)
    watched.returned(1, A, 1.2)
    after = watched.summary("fibre", Health.UP)
    assert (before.lost, after.lost, after.late) == (1, -1, 1)


def test_a_second_answer_to_the_same_echo_is_not_counted() -> None:
    watched = echoes()
    watched.due(0.0)
    for _ in range(3):
        watched.returned(1, A, 0.01)
    settled(watched, 1.0)
    watched.returned(1, A, 0.01)
    summary = watched.summary("fibre", Health.UP)
    assert (summary.answered, summary.lost, summary.late) == (1, 0, 0)


@pytest.mark.parametrize(("seq", "target"), [(0, A), (2, A), (-1, A), (10**9, A), (1, C)])
def test_an_answer_to_an_echo_that_was_never_sent_is_not_counted(seq: int, target: str) -> None:
    watched = echoes(A, B)
    watched.due(0.0)
    watched.returned(seq, target, 0.01)
    summary = watched.summary("fibre", Health.UP)
    assert (summary.sent, summary.answered) == (2, 0)
    assert watched.unanswered_since == 0.0


def test_what_was_not_sent_is_never_counted_as_loss() -> None:
    watched = echoes(A, B)
    watched.due(0.0)
    watched.not_sent(1, B)
    watched.not_sent(1, B)
    watched.returned(1, A, 0.01)
    assert settled(watched, 0.1) == [{A: True}]
    assert watched.sample(0.1).loss == 0.0
    summary = watched.summary("fibre", Health.UP)
    assert (summary.sent, summary.lost, summary.not_sent) == (1, 0, 1)


def test_nor_is_it_counted_as_no_loss() -> None:
    watched = echoes()
    watched.due(0.0)
    watched.not_sent(1, A)
    assert settled(watched, 1.0) == [{}]
    assert watched.sample(1.0).loss is None
    assert watched.sample(1.0).rtt_ms is None


def test_silence_begins_with_the_first_echo_after_the_newest_answered_one() -> None:
    watched = echoes()
    watched.due(0.0)
    assert watched.unanswered_since == 0.0
    watched.due(0.5)
    watched.due(1.0)
    watched.returned(2, A, 0.01)
    assert watched.unanswered_since == 1.0
    watched.returned(1, A, 0.9)
    assert watched.unanswered_since == 1.0
    watched.returned(3, A, 0.01)
    assert watched.unanswered_since is None


def test_one_target_that_answers_is_no_silence() -> None:
    watched = echoes(A, B, C)
    watched.due(0.0)
    watched.returned(1, C, 0.01)
    assert watched.unanswered_since is None


def test_a_beat_without_a_path_is_no_silence() -> None:
    watched = echoes()
    watched.due(0.0)
    watched.skip(0.5)
    assert watched.unanswered_since is None
    assert watched.wake_at() == 1.0
    assert watched.summary("fibre", Health.DEAD).sent == 1


def test_loss_is_the_lower_median_over_targets() -> None:
    watched = echoes(A, B, C)
    for n in range(4):
        seq = watched.due(n / 2)
        assert seq is not None
        watched.returned(seq, A, 0.01)
        if n % 2:
            watched.returned(seq, B, 0.01)
    settled(watched, 9.0)
    assert watched.sample(9.0).loss == 0.5


def test_one_dead_target_of_two_shows_as_no_loss() -> None:
    watched = echoes(A, B)
    seq = watched.due(0.0)
    assert seq is not None
    watched.returned(seq, A, 0.01)
    settled(watched, 1.0)
    assert watched.sample(1.0).loss == 0.0


def test_the_window_moves_on() -> None:
    watched = echoes()
    watched.due(0.0)
    settled(watched, 1.0)
    watched.due(WINDOW_S)
    watched.returned(2, A, 0.02)
    settled(watched, WINDOW_S + 0.1)
    assert watched.sample(WINDOW_S + 0.1).loss == 0.0
    assert watched.sample(WINDOW_S + 0.1).rtt_ms == 20.0


def test_an_answer_after_everything_was_forgotten_changes_nothing() -> None:
    watched = echoes()
    watched.due(0.0)
    settled(watched, 1.0)
    watched.due(REMEMBERED_S + 5)
    settled(watched, REMEMBERED_S + 5)
    watched.summary("fibre", Health.UP)
    watched.returned(1, A, 35.0)
    assert watched.summary("fibre", Health.UP).answered == 0


def test_after_a_stall_longer_than_the_memory_rounds_go_on_being_settled() -> None:
    watched = echoes()
    watched.due(0.0)
    watched.due(10 * REMEMBERED_S)
    watched.returned(2, A, 0.01)
    assert settled(watched, 10 * REMEMBERED_S + 0.1) == [{A: False}, {A: True}]
    watched.due(10 * REMEMBERED_S + 0.5)
    watched.returned(3, A, 0.01)
    assert settled(watched, 10 * REMEMBERED_S + 0.6) == [{A: True}]


def test_quantiles_are_values_that_were_measured() -> None:
    watched = echoes()
    rtts_ms = list(range(1, 101))
    random.Random(1).shuffle(rtts_ms)
    for n, rtt_ms in enumerate(rtts_ms):
        seq = watched.due(n / 2)
        assert seq is not None
        watched.returned(seq, A, rtt_ms / 1000)
        settled(watched, n / 2)
    summary = watched.summary("fibre", Health.UP)
    assert (summary.rtt_min_ms, summary.rtt_p50_ms, summary.rtt_p95_ms, summary.rtt_p99_ms, summary.rtt_max_ms) == (
        1.0,
        51.0,
        96.0,
        100.0,
        100.0,
    )


@pytest.mark.parametrize("kind", Kind)
def test_an_echo_is_lost_long_before_it_is_forgotten(kind: Kind) -> None:
    assert PACE[kind].every_s <= PACE[kind].lost_after_s < REMEMBERED_S / 2


fates = st.sampled_from(["answered", "late", "lost", "not sent"])


@given(st.lists(st.tuples(fates, fates), max_size=80), st.sets(st.integers(0, 79)))
def test_every_echo_is_counted_once_whatever_becomes_of_it(
    rounds: list[tuple[str, str]], summaries_at: set[int]
) -> None:
    watched = echoes(A, B)
    parts = []
    late: list[tuple[int, str]] = []
    for n, fate in enumerate(rounds):
        now = n / 2
        seq = watched.due(now)
        assert seq is not None
        for target, what in zip((A, B), fate, strict=True):
            if what == "not sent":
                watched.not_sent(seq, target)
            elif what == "answered":
                watched.returned(seq, target, 0.01)
            elif what == "late":
                late.append((seq, target))
        settled(watched, now)
        while late and late[0][0] <= seq - 3:
            watched.returned(*late.pop(0), 1.5)
        if n in summaries_at:
            parts.append(watched.summary("fibre", Health.UP))
    settled(watched, len(rounds) / 2 + 5)
    for seq, target in late:
        watched.returned(seq, target, 5.0)
    parts.append(watched.summary("fibre", Health.UP))
    happened = [what for fate in rounds for what in fate]
    assert sum(part.not_sent for part in parts) == happened.count("not sent")
    assert sum(part.sent for part in parts) == len(happened) - happened.count("not sent")
    assert sum(part.lost for part in parts) == happened.count("lost")
    assert sum(part.late for part in parts) <= happened.count("late")  # the link may have taught that this is usual
    assert sum(part.answered for part in parts) == happened.count("answered") + happened.count("late")
