"""Several uplinks together: who is woken by a doubt, where traffic may go and when it comes home, on which day."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import HOLD_S, Phase, Relapses
from agent.core.events import EchoReturned, Effect, Event, PhaseSet, Remember, SendEchoes, Stopping
from agent.core.failover import Failover
from agent.core.judge import LIMITS
from agent.core.memory import Memory
from agent.core.pace import PACES, STANDBY_EVERY_S, Mood
from agent.core.station import Kind
from tests.core.driven import SETTLED_S, TARGETS, Driven
from wire.messages import Fact, Health

THREE = {"fibre": Kind.FIBRE, "lte": Kind.LTE, "leo": Kind.LEO}
DOUBT_S = PACES[Kind.LTE][Mood.DOUBT]


class Logged(Driven):
    """It notes every echo that leaves and every answer that comes."""

    def __init__(self, **kinds: Kind) -> None:
        self.asked: list[tuple[float, str]] = []
        self.heard_at: dict[str, float] = {}
        self.moved: list[tuple[str, str, float]] = []
        """From where, to where, and how long ago that one had answered."""
        self.memory = Memory()
        super().__init__(TARGETS, **kinds)

    def handle(self, event: Event) -> list[Effect]:
        if isinstance(event, EchoReturned):
            self.heard_at[event.uplink] = self.now
        effects = super().handle(event)
        for effect in effects:
            if isinstance(effect, SendEchoes):
                self.asked.append((self.now, effect.uplink))
            elif isinstance(effect, Fact) and effect.code == "TRAFFIC_MOVED" and effect.before and effect.after:
                self.moved.append((effect.before, effect.after, self.now - self.heard_at[effect.after]))
            elif isinstance(effect, Remember):
                self.memory = effect.memory
        return effects

    def asked_at(self, uplink: str, since: float = 0.0) -> list[float]:
        return [at for at, each in self.asked if each == uplink and at >= since]

    def until_asked(self, uplink: str) -> None:
        """To the moment after its next echo, the answer included."""
        count = len(self.asked_at(uplink))
        while len(self.asked_at(uplink)) == count:
            self.run(0.02)
        self.run(2 * self.rtt_s[uplink])

    def until_calm_standby(self, uplink: str) -> None:
        """To the moment after an echo of it that is followed by a long pause."""
        self.until_asked(uplink)
        while self.core._lines[uplink].watch.spacing_s(self.now) < STANDBY_EVERY_S:
            self.until_asked(uplink)

    def cut_for(self, uplink: str, seconds: float) -> None:
        self.cut.add(uplink)
        self.run(seconds)
        self.cut.remove(uplink)


def settled(**kinds: Kind) -> Logged:
    logged = Logged(**(kinds or THREE))
    logged.run(2 * SETTLED_S)
    assert {logged.health(uplink.name) for uplink in logged.station.uplinks} == {Health.UP}
    logged.facts.clear()
    logged.asked.clear()
    return logged


# who is woken


def test_when_a_second_echo_is_overdue_the_best_standby_is_asked_at_the_same_moment_and_densely() -> None:
    logged = settled()
    logged.until_calm_standby("lte")
    since = logged.now
    logged.cut.add("fibre")
    logged.run(1.0)
    third_at = logged.asked_at("fibre", since)[2]
    woken = logged.asked_at("lte", since)
    assert woken[0] == third_at
    assert [round(after - before, 6) for before, after in pairwise(woken)] == [DOUBT_S] * (len(woken) - 1)
    assert len(woken) >= 3
    assert logged.asked_at("leo", since) == []


def test_a_single_lost_echo_wakes_nobody() -> None:
    logged = settled()
    for _ in range(8):
        logged.run(9.37)
        count = len(logged.asked_at("fibre"))
        while len(logged.asked_at("fibre")) == count:
            logged.run(0.005)
        logged.cut.add("fibre")  # the echo that has just left, and no other one
        logged.run(0.02)
        logged.cut.clear()
    assert PACES[Kind.FIBRE][Mood.DOUBT] in {
        round(after - before, 6) for before, after in pairwise(logged.asked_at("fibre"))
    }
    for standby in ("lte", "leo"):
        assert all(after - before > 2 * DOUBT_S for before, after in pairwise(logged.asked_at(standby)))


def test_when_the_doubt_is_over_the_standbys_sleep_again() -> None:
    logged = settled()
    logged.cut_for("fibre", 0.7)
    logged.run(4)  # the losses of the cut are forgotten
    since = logged.now
    logged.run(120)
    for standby in ("lte", "leo"):
        assert len(logged.asked_at(standby, since)) <= 120 / STANDBY_EVERY_S + 4
    assert logged.facts == []


def test_where_the_preferred_standby_is_silent_the_next_one_is_woken_too() -> None:
    logged = settled()
    logged.until_calm_standby("lte")
    since = logged.now
    logged.cut.update(("fibre", "lte"))
    logged.run(0.9)
    assert len(logged.asked_at("leo", since)) >= 2
    assert logged.asked_at("lte", since)[0] < logged.asked_at("leo", since)[0]


# never to one that died unnoticed


def test_traffic_never_goes_to_a_standby_that_died_unnoticed_but_to_the_third() -> None:
    logged = settled()
    logged.until_calm_standby("lte")
    logged.cut.add("lte")
    logged.run(3)
    assert logged.health("lte") is Health.UP  # nobody has asked it since
    logged.cut.add("fibre")
    logged.run(5)
    assert logged.moves == [("fibre", "leo")]


def test_without_a_third_it_stays_and_moves_as_soon_as_one_answers() -> None:
    logged = settled(fibre=Kind.FIBRE, lte=Kind.LTE)
    logged.until_calm_standby("lte")
    logged.cut.add("lte")
    logged.run(3)
    logged.cut.add("fibre")
    logged.run(10)
    assert (logged.moves, logged.active) == ([], "fibre")
    logged.cut.remove("lte")
    back_at = logged.now
    logged.run(5)
    assert logged.moves == [("fibre", "lte")]
    assert logged.facts[-1][0] - back_at < 3.5


def test_one_that_comes_back_before_it_was_missed_gets_the_traffic_with_its_first_answer() -> None:
    logged = settled(fibre=Kind.FIBRE, lte=Kind.LTE)
    logged.until_calm_standby("lte")
    logged.cut.update(("lte", "fibre"))
    while logged.health("fibre") is not Health.DEAD:
        logged.run(0.01)
    assert logged.health("lte") is Health.UP
    assert logged.moves == []
    logged.cut.remove("lte")
    logged.run(0.4)
    assert logged.moves == [("fibre", "lte")]


# phases


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.UPLOAD])
def test_while_votes_are_counted_and_sent_traffic_stays_where_it_works_and_leaves_what_is_dead(phase: Phase) -> None:
    logged = settled()
    logged.cut_for("fibre", 5)
    logged.handle(PhaseSet(phase))
    logged.run(600)
    assert (logged.health("fibre"), logged.active) == (Health.UP, "lte")
    logged.cut.add("lte")
    logged.run(5)
    assert logged.moves == [("fibre", "lte"), ("lte", "fibre")]


def test_a_phase_ends_by_itself_and_both_its_turns_are_told() -> None:
    logged = settled()
    logged.cut_for("fibre", 5)
    logged.facts.clear()
    since = logged.now
    logged.handle(PhaseSet(Phase.COUNT, 300))
    logged.run(299.9)
    assert (logged.active, logged.core.state(logged.now).phase) == ("lte", "count")
    logged.run(0.4)
    assert (logged.active, logged.core.state(logged.now).phase) == ("fibre", "normal")
    told = [(round(at - since, 3), fact.before, fact.after) for at, fact in logged.facts if fact.code == "PHASE_SET"]
    assert told == [(0, "normal", "count"), (300, "count", "normal")]


def test_a_phase_survives_a_restart_with_the_time_that_is_left_of_it() -> None:
    logged = settled()
    logged.cut_for("fibre", 5)
    logged.handle(PhaseSet(Phase.UPLOAD, 300))
    assert (logged.memory.phase, logged.memory.phase_left_s) == ("upload", 300)  # written at once, not in ten minutes
    logged.run(100)
    logged.handle(Stopping())
    assert logged.memory.phase_left_s == pytest.approx(200)
    picture = logged.picture()
    logged.core = Failover(logged.station, logged.now, logged.memory)
    logged.handle(picture)
    logged.run(190)
    assert (logged.health("fibre"), logged.active) == (Health.UP, "lte")
    logged.run(15)
    assert logged.active == "fibre"


def test_a_phase_that_this_version_does_not_know_is_a_normal_day() -> None:
    core = Failover(Driven().station, 0.0, Memory(phase="recount"))
    assert core.state(0.0).phase == Phase.NORMAL


# coming home


def test_each_relapse_makes_the_way_home_longer() -> None:
    """Twice as long, but for what time has forgiven since."""
    logged, relapses = settled(), Relapses()
    waits_s = []
    for _ in range(5):
        logged.facts.clear()
        logged.cut_for("fibre", LIMITS[Kind.FIBRE].ceiling_s + 3)  # so long that it is not learnt as usual
        while logged.moves[-1:] != [("lte", "fibre")]:
            logged.run(0.5)
        (fell_at, _), (_, _), (good_at, good), (home_at, _) = logged.facts
        assert (good.code, good.uplink) == ("UPLINK_UP", "fibre")
        relapses.fall(fell_at)
        waits_s.append(home_at - good_at)
        assert waits_s[-1] == pytest.approx(relapses.hold_s(good_at), abs=0.3)
    assert waits_s[0] == pytest.approx(HOLD_S, abs=0.3)
    assert all(after > 1.5 * before for before, after in pairwise(waits_s))


def test_what_has_never_fallen_is_come_home_to_at_once() -> None:
    logged = Logged(**THREE)
    logged.cut.add("fibre")
    logged.run(30)
    assert logged.active == "lte"
    logged.cut.clear()
    while logged.health("fibre") is not Health.UP:
        logged.run(0.1)
    logged.run(0.1)
    assert logged.active == "fibre"


@pytest.mark.parametrize(("lte_s", "active"), [(0.06, "lte"), (0.33, "lte"), (0.45, "fibre")])
def test_a_link_that_is_only_slow_is_left_for_a_clearly_faster_one_and_for_no_other(lte_s: float, active: str) -> None:
    logged = Logged(fibre=Kind.FIBRE, lte=Kind.LTE)
    logged.rtt_s["lte"] = lte_s
    logged.run(2 * SETTLED_S)
    logged.rtt_s["fibre"] = 0.5
    logged.run(60)
    assert logged.health("fibre") is Health.POOR
    assert logged.fact("UPLINK_POOR").evidence["cause"] == "delay"
    assert logged.active == active


# whatever happens


@settings(max_examples=15, deadline=None)
@given(
    phase_s=st.floats(0, 20), lasts_s=st.floats(3, 30), before_s=st.floats(0, 15), other=st.sampled_from(["lte", "leo"])
)
def test_a_dead_uplink_is_left_only_for_one_that_has_just_answered_and_traffic_comes_home_in_the_end(
    phase_s: float, lasts_s: float, before_s: float, other: str
) -> None:
    """A standby has been dead for a while, noticed or not."""
    logged = settled()
    logged.run(phase_s)
    logged.cut.add(other)
    logged.run(before_s)
    logged.cut_for("fibre", lasts_s)
    logged.cut.clear()
    logged.run(200)
    assert logged.active == "fibre"
    assert {logged.health(name) for name in THREE} == {Health.UP}
    left = [(after, age_s) for before, after, age_s in logged.moved if before == "fibre"]
    assert all(after != other and age_s <= 2 for after, age_s in left)
    assert len(left) == 1


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(Kind), learnt_s=st.floats(0.3, 6), share=st.floats(0.1, 0.99), phase_s=st.floats(0, 1))
def test_a_cut_that_every_link_must_survive_moves_nothing_also_where_much_was_learnt(
    kind: Kind, learnt_s: float, share: float, phase_s: float
) -> None:
    logged = settled(home=kind, lte=Kind.LTE)
    silences = logged.core._lines["home"].watch.known.history.silences
    chance = random.Random(3)
    for _ in range(300):
        silences.take(chance.expovariate(1) * learnt_s)
    silences.watched_s = 20 * 86_400.0
    logged.core._lines["home"].watch.judge.retune()
    logged.run(phase_s)
    logged.cut_for("home", LIMITS[kind].floor_s * share)
    logged.run(5)
    assert logged.facts == []
