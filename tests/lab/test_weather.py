"""The model of a link's weather: what it drops, when it releases, and what it never does."""

from __future__ import annotations

import statistics
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import weather
from lab.reading import Refusal
from lab.weather import Direction, Gilbert, LinkWeather, Trace, Weather


def direction(trace: Trace | None = None, seed: int = 1, **values: object) -> Direction:
    return Direction(Weather(**values), Random(seed), 0.0, trace)  # type: ignore[arg-type]


def sent(link: Direction, packets: int, every_s: float = 0.01, size_bytes: int = 100) -> list[float | None]:
    return [link.admit(number * every_s, size_bytes) for number in range(packets)]


def lost_part(link: Direction, packets: int = 40_000) -> float:
    return sent(link, packets).count(None) / packets


def test_fair_weather_only_delays() -> None:
    assert sent(direction(delay_ms=300), 3) == pytest.approx([0.3, 0.31, 0.32])


def test_loss_is_as_told() -> None:
    assert lost_part(direction(loss=0.02)) == pytest.approx(0.02, abs=0.003)


def test_a_blackhole_swallows_everything_and_counts_it() -> None:
    link = direction(blackhole=True)
    assert sent(link, 5) == [None] * 5
    assert link.counts.blackholed == 5


def test_gilbert_loses_as_much_as_theory_says() -> None:
    link = direction(gilbert=Gilbert(p=0.01, r=0.25))
    assert lost_part(link, 200_000) == pytest.approx(0.01 / (0.01 + 0.25), abs=0.003)


def test_gilbert_loses_in_bursts_as_long_as_theory_says() -> None:
    lost = [out_s is None for out_s in sent(direction(gilbert=Gilbert(p=0.01, r=0.25)), 200_000)]
    bursts = sum(now and not before for before, now in pairwise([False, *lost]))
    assert sum(lost) / bursts == pytest.approx(1 / 0.25, rel=0.08)


def test_the_same_seed_gives_the_same_weather() -> None:
    first, again, other = (direction(loss=0.3, delay_ms=20, jitter_ms=5, seed=seed) for seed in (7, 7, 8))
    told = sent(first, 200)
    assert told == sent(again, 200)
    assert told != sent(other, 200)


@pytest.mark.parametrize("every_s", [1.0, 0.001])
def test_jitter_is_the_same_for_a_slow_and_a_fast_flow(every_s: float) -> None:
    """White jitter that never reorders makes the fast one 20 ms slower here."""
    link = direction(delay_ms=100, jitter_ms=15)
    delays_ms = [1e3 * (out_s - number * every_s) for number, out_s in enumerate(sent(link, 30_000, every_s)) if out_s]
    assert statistics.median(delays_ms) == pytest.approx(100, abs=6)
    assert statistics.pstdev(delays_ms) == pytest.approx(15, rel=0.25)


weathers = st.builds(
    Weather,
    delay_ms=st.floats(0, 1000),
    jitter_ms=st.floats(0, 100),
    loss=st.floats(0, 0.5),
    rate_mbps=st.none() | st.floats(0.01, 100),
    buffer_kb=st.floats(1.5, 300),
)
packets = st.lists(st.tuples(st.floats(0, 0.5), st.integers(28, 1500)), max_size=60)


@given(weathers, weathers, packets, st.integers())
def test_nothing_comes_out_too_early_or_overtakes(first: Weather, then: Weather, flow: list, seed: int) -> None:
    link, now_s, last_s = Direction(first, Random(seed), 0.0), 0.0, 0.0
    for number, (pause_s, size_bytes) in enumerate(flow):
        now_s += pause_s
        if number == len(flow) // 2:
            link.change(then, now_s)
        out_s = link.admit(now_s, size_bytes)
        assert out_s is None or out_s >= max(now_s, last_s)
        last_s = out_s or last_s


def test_a_rate_spaces_packets_and_its_full_buffer_drops_the_rest() -> None:
    link = direction(rate_mbps=1.2, buffer_kb=4.5)  # 1500 bytes take 10 ms; three fit
    assert [link.admit(0.0, 1500) for _ in range(4)] == [*map(pytest.approx, (0.01, 0.02, 0.03)), None]
    assert link.counts.overflowed == 1
    assert link.admit(0.011, 1500) == pytest.approx(0.04)


def test_a_full_buffer_makes_the_delay_that_its_size_says() -> None:
    link = direction(rate_mbps=5, buffer_kb=256)
    waits_s = [out_s - n * 1e-3 for n, out_s in enumerate(sent(link, 3000, 1e-3, 1250)) if out_s is not None]
    assert max(waits_s) == pytest.approx(256e3 * 8 / 5e6, abs=0.003)


def test_a_trace_lets_one_packet_go_at_each_line() -> None:
    link = direction(Trace((0, 3, 3, 10)))
    assert [link.admit(0.001, 1500) for _ in range(5)] == pytest.approx([0.003, 0.003, 0.010, 0.010, 0.013])


def test_a_trace_loops_at_its_end() -> None:
    link = direction(Trace((4, 10)))
    assert link.admit(0.095, 1500) == pytest.approx(0.100)
    assert link.admit(0.101, 1500) == pytest.approx(0.104)


def test_what_a_trace_offered_to_nobody_is_gone() -> None:
    link = direction(Trace((1, 2, 3, 50)))
    assert link.admit(0.010, 1500) == pytest.approx(0.050)


def test_what_does_not_fit_in_front_of_a_trace_is_dropped() -> None:
    link = direction(Trace((5, 10)), buffer_kb=3)
    assert [link.admit(0.001, 1500) for _ in range(3)] == [pytest.approx(0.005), pytest.approx(0.010), None]
    assert link.admit(0.006, 1500) == pytest.approx(0.015)  # one has left


def test_small_packets_share_an_opportunity_and_large_ones_take_several() -> None:
    link = direction(Trace((5, 10, 20)))
    assert [link.admit(0.001, 700) for _ in range(3)] == pytest.approx([0.005, 0.005, 0.010])
    assert link.admit(0.021, 3000) == pytest.approx(0.030)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.lists(st.integers(0, 50), min_size=1, max_size=80))
def test_a_trace_never_carries_more_than_it_recorded(steps: list[int], pauses_ms: list[int]) -> None:
    steps[-1] += 1
    trace = Trace(tuple(sum(steps[: n + 1]) for n in range(len(steps))))
    link = direction(trace, buffer_kb=1e6)
    now_ms, out_ms = 0, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        out_s = link.admit(now_ms / 1e3, 1500)
        assert out_s is not None
        out_ms.append(round(out_s * 1e3))
    offered = [trace.at_ms(n) for n in range(len(trace.opportunities_ms) * (2 + max(out_ms) // sum(steps)))]
    for ms in set(out_ms):
        assert out_ms.count(ms) <= offered.count(ms)


def test_a_saturated_trace_carries_all_that_it_recorded() -> None:
    trace = Trace((0, 2, 5, 5, 9, 20))
    link = direction(trace, buffer_kb=1e6)
    assert [link.admit(0.0, 1500) for _ in range(12)] == pytest.approx([trace.at_ms(n) / 1e3 for n in range(12)])


@pytest.mark.parametrize("lines", ["", "0", "5\n4", "-1\n5", "1.5", "a"])
def test_a_trace_that_is_none_is_refused(lines: str) -> None:
    with pytest.raises(Refusal, match=r"^lte\.down = "):
        weather.read_trace("lte.down", lines)


def test_keys_hold_for_both_directions_and_up_and_down_for_one() -> None:
    link = weather.changed(LinkWeather(), {"delay_ms": 8, "loss": 0.02, "up": {"loss": 1.0}})
    assert link == LinkWeather(up=Weather(delay_ms=8, loss=1), down=Weather(delay_ms=8, loss=0.02))


def test_a_change_is_merged_over_what_was() -> None:
    before = LinkWeather(up=Weather(delay_ms=8, loss=0.1), down=Weather(delay_ms=9))
    after = weather.changed(before, {"blackhole": True, "down": {"loss": 0.5}})
    assert after.up == Weather(delay_ms=8, loss=0.1, blackhole=True)
    assert after.down == Weather(delay_ms=9, loss=0.5, blackhole=True)


def test_a_weather_is_read_back_as_it_was_written() -> None:
    link = weather.changed(LinkWeather(), {"gilbert": {"p": 0.01, "r": 0.2}, "up": {"rate_mbps": 3}})
    assert weather.changed(LinkWeather(), weather.written(link)) == link


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"los": 0.1}, "weather.los = 0.1: unknown key"),
        ({"loss": 1.5}, "weather.loss = 1.5: must be between 0 and 1"),
        ({"loss": "much"}, "weather.loss = much: must be a number"),
        ({"loss": True}, "weather.loss = true: must be a number"),
        ({"delay_ms": float("nan")}, "weather.delay_ms = nan: must be a number"),
        ({"delay_ms": -1}, "weather.delay_ms = -1: must be between 0 and 60000"),
        ({"rate_mbps": 0}, "weather.rate_mbps = 0: must be between"),
        ({"blackhole": 1}, "weather.blackhole = 1: must be true or false"),
        ({"up": {"down": {}}}, "weather.up.down = {}: unknown key"),
        ({"gilbert": {"p": 0.1}}, "weather.gilbert = {'p': 0.1}: r is missing"),
        ({"gilbert": {"p": 0.1, "r": 2}}, "weather.gilbert.r = 2: must be between 0 and 1"),
        ({"trace": "a.down", "rate_mbps": 3}, "weather.trace = a.down: a trace is the rate"),
        (["loss"], "weather = ['loss']: must be a table"),
    ],
)
def test_nonsense_is_refused_with_key_value_and_reason(change: object, refusal: str) -> None:
    with pytest.raises(Refusal) as told:
        weather.changed(LinkWeather(), change)
    assert str(told.value).startswith(refusal)
