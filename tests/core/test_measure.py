"""Echoes and their answers: what is sent, answered, late, lost, and what was never sent."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.history import FIRST_TIMEOUT_S, History
from agent.core.measure import IDLE_S, REMEMBERED_S, WINDOW, Echoes
from agent.core.pace import LOST_AFTER_S, PACES, Mood
from agent.core.station import Kind
from wire.messages import Health, UplinkSummary

LOST_AFTER = 1.0
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def echoes(history: History | None = None) -> Echoes:
    return Echoes(history or History(), LOST_AFTER)


def settled(watched: Echoes, now: float) -> list[tuple[int, bool]]:
    """The numbers of the echoes that settle now, and whether they were lost."""
    return [(echo.seq, echo.lost) for echo in watched.settle(now)]


def told(watched: Echoes) -> UplinkSummary:
    return watched.summary("fibre", Health.UP, 0)


def known(rtt_s: float) -> History:
    """Of a link that has answered in this time for long."""
    history = History()
    watched = echoes(history)
    for n in range(100):
        watched.returned(watched.send(A, n / 2), A, rtt_s, n / 2 + rtt_s)
    return history


def test_nothing_is_lost_before_its_time_is_up() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    assert settled(watched, 0.99) == []
    assert settled(watched, 1.0) == [(1, True)]
    assert settled(watched, 9.0) == []


def test_an_answered_echo_settles_at_once() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    watched.returned(1, A, 0.01, 0.01)
    assert settled(watched, 0.01) == [(1, False)]


def test_echoes_settle_in_order_even_when_the_newer_is_answered_first() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    watched.send(A, 0.5)
    watched.returned(2, A, 0.01, 0.51)
    assert settled(watched, 0.6) == []
    assert settled(watched, 1.0) == [(1, True), (2, False)]


def test_a_link_that_usually_takes_longer_is_given_longer() -> None:
    watched = echoes(known(1.8))
    watched.send(A, 0.0)
    assert settled(watched, 1.75) == []
    assert settled(watched, 3.0) == [(1, True)]


def test_a_late_answer_unloses_its_echo() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    settled(watched, 0.9)
    assert watched.sample(0.9).loss is None
    settled(watched, 1.0)
    assert watched.sample(1.0).loss == 1.0
    late = watched.returned(1, A, 1.2, 1.2)
    assert late is not None
    assert late.settled and not late.lost
    assert watched.sample(1.2).loss == 0.0
    summary = told(watched)
    assert (summary.sent, summary.answered, summary.lost, summary.late) == (1, 1, 0, 1)
    assert summary.rtt_max_ms == 1200


def test_a_late_answer_to_the_minute_before_lowers_this_minutes_losses_so_that_sums_stay_true() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    settled(watched, 1.0)
    before = told(watched)
    watched.returned(1, A, 1.2, 1.2)
    after = told(watched)
    assert (before.lost, after.lost, after.late) == (1, -1, 1)


def test_a_second_answer_to_the_same_echo_is_not_counted() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    assert watched.returned(1, A, 0.01, 0.01) is not None
    assert watched.returned(1, A, 0.02, 0.02) is None
    settled(watched, 1.0)
    assert watched.returned(1, A, 1.1, 1.1) is None
    summary = told(watched)
    assert (summary.answered, summary.lost, summary.late, summary.rtt_max_ms) == (1, 0, 0, 10)
    assert watched.heard_at == 0.01


@pytest.mark.parametrize(("seq", "target"), [(0, A), (2, A), (-1, A), (10**9, A), (1, C)])
def test_an_answer_to_an_echo_that_was_never_sent_is_not_counted(seq: int, target: str) -> None:
    watched = echoes()
    watched.send(A, 0.0)
    assert watched.returned(seq, target, 0.01, 0.01) is None
    summary = told(watched)
    assert (summary.sent, summary.answered) == (1, 0)
    assert watched.silence is not None
    assert watched.heard_at is None


def test_what_was_not_sent_is_never_counted_as_loss() -> None:
    watched = echoes()
    for n, target in enumerate((A, B)):
        watched.send(target, n / 10)
    watched.not_sent(2)
    watched.not_sent(2)
    watched.returned(1, A, 0.01, 0.11)
    assert settled(watched, 0.2) == [(1, False), (2, False)]
    assert watched.sample(0.2).loss == 0.0
    summary = told(watched)
    assert (summary.sent, summary.lost, summary.not_sent) == (1, 0, 1)


def test_nor_is_it_counted_as_no_loss() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    watched.not_sent(1)
    settled(watched, 5.0)
    assert watched.sample(5.0).loss is None
    assert watched.sample(5.0).rtt_ms is None


def test_whether_anything_could_leave_is_known() -> None:
    watched = echoes()
    for n in range(3):
        watched.not_sent(watched.send(A, n / 2))
    assert not watched.could_send
    watched.send(B, 1.5)
    assert watched.could_send


# silence


def test_silence_begins_with_the_first_echo_after_the_newest_answered_one() -> None:
    watched = echoes()
    assert watched.silence is None
    watched.send(A, 0.0)
    assert watched.silence is not None and watched.silence.since == 0.0
    watched.send(A, 0.5)
    watched.send(A, 1.0)
    watched.send(A, 1.5)
    watched.returned(2, A, 0.01, 0.51)
    assert watched.silence is not None
    assert (watched.silence.since, watched.silence.first.seq, watched.silence.unanswered) == (1.0, 3, 2)
    watched.returned(4, A, 0.01, 1.51)
    assert watched.silence is None


def test_a_late_answer_is_a_sign_of_life_but_does_not_answer_the_newer_ones() -> None:
    watched = echoes()
    for n in range(3):
        watched.send(A, float(n))
    watched.returned(1, A, 2.5, 2.5)
    assert watched.silence is not None
    assert (watched.silence.since, watched.silence.first.seq) == (2.5, 2)


def test_a_sign_of_life_begins_the_silence_anew_and_none_from_before_it_does() -> None:
    watched = echoes()
    watched.send(A, 5.0)
    watched.heard(7.0)
    assert watched.silence is not None and watched.silence.since == 7.0
    watched = echoes()
    watched.heard(3.0)
    watched.send(A, 5.0)
    assert watched.silence is not None and watched.silence.since == 5.0


def test_silence_is_remarkable_when_an_answer_should_have_come() -> None:
    watched = echoes()
    watched.send(A, 2.0)
    assert watched.overdue_at == 2.0 + FIRST_TIMEOUT_S
    history = known(0.02)
    watched = echoes(history)
    watched.send(A, 2.0)
    assert watched.overdue_at == 2.0 + history.trips[A].timeout_s < 2.1


def test_one_target_that_answers_is_no_silence() -> None:
    watched = echoes()
    for n, target in enumerate((A, B, C)):
        watched.send(target, n / 10)
    watched.returned(3, C, 0.01, 0.31)
    assert watched.silence is None


def test_where_there_is_no_path_there_is_no_silence_and_what_was_on_its_way_is_lost() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    watched.send(A, 0.5)
    watched.abandon()
    assert watched.silence is None
    assert watched.overdue_at == float("inf")
    assert settled(watched, 5.0) == []
    assert told(watched).lost == 2
    watched.returned(1, A, 0.9, 0.9)
    assert told(watched).lost == -1


# a radio that sleeps


def test_the_first_echo_after_a_pause_is_reported_apart_and_teaches_nothing_about_the_path() -> None:
    history = known(0.05)
    watched = echoes(history)
    before = history.trips[A].smoothed_s
    moments = (100.0, 100.5, 100.5 + IDLE_S + 0.1)
    for at, rtt_s in zip(moments, (0.05, 0.05, 0.9), strict=True):
        watched.returned(watched.send(A, at), A, rtt_s, at + rtt_s)
    summary = told(watched)
    assert (summary.answered, summary.rtt_max_ms, summary.after_idle_ms) == (3, 50, 900)
    assert history.trips[A].smoothed_s == pytest.approx(before)
    assert history.after_idle.smoothed_s == 0.9


def test_and_it_is_waited_for_as_long_as_a_sleeping_radio_takes() -> None:
    history = known(0.05)
    for _ in range(50):
        history.after_idle.learn(0.9, 12.0)
    watched = echoes(history)
    watched.send(A, 0.0)
    watched.send(A, 12.0)
    assert watched.overdue_at is not None
    watched.returned(1, A, 0.05, 0.05)
    assert watched.overdue_at > 12.0 + 0.9


def test_an_echo_knows_what_was_usual_when_it_left() -> None:
    watched = echoes(known(0.05))
    seq = watched.send(A, 0.0)
    echo = watched.returned(seq, A, 0.9, 0.9)
    assert echo is not None
    assert echo.usual_s == pytest.approx(0.05)


# the window


def test_loss_is_the_lower_median_over_targets() -> None:
    watched = echoes()
    for n in range(12):
        seq = watched.send((A, B, C)[n % 3], n / 10)
        if n % 3 == 0:
            watched.returned(seq, A, 0.01, n / 10)
        if n % 6 == 1:
            watched.returned(seq, B, 0.01, n / 10)
    settled(watched, 9.0)
    assert watched.sample(9.0).loss == 0.5


def test_one_dead_target_of_two_shows_as_no_loss() -> None:
    watched = echoes()
    watched.returned(watched.send(A, 0.0), A, 0.01, 0.01)
    watched.send(B, 0.1)
    settled(watched, 2.0)
    assert watched.sample(2.0).loss == 0.0


def test_the_window_moves_on() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    settled(watched, 1.0)
    for n in range(WINDOW):
        at = 1.0 + n / 10
        watched.returned(watched.send(A, at), A, 0.02, at + 0.02)
    settled(watched, 5.0)
    assert watched.sample(5.0).loss == pytest.approx(1 / (WINDOW + 1))
    assert watched.sample(REMEMBERED_S + 0.5).loss == 0.0
    assert watched.sample(REMEMBERED_S + 0.5).rtt_ms == 20.0


def test_of_a_standby_that_is_asked_seldom_the_last_twenty_echoes_are_shown() -> None:
    watched = echoes()
    for n in range(40 + WINDOW):
        at = 12.0 * n
        seq = watched.send(A, at)
        if n % 4 and n >= 40:
            watched.returned(seq, A, 0.02, at + 0.02)
        settled(watched, at + 3)
    assert watched.sample(12.0 * (40 + WINDOW)).loss == 0.25


def test_an_answer_after_it_was_forgotten_changes_nothing() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    settled(watched, 1.0)
    told(watched)
    assert watched.returned(1, A, REMEMBERED_S + 0.1, REMEMBERED_S + 0.1) is None
    summary = told(watched)
    assert (summary.answered, summary.lost, summary.late) == (0, 0, 0)


def test_after_a_stall_longer_than_the_memory_echoes_go_on_being_settled() -> None:
    watched = echoes()
    watched.send(A, 0.0)
    at = 10.0 * REMEMBERED_S
    watched.send(A, at)
    watched.returned(2, A, 0.01, at + 0.01)
    assert settled(watched, at + 0.1) == [(1, True), (2, False)]
    watched.send(A, at + 0.5)
    watched.returned(3, A, 0.01, at + 0.51)
    assert settled(watched, at + 0.6) == [(3, False)]


def test_it_remembers_no_more_than_its_window_however_long_it_runs() -> None:
    watched = echoes()
    for n in range(20_000):
        seq = watched.send(A, n / 10)
        if n % 10:
            watched.returned(seq, A, 0.01, n / 10)
        settled(watched, n / 10)
    held = [len(queue) for queue in (watched._echoes, watched._waiting, watched._unsettled)]
    assert max(held) <= REMEMBERED_S * 10 + WINDOW


def test_what_is_stepped_over_counts_as_sent_and_as_heard() -> None:
    watched = echoes()
    watched.returned(watched.send(A, 0.0), A, 0.01, 0.01)
    settled(watched, 0.01)
    watched.pass_over(1000, 500.0, 500.01)
    assert (watched.seq, watched.sent_at, watched.heard_at) == (1001, 500.0, 500.01)
    assert told(watched).sent == 1001
    seq = watched.send(A, 500.5)
    assert watched.returned(1, A, 0.01, 500.6) is None
    assert watched.returned(seq, A, 0.01, 500.6) is not None
    assert settled(watched, 500.6) == [(1002, False)]


def test_quantiles_are_values_that_were_measured() -> None:
    watched = echoes()
    rtts_ms = list(range(1, 101))
    random.Random(1).shuffle(rtts_ms)
    for n, rtt_ms in enumerate(rtts_ms):
        watched.returned(watched.send(A, n / 2), A, rtt_ms / 1000, n / 2 + rtt_ms / 1000)
        settled(watched, n / 2 + 0.2)
    summary = told(watched)
    found = summary.rtt_min_ms, summary.rtt_p50_ms, summary.rtt_p95_ms, summary.rtt_p99_ms, summary.rtt_max_ms
    assert found == (1.0, 51.0, 96.0, 100.0, 100.0)


@pytest.mark.parametrize("kind", Kind)
def test_an_echo_is_lost_long_before_it_is_forgotten(kind: Kind) -> None:
    assert PACES[kind][Mood.CARRYING] <= LOST_AFTER_S[kind] < REMEMBERED_S / 2


fates = st.sampled_from(["answered", "late", "lost", "not sent"])


@settings(deadline=None)
@given(st.lists(fates, max_size=80), st.sets(st.integers(0, 79)))
def test_every_echo_is_counted_once_whatever_becomes_of_it(happened: list[str], summaries_at: set[int]) -> None:
    watched, parts = echoes(), []
    late: list[tuple[int, str]] = []
    order: list[int] = []
    for n, what in enumerate(happened):
        now, target = n / 2, (A, B, C)[n % 3]
        seq = watched.send(target, now)
        if what == "not sent":
            watched.not_sent(seq)
        elif what == "answered":
            watched.returned(seq, target, 0.01, now)
        elif what == "late":
            late.append((seq, target))
        order += [each for each, _ in settled(watched, now)]
        while late and late[0][0] <= seq - 3:
            watched.returned(*late.pop(0), 1.5, now)
        if n in summaries_at:
            parts.append(told(watched))
    end = len(happened) / 2 + 5
    order += [each for each, _ in settled(watched, end)]
    for seq, target in late:
        watched.returned(seq, target, 5.0, end)
    parts.append(told(watched))
    assert order == list(range(1, len(happened) + 1))
    assert sum(part.not_sent for part in parts) == happened.count("not sent")
    assert sum(part.sent for part in parts) == len(happened) - happened.count("not sent")
    assert sum(part.lost for part in parts) == happened.count("lost")
    assert sum(part.late for part in parts) <= happened.count("late")  # the link may have taught that this is usual
    assert sum(part.answered for part in parts) == happened.count("answered") + happened.count("late")
