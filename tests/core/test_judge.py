"""One uplink's health: death by silence, poverty by loss, recovery by proof."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.judge import ANSWERS_AGAIN, LIMITS, Judge, Limits
from agent.core.station import Kind
from wire.messages import Health

SURVIVES_S, BEAT_S = 1.25, 0.75
LIMIT_S = SURVIVES_S + BEAT_S
GOOD, LOST = {"a": True}, {"a": False}
FIRST_PROOF = 7  # echoes in a row for a link without history
PROOF = 35  # for one that was dead or poor


def judge() -> Judge:
    return Judge(Limits(survives_s=SURVIVES_S), 0.0)


def proven() -> Judge:
    judged = judge()
    feed(judged, GOOD, FIRST_PROOF)
    assert judged.judge(None, None, BEAT_S, 1.0) is not None
    assert judged.health is Health.UP
    return judged


def died() -> Judge:
    judged = proven()
    judged.judge(None, 2.0, BEAT_S, 5.0)
    assert judged.health is Health.DEAD
    return judged


def feed(judged: Judge, outcome: dict[str, bool], times: int = 1) -> None:
    for _ in range(times):
        judged.settle(outcome)


def rounds_until(judged: Judge, health: Health, outcome: dict[str, bool], at_most: int = 1000) -> int:
    for n in range(at_most):
        if judged.health is health:
            return n
        judged.settle(outcome)
        judged.judge(None, None, BEAT_S, 10.0 + n)
    raise AssertionError(f"not {health} after {at_most} rounds")


def test_a_link_that_nobody_has_heard_of_is_unknown() -> None:
    judged = judge()
    assert judged.judge(None, None, BEAT_S, 100.0) is None
    assert judged.health is Health.UNKNOWN


def test_a_first_proof_is_short() -> None:
    assert rounds_until(judge(), Health.UP, GOOD) == FIRST_PROOF


def test_silence_shorter_than_the_limit_is_not_death() -> None:
    judged = proven()
    assert judged.judge(None, 10.0, BEAT_S, 10.0 + LIMIT_S - 0.001) is None
    assert judged.health is Health.UP


def test_silence_of_the_limit_is_death_and_says_so() -> None:
    judged = proven()
    verdict = judged.judge(None, 10.0, BEAT_S, 10.0 + LIMIT_S)
    assert verdict is not None
    assert (verdict.before, verdict.after) == (Health.UP, Health.DEAD)
    assert verdict.evidence == {"cause": "silence", "silence_s": 2.0, "limit_s": 2.0, "after_s": 11.0}


def test_the_moment_of_death_is_foretold() -> None:
    judged = proven()
    assert judged.dead_at(10.0, BEAT_S) == 10.0 + LIMIT_S
    assert judged.judge(None, 10.0, BEAT_S, judged.dead_at(10.0, BEAT_S)) is not None


def test_a_verdict_is_given_once() -> None:
    judged = died()
    assert judged.judge(None, 2.0, BEAT_S, 6.0) is None
    assert judged.judge("no carrier", None, BEAT_S, 7.0) is None


@pytest.mark.parametrize("trouble", ["no carrier", "no gateway", "no such interface"])
def test_trouble_is_death_at_once_whatever_the_echoes_say(trouble: str) -> None:
    judged = proven()
    feed(judged, GOOD, 100)
    verdict = judged.judge(trouble, None, BEAT_S, 3.0)
    assert verdict is not None
    assert (verdict.after, verdict.evidence["cause"]) == (Health.DEAD, trouble)


def test_a_dead_link_must_prove_itself_for_longer() -> None:
    assert rounds_until(died(), Health.UP, GOOD) == PROOF


def test_a_link_that_was_dead_and_loses_one_in_ten_is_not_trusted_soon() -> None:
    judged = died()
    for n in range(60):
        judged.settle(LOST if n % 10 == 5 else GOOD)
        judged.judge(None, None, BEAT_S, 10.0 + n)
    assert judged.health is Health.DEAD


def test_a_link_that_answers_again_is_known_to_answer_before_it_has_proven_good() -> None:
    judged = died()
    feed(judged, GOOD, ANSWERS_AGAIN - 1)
    assert not judged.answers
    feed(judged, GOOD)
    assert judged.answers
    assert judged.health is Health.DEAD
    feed(judged, LOST)
    assert not judged.answers


def test_the_losses_of_an_outage_do_not_delay_recovery() -> None:
    judged = died()
    feed(judged, LOST, 10_000)
    assert rounds_until(judged, Health.UP, GOOD) == PROOF


def test_a_link_that_comes_back_with_loss_is_poor_and_not_dead() -> None:
    judged = died()
    for n in range(200):
        judged.settle(LOST if n % 4 == 0 else GOOD)
        judged.judge(None, None, BEAT_S, 10.0 + n)
    assert judged.health is Health.POOR


def test_a_dead_link_that_still_loses_everything_is_not_called_poor() -> None:
    judged = died()
    feed(judged, GOOD)
    feed(judged, LOST, 20)
    assert judged.judge(None, None, BEAT_S, 50.0) is None
    assert judged.health is Health.DEAD


def test_a_burst_of_four_lost_echoes_is_not_poverty() -> None:
    judged = proven()
    feed(judged, GOOD, 1000)
    feed(judged, LOST, 4)
    assert judged.judge(None, None, BEAT_S, 10.0) is None


def test_heavy_loss_is_poverty() -> None:
    judged = proven()
    rounds = 0
    while judged.health is Health.UP and rounds < 200:
        judged.settle(LOST if rounds % 3 == 0 else GOOD)
        judged.judge(None, None, BEAT_S, 10.0 + rounds)
        rounds += 1
    assert judged.health is Health.POOR
    assert rounds < 50


def test_a_link_of_one_percent_loss_is_left_in_peace_for_a_day() -> None:
    judged, chance = proven(), random.Random(7)
    for n in range(2 * 86_400):
        judged.settle({"a": chance.random() >= 0.01})
        assert judged.judge(None, None, BEAT_S, n / 2) is None


def test_a_poor_link_that_loses_no_more_is_good_again() -> None:
    judged = proven()
    feed(judged, LOST, 20)
    judged.judge(None, None, BEAT_S, 10.0)
    assert judged.health is Health.POOR
    assert rounds_until(judged, Health.UP, GOOD) == PROOF


@pytest.mark.parametrize("targets", [2, 3])
def test_one_dead_target_makes_no_link_poor_and_keeps_none_from_being_good(targets: int) -> None:
    outcome = {str(n): n > 0 for n in range(targets)}
    judged = judge()
    assert rounds_until(judged, Health.UP, outcome) == FIRST_PROOF
    for n in range(1000):
        judged.settle(outcome)
        assert judged.judge(None, None, BEAT_S, 10.0 + n) is None


def test_most_targets_lost_is_a_poor_link() -> None:
    judged = judge()
    rounds_until(judged, Health.UP, {"a": True, "b": True, "c": True})
    rounds_until(judged, Health.POOR, {"a": True, "b": False, "c": False})


def test_a_round_of_which_nothing_was_sent_says_nothing() -> None:
    judged = died()
    feed(judged, GOOD, ANSWERS_AGAIN)
    feed(judged, {}, 1000)
    assert judged.answers
    assert rounds_until(judged, Health.UP, GOOD) == PROOF - ANSWERS_AGAIN


def test_a_slower_link_is_given_longer() -> None:
    judged = proven()
    assert judged.dead_at(10.0, 3.0) - judged.dead_at(10.0, 1.0) == 2.0


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_link_survives_a_cut_of_one_second(kind: Kind) -> None:
    assert LIMITS[kind].survives_s >= 1.0


steps = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from("abc"), st.booleans(), max_size=3),
        st.sampled_from([None, "no carrier"]),
        st.floats(0, 5),
    ),
    max_size=200,
)


@given(steps)
def test_whatever_happens_verdicts_follow_one_another(history: list[dict[str, bool] | str | float | None]) -> None:
    judged, health = judge(), Health.UNKNOWN
    for n, step in enumerate(history):
        if isinstance(step, dict):
            judged.settle(step)
            verdict = judged.judge(None, None, BEAT_S, float(n))
        elif isinstance(step, float):
            verdict = judged.judge(None, n - step, BEAT_S, float(n))
        else:
            verdict = judged.judge(step, None, BEAT_S, float(n))
        if verdict is not None:
            assert verdict.before is health
            assert verdict.after not in (health, Health.UNKNOWN)
            health = verdict.after
            assert judged.since == n
        assert judged.health is health
