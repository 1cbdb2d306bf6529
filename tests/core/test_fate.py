"""Two links, one fate: claimed on evidence only, told once, and asked for seldom."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.core import sight
from agent.core.budget import Budget, Spent, caps
from agent.core.events import AskSeen, PublicSeen, ShowState
from agent.core.fate import Fates, of_sight, whose
from agent.core.routes import Link
from agent.core.sight import ALLOWANCE_BYTES, EVERY_S, Sight
from agent.core.station import Centre, Check, Family, Kind, Metered, Station, Uplink
from tests.core.driven import Driven, station
from wire import evidence
from wire.messages import Fact, Public

HOME = Public("203.0.113.7", 64500, "Telkom")
NEAR = Public("203.0.113.9")
CGNAT = Public("198.51.100.9", 64500, "Telkom")
OTHER = Public("198.51.100.9", 64501, "Telkomsel")
NOBODYS = Public("198.51.100.9")
SIX, OTHER_SIX = Public("2001:db8:1::7", 64500), Public("2001:db8:2::7", 64501)


def uplinks(**of_second: str) -> tuple[Uplink, Uplink]:
    return Uplink("fibre", "wan0", Kind.FIBRE, operator="Telkom", shared_fate="ring-7"), Uplink(
        "lte", "wan1", Kind.LTE, **of_second
    )


def told(fates: Fates, first: Public | None, second: Public | None, family: Family = Family.IPV4) -> list[Fact]:
    seen = {name: {family: public} for name, public in (("fibre", first), ("lte", second)) if public is not None}
    return fates.compare(seen)


@pytest.mark.parametrize(
    ("second", "cause", "what"),
    [
        (HOME, "same public address", "203.0.113.7"),
        (Public("203.0.113.7"), "same public address", "203.0.113.7"),
        (CGNAT, "same operator seen", "AS64500 Telkom"),
        (Public("198.51.100.9", None, "telkom "), "same operator seen", "Telkom"),
        (NEAR, "same network", "203.0.113.0/24"),
    ],
)
def test_what_two_uplinks_share_is_named(second: Public, cause: str, what: str) -> None:
    [fact] = told(Fates(uplinks()), HOME, second)
    assert (fact.code, fact.uplink) == ("ONE_FATE", "lte")
    assert (fact.evidence["cause"], fact.evidence["what"]) == (cause, what)
    for line in (evidence.told_id(fact), evidence.told_en(fact)):
        assert all(word in line for word in ("fibre", "lte", what))


@pytest.mark.parametrize("second", [OTHER, NOBODYS, None])
def test_what_is_not_known_is_not_claimed(second: Public | None) -> None:
    assert told(Fates(uplinks()), HOME, second) == []


def test_neighbours_by_number_behind_a_nat_of_somebodys_own_say_nothing() -> None:
    assert of_sight(Public("10.8.0.2"), Public("10.8.0.3")) is None
    assert of_sight(Public("100.64.0.2"), Public("100.64.0.3")) is None
    assert of_sight(Public("10.8.0.2"), Public("10.8.0.2")) is not None


@pytest.mark.parametrize(
    ("of_second", "cause", "what"),
    [({"shared_fate": "ring-7"}, "same shared fate", "ring-7"), ({"operator": "TELKOM"}, "same operator", "Telkom")],
)
def test_what_is_configured_needs_no_sight_and_is_not_repeated_by_it(
    of_second: dict[str, str], cause: str, what: str
) -> None:
    fates = Fates(uplinks(**of_second))
    [fact] = fates.compare({})
    assert (fact.code, fact.evidence["cause"], fact.evidence["what"]) == ("ONE_FATE", cause, what)
    assert all(word in evidence.told_id(fact) for word in ("fibre", "lte", what))
    assert told(fates, HOME, CGNAT) == told(fates, HOME, OTHER) == []
    assert [fact.evidence["cause"] for fact in told(fates, HOME, HOME)] == ["same public address"]


def test_it_is_told_once_and_again_when_what_it_rests_on_changes() -> None:
    fates = Fates(uplinks())
    assert len(told(fates, HOME, CGNAT)) == 1
    assert told(fates, HOME, CGNAT) == []
    assert told(fates, HOME, structs.replace(CGNAT, address="198.51.100.77")) == []  # the same operator still
    assert told(fates, HOME, None) == []
    assert [fact.evidence["cause"] for fact in told(fates, HOME, HOME)] == ["same public address"]


def test_apart_again_is_told_when_it_is_known_and_only_then() -> None:
    fates = Fates(uplinks())
    told(fates, HOME, HOME)
    assert told(fates, HOME, NOBODYS) == []  # another address is no other operator
    [fact] = told(fates, HOME, OTHER)
    assert fact.code == "FATES_APART"
    assert "198.51.100.9 (AS64501 Telkomsel)" in evidence.told_en(fact)
    assert told(fates, HOME, OTHER) == []
    assert [fact.code for fact in told(fates, HOME, HOME)] == ["ONE_FATE"]


def test_the_configured_operator_stands_in_where_the_centre_has_no_table() -> None:
    fates = Fates(uplinks(operator="Telkomsel"))
    assert len(told(fates, NEAR, NEAR)) == 1
    assert [fact.code for fact in told(fates, NEAR, NOBODYS)] == ["FATES_APART"]


def test_each_family_is_judged_by_itself() -> None:
    fates = Fates(uplinks())
    both = {"fibre": {Family.IPV4: HOME, Family.IPV6: SIX}, "lte": {Family.IPV4: HOME, Family.IPV6: OTHER_SIX}}
    assert [(fact.code, fact.evidence["family"]) for fact in fates.compare(both)] == [("ONE_FATE", "ipv4")]
    both["lte"][Family.IPV6] = SIX
    assert [(fact.code, fact.evidence["family"]) for fact in fates.compare(both)] == [("ONE_FATE", "ipv6")]


addresses = st.sampled_from(["203.0.113.7", "203.0.113.8", "198.51.100.9", "192.0.2.1", "10.0.0.1"])
publics = st.builds(Public, addresses, st.none() | st.integers(1, 3), st.none() | st.sampled_from(["A", "B"]))


@given(publics, publics)
def test_it_does_not_matter_who_is_looked_at_first(one: Public, other: Public) -> None:
    there, back = of_sight(one, other), of_sight(other, one)
    assert (there is None) == (back is None)
    assert there is None or back is None or there.cause == back.cause


@given(st.lists(st.tuples(st.none() | publics, st.none() | publics), max_size=20))
def test_one_fate_and_apart_take_turns_and_nothing_is_told_twice(history: list[tuple[Public, Public]]) -> None:
    fates, last = Fates(uplinks()), None
    for first, second in history:
        for fact in told(fates, first, second):
            now = fact.code, fact.evidence.get("what")
            assert now != last
            assert fact.code == "ONE_FATE" or last is not None
            assert "{" not in evidence.told_en(fact)
            last = now


def test_whose_it_is_is_said_as_far_as_it_is_known() -> None:
    assert [whose(each) for each in (HOME, SIX, NEAR)] == ["AS64500 Telkom", "AS64500", "-"]


# when it is asked


class Asked(Driven):
    """A centre that sees each uplink as we say."""

    def __init__(self, metered: tuple[str, ...] = ()) -> None:
        self.questions: list[tuple[float, str]] = []
        self.public: dict[str, Public | None] = {"fibre": HOME, "lte": OTHER}
        self.spent_bytes = 1_100
        super().__init__(metered=metered)

    def handle(self, event: object) -> list:
        effects = super().handle(event)  # type: ignore[arg-type]
        for effect in effects:
            if isinstance(effect, AskSeen):
                self.questions.append((self.now, effect.uplink))
                seen = PublicSeen(effect.uplink, effect.family, self.public[effect.uplink], self.spent_bytes)
                self._expect(self.now + 0.2, seen)
        return effects

    def asked(self, uplink: str) -> list[float]:
        return [at for at, name in self.questions if name == uplink]


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Check("http://198.51.100.10:8080/siaga/check", "siaga check\n")
    monkeypatch.setattr("tests.core.driven.station", lambda *args: structs.replace(station(*args), check=page))


LINK = Link("wan0", True, ((Family.IPV4, "198.18.0.2"),), ((Family.IPV4, "198.18.0.1"),), 1)


def questions(name: str, hours: int, answer: Public | None) -> list[float]:
    """When one uplink that stays good is asked, in so many hours."""
    made = structs.replace(station({name: Kind.FIBRE}), centre=Centre("mqtt://c", seen="http://c/siaga/seen"))
    looked = Sight(made, made.uplinks[0], Budget(caps(made.uplinks[0]), Spent(), 0.0), 0.0)
    asked = []
    for now in range(0, hours * 3600, 10):
        for ask in looked.look(LINK, frozenset({Family.IPV4}), now):
            asked.append(float(now))
            looked.take(PublicSeen(name, ask.family, answer, 1_100), now)
    return asked


def test_an_uplink_that_stays_good_is_asked_about_each_hour_at_moments_of_its_own() -> None:
    asked = questions("fibre", 24, HOME)
    pauses_s = [after - before for before, after in pairwise(asked)]
    assert asked[0] == 20
    assert all(0.75 * EVERY_S <= pause_s <= 1.25 * EVERY_S + 10 for pause_s in pauses_s)
    assert len(set(pauses_s)) > 15
    assert questions("lte", 24, HOME)[1:] != asked[1:]


def test_where_nobody_answers_it_is_tried_ever_more_seldom() -> None:
    asked = questions("fibre", 24, None)
    pauses_s = [after - before for before, after in pairwise(asked)]
    assert pauses_s[:3] == [300, 600, 1200]
    assert all(pause_s >= 0.75 * EVERY_S for pause_s in pauses_s[5:])


def test_the_state_says_how_the_centre_sees_each_uplink_and_who_shares_an_address_is_told() -> None:
    driven = Asked()
    driven.public["lte"] = HOME
    driven.run(150)
    assert [uplink.public for uplink in driven.core.state(driven.now).uplinks] == [(HOME,), (HOME,)]
    assert driven.codes.count("ONE_FATE") == 1
    effects = driven.handle(PublicSeen("lte", Family.IPV4, HOME, 1_100))
    assert effects == []
    effects = driven.handle(PublicSeen("lte", Family.IPV4, OTHER, 1_100))
    assert [effect.code for effect in effects if isinstance(effect, Fact)] == ["FATES_APART"]
    assert any(isinstance(effect, ShowState) for effect in effects)


def test_a_bad_answer_changes_nothing() -> None:
    driven = Asked()
    driven.run(150)
    assert driven.handle(PublicSeen("lte", Family.IPV4, None, 300)) == []
    assert driven.core.state(driven.now).uplinks[1].public == (OTHER,)


def test_another_address_of_its_own_is_asked_about_soon_and_the_old_sight_is_forgotten() -> None:
    driven = Asked()
    driven.run(150)
    driven.change("lte", addresses=((Family.IPV4, "198.18.1.77"),))
    driven.run(5)
    assert driven.core.state(driven.now).uplinks[1].public == ()
    driven.run(120)
    assert len(driven.asked("lte")) == 2
    assert len(driven.asked("fibre")) == 1
    assert driven.core.state(driven.now).uplinks[1].public == (OTHER,)


def test_who_comes_back_is_asked_again_but_one_that_comes_and_goes_is_not_each_time() -> None:
    driven = Asked()
    driven.run(700)
    driven.cut.add("lte")
    driven.run(400)
    assert len(driven.asked("lte")) == 1  # never while it is dead
    for _ in range(5):
        driven.cut.clear()
        driven.run(200)
        driven.cut.add("lte")
        driven.run(60)
    asked = driven.asked("lte")[1:]
    assert asked
    assert all(after - before > sight.NOT_AGAIN_BEFORE_S - 1 for before, after in pairwise(asked))


def test_what_it_cost_is_charged_and_nothing_more() -> None:
    driven = Asked()
    budget = driven.core.lines["lte"].watch.budget
    driven.core.lines["lte"].sight.look_at = 1e9  # until we say so
    driven.run(100)
    before = budget.spent.day_bytes
    [ordered] = driven.core.lines["lte"].look_at_sight(2e9) or driven.core.lines["lte"].look_at_sight(2e9 + 100)
    assert budget.spent.day_bytes == before + ALLOWANCE_BYTES or budget.spent.day_bytes == ALLOWANCE_BYTES
    charged = budget.spent.day_bytes
    driven.core.handle(PublicSeen("lte", ordered.family, OTHER, 1_100), driven.now)
    assert budget.spent.day_bytes == charged - ALLOWANCE_BYTES + 1_100


def test_no_question_goes_out_on_the_reserve_of_a_plan_or_without_a_budget() -> None:
    reserved = Asked(metered=("lte",))
    line = reserved.core.lines["lte"]
    line.plan = replace_plan(line.plan)
    reserved.run(150)
    assert reserved.asked("lte") == []
    assert len(reserved.asked("fibre")) == 1
    poor = Asked()
    poor.core.lines["lte"].watch.budget.limits = replace(poor.core.lines["lte"].watch.budget.limits, day_bytes=1)
    poor.run(150)
    assert poor.asked("lte") == []


def replace_plan(plan: object) -> object:
    plan.metered, plan.used.bytes = Metered(1.0), 2_000_000  # type: ignore[attr-defined]
    return plan


def test_without_a_page_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.core.driven.station", station)
    driven = Asked()
    driven.run(150)
    assert driven.questions == []


@pytest.mark.parametrize(
    ("http", "seen", "asked_at"),
    [
        ("http://c:8080/siaga/check", None, "http://c:8080/siaga/seen"),
        ("http://c/x/siaga/check", None, "http://c/x/siaga/seen"),
        ("http://c/siaga/check?x=1", None, None),
        ("http://c/other", None, None),
        ("http://c/siaga/check", "http://d/siaga/seen", "http://d/siaga/seen"),
        (None, "http://d/siaga/seen", "http://d/siaga/seen"),
        (None, None, None),
    ],
)
def test_the_page_is_beside_the_check_page_unless_it_is_named(
    http: str | None, seen: str | None, asked_at: str | None
) -> None:
    plain: Station = station({"fibre": Kind.FIBRE})
    made = structs.replace(plain, check=http and Check(http, "x"), centre=structs.replace(plain.centre, seen=seen))
    assert made.seen_at == asked_at
