"""Each peer's rule does on packets made by hand what its source, and the measurements of it, say."""

import statistics

import numpy as np
import pytest

from bench.detect import dpinger, measure
from bench.detect.dpinger import OPNSENSE, PFSENSE, Held, Slept
from bench.detect.peers import FIVE, THREE, Bfd, InARow, Mwan3
from bench.detect.rule import Rule
from bench.detect.weather import DAY_S, WEATHERS, Link, Weather
from tests.bench.made import CLEAN, changes, made_day


def delays_s(rule: Rule, loss: float, trials: int = 60) -> list[float]:
    return [measure.WITHIN_S if each is None else each for each in measure.delays(rule, CLEAN, loss, trials)]


def clears_s(rule: Rule, trials: int = 30) -> list[float]:
    return [measure.WITHIN_S if each is None else each for each in measure.clears(rule, CLEAN, trials)]


def test_pfsense_needs_what_was_measured_of_it() -> None:
    """15.1 s (14.6 to 15.4), 44.6 s (39 to 60) at 30 %, 56.7 s to clear: notes/failover.md 1.1."""
    blackholes_s = delays_s(PFSENSE, 1.0)
    assert statistics.median(blackholes_s) == pytest.approx(15.1, abs=0.6)
    assert 14 < min(blackholes_s) < max(blackholes_s) < 15.8
    assert statistics.median(delays_s(PFSENSE, 0.3)) == pytest.approx(44.6, rel=0.1)
    assert statistics.median(clears_s(PFSENSE)) == pytest.approx(56.7, abs=1.5)


def test_opnsense_needs_what_was_measured_of_it() -> None:
    """16.0 s, 47.6 s (45 to 74) at 30 %, 48.1 s to clear: notes/failover.md 1.1."""
    blackholes_s = delays_s(OPNSENSE, 1.0)
    assert statistics.median(blackholes_s) == pytest.approx(16.0, abs=0.5)
    assert 15 <= min(blackholes_s) < max(blackholes_s) <= 17
    assert statistics.median(delays_s(OPNSENSE, 0.3)) == pytest.approx(47.6, rel=0.1)
    assert statistics.median(clears_s(OPNSENSE)) == pytest.approx(48.1, abs=1.5)


@pytest.mark.parametrize("rule", [PFSENSE, OPNSENSE], ids=lambda rule: rule.name)
def test_a_healthy_geo_link_is_in_alarm_from_the_first_look_for_ever(rule: Rule) -> None:
    geo = next(each for each in WEATHERS if each.kind == "geo")
    link = Link(geo)
    found = [change for seen in rule.watch(link, link.days(2), 1) for change in seen.changes]
    assert [each.is_alarm for each in found] == [True]
    assert found[0].at_s <= 1
    assert measure.watched(rule, link, 2).alarm_share > 0.999
    assert list(measure.delays(rule, link, 1.0, 5)) == []


@pytest.mark.parametrize(("lost", "is_bad"), [(25, False), (26, True)])
def test_20_8_percent_is_20_for_dpinger(lost: int, is_bad: bool) -> None:
    sent_s = np.arange(0, 60, 0.5)
    rtt_s = np.where(np.arange(120) < lost, np.inf, 0.03)
    assert PFSENSE.is_bad(sent_s, rtt_s, np.array([59.7])).tolist() == [is_bad]


def test_what_is_not_yet_overdue_is_no_loss() -> None:
    sent_s = np.arange(0, 60, 0.5)
    rtt_s = np.where(np.arange(120) >= 94, np.inf, 0.03)
    found = PFSENSE.is_bad(sent_s, rtt_s, np.array([57.2, 58.2, 59.2, 60.2, 61.2]))
    assert found.tolist() == [False, False, False, False, True]  # at last 23, then 25 of 116


def test_a_late_answer_takes_its_loss_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpinger, "LATENCY_LIMIT_US", 10**9)
    held = made_day(stalls=[(1000, 1020)], seconds=2000)
    raised, cleared = changes(OPNSENSE, held)
    assert 1015 < raised.at_s < 1018
    assert 1020 < cleared.at_s < 1027  # the end of its sleep; a blackhole of 20 s clears when the window has gone
    _, never_answered = changes(OPNSENSE, made_day(outages=[(1000, 1020)], seconds=2000))
    assert never_answered.at_s > 1060


def test_held_answers_of_some_seconds_are_a_latency_alarm() -> None:
    found = changes(PFSENSE, made_day(stalls=[(1000, 1010)], seconds=2000))
    assert [each.is_alarm for each in found] == [True, False]
    assert 1010 <= found[0].at_s <= 1011


def test_pfsense_clears_after_ten_good_checks_also_over_midnight() -> None:
    held, bad = Held(), np.zeros(20, dtype=bool)
    bad[[15, 17]] = True
    assert [(each.at_s, each.is_alarm) for each in held.changes(np.arange(20.0), bad)] == [(15, True)]
    later = held.changes(np.arange(20.0, 40), np.zeros(20, dtype=bool))
    assert [(each.at_s, each.is_alarm) for each in later] == [(27, False)]


def test_opnsense_looks_away_for_ten_seconds_after_each_change() -> None:
    bad = np.zeros(60, dtype=bool)
    bad[[5, 18, 40]] = True
    found = [(each.at_s, each.is_alarm) for each in Slept().changes(np.arange(60.0), bad)]
    assert found == [(5, True), (15, False), (40, True), (50, False)]


def test_mwan3_takes_two_minutes_for_a_blackhole_and_never_sees_loss() -> None:
    blackholes_s = delays_s(Mwan3(), 1.0)
    assert 120 <= min(blackholes_s) < 122 and 128 < max(blackholes_s) <= 130.1
    assert min(delays_s(Mwan3(), 0.3, 20)) == measure.WITHIN_S
    assert 39 < min(clears_s(Mwan3())) < max(clears_s(Mwan3())) < 60


def test_one_good_round_on_the_way_down_mends_all_and_one_bad_on_the_way_up_spoils_all() -> None:
    def score(rounds: str, begin: int) -> int:
        for each in rounds:
            begin = Mwan3().scored(begin, each == "+")
        return begin

    assert [score(rounds, 10) for rounds in ("----", "----+", "-----", "-----++++")] == [6, 10, 0, 4]
    assert [score(rounds, 0) for rounds in ("++++-", "+++++", "-")] == [0, 10, 0]


def test_three_in_a_row_is_known_at_the_third_timeout_and_cleared_by_three_answers() -> None:
    raised, cleared = changes(THREE, made_day(outages=[(100, 101.99), (200, 203)], seconds=300))
    assert raised.is_alarm and 203 <= raised.at_s <= 204
    assert not cleared.is_alarm and 205 <= cleared.at_s <= 206.1
    assert raised.at_s % 1 == pytest.approx((cleared.at_s - 0.03) % 1, abs=0.01)


def test_answers_after_the_timeout_are_losses() -> None:
    assert len(changes(THREE, made_day(stalls=[(100, 104.1)], seconds=300))) == 2
    assert changes(THREE, made_day(stalls=[(100, 102.9)], seconds=300)) == []


def test_an_outage_over_midnight_is_one_alarm() -> None:
    before = made_day(outages=[(DAY_S - 1.5, DAY_S)])
    after = made_day(outages=[(DAY_S, DAY_S + 2)], start_s=DAY_S, seconds=100)
    for rule in (THREE, FIVE, Bfd()):
        assert [each.is_alarm for each in changes(rule, before, after)] == [True, False]


def test_a_silence_of_bfd_goes_on_over_midnight() -> None:
    before = made_day(outages=[(DAY_S - 0.6, DAY_S)])
    after = made_day(outages=[(DAY_S, DAY_S + 0.6)], start_s=DAY_S, seconds=100)
    assert [each.is_alarm for each in changes(Bfd(), before, after)] == [True, False]


@pytest.mark.parametrize(("misses", "spacing_s"), [(3, 1.0), (2, 0.2)])
def test_so_many_in_a_row_come_as_seldom_as_the_formula_says(misses: int, spacing_s: float) -> None:
    loss = 0.2
    link = Link(Weather("bad", "fibre", 0.03, 1e-4, loss, "by hand"))
    seen = measure.watched(InARow("", "", spacing_s, misses, timeout_s=0.05), link, 4)
    good_s = seen.days * DAY_S - seen.alarm_s
    probes = (1 - loss**misses) / ((1 - loss) * loss**misses)
    assert good_s / seen.false_switches / spacing_s == pytest.approx(probes, rel=0.06)


def test_bfd_is_down_after_900_ms_and_up_again_after_its_handshake() -> None:
    blackholes_s = delays_s(Bfd(), 1.0)
    assert 0.6 < min(blackholes_s) < max(blackholes_s) < 0.95
    assert (
        0.7 < min(clears_s(Bfd())) < max(clears_s(Bfd())) < 2.3
    )  # two packets, and one of the stream they are drawn from
    assert changes(Bfd(), made_day(outages=[(100, 100.55)], seconds=200)) == []
    assert len(changes(Bfd(), made_day(outages=[(100, 100.95)], seconds=200))) == 2


@pytest.mark.parametrize(
    ("rule", "megabytes"), [(PFSENSE, 300), (OPNSENSE, 150), (Mwan3(), 87), (Bfd(), 1027), (THREE, 435)]
)
def test_watching_for_30_days_costs_what_the_notes_say(rule: Rule, megabytes: float) -> None:
    assert measure.watched(rule, CLEAN, 1).megabytes_per_30_d == pytest.approx(megabytes, rel=0.01)
