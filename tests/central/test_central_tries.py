"""Guessing codes: few wrong ones from one address, not too many from all, and good ones are not held up by it."""

from central.core.tries import Limits, Tries

LIMITS = Limits(wrong_of_one=3, one_again_s=60, wrong_of_all=5, all_again_s=10, addresses=4)


def test_after_some_wrong_ones_an_address_has_to_wait() -> None:
    tries = Tries(LIMITS)
    for _ in range(3):
        assert tries.may("10.0.0.1", 0.0)
        tries.wrong("10.0.0.1", 0.0)
    assert not tries.may("10.0.0.1", 0.0)
    assert tries.may("10.0.0.2", 0.0)
    assert not tries.may("10.0.0.1", 59.0)
    assert tries.may("10.0.0.1", 60.0)


def test_all_together_have_a_limit_too() -> None:
    tries = Tries(LIMITS)
    for n in range(5):
        tries.wrong(f"10.0.0.{n}", 0.0)
    assert not tries.may("10.0.1.1", 0.0)
    assert tries.may("10.0.1.1", 10.0)


def test_a_good_one_costs_nothing() -> None:
    tries = Tries(LIMITS)
    for _ in range(50):
        assert tries.may("10.0.0.1", 0.0)
        tries.wrong("10.0.0.1", 0.0)
        tries.forgive("10.0.0.1")


def test_a_network_of_ipv6_is_one_address() -> None:
    tries = Tries(LIMITS)
    for n in range(3):
        tries.wrong(f"2001:db8::{n}", 0.0)
    assert not tries.may("2001:db8::ffff", 0.0)
    assert tries.may("2001:db8:0:1::1", 0.0)
    assert tries.may("::ffff:10.0.0.1", 0.0)


def test_what_is_remembered_is_bounded() -> None:
    tries = Tries(Limits(wrong_of_all=1e9, addresses=4))
    for n in range(1000):
        tries.wrong(f"10.0.{n // 256}.{n % 256}", 0.0)
    assert len(tries._each) == 4


def test_a_clock_that_steps_back_gives_nothing() -> None:
    tries = Tries(LIMITS)
    for _ in range(3):
        tries.wrong("10.0.0.1", 100.0)
    assert not tries.may("10.0.0.1", 50.0)
