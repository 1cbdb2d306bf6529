"""One uplink's health: dead by silence, poor by a change, good by proof; and whose losses count."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.history import History
from agent.core.judge import ANSWERS_AGAIN, LIMITS, Judge, Verdict
from agent.core.measure import Silence
from agent.core.span import Echo
from agent.core.station import Kind
from wire.messages import Health

RTT_S, BEAT_S = 0.03, 0.2
FIRST_PROOF, PROOF = 7, 33  # good echoes in a row, for a link without history and for one that has failed
A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"
THREE = (A, B, C)


class Fed:
    """A judge that is told of echoes by hand, one a tenth of a second, the targets in turn."""

    def __init__(self, targets: tuple[str, ...] = THREE, history: History | None = None) -> None:
        self.targets = targets
        self.judge = Judge(Kind.FIBRE, targets, history or History(), 0.0)
        self.now, self.seq = 0.0, 0
        self.verdicts: list[Verdict] = []
        self.echoes: list[Echo] = []

    def feed(self, *answers: float | None, target: str | None = None) -> None:
        """The RTT of each echo, None for a lost one."""
        for rtt_s in answers:
            self.seq += 1
            self.now += 0.1
            whose = target or self.targets[self.seq % len(self.targets)]
            echo = Echo(self.seq, whose, self.now, False, RTT_S, rtt_s=rtt_s, settled=True)
            self.echoes.append(echo)
            self.judge.settle(echo)
            self.look()

    def look(self, trouble: str | None = None, silent_s: float | None = None) -> Verdict | None:
        silence = None
        if silent_s is not None:
            first = Echo(self.seq + 1, A, self.now - silent_s, False, RTT_S)
            silence = Silence(self.now - silent_s, first, self.seq + 5)
        verdict = self.judge.judge(trouble, silence, BEAT_S, self.now)
        if verdict is not None:
            self.verdicts.append(verdict)
        return verdict

    def until(self, health: Health, *cycle: float | None, at_most: int = 3000) -> int:
        for n in range(at_most):
            if self.judge.health is health:
                return n
            self.feed(cycle[n % len(cycle)])
        raise AssertionError(f"not {health} after {at_most} echoes")


def proven(targets: tuple[str, ...] = THREE, **others: object) -> Fed:
    fed = Fed(targets, **others)  # type: ignore[arg-type]
    fed.until(Health.UP, RTT_S)
    fed.verdicts.clear()
    return fed


def died() -> Fed:
    fed = proven()
    fed.look(silent_s=30)
    assert fed.judge.health is Health.DEAD
    return fed


# dead


@pytest.mark.parametrize("kind", Kind)
def test_without_a_history_the_floor_of_the_kind_is_the_limit_of_silence(kind: Kind) -> None:
    beat_s = {Kind.FIBRE: 0.2, Kind.LTE: 0.4, Kind.LEO: 0.4, Kind.GEO: 1.6}[kind]
    assert Judge(kind, THREE, History(), 0.0).silence_limit_s(beat_s) == LIMITS[kind].floor_s + beat_s
    assert LIMITS[kind].floor_s >= 1.0


def test_silence_up_to_its_limit_is_not_death_and_past_it_is() -> None:
    fed = proven()
    limit_s = fed.judge.silence_limit_s(BEAT_S)
    assert fed.look(silent_s=limit_s - 0.01) is None
    assert fed.look(silent_s=limit_s + 0.01) is not None


def test_death_by_silence_says_which_echoes_how_long_and_how_rare() -> None:
    fed = proven()
    verdict = fed.look(silent_s=2.0)
    assert verdict is not None
    assert (verdict.before, verdict.after) == (Health.UP, Health.DEAD)
    evidence = verdict.evidence
    assert (evidence["cause"], evidence["silence_s"], evidence["unanswered"]) == ("silence", 2.0, 5)
    assert (evidence["first_echo"], evidence["last_echo"]) == (fed.seq + 1, fed.seq + 5)
    assert evidence["limit_s"] == round(fed.judge.silence_limit_s(BEAT_S), 2)
    assert 0 < float(evidence["per_month"] or 0) < 0.1


def test_an_uplink_that_has_come_through_long_silences_is_given_longer_and_never_past_the_ceiling() -> None:
    history = History()
    fed = proven(history=history)
    limits_s = []
    for length_s in [3.0] * 50 + [18.0] * 50:
        history.silences.take(length_s)
        fed.judge.survived()
        limits_s.append(fed.judge.silence_limit_s(BEAT_S))
    assert limits_s[4] > 2.0
    assert limits_s[49] > 3.0
    assert limits_s[-1] == LIMITS[Kind.FIBRE].ceiling_s + BEAT_S
    assert fed.look(silent_s=limits_s[-1] - 0.01) is None


def test_quiet_months_bring_the_limit_down_again() -> None:
    history = History()
    fed = proven(history=history)
    for _ in range(30):
        history.silences.take(4.0)
    fed.judge.survived()
    slow_s = fed.judge.silence_limit_s(BEAT_S)
    for _ in range(90):
        history.silences.watched_s += 86_400
        history.fade(86_400)
    fed.judge.retune()
    assert fed.judge.silence_limit_s(BEAT_S) < slow_s / 2


@pytest.mark.parametrize("trouble", ["no carrier", "no gateway", "no such interface"])
def test_trouble_is_death_at_once_whatever_the_echoes_say(trouble: str) -> None:
    fed = proven()
    fed.feed(*[RTT_S] * 100)
    verdict = fed.look(trouble)
    assert verdict is not None
    assert (verdict.after, verdict.evidence["cause"]) == (Health.DEAD, trouble)
    assert fed.look(trouble) is None


# poor


@pytest.mark.parametrize(("loss", "at_most"), [(0.5, 25), (0.3, 60), (0.2, 120), (0.1, 300)])
@pytest.mark.parametrize("targets", [THREE, THREE[:2], THREE[:1]])
def test_loss_is_found_and_told_with_its_evidence(loss: float, at_most: int, targets: tuple[str, ...]) -> None:
    taken = []
    for seed in range(21):
        fed, chance = proven(targets), random.Random(seed)
        while fed.judge.health is Health.UP:
            fed.feed(None if chance.random() < loss else RTT_S)
        evidence = fed.verdicts[0].evidence
        assert (fed.judge.health, evidence["cause"]) == (Health.POOR, "loss")
        assert float(evidence["lost"] or 0) > 1
        assert float(evidence["score"] or 0) >= float(evidence["limit"] or 0)
        taken.append(fed.seq - FIRST_PROOF)
    assert sorted(taken)[len(taken) // 2] <= at_most


def test_one_percent_loss_for_a_day_is_left_in_peace() -> None:
    fed, chance = proven(), random.Random(7)
    for _ in range(4 * 86_400):
        fed.seq += 1
        lost = chance.random() < 0.01
        echo = Echo(fed.seq, THREE[fed.seq % 3], 0.0, False, RTT_S, rtt_s=None if lost else RTT_S, settled=True)
        fed.judge.settle(echo)
        assert fed.look() is None


def test_the_losses_of_bursts_that_the_link_is_known_for_are_not_counted_one_by_one() -> None:
    history = History()
    fed = proven(history=history)
    for _ in range(500):  # one burst of eight in eight hundred echoes, as it was for days
        fed.judge.pass_over(792)
        fed.feed(*[None] * 8)
        fed.feed(RTT_S)
        if fed.judge.health is not Health.UP:
            fed.until(Health.UP, RTT_S)
        fed.judge.retune()
    fed.verdicts.clear()
    for _ in range(3):
        fed.feed(*[None] * 8, *[RTT_S] * 40)
    assert fed.verdicts == []


def test_one_run_of_losses_however_long_is_half_a_case_at_most() -> None:
    history = History()
    history.losses.after_good, history.losses.begins = 1e6, 1e4
    history.losses.after_bad, history.losses.goes_on = 1e4, 1e2  # single losses, so that each counts in full
    fed = proven(history=history)
    fed.judge.retune()
    fed.feed(*[None] * 50)
    assert fed.judge.health is Health.UP
    fed.feed(RTT_S, *[None] * 50, RTT_S, *[None] * 50)
    assert fed.judge.health is Health.POOR


def test_delay_is_judged_against_what_is_usual_for_this_link() -> None:
    fed = proven()
    assert fed.until(Health.POOR, 0.5) < 40
    assert fed.verdicts[0].evidence["cause"] == "delay"
    assert fed.judge.delayed


def test_delay_that_comes_and_goes_is_found_too() -> None:
    assert proven().until(Health.POOR, 0.5, RTT_S, RTT_S) < 100


@pytest.mark.parametrize("rtt_s", [0.05, 0.2, RTT_S + 0.19])
def test_a_little_slower_is_not_poor(rtt_s: float) -> None:
    fed = proven()
    fed.feed(*[rtt_s] * 2000)
    assert fed.verdicts == []


def test_a_slow_answer_now_and_then_is_not_poor() -> None:
    fed = proven()
    for _ in range(200):
        fed.feed(2.0, *[RTT_S] * 60)
    assert fed.verdicts == []


def test_the_first_echo_after_a_pause_may_be_slow() -> None:
    fed = proven()
    for _ in range(100):
        fed.seq += 1
        fed.judge.settle(Echo(fed.seq, A, 0.0, True, RTT_S, rtt_s=1.5, settled=True))
    assert fed.look() is None
    assert fed.judge.calm


def test_a_late_answer_takes_its_loss_back() -> None:
    fed = proven()
    for _ in range(40):
        fed.feed(None, None, RTT_S)
        for echo in fed.echoes[-3:-1]:
            echo.rtt_s = 3.0
            fed.judge.unlose(echo)
    assert fed.verdicts == []


# whose losses


@pytest.mark.parametrize("targets", [THREE, THREE[:2]])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_target_that_dies_or_limits_its_answers_is_set_aside_and_no_link_is_blamed(
    targets: tuple[str, ...], share: float
) -> None:
    blamed = 0
    for seed in range(20):
        fed, chance = proven(targets), random.Random(seed)
        fed.feed(*[RTT_S] * 100)
        for n in range(1500):
            whose = targets[n % len(targets)]
            fed.feed(None if whose == A and chance.random() < share else RTT_S, target=whose)
        blamed += bool(fed.verdicts)
        assert fed.judge.set_aside == {A}
    assert blamed == 0


def test_a_target_that_answers_again_is_trusted_after_a_proof() -> None:
    fed = proven()
    for n in range(60):
        fed.feed(None if n % 3 == 0 else RTT_S, target=THREE[n % 3])
    assert fed.judge.set_aside == {A}
    fed.feed(*[RTT_S] * (PROOF - 1), target=A)
    assert fed.judge.set_aside == {A}
    fed.feed(*[RTT_S] * PROOF, target=A)
    assert fed.judge.set_aside == frozenset()


def test_two_dead_targets_of_three_are_a_poor_link() -> None:
    fed = proven()
    for n in range(100):
        fed.feed(RTT_S if n % 3 == 0 else None, target=THREE[n % 3])
    assert fed.judge.health is Health.POOR


def test_the_only_target_is_believed() -> None:
    fed = proven((A,))
    assert fed.until(Health.POOR, None, RTT_S) < 40


# good again


def test_a_first_proof_is_short() -> None:
    assert Fed().until(Health.UP, RTT_S) == FIRST_PROOF


def test_a_link_that_was_dead_must_prove_itself_for_longer() -> None:
    assert died().until(Health.UP, RTT_S) == PROOF


def test_what_the_outage_swallowed_does_not_delay_recovery() -> None:
    fed = died()
    fed.feed(*[None] * 10_000)
    assert fed.until(Health.UP, RTT_S) == PROOF


@pytest.mark.parametrize(("loss", "at_most"), [(0.2, 4), (0.3, 0)])
def test_a_bad_link_passes_less_than_once_in_a_thousand_tries(loss: float, at_most: int) -> None:
    chance, passed = random.Random(3), 0
    for _ in range(2000):
        fed = died()
        while fed.judge.health is Health.DEAD:
            fed.feed(None if chance.random() < loss else RTT_S)
        passed += fed.judge.health is Health.UP
    assert passed <= at_most


def test_a_link_that_answers_again_is_known_to_answer_before_it_has_proven_good() -> None:
    fed = died()
    fed.feed(*[RTT_S] * (ANSWERS_AGAIN - 1))
    assert not fed.judge.answers
    fed.feed(RTT_S)
    assert fed.judge.answers
    assert fed.judge.health is Health.DEAD
    fed.feed(None)
    assert not fed.judge.answers


def test_a_link_that_comes_back_with_loss_is_poor_and_says_why() -> None:
    fed = died()
    fed.until(Health.POOR, RTT_S, RTT_S, RTT_S, None)
    assert fed.verdicts[-1].evidence["cause"] == "answers again, with loss"


def test_a_link_that_comes_back_slow_is_not_called_good() -> None:
    fed = died()
    fed.feed(*[0.8] * 200)
    assert fed.judge.health is Health.POOR


# always


def test_a_stretch_passed_over_is_the_same_as_its_echoes_one_by_one() -> None:
    one, other = proven((A,)), proven((A,))
    for fed in (one, other):
        fed.feed(None, RTT_S, None)
    one.feed(*[RTT_S] * 40)
    other.feed(RTT_S)
    other.judge.pass_over(39)
    scores = [[each.score for each in (*fed.judge._losses, *fed.judge._delays)] for fed in (one, other)]
    assert scores[0] == scores[1]
    assert one.judge.history == other.judge.history


steps = st.lists(
    st.one_of(st.sampled_from([RTT_S, None, 1.0]), st.sampled_from(["no carrier"]), st.floats(2, 5).map(lambda s: -s)),
    max_size=300,
)


@given(steps)
def test_whatever_happens_verdicts_follow_one_another(history: list[float | str | None]) -> None:
    fed, health = Fed(), Health.UNKNOWN
    for step in history:
        if isinstance(step, str):
            fed.look(step)
        elif step is not None and step < 0:
            fed.look(silent_s=-step)
        else:
            fed.feed(step)
    for verdict in fed.verdicts:
        assert verdict.before is health
        assert verdict.after not in (health, Health.UNKNOWN)
        health = verdict.after
    assert fed.judge.health is health
