"""The figures of a span against truths worked out by hand or by another way."""

import statistics
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.history import History
from agent.core.measure import Echoes
from agent.core.span import Echo, Span, wilson
from wire.messages import Health, UplinkSummary

A, B = "192.0.2.1", "192.0.2.2"


def echo(seq: int, rtt_s: float | None, target: str = A, *, after_idle: bool = False, settled: bool = True) -> Echo:
    return Echo(seq, target, seq / 2, after_idle, 0.05, rtt_s=rtt_s, settled=settled)


def figures(echoes: Iterable[Echo]) -> UplinkSummary:
    return Span(echoes=list(echoes)).summary("lte", Health.UP, 0)


def test_pdv_is_the_delay_above_the_smallest_to_the_same_target() -> None:
    """A far target beside a near one is no jitter."""
    steady = [echo(n, 0.010 if n % 2 else 0.200, A if n % 2 else B) for n in range(40)]
    assert figures(steady).pdv_p95_ms == 0
    steady[20].rtt_s = 0.290
    steady[22].rtt_s = 0.280
    assert figures(steady).pdv_p95_ms == pytest.approx(80)


def test_ipdv_is_not_defined_across_a_lost_echo_nor_between_targets() -> None:
    told = figures([echo(1, 0.010), echo(2, None), echo(3, 0.090), echo(4, 0.100), echo(5, 0.5, B)])
    assert told.ipdv_mean_ms == pytest.approx(10)
    assert figures([echo(1, 0.010)]).ipdv_mean_ms is None


def test_the_first_echo_after_a_pause_says_nothing_of_jitter() -> None:
    told = figures([echo(1, 1.5, after_idle=True), echo(2, 0.06), echo(3, 0.06)])
    assert (told.pdv_p95_ms, told.ipdv_mean_ms) == (0, 0)


def test_runs_of_loss_are_counted_and_the_longest_is_told_in_seconds() -> None:
    came = [True, False, False, False, True, True, False, True, False]
    told = figures(echo(n, 0.05 if good else None) for n, good in enumerate(came))
    assert (told.loss_runs, told.longest_run_s) == (3, 1.5)


def test_what_came_late_was_never_in_a_run() -> None:
    echoes = [echo(n, None if 2 <= n <= 4 else 0.05) for n in range(8)]
    echoes[3].rtt_s = 4.2
    told = figures(echoes)
    assert (told.loss_runs, told.longest_run_s) == (2, 0.5)


def test_what_is_on_its_way_at_the_end_of_a_span_belongs_to_the_next() -> None:
    span = Span(echoes=[echo(1, None), echo(2, None, settled=False)])
    assert span.summary("lte", Health.UP, 0).loss_runs == 1
    following = span.next()
    assert [each.seq for each in following.echoes] == [2]
    following.echoes[0].settled = True
    assert following.summary("lte", Health.UP, 0).loss_runs == 1


@pytest.mark.parametrize(
    ("bad", "of", "low", "high"),
    [(0, 20, 0.0, 0.16113), (1, 20, 0.00888, 0.23613), (10, 1000, 0.00544, 0.01831), (5, 5, 0.56551, 1.0)],
)
def test_wilsons_interval_is_as_worked_out_by_hand(bad: int, of: int, low: float, high: float) -> None:
    """Worked out from the formula apart from the code."""
    assert wilson(bad, of) == (pytest.approx(low, abs=2e-5), pytest.approx(high, abs=2e-5))


def test_of_nothing_there_is_no_interval() -> None:
    assert wilson(0, 0) == (None, None)
    told = figures([])
    assert (told.loss_low, told.pdv_p95_ms, told.loss_runs) == (None, None, 0)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_share_lies_in_its_interval_and_more_echoes_make_it_narrower(bad: int, of: int) -> None:
    bad = min(bad, of)
    low, high = wilson(bad, of)
    assert low is not None and high is not None
    assert 0 <= low <= bad / of + 1e-5
    assert bad / of - 1e-5 <= high <= 1
    closer_low, closer_high = wilson(4 * bad, 4 * of)
    assert closer_low is not None and closer_high is not None
    assert closer_high - closer_low <= high - low + 1e-4


@given(st.lists(st.floats(0.001, 2), min_size=2, max_size=60))
def test_ipdv_is_the_mean_of_absolute_differences(rtts_s: list[float]) -> None:
    told = figures(echo(n, rtt_s) for n, rtt_s in enumerate(rtts_s))
    by_hand = statistics.fmean(abs(b - a) for a, b in pairwise(rtts_s))
    assert told.ipdv_mean_ms == pytest.approx(by_hand * 1e3, abs=1e-3)


def test_a_second_answer_and_a_refusal_are_counted_and_change_nothing_else() -> None:
    measured = Echoes(History(), 1.0)
    seq = measured.send(A, 0.0)
    measured.refused(seq)
    measured.returned(seq, A, 0.05, 0.05)
    assert measured.returned(seq, A, 0.06, 0.06) is None
    told = measured.summary("lte", Health.UP, 0)
    assert (told.sent, told.answered, told.lost, told.duplicates, told.refused) == (1, 1, 0, 1, 1)
    assert measured.summary("lte", Health.UP, 0).duplicates == 0
