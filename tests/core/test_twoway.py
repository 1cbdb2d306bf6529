"""Loss told apart by its way, against a network whose truth is known: each packet's fate up and down."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agent.core.measure import REMEMBERED_S
from agent.core.twoway import (
    LATE_AFTER_S,
    NUMBERS_AT_MOST,
    PACKETS_AT_MOST,
    Counts,
    Gap,
    Reflected,
    TwoWay,
    Verdict,
)

FAR_CLOCK_S = 5e8  # the reflector's, less ours


@dataclass(frozen=True)
class Fate:
    """Of one packet: whether it and its answer arrive, after how long, and how often."""

    up: bool = True
    down: bool = True
    up_s: float = 0.02
    down_s: float = 0.02
    up_times: int = 1
    down_times: int = 1
    restart: bool = False
    """The reflector has begun to count anew before it came."""


@dataclass
class World:
    """Sends a packet each second; the reflector counts in the order in which they come to it."""

    every_s: float = 1.0
    two_way: TwoWay = field(default_factory=TwoWay)
    gaps: list[Gap] = field(default_factory=list)
    verdicts: list[Verdict | None] = field(default_factory=list)

    def live(self, fates: Iterable[Fate]) -> Counts:
        fates = list(fates)
        answers = sorted(self._answers(fates), key=lambda pair: pair[0])
        for n in range(len(fates)):
            while answers and answers[0][0] < n * self.every_s:
                self._hear(*answers.pop(0))
            self.gaps += self.two_way.settle(n * self.every_s)
            assert self.two_way.send(n * self.every_s) == n
        for at, answer in answers:
            self._hear(at, answer)
        self.gaps += self.two_way.settle(len(fates) * self.every_s + 2 * REMEMBERED_S)
        return self.two_way.take_counts()

    def _answers(self, fates: list[Fate]) -> Iterator[tuple[float, Reflected]]:
        sent = [(n, n * self.every_s + fate.up_s, fate) for n, fate in enumerate(fates)]
        restarts = sorted(at for _, at, fate in sent if fate.restart)
        number = 0
        for n, at, fate in sorted(sent, key=lambda each: each[1]):
            while restarts and restarts[0] <= at:
                restarts.pop(0)
                number = 0
            for _ in range(fate.up_times if fate.up else 0):
                answer = Reflected(n, number, at + FAR_CLOCK_S, fate.up_s + fate.down_s)
                yield from [(at + fate.down_s, answer)] * (fate.down_times if fate.down else 0)
                number += 1

    def _hear(self, at: float, answer: Reflected) -> None:
        self.gaps += self.two_way.settle(at)
        self.verdicts.append(self.two_way.returned(answer, at))


GOOD, UP, DOWN = Fate(), Fate(up=False), Fate(down=False)
fates = st.lists(st.sampled_from([GOOD, GOOD, GOOD, UP, DOWN]), max_size=60)


def truth(lived: Iterable[Fate]) -> tuple[int, int, int]:
    lived = list(lived)
    lost_up = sum(not fate.up for fate in lived)
    lost_down = sum(fate.up and not fate.down for fate in lived)
    return len(lived) - lost_up - lost_down, lost_up, lost_down


def told(counts: Counts) -> tuple[int, int, int]:
    assert counts.lost_unknown == 0
    return counts.answered + counts.late, counts.lost_up, counts.lost_down


@given(fates)
def test_every_loss_is_told_by_its_way_and_none_is_made_up(lived: list[Fate]) -> None:
    world = World()
    assert told(world.live([*lived, GOOD])) == truth([*lived, GOOD])
    assert world.two_way.undecided == 0
    for gap in world.gaps:
        inside = lived[gap.first : gap.last + 1]
        assert truth(inside) == (0, gap.up, gap.down)
        if gap.verdict is Verdict.LOST_UP:
            assert set(inside) == {UP}
        elif gap.verdict is Verdict.LOST_DOWN:
            assert set(inside) == {DOWN}
        else:
            assert set(inside) == {UP, DOWN}


slow_s = st.sampled_from([0.02, 0.3, 1.5, 4.0, 12.0])
slow_down = st.builds(Fate, down_s=slow_s, down_times=st.sampled_from([1, 1, 1, 3]))
slow_up = st.builds(Fate, up_s=slow_s, down_s=slow_s)


@given(st.lists(slow_down | st.sampled_from([UP, DOWN]), max_size=80))
def test_answers_out_of_order_late_or_twice_change_no_count(lived: list[Fate]) -> None:
    lived = [*lived, GOOD]
    world = World()
    counts = world.live(lived)
    assert told(counts) == truth(lived)
    arrived = [fate for fate in lived if fate.up and fate.down]
    assert counts.late == sum(fate.up_s + fate.down_s > LATE_AFTER_S for fate in arrived)
    assert counts.duplicates == world.verdicts.count(Verdict.DUPLICATE) == sum(f.down_times - 1 for f in arrived)


@given(st.lists(slow_up, max_size=80))
def test_packets_that_overtake_each_other_on_their_way_up_are_no_loss(lived: list[Fate]) -> None:
    world = World()
    counts = world.live(lived)
    assert told(counts) == (len(lived), 0, 0)
    assert world.gaps == []


OVERTAKEN = [Fate(up_s=1.5), GOOD, GOOD]
"""The first comes to the reflector behind the second."""


@given(st.lists(st.sampled_from([[GOOD], [UP], [DOWN], OVERTAKEN, [*OVERTAKEN[:2], *OVERTAKEN]]), max_size=30))
def test_losses_beside_packets_that_overtake_each_other_are_told_by_their_way(parts: list[list[Fate]]) -> None:
    lived = [*(fate for part in parts for fate in part), GOOD]
    assert told(World().live(lived)) == truth(lived)


@given(st.lists(slow_up | slow_down | st.sampled_from([UP, DOWN]), max_size=80))
def test_whatever_overtakes_what_the_sum_of_losses_is_true(lived: list[Fate]) -> None:
    lived = [*lived, *[GOOD] * 13]
    world = World()
    counts = world.live(lived)
    answered, lost_up, lost_down = truth(lived)
    assert counts.answered + counts.late == answered
    assert counts.lost_up + counts.lost_down + counts.lost_unknown == lost_up + lost_down
    assert min(counts.lost_up, counts.lost_down, counts.lost_unknown) >= 0


@given(st.lists(st.sampled_from([GOOD, GOOD, UP, DOWN, Fate(up_times=2), Fate(up_times=3)]), max_size=60))
def test_a_packet_that_was_doubled_on_its_way_up_is_no_loss_down(lived: list[Fate]) -> None:
    lived = [*lived, GOOD]
    assert told(World().live(lived)) == truth(lived)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_reflector_that_restarts_while_all_is_well_loses_nothing(before: int, after: int) -> None:
    counts = World().live([*[GOOD] * before, Fate(restart=True), *[GOOD] * after])
    assert told(counts) == (before + after + 1, 0, 0)


@given(st.integers(20, 60), st.lists(st.sampled_from([UP, DOWN]), min_size=1, max_size=15), st.integers(0, 14))
def test_a_count_that_begins_anew_in_a_gap_tells_no_way(before: int, lost: list[Fate], at: int) -> None:
    """A restart, or a NAT that gave us another port."""
    at = min(at, len(lost) - 1)
    lost[at] = Fate(up=lost[at].up, down=lost[at].down, restart=True)
    counts = World().live([*[GOOD] * before, *lost, *[GOOD] * 10, DOWN, UP, UP, GOOD])
    assert counts.lost_unknown == len(lost)
    assert (counts.lost_up, counts.lost_down) == (2, 1)


restarting = st.sampled_from([GOOD, GOOD, GOOD, UP, DOWN, Fate(restart=True), Fate(up=False, restart=True)])


@given(st.lists(restarting, max_size=80))
def test_whatever_restarts_and_whenever_the_sum_of_losses_is_true(lived: list[Fate]) -> None:
    lived = [*lived, GOOD]
    counts = World().live(lived)
    answered, lost_up, lost_down = truth(lived)
    assert counts.answered == answered
    assert counts.lost_up + counts.lost_down + counts.lost_unknown == lost_up + lost_down


def test_the_way_of_an_outage_is_known_when_it_ends_however_long_it_was() -> None:
    world = World()
    counts = world.live([GOOD, *[UP] * 20_000, GOOD])
    assert (counts.lost_up, counts.lost_unknown) == (20_000, 0)
    assert world.gaps == [Gap(1, 20_000, up=20_000)]


def test_an_outage_that_lasts_is_undecided() -> None:
    world = World()
    counts = world.live([GOOD, *[DOWN] * 100])
    assert (counts.answered, counts.lost_up, counts.lost_down, counts.lost_unknown) == (1, 0, 0, 0)
    assert (world.two_way.undecided, world.gaps) == (100, [])


def test_losses_before_the_first_answer_are_told_too() -> None:
    assert told(World().live([UP, DOWN, UP, GOOD])) == (1, 2, 1)


def test_what_was_not_sent_is_no_loss() -> None:
    two_way = TwoWay()
    for second in range(4):
        two_way.send(second)
    two_way.not_sent(1)
    two_way.not_sent(2)
    assert two_way.returned(Reflected(0, 0, 0.0, 0.1), 0.1) is Verdict.ANSWERED
    assert two_way.returned(Reflected(3, 1, 3.0, 0.1), 3.1) is Verdict.ANSWERED
    assert two_way.settle(100) == []
    assert two_way.take_counts() == Counts(answered=2, not_sent=2)


def test_an_answer_after_all_patience_is_a_loss_on_the_way_back() -> None:
    fates = [GOOD, Fate(down_s=REMEMBERED_S + 1), GOOD]
    world = World()
    assert told(world.live(fates)) == (2, 0, 1)
    assert world.verdicts[-1] is None


def test_a_count_that_grew_by_more_than_we_sent_tells_no_way() -> None:
    """Somebody sends the reflector what he overheard."""
    two_way = TwoWay()
    for second in range(4):
        two_way.send(second)
    two_way.returned(Reflected(0, 0, 0.0, 0.1), 0.1)
    two_way.returned(Reflected(3, 9, 3.0, 0.1), 3.1)
    assert two_way.settle(100) == [Gap(1, 2, unknown=2)]


def test_an_answer_is_too_late_though_nobody_has_settled_yet() -> None:
    two_way = TwoWay()
    two_way.send(0.0)
    assert two_way.returned(Reflected(0, 0, 0.0, 0.1), REMEMBERED_S + 0.1) is None


def test_shares_are_of_those_that_could_be_lost_there() -> None:
    counts = Counts(answered=88, late=2, lost_up=10, lost_down=5, lost_unknown=7)
    assert (counts.up.lost, counts.up.of) == (10, 105)
    assert (counts.down.lost, counts.down.of) == (5, 95)
    assert counts.up.low is not None
    assert counts.up.high is not None
    assert counts.up.low < 10 / 105 < counts.up.high
    assert (Counts().up.low, Counts().down.high) == (None, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "answer", "settle", "not sent"]),
            st.integers(-2, 20),
            st.integers(0, 2**32 - 1),
            st.floats(-1e9, 1e9),
        ),
        max_size=200,
    )
)
def test_a_reflector_that_talks_nonsense_breaks_no_sum(happenings: list[tuple[str, int, int, float]]) -> None:
    two_way, sent, counts = TwoWay(), 0, Counts()
    for now, (what, seq, number, at_s) in enumerate(happenings):
        match what:
            case "send":
                sent += 1
                two_way.send(now)
            case "answer":
                two_way.returned(Reflected(sent - seq, number, at_s, 0.1), now)
            case "not sent":
                two_way.not_sent(sent - seq)
            case "settle":
                two_way.settle(now)
    two_way.settle(1e6)
    counts = two_way.take_counts()
    lost = counts.lost_up + counts.lost_down + counts.lost_unknown + two_way.undecided
    assert min(counts.lost_up, counts.lost_down, counts.lost_unknown) >= 0
    assert counts.answered + counts.late + lost + counts.not_sent == sent


def test_memory_is_bounded_when_nobody_answers_and_when_the_answers_make_no_sense() -> None:
    two_way = TwoWay()
    for n in range(3 * PACKETS_AT_MOST):
        seq = two_way.send(n * 1e-3)
        if n > PACKETS_AT_MOST:
            two_way.returned(Reflected(seq, 10_000_000 - 2 * n, -float(n), 0.1), n * 1e-3)
            two_way.returned(Reflected(seq, 20_000_000 + n, -float(n), 0.1), n * 1e-3)
        two_way.settle(n * 1e-3)
    assert len(two_way._packets) <= PACKETS_AT_MOST
    for number in range(10 * NUMBERS_AT_MOST):
        two_way.returned(Reflected(seq, number, 0.0, 0.1), n * 1e-3)
    assert len(two_way._numbers) <= NUMBERS_AT_MOST + 1


@given(fates)
def test_what_is_known_so_far_is_the_truth_up_to_the_newest_answer_and_asking_changes_nothing(
    lived: list[Fate],
) -> None:
    """A second has passed: every answer has come, nothing has settled yet."""
    two_way, number, newest = TwoWay(), 0, 0
    for n, fate in enumerate([GOOD, *lived]):
        two_way.send(0.01 * n)
        if fate.up and fate.down:
            two_way.returned(Reflected(n, number, FAR_CLOCK_S + n, 0.02), 1.0)
            newest = n
        number += fate.up
    assert told(two_way.so_far()) == truth([GOOD, *lived][: newest + 1])
    assert two_way.so_far() == two_way.so_far()
    two_way.settle(1e6)
    assert told(two_way.take_counts()) == truth([GOOD, *lived][: newest + 1])


def test_with_no_answer_nothing_is_known() -> None:
    two_way = TwoWay()
    two_way.send(0.0)
    assert two_way.so_far() == Counts()


def test_what_seemed_lost_so_far_may_yet_be_answered() -> None:
    two_way = TwoWay()
    for n in range(4):
        two_way.send(0.1 * n)
    for n in (0, 3):
        two_way.returned(Reflected(n, n, FAR_CLOCK_S + n, 0.02), 0.5)
    assert two_way.so_far() == Counts(answered=2, lost_down=2)
    two_way.returned(Reflected(1, 1, FAR_CLOCK_S + 1, 0.6), 0.7)
    two_way.settle(1e6)
    assert two_way.take_counts() == Counts(answered=3, lost_down=1)
