"""The two ways told apart: which echoes a test packet goes with, what it may cost, and what the station says of it."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from msgspec.structs import replace

from agent.core.budget import Budget, Caps, Spent
from agent.core.events import Effect, Event, SendEchoes, SendStamp, StampNotSent, StampReturned, Tick, TrafficCounted
from agent.core.history import DAY_S, HOUR_S
from agent.core.pace import BURST, BURST_EVERY, STANDBY_EVERY_S, Mood
from agent.core.plan import Policy
from agent.core.routes import Link
from agent.core.station import Centre, Family, Kind, Spending
from agent.core.twoway import Reflected
from agent.core.watch import Ask
from agent.core.ways import SPEAKS_FROM, Ways
from tests.core.driven import SETTLED_S, TARGETS, Driven
from wire.evidence import told_en, told_id
from wire.messages import EachWay, Fact, Health

HERE, HERE6 = "198.51.100.10", "2001:db8::10"
ECHO_BYTES, OPEN_BYTES, SEALED_BYTES = 72, 144, 280  # there and back, by IPv4
THREE = {"home": Kind.GEO, "lte": Kind.LTE, "geo": Kind.GEO}  # the first one carries; it is asked seldom: a quick test


LINK = Link("wan0", True, gateways=((Family.IPV4, "198.18.0.1"),))


class Reflecting(Driven):
    """The centre has a reflector, which counts; each way of `home` loses and delays as it is told."""

    def __init__(
        self,
        stamp: Sequence[str] = (f"{HERE}:862", f"[{HERE6}]:8620"),
        key: str | None = None,
        metered: Sequence[str] = (),
        **kinds: Kind,
    ) -> None:
        self.chance = random.Random(1)
        self.lost = {"up": 0.0, "down": 0.0}
        self.added_s = {"up": 0.0, "down": 0.0}
        self.far_clock_s = 1e6
        self.sent: list[tuple[float, SendStamp]] = []
        self.rounds: list[list[Effect]] = []
        self.unstampable = False
        self.ticks = 0
        self._numbers: dict[tuple[str, str], int] = {}
        super().__init__(TARGETS, metered, **kinds)
        self.station = replace(self.station, centre=Centre("mqtt://198.51.100.10", stamp=tuple(stamp), stamp_key=key))
        self.restart()

    def handle(self, event: Event) -> list[Effect]:
        self.ticks += isinstance(event, Tick)
        effects = super().handle(event)
        for effect in effects:
            if isinstance(effect, SendStamp):
                self.sent.append((self.now, effect))
                self.rounds.append(effects)
                self._reflect(effect)
        return effects

    def of(self, uplink: str, since: float = 0.0) -> list[float]:
        """When packets were sent by it."""
        return [at for at, order in self.sent if order.uplink == uplink and at >= since]

    def spent_bytes(self, uplink: str) -> int:
        return self.core._lines[uplink].watch.budget.spent.day_bytes

    def ways(self, uplink: str, since: int = 0) -> EachWay:
        """All summaries since that one together; of the delays the newest."""
        told = [each for summary in self.summaries[since:] for each in summary.uplinks if each.name == uplink]
        known = [each.each_way for each in told if each.each_way is not None]
        sums = {
            name: sum(getattr(each, name) for each in known)
            for name in ("up_lost", "up_of", "down_lost", "down_of", "lost_unknown", "not_sent")
        }
        return replace(known[-1], **sums) if known else EachWay()

    def _reflect(self, order: SendStamp) -> None:
        if self.unstampable:
            self._expect(self.now, StampNotSent(order.uplink, order.seq, order.target, "ENETUNREACH"))
            return
        if order.uplink in self.cut or self._loses(order.uplink, "up"):
            return
        number = self._numbers.get((order.uplink, order.target), 0)
        self._numbers[order.uplink, order.target] = number + 1
        if self._loses(order.uplink, "down"):
            return
        half_s = self.rtt_s[order.uplink] / 2
        up_s, down_s = half_s + self.added_s["up"], half_s + self.added_s["down"]
        came_s = self.now + up_s + self.far_clock_s
        clocks = up_s + self.far_clock_s, down_s - self.far_clock_s
        found = Reflected(order.seq, number, came_s, up_s + down_s, *clocks)
        self._expect(self.now + up_s + down_s, StampReturned(order.uplink, order.target, found))

    def _send(self, order: SendEchoes) -> None:
        if not (self._loses(order.uplink, "up") or self._loses(order.uplink, "down")):
            super()._send(order)

    def _loses(self, uplink: str, way: str) -> bool:
        return uplink == "home" and self.chance.random() < self.lost[way]


def settled(key: str | None = None, metered: Sequence[str] = (), **kinds: Kind) -> Reflecting:
    here = Reflecting(key=key, metered=metered, **(kinds or THREE))
    here.run(2 * SETTLED_S)
    assert {here.health(uplink.name) for uplink in here.station.uplinks} == {Health.UP}
    here.sent.clear()
    here.rounds.clear()
    here.summaries.clear()
    here.facts.clear()
    return here


# when


def test_a_packet_leaves_only_with_an_echo_of_its_uplink_and_the_agent_is_woken_no_more_often() -> None:
    here, without = settled(), Driven(**THREE)
    since, ticks = here.now, here.ticks
    here.run(HOUR_S)
    assert len(here.sent) > 1000
    for effects in here.rounds:
        asked = [effect.uplink for effect in effects if isinstance(effect, SendEchoes)]
        assert all(effect.uplink in asked for effect in effects if isinstance(effect, SendStamp))
    without.run(since)
    handled: list[Event] = []
    handle = without.handle
    without.handle = lambda event: handled.append(event) or handle(event)  # type: ignore[method-assign, func-returns-value]
    without.run(HOUR_S)
    assert here.ticks - ticks == sum(isinstance(event, Tick) for event in handled)


@pytest.mark.parametrize(("key", "size"), [(None, OPEN_BYTES), ("/etc/siaga/key", SEALED_BYTES)])
def test_on_the_active_uplink_they_take_their_share_of_a_day_and_no_more(key: str | None, size: int) -> None:
    here = settled(key)
    since = here.now
    here.run(HOUR_S)
    spent = len(here.of("home", since)) * size
    share = 60e6 / 8 / 24  # an hour's eighth of what a free line may spend in a day
    assert 0.4 * share < spent <= share + size


def test_standbys_are_asked_with_the_echoes_of_their_bursts_and_cost_little() -> None:
    here = settled("/etc/siaga/key")
    since, before = here.now, {name: here.spent_bytes(name) for name in THREE}
    here.run(6 * HOUR_S)
    per_burst_s = BURST_EVERY * STANDBY_EVERY_S
    for name in ("lte", "geo"):
        sent = here.of(name, since)
        assert len(sent) == pytest.approx(BURST * 6 * HOUR_S / per_burst_s, rel=0.1)
        assert sorted({round(after - at, 1) for at, after in pairwise(sent)})[0] == 0.5
        assert (here.spent_bytes(name) - before[name]) * 4 < 1e6  # bytes a day, echoes and packets


def test_an_uplink_that_is_dead_or_may_be_is_not_asked() -> None:
    here = settled()
    here.cut.add("home")
    since = here.now + 2.0  # then an answer is overdue, and only life is asked for
    here.run(600)
    assert here.health("home") is Health.DEAD
    assert here.of("home", since) == []
    assert here.of("lte", since) != []


def test_nothing_is_sent_where_a_plan_runs_low() -> None:
    here = settled(metered=("home",))
    assert here.of("home") == []  # nothing yet since the list was cleared
    here.run(60)
    assert here.of("home") != []
    here.handle(TrafficCounted("home", 0, 0))
    here.handle(TrafficCounted("home", 17_000_000_000, 0))  # of 20,000 MB
    here.run(1)
    since = here.now
    here.run(600)
    assert here.fact("PLAN_LOW").uplink == "home"
    assert here.of("home", since) == []


def test_without_a_reflector_none_leaves_and_nothing_is_told() -> None:
    here = Reflecting(stamp=(), **THREE)
    here.run(300)
    assert here.sent == []
    assert {each.each_way for summary in here.summaries for each in summary.uplinks} == {None}


def test_the_reflector_is_asked_in_a_family_that_the_uplink_has() -> None:
    here = settled()
    here.change("home", gateways=((Family.IPV6, "fe80::1"),), addresses=((Family.IPV6, "2001:db8:1::2"),))
    since = here.now
    here.run(60)
    asked = {(order.target, order.port) for at, order in here.sent if order.uplink == "home" and at > since}
    assert asked == {(HERE6, 8620)}


@pytest.mark.parametrize("mood", Mood)
@pytest.mark.parametrize("health", Health)
def test_only_what_is_known_to_work_is_measured(health: Health, mood: Mood) -> None:
    """One that is dead and answers again has yet to prove itself, by echoes alone."""
    ways = Ways(Reflecting(**THREE).station, "home", Budget(Caps(1e9, 1e9), Spent(), 0.0))
    packet = ways.ask(Ask(1, TARGETS[0], mood), health, LINK, Policy.OPEN, 100.0)
    asks_how_well = mood not in (Mood.DOUBT, Mood.STANDBY, Mood.ABSENCE)
    assert (packet is not None) == (asks_how_well and health in (Health.UP, Health.POOR))


# what it may cost


def test_a_packet_that_does_not_fit_any_more_is_not_sent() -> None:
    for left, sent in ((OPEN_BYTES, True), (OPEN_BYTES - 1, False)):
        ways = Ways(Reflecting(**THREE).station, "home", Budget(Caps(left, 1e9), Spent(), 0.0))
        packet = ways.ask(Ask(1, TARGETS[0], Mood.SUSPICION), Health.UP, LINK, Policy.OPEN, DAY_S - 1)
        assert (packet is not None) == sent


def test_when_calm_is_spent_echoes_have_four_times_its_bytes() -> None:
    budget = Budget(Caps(1e6, 1e9), Spent(), 0.0)
    budget.charge(900_000)
    ways = Ways(Reflecting(**THREE).station, "home", budget)
    echo_every_s = budget.calm_spacing_s(1.0, ECHO_BYTES, 1.0)
    moments: list[float] = []
    for second in range(20_000):
        if ways.ask(Ask(1, TARGETS[0], Mood.CARRYING), Health.UP, LINK, Policy.OPEN, 1.0 + second):
            moments.append(second)
            budget.charge(-OPEN_BYTES)  # so that what is left stays as it is
    assert (moments[1] - moments[0]) / echo_every_s == pytest.approx(4 * OPEN_BYTES / ECHO_BYTES, rel=0.05)


def test_no_byte_is_spent_past_a_cap_and_echoes_are_left_most_of_what_is_scarce() -> None:
    here = Reflecting(home=Kind.GEO)
    (home,) = here.station.uplinks
    here.station = replace(here.station, uplinks=(replace(home, budget=Spending(mb_per_day=0.1)),))
    here.restart()
    cap = 0.1e6
    while here.now < 6 * HOUR_S:
        here.run(10)
        assert here.spent_bytes("home") <= cap
    assert here.spent_bytes("home") > 0.8 * cap
    assert OPEN_BYTES * len(here.sent) <= 0.3 * cap
    assert here.of("home", 5 * HOUR_S)


@pytest.mark.parametrize(("fate", "share"), [("up", 0.5), ("down", 0.5), ("not sent", 0.0), ("answered", 1.0)])
def test_what_did_not_leave_or_come_back_is_given_back(fate: str, share: float) -> None:
    budget = Budget(Caps(1e9, 1e9), Spent(), 0.0)
    ways = Ways(Reflecting(**THREE).station, "home", budget)
    now, number = 0.0, 0
    for n in range(100):
        now += 2.0
        packet = ways.ask(Ask(n, TARGETS[0], Mood.CARRYING), Health.UP, LINK, Policy.OPEN, now)
        assert packet is not None
        spared = n == 99 or fate == "answered"  # the last one is answered, or nobody would know on which way
        if fate == "not sent" and not spared:
            ways.hear(StampNotSent("home", packet.seq, HERE, "ENETUNREACH"), now)
        number += spared or fate == "down"
        if spared:
            ways.hear(StampReturned("home", HERE, Reflected(packet.seq, number - 1, now, 0.1)), now)
    assert budget.spent.day_bytes == 100 * OPEN_BYTES
    told = ways.summary(now + 40)
    assert told is not None
    assert (told.up_lost, told.down_lost, told.not_sent) == (
        99 * (fate == "up"),
        99 * (fate == "down"),
        99 * (fate == "not sent"),
    )
    assert budget.spent.day_bytes == OPEN_BYTES + 99 * OPEN_BYTES * share


# what it tells


@pytest.mark.parametrize(("way", "other"), [("up", "down"), ("down", "up")])
def test_a_poor_uplink_says_on_which_way_it_loses(way: str, other: str) -> None:
    here = settled()
    here.run(120)
    summaries = len(here.summaries)
    here.lost[way] = 0.25
    while "UPLINK_POOR" not in here.codes:
        here.run(0.5)
        assert here.now < 600
    evidence = here.fact("UPLINK_POOR").evidence
    assert evidence["cause"] == "loss"
    assert (evidence[f"{way}_lost"] or 0) > 0  # type: ignore[operator]
    assert evidence[f"{other}_lost"] == 0
    assert evidence.get("mostly") in (way, None)
    here.run(900)
    told = here.ways("home", summaries)
    lost, of = {"up": (told.up_lost, told.up_of), "down": (told.down_lost, told.down_of)}[way]
    assert 0.12 < lost / of < 0.35
    assert {"up": told.down_lost, "down": told.up_lost}[way] == 0
    assert told.lost_unknown == 0


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_queue_is_told_of_its_own_way_whatever_the_clocks_say(way: str) -> None:
    here = settled(home=Kind.FIBRE, lte=Kind.LTE)
    here.run(300)
    assert here.ways("home").up_added_ms == pytest.approx(0, abs=0.1)
    here.rtt_s["home"] += 0.4  # of which half is on the wrong way yet
    here.added_s = {"up": -0.2, "down": -0.2} | {way: 0.2}
    while "UPLINK_POOR" not in here.codes:
        here.run(0.5)
        assert here.now < 900
    evidence = here.fact("UPLINK_POOR").evidence
    assert evidence["cause"] == "delay"
    added = {"up": evidence["up_added_ms"], "down": evidence["down_added_ms"]}
    assert added.pop(way) == pytest.approx(400, abs=1)
    assert list(added.values()) == pytest.approx([0], abs=1)


@pytest.mark.parametrize(
    ("up", "down", "mostly"), [(4, 0, "up"), (0, 4, "down"), (3, 0, None), (20, 8, "up"), (12, 8, None), (0, 0, None)]
)
def test_one_way_is_blamed_only_when_chance_cannot_explain_it(up: int, down: int, mostly: str | None) -> None:
    """Nothing is settled yet: the newest answer tells what became of those before it."""
    ways, number = Ways(Reflecting(**THREE).station, "home", Budget(Caps(1e9, 1e9), Spent(), 0.0)), 0
    for n in range(60):
        packet = ways.ask(Ask(n, TARGETS[0], Mood.SUSPICION), Health.UP, LINK, Policy.OPEN, 0.5 * n)
        assert packet is not None
        if n % 2 == 0 and n // 2 < up:
            continue
        number += 1
        if not (n % 2 and n // 2 < down):
            ways.hear(StampReturned("home", HERE, Reflected(packet.seq, number - 1, n, 0.1)), 0.5 * n)
    evidence = ways.explain("loss")
    assert [evidence[name] for name in ("up_lost", "down_lost")] == [up, down]
    assert evidence.get("mostly") == mostly
    fact = Fact("UPLINK_POOR", "home", "up", "poor", {"cause": "loss"} | evidence)
    told = f"on the way up {up} of {evidence['up_of']} lost, on the way down {down} of {evidence['down_of']}"
    assert told_en(fact).endswith(told + (f" (mostly {mostly})" if mostly else ""))
    assert ("terutama arah kirim" in told_id(fact), "terutama arah terima" in told_id(fact)) == (
        mostly == "up",
        mostly == "down",
    )


def test_where_too_few_are_known_a_verdict_says_nothing_of_the_ways() -> None:
    here = Reflecting(home=Kind.FIBRE, lte=Kind.LTE)
    here.run(10)
    assert len(here.of("home")) < SPEAKS_FROM
    assert here.core._lines["home"].ways.explain("loss") == {}
    assert here.core._lines["home"].ways.explain("delay") == {}


def test_a_delay_is_explained_only_by_answers_that_were_slow_themselves() -> None:
    ways = Ways(Reflecting(**THREE).station, "home", Budget(Caps(1e9, 1e9), Spent(), 0.0))
    for n, up_s in enumerate([0.1] * 40 + [0.45, 0.15]):
        packet = ways.ask(Ask(n, TARGETS[0], Mood.CARRYING), Health.UP, LINK, Policy.OPEN, 3.0 * n)
        assert packet is not None
        ways.hear(StampReturned("home", HERE, Reflected(packet.seq, n, 3.0 * n, up_s, up_s, 0.0)), 3.0 * n + up_s)
        if n == 39:
            assert ways.explain("delay") == {}
    assert ways.explain("delay") == {"up_added_ms": 350.0, "down_added_ms": 0.0}


def test_what_the_kernel_did_not_take_is_no_loss() -> None:
    here = settled()
    here.unstampable = True
    here.run(180)
    here.unstampable = False
    here.run(180)
    told = here.ways("home")
    assert (told.up_lost, told.down_lost, told.lost_unknown) == (0, 0, 0)
    assert told.not_sent > 30
