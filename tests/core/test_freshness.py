"""What is old proves nothing: no answer of twelve seconds ago, no echo that woke a radio; and bytes late are bytes."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.pace import ECHO_BYTES
from agent.core.station import Family, Kind
from agent.core.watch import FRESH_S, Role
from tests.core.driven import RTT_S
from tests.core.lived import settled as proven
from tests.core.test_waking import THREE, Logged, settled
from wire.messages import Health

MB = 1_000_000

# the way home


def test_an_uplink_that_is_called_good_but_died_since_is_not_come_home_to() -> None:
    logged = settled()
    logged.cut_for("fibre", 10)
    while logged.health("fibre") is not Health.UP:
        logged.run(0.1)
    assert logged.active == "lte"
    logged.cut.add("fibre")
    logged.run(60)
    assert logged.moves == [("fibre", "lte")]


def test_a_poor_standby_does_not_keep_the_next_one_from_being_asked_before_traffic_goes_there() -> None:
    logged = settled()
    chance = random.Random(3)
    while logged.health("lte") is not Health.POOR:
        logged.cut = {"lte"} if chance.random() < 0.6 else set()
        logged.run(2)
    logged.cut.clear()
    logged.until_calm_standby("leo")
    logged.facts.clear()
    logged.cut.update(("fibre", "leo"))
    while logged.health("lte") is Health.POOR and not logged.moves:
        logged.run(0.1)
    assert logged.moves == [("fibre", "lte")]


def cuts(most: int) -> st.SearchStrategy[list[tuple[str, float, float]]]:
    return st.lists(
        st.tuples(st.sampled_from(list(THREE)), st.floats(0.1, 12), st.floats(0, 15)), min_size=1, max_size=most
    )


@settings(max_examples=15, deadline=None)
@given(cuts(6), st.floats(0, 20))
@example([("lte", 10.03, 10.7), ("lte", 7.37, 12.68), ("fibre", 4.0, 0.0)], 0.0)
@example([("fibre", 10.03, 10.7), ("fibre", 7.37, 12.68), ("fibre", 3.67, 0.0)], 0.0)
def test_traffic_only_ever_moves_to_an_uplink_that_has_just_answered_and_comes_home_in_the_end(
    cuts: list[tuple[str, float, float]], phase_s: float
) -> None:
    """Cuts may overlap: each begins some time after the one before and lasts as long as it lasts."""
    logged = settled()
    logged.run(phase_s)
    begins, ends = logged.now, dict[str, float]()
    for uplink, lasts_s, after_s in cuts:
        _run(logged, begins, ends)
        logged.cut.add(uplink)
        ends[uplink] = max(ends.get(uplink, 0.0), begins + lasts_s)
        begins += after_s
    _run(logged, max(ends.values()) + 0.1, ends)
    logged.run(400)
    assert logged.active == "fibre"
    assert {logged.health(name) for name in THREE} == {Health.UP}
    assert all(age_s <= FRESH_S for _, _, age_s in logged.moved)


def _run(logged: Logged, until: float, ends: dict[str, float]) -> None:
    """To this moment; on the way each cut ends when it does."""
    for at in [*sorted(at for at in ends.values() if logged.now < at < until), until]:
        logged.run(max(0.0, at - logged.now))
        logged.cut -= {name for name, end in ends.items() if end <= logged.now}


# proofs


@pytest.mark.parametrize("kind", Kind)
def test_an_uplink_that_stays_slow_is_not_called_good_for_being_asked_seldom(kind: Kind) -> None:
    lived = proven(kind)
    lived.rtt_s = lambda _: RTT_S[kind] + max(0.5, 2 * RTT_S[kind])
    lived.run(1800)
    assert lived.codes == ["UPLINK_POOR"]


def test_an_uplink_that_was_cut_while_it_proved_itself_has_failed_once_and_not_at_every_echo() -> None:
    lived = proven(Kind.FIBRE)
    for cut_s, calm_s in ((10.03, 0.67), (7.37, 5.3), (3.67, 60)):
        lived.cut_for(cut_s)
        lived.run(calm_s)
    assert lived.watch.health is Health.UP


# bytes


@pytest.mark.parametrize("late_s", [8.0, 20.0])
def test_answers_that_come_late_are_within_the_cap_too(late_s: float) -> None:
    lived = proven(Kind.LTE, day_mb=1)
    lived.watch.wake(Role.WOKEN, lived.now)
    lived.known.spent.day_bytes = MB - 2_000
    lived.asked.clear()
    lived.answered = 0
    lived.rtt_s = lambda _: late_s
    for _ in range(3000):
        lived.run(0.1)
        assert lived.known.spent.day_bytes <= MB
    assert (len(lived.asked) + lived.answered) * ECHO_BYTES[Family.IPV4] // 2 <= 2_000
    assert lived.codes.count("BUDGET_SPENT") == 1
