"""The rule that stands for pfSense in our measurements is really dpinger's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import dpinger_rule
from bench.dpinger_rule import (
    CHECK_EVERY_S,
    LOST_AFTER_S,
    SEND_EVERY_S,
    WINDOW_S,
    Alarm,
    Alert,
    Gateway,
    Report,
    Window,
    choose,
)

GOOD, BAD = Report(16, 0), Report(16, 21)
LTE = Gateway("lte", "wan0", "198.18.1.2", "198.18.1.1", "198.51.100.1")
GEO = Gateway("geo", "wan1", "198.18.2.2", "198.18.2.1", "198.51.100.2")
OVERSLEEPS_S = 1e-4  # what Linux adds to every sleep: echoes slip behind the checks, in dpinger too


def first_alarm_s(rtt_s: float, cut_s: float = 1e9, until_s: float = 100, limit_ms: int = 500) -> float | None:
    """Told step by step what a link does that answers until it is cut; when the alarm is raised."""
    window, alarm = Window(), Alarm(limit_ms)
    on_its_way: list[tuple[float, int]] = []
    send_at_s, check_at_s = SEND_EVERY_S, CHECK_EVERY_S
    while (now_s := min(send_at_s, check_at_s)) < until_s:
        while on_its_way and on_its_way[0][0] <= now_s:
            answered_s, sequence = on_its_way.pop(0)
            window.answer(sequence, answered_s)
        if now_s == send_at_s:
            sequence = window.send(now_s)
            if now_s < cut_s:
                on_its_way.append((now_s + rtt_s, sequence))
            send_at_s = now_s + SEND_EVERY_S + OVERSLEEPS_S
        else:
            if alarm.check(window.report(now_s)):
                return now_s
            check_at_s = now_s + CHECK_EVERY_S + OVERSLEEPS_S
    return None


def sent(count: int, answered: int, waiting: int = 0) -> Window:
    """At second 0, or for those that wait at second 10."""
    window = Window()
    for number in range(count + waiting):
        sequence = window.send(0.0 if number < count else 10.0)
        if number < answered:
            window.answer(sequence, 0.02)
    return window


def test_a_blackhole_is_an_alarm_after_fifteen_seconds() -> None:
    after_s = [first_alarm_s(0.016, cut_s=70 + phase / 20) or 0 for phase in range(20)]
    after_s = [alarm_s - 70 - phase / 20 for phase, alarm_s in enumerate(after_s)]
    assert min(after_s) == pytest.approx(14.55, abs=0.1)  # dpinger itself, measured twelve times: 14.6 to 15.4
    assert max(after_s) == pytest.approx(15.45, abs=0.1)


def test_a_good_link_raises_no_alarm() -> None:
    assert first_alarm_s(0.016) is None
    assert first_alarm_s(0.499) is None


def test_a_healthy_link_of_600_ms_is_an_alarm_as_soon_as_it_answers() -> None:
    assert first_alarm_s(0.6) == pytest.approx(2.0, abs=0.01)


def test_a_limit_above_its_latency_keeps_a_link_of_600_ms() -> None:
    assert first_alarm_s(0.6, limit_ms=1500) is None


@pytest.mark.parametrize(
    ("lost", "of", "percent"),
    [(0, 120, 0), (24, 120, 20), (24, 115, 20), (25, 119, 21), (120, 120, 100)],  # 24 of 115 are 20.9 %
)
def test_loss_is_an_integer_quotient(lost: int, of: int, percent: int) -> None:
    report = sent(of, of - lost).report(10)
    assert report.loss_percent == percent
    assert Alarm().check(report) == (percent > 20)


def test_what_is_on_its_way_is_neither_answered_nor_lost() -> None:
    window = sent(100, 79, waiting=20)
    assert window.report(10 + LOST_AFTER_S).loss_percent == 21
    assert window.report(10 + LOST_AFTER_S + 0.01).loss_percent == 34


def test_a_late_answer_unloses_its_echo() -> None:
    window = sent(4, 0)
    assert window.report(LOST_AFTER_S + 1).loss_percent == 100
    for sequence in range(4):
        window.answer(sequence, 3.0)
    assert window.report(4) == Report(3000, 0)


def test_a_second_answer_changes_nothing() -> None:
    window = sent(1, 1)
    window.answer(0, 5.0)
    assert window.report(6).latency_ms == pytest.approx(20)


def test_the_window_is_the_last_minute() -> None:
    window = sent(round(WINDOW_S / SEND_EVERY_S), 0)
    assert window.report(10).loss_percent == 100
    for number in range(120):
        window.answer(window.send(10.0 + number / 2), 10.1 + number / 2)
    assert window.report(80) == Report(pytest.approx(100), 0)


def test_an_alarm_holds_until_ten_checks_in_a_row_were_good() -> None:
    alarm = Alarm()
    assert alarm.check(BAD)
    assert not any(alarm.check(GOOD) for _ in range(9))
    assert not alarm.check(BAD)
    assert not any(alarm.check(GOOD) for _ in range(9))
    assert alarm.is_on
    assert alarm.check(GOOD)
    assert not alarm.is_on


def test_latency_and_loss_are_held_apart() -> None:
    alarm = Alarm()
    assert alarm.check(BAD)
    assert alarm.check(Report(501, 21))
    assert [alarm.check(Report(501, 0)) for _ in range(10)] == [False] * 9 + [True]
    assert alarm.is_on


def test_the_best_tier_that_is_not_in_alarm_is_chosen() -> None:
    assert choose([LTE, GEO], set()) == LTE
    assert choose([LTE, GEO], {"geo"}) == LTE
    assert choose([LTE, GEO], {"lte"}) == GEO


def test_when_all_are_in_alarm_all_count_as_up() -> None:
    assert choose([LTE, GEO], {"lte", "geo"}) == LTE


def test_an_installed_dpinger_is_started_as_pfsense_does_and_heard(tmp_path: Path) -> None:
    binary = tmp_path / "dpinger"
    binary.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(tmp_path / 'options')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "sys.stderr.write('send_interval 500ms  loss_interval 2000ms  identifier \"lte \"\\n'\n"
        "  'lte 198.51.100.1: Alarm latency 60000us stddev 5000us loss 21%\\n'\n"
        "  'lte 198.51.100.1: Clear latency 60000us stddev 5000us loss 20%\\n')\n"
    )
    binary.chmod(0o755)
    assert list(dpinger_rule._told_by_dpinger(str(binary), [LTE])) == [
        Alert("lte", True, "latency 60000us stddev 5000us loss 21%"),
        Alert("lte", False, "latency 60000us stddev 5000us loss 20%"),
    ]
    assert (tmp_path / "options").read_text() == (
        "-f -r 0 -i lte -B 198.18.1.2 -s 500 -l 2000 -t 60000 -A 1000 -D 500 -L 20 198.51.100.1"
    )
