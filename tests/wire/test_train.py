"""A train reads the shaper within 2 %, whatever its bucket; what it cannot read it does not claim."""

import random
from collections.abc import Callable

import pytest

from wire.train import Arrival, Estimate, estimate

SIZE_BYTES = 1228
SEND_S = 12e-6  # from one packet to the next, as a small board sends


def shaped(mbps: float, bucket_bytes: float = 1600, packets: int = 60, line_mbps: float = 1000) -> list[Arrival]:
    """A token bucket that was full, and behind it a wire."""
    per_s = mbps * 125_000
    tokens, at_s, last_s, wire_s = bucket_bytes, 0.0, 0.0, 0.0
    came = []
    for number in range(packets):
        sent_s = number * SEND_S
        at_s = max(at_s, sent_s)
        tokens, last_s = min(bucket_bytes, tokens + (at_s - last_s) * per_s), at_s
        if tokens < SIZE_BYTES:
            at_s = last_s = at_s + (SIZE_BYTES - tokens) / per_s
            tokens = SIZE_BYTES
        tokens -= SIZE_BYTES
        wire_s = max(wire_s, at_s) + SIZE_BYTES * 8e-6 / line_mbps
        came.append(Arrival(number, 1000 + sent_s, wire_s, SIZE_BYTES))
    return came


def late(came: list[Arrival], delay_s: Callable[[], float]) -> list[Arrival]:
    """Nobody overtakes."""
    out, last_s = [], 0.0
    for each in came:
        last_s = max(last_s, each.came_s + delay_s())
        out.append(Arrival(each.number, each.sent_s, last_s, each.size_bytes))
    return out


def read(came: list[Arrival], sent: int = 60) -> Estimate:
    told = estimate(came, sent)
    assert told is not None
    return told


@pytest.mark.parametrize("bucket_kb", [1.6, 4, 8, 16, 32, 48, 64])
@pytest.mark.parametrize("mbps", [1, 2, 4, 5, 10, 20])
def test_the_shaper_is_read_within_two_per_cent_whatever_its_bucket(mbps: float, bucket_kb: float) -> None:
    told = read(shaped(mbps, bucket_kb * 1000))
    assert told.mbps == pytest.approx(mbps, rel=0.02)
    assert not told.at_least
    assert told.error < 0.02


@pytest.mark.parametrize("bucket_kb", [1.6, 16, 32])
@pytest.mark.parametrize("mbps", [1, 5, 20])
def test_jitter_is_no_knee_and_bends_no_slope(mbps: float, bucket_kb: float) -> None:
    for seed in range(50):
        chance = random.Random(seed)
        told = read(late(shaped(mbps, bucket_kb * 1000), lambda chance=chance: abs(chance.gauss(0, 0.0001))))  # type: ignore[misc]
        assert told.mbps == pytest.approx(mbps, rel=0.02)
        assert not told.at_least


def test_what_it_says_of_its_own_error_holds_nineteen_times_in_twenty() -> None:
    outside = 0
    for seed in range(300):
        chance = random.Random(seed)
        told = read(late(shaped(5), lambda chance=chance: chance.gauss(0.01, 0.0003)))  # type: ignore[misc]
        outside += abs(told.mbps / 5 - 1) > told.error
    assert 0 < outside < 25


def test_the_bucket_is_told_too() -> None:
    assert read(shaped(5, 32_000)).burst_bytes == pytest.approx(32_000 - 5 * SIZE_BYTES, abs=2 * SIZE_BYTES)
    assert read(shaped(5)).burst_bytes == 0


@pytest.mark.parametrize("mbps", [1, 5, 20])
def test_a_bucket_larger_than_the_train_is_not_taken_for_the_rate(mbps: float) -> None:
    assert read(shaped(mbps, 200_000)).at_least


@pytest.mark.parametrize("bucket_kb", [66, 68, 70, 72, 73.6])
def test_a_bucket_that_ends_with_the_train_is_read_right_or_not_at_all(bucket_kb: float) -> None:
    told = read(shaped(5, bucket_kb * 1000))
    assert told.at_least or told.mbps == pytest.approx(5, rel=0.02)


def test_a_link_faster_than_the_sender_is_at_least_so_fast() -> None:
    told = read(shaped(5000, line_mbps=10_000))
    assert told.at_least
    assert told.mbps > 500


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("bucket_kb", [1.6, 32])
def test_losses_behind_the_shaper_do_not_break_it(seed: int, bucket_kb: float) -> None:
    chance = random.Random(seed)
    came = [each for each in shaped(5, bucket_kb * 1000) if chance.random() > 0.1]
    told = read(came)
    assert told.mbps == pytest.approx(5, rel=0.02)
    assert (told.packets, told.lost) == (len(came), 60 - len(came))


def test_a_queue_before_the_shaper_that_overflows_does_not_break_it() -> None:
    came = shaped(5)
    every_third = [Arrival(3 * each.number, each.sent_s, each.came_s, each.size_bytes) for each in came[:20]]
    assert read(every_third).mbps == pytest.approx(5, rel=0.02)


def test_order_and_copies_do_not_matter() -> None:
    came = shaped(5, 16_000)
    later = [Arrival(each.number, each.sent_s, each.came_s + 1, each.size_bytes) for each in came[::3]]
    assert estimate([*reversed(came)], 60) == estimate(came, 60)
    assert estimate([*came, *later], 60) == estimate(came, 60)


def test_a_radio_that_wakes_up_is_read_once_it_is_awake() -> None:
    def woken_s(at_s: float) -> float:
        return at_s * 4 if at_s < 0.02 else at_s + 0.06

    came = [Arrival(each.number, each.sent_s, woken_s(each.came_s), each.size_bytes) for each in shaped(5)]
    assert read(came).mbps == pytest.approx(5, rel=0.02)


def test_noise_as_large_as_the_train_is_not_sold_as_a_rate() -> None:
    chance = random.Random(1)
    told = read(late(shaped(20), lambda: chance.expovariate(20)))
    assert told.at_least or told.error > 0.1


def shifted(came: list[Arrival], at: int, delay_s: float) -> list[Arrival]:
    return [
        Arrival(each.number, each.sent_s, each.came_s + (delay_s if each.number >= at else 0), each.size_bytes)
        for each in came
    ]


@pytest.mark.parametrize("at", [7, 20, 40, 56, 58, 59])
@pytest.mark.parametrize("mbps", [1, 5, 20])
def test_a_moment_in_which_the_shaper_stood_still_bends_no_slope(mbps: float, at: int) -> None:
    pause_s = 6 * SIZE_BYTES * 8e-6 / mbps
    assert read(shifted(shaped(mbps), at, pause_s)).mbps == pytest.approx(mbps, rel=0.02)
    assert read(shifted(shifted(shaped(mbps), at, pause_s), 30, pause_s)).mbps == pytest.approx(mbps, rel=0.02)


@pytest.mark.parametrize("at", [7, 20, 40, 56])
def test_a_receiver_that_slept_and_found_many_at_once_bends_no_slope(at: int) -> None:
    came = shaped(5)
    slept = [Arrival(e.number, e.sent_s, max(e.came_s, came[at].came_s + 0.009), e.size_bytes) for e in came[at:]]
    assert read([*came[:at], *slept]).mbps == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize("clump", [2, 3, 5])
def test_packets_that_come_in_clumps_are_read_as_a_whole(clump: int) -> None:
    came = shaped(5)
    clumped = [Arrival(e.number, e.sent_s, came[e.number - e.number % clump].came_s, e.size_bytes) for e in came]
    assert read(clumped).mbps == pytest.approx(5, rel=0.04)
    assert not read(clumped).at_least


@pytest.mark.parametrize("count", [0, 1, 5, 8])
def test_too_few_say_nothing(count: int) -> None:
    assert estimate(shaped(5)[:count], 60) is None


def test_all_at_one_moment_is_at_least_and_no_division_by_nought() -> None:
    assert read([Arrival(number, 0, 1, SIZE_BYTES) for number in range(60)]).at_least


def test_thousands_of_odd_trains_end_in_an_estimate_or_nothing() -> None:
    chance = random.Random(7)
    for _ in range(300):
        came = [
            Arrival(
                chance.randrange(70), chance.random(), chance.choice([0, chance.random()]), chance.choice([28, 1500])
            )
            for _ in range(chance.randrange(80))
        ]
        told = estimate(came, 60)
        assert told is None or (told.mbps > 0 and 0 <= told.error <= 1)
