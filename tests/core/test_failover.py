"""The five steps together: what a station does when its links fail, and what it leaves alone."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.events import (
    KernelSeen,
    OverrideAsked,
    OverrideEnded,
    SendEchoes,
    SetRoutes,
    ShowState,
    Tick,
)
from agent.core.failover import Failover
from agent.core.judge import LIMITS
from agent.core.pace import PACES, Mood
from agent.core.report import SUMMARY_EVERY_S
from agent.core.routes import ACTIVE_TABLE
from agent.core.station import Family, Kind
from tests.core.driven import TARGETS, Driven, settled, station
from wire.messages import Active, Fact, Health

THREE = {"fibre": Kind.FIBRE, "lte": Kind.LTE, "geo": Kind.GEO}


def cut_for(driven: Driven, uplink: str, seconds: float) -> None:
    driven.cut.add(uplink)
    driven.run(seconds)
    driven.cut.remove(uplink)


# what moves nothing


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(Kind), slower=st.floats(0.9, 1.2), phase=st.floats(0, 1), share=st.floats(0, 0.99))
@example(kind=Kind.GEO, slower=1.1, phase=0.62, share=0.99)
def test_a_cut_that_the_link_must_survive_moves_nothing_at_whatever_moment_it_comes(
    kind: Kind, slower: float, phase: float, share: float
) -> None:
    """Also what was on its way when the cut began is lost: silence may be longer than the cut by a whole RTT."""
    driven = settled(home=kind, lte=Kind.LTE)
    driven.rtt_s["home"] *= slower
    driven.run(20 + phase)
    cut_for(driven, "home", LIMITS[kind].floor_s * share)
    driven.run(5)
    assert driven.facts == []


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(Kind), phase=st.floats(0, 1))
def test_a_cut_longer_than_that_and_than_the_wait_for_an_answer_always_moves_traffic(kind: Kind, phase: float) -> None:
    driven = settled(home=kind, lte=Kind.LTE)
    driven.run(phase)
    cut_for(
        driven,
        "home",
        PACES[kind][Mood.CARRYING] + PACES[kind][Mood.DOUBT] + LIMITS[kind].floor_s + 4 * driven.rtt_s["home"],
    )
    assert driven.moves == [("home", "lte")]


@pytest.mark.parametrize("targets", [2, 3])
def test_one_dead_target_moves_nothing(targets: int) -> None:
    driven = settled(TARGETS[:targets])
    driven.dead_targets.add(TARGETS[0])
    driven.run(600)
    assert {(fact.code, fact.evidence["target"]) for _, fact in driven.facts} == {("TARGET_SILENT", TARGETS[0])}
    assert len(driven.facts) == 2  # once for each uplink
    assert all(uplink.loss == 0 for uplink in driven.core.state(driven.now).uplinks)


def test_a_target_that_answers_again_is_trusted_again() -> None:
    driven = settled()
    driven.dead_targets.add(TARGETS[0])
    driven.run(60)
    driven.dead_targets.clear()
    driven.run(600)
    assert [fact.uplink for _, fact in driven.facts if fact.code == "TARGET_ANSWERS"] == ["fibre"]


def test_two_dead_targets_of_three_are_a_poor_link_and_not_a_dead_one() -> None:
    driven = settled()
    driven.dead_targets.update(TARGETS[:2])
    driven.run(60)
    assert driven.health("fibre") is Health.POOR


def test_a_target_that_is_dead_from_the_start_keeps_no_link_from_being_good() -> None:
    driven = Driven()
    driven.dead_targets.add(TARGETS[0])
    driven.run(20)
    assert driven.health("fibre") is Health.UP


def test_a_stall_of_our_own_is_not_read_as_a_links_silence() -> None:
    driven = settled()
    for _ in range(5):
        driven.stall(10)
        driven.run(3)
    assert driven.facts == []


@pytest.mark.parametrize("event", ["picture", "move", "auto"])
def test_nor_is_it_when_something_else_is_heard_before_the_answers_that_waited(event: str) -> None:
    driven = settled()
    driven.now += 10
    asked = {"picture": driven.picture(), "move": OverrideAsked("fibre"), "auto": OverrideEnded()}[event]
    driven.handle(asked)
    driven.stall(0)
    driven.run(60)
    assert not any(code.startswith("UPLINK") for code in driven.codes)
    assert driven.moves == []


def test_a_stall_longer_than_the_memory_leaves_the_agent_able_to_judge() -> None:
    driven = settled()
    driven.stall(100)
    driven.cut.add("fibre")
    driven.run(5)
    assert driven.health("fibre") is Health.DEAD
    driven.cut.remove("fibre")
    driven.run(60)
    assert driven.health("fibre") is Health.UP


def test_the_same_picture_again_changes_nothing() -> None:
    driven = settled()
    wishes = driven.wishes
    for _ in range(10):
        driven.see()
    assert (driven.facts, driven.wishes) == ([], wishes)


# what moves traffic


def test_a_dead_uplink_is_left_and_the_reason_is_told() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.run(3)
    assert driven.active == "lte"
    assert driven.codes == ["UPLINK_DEAD", "TRAFFIC_MOVED"]
    assert driven.fact("UPLINK_DEAD").evidence["cause"] == "silence"
    assert driven.fact("TRAFFIC_MOVED").evidence == {"families": "ipv4", "reason": "fibre is dead"}


def test_a_cable_that_is_out_moves_traffic_in_the_same_moment() -> None:
    driven = settled()
    driven.change("fibre", carrier=False)
    assert driven.active == "lte"
    assert driven.fact("UPLINK_DEAD").evidence["cause"] == "no carrier"


def test_an_uplink_by_which_nothing_can_be_sent_is_left_but_not_called_silent() -> None:
    driven = settled()
    driven.unsendable.add("fibre")
    driven.run(3)
    assert driven.active == "lte"
    assert driven.fact("UPLINK_DEAD").evidence["cause"] == "nothing could be sent"


def test_a_renewed_gateway_moves_nothing_and_is_told() -> None:
    driven = settled()
    driven.change("fibre", gateways=())
    driven.run(0.2)
    driven.change("fibre", gateways=((Family.IPV4, "198.18.0.254"),))
    driven.run(5)
    assert driven.active == "fibre"
    assert driven.codes == ["GATEWAY_CHANGED"]


def test_an_uplink_without_a_gateway_is_left() -> None:
    driven = settled()
    driven.change("fibre", gateways=())
    assert driven.active == "fibre"  # a DHCP renew looks like this for a moment
    driven.run(0.6)
    assert driven.active == "lte"
    assert driven.fact("UPLINK_DEAD").evidence["cause"] == "no gateway"


def test_an_interface_that_is_gone_is_left_and_asked_nothing() -> None:
    driven = settled()
    driven.change("fibre", carrier=False, index=None, gateways=(), addresses=())
    driven.run(10)
    assert driven.fact("UPLINK_DEAD").evidence["cause"] == "no such interface"
    driven.run(SUMMARY_EVERY_S)
    driven.run(SUMMARY_EVERY_S)
    assert driven.summaries[-1].uplinks[0].sent == 0


def test_a_link_that_loses_a_third_is_left_for_a_good_one_while_it_still_answers() -> None:
    driven = settled()
    chance = random.Random(5)
    for _ in range(120):
        driven.cut = {"fibre"} if chance.random() < 0.34 else set()
        driven.run(0.2)
    assert driven.health("fibre") is Health.POOR
    assert driven.moves == [("fibre", "lte")]


def test_the_routes_come_before_the_facts_about_them() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.run(3)
    effects = driven.told
    assert isinstance(effects[0], SetRoutes)
    assert isinstance(effects[1], Fact)
    assert isinstance(effects[-1], ShowState)


# coming home


@pytest.mark.parametrize("kind", Kind)
def test_traffic_comes_home_to_a_link_that_has_proven_good(kind: Kind) -> None:
    driven = settled(home=kind, lte=Kind.LTE)
    cut_for(driven, "home", 20)
    driven.run(60)
    assert driven.moves == [("home", "lte"), ("lte", "home")]
    assert driven.active == "home"


def test_traffic_does_not_come_home_to_a_link_that_comes_and_goes() -> None:
    driven = settled()
    for _ in range(30):
        cut_for(driven, "fibre", 4)
        driven.run(4)
    assert driven.moves == [("fibre", "lte")]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(THREE)), st.booleans(), st.floats(0.1, 20)),
        max_size=12,
    )
)
def test_whatever_the_weather_traffic_is_never_left_on_a_dead_uplink_while_a_good_one_answers_and_it_comes_home(
    weather: list[tuple[str, bool, float]],
) -> None:
    driven = settled(**THREE)
    for uplink, dead, seconds in weather:
        (driven.cut.add if dead else driven.cut.discard)(uplink)
        driven.run(seconds)
        answering = set(THREE) - driven.cut
        driven.run(2)  # who has just come back must answer first
        active = driven.active
        assert active is not None
        if driven.health(active) is Health.DEAD:
            assert not any(driven.health(name) is Health.UP for name in answering)
    driven.cut.clear()
    driven.run(400)  # six relapses hold an uplink for 160 s
    assert driven.active == "fibre"
    assert all(driven.health(name) is Health.UP for name in THREE)


# everything dead


def test_nothing_is_torn_down_when_everything_is_dead_and_it_is_told_once() -> None:
    driven = settled(**THREE)
    before = driven.wish
    driven.cut.update(("lte", "geo"))
    driven.run(10)
    driven.cut.add("fibre")
    driven.run(600)
    assert driven.wish == before
    assert driven.moves == []
    assert driven.codes.count("NO_UPLINK") == 1


def test_the_first_to_answer_again_gets_the_traffic_before_it_has_proven_good() -> None:
    driven = settled(**THREE)
    driven.cut.update(THREE)
    driven.run(30)
    driven.cut.discard("lte")
    driven.run(4)
    assert driven.health("lte") is Health.DEAD
    assert driven.active == "lte"


def test_a_second_time_when_everything_is_dead_is_told_again() -> None:
    driven = settled()
    for _ in range(2):
        driven.cut.update(("fibre", "lte"))
        driven.run(10)
        driven.cut.clear()
        driven.run(60)
    assert driven.codes.count("NO_UPLINK") == 2


def test_cables_that_are_all_out_leave_the_rules_as_they_were() -> None:
    driven = settled()
    rules = driven.wish.rules
    for name in ("fibre", "lte"):
        driven.change(name, carrier=False)
    driven.run(60)
    assert driven.wish.rules == rules
    assert any(route.table == ACTIVE_TABLE for route in driven.wish.routes)


# the operator's choice


def test_an_operators_choice_is_followed_at_once_and_ends_by_itself() -> None:
    driven = settled()
    driven.handle(OverrideAsked("lte", 30))
    assert driven.active == "lte"
    driven.run(29.9)
    assert driven.active == "lte"
    driven.run(0.4)
    assert driven.codes == ["OVERRIDE_SET", "TRAFFIC_MOVED", "OVERRIDE_ENDED", "TRAFFIC_MOVED"]
    assert driven.fact("OVERRIDE_ENDED").evidence == {"reason": "its time is over"}
    assert driven.active == "fibre"


def test_an_operators_choice_without_an_end_holds_until_it_is_given_back() -> None:
    driven = settled()
    driven.handle(OverrideAsked("lte"))
    driven.cut.add("lte")
    driven.run(1200)
    assert driven.active == "lte"
    driven.cut.clear()
    driven.handle(OverrideEnded())
    assert driven.active == "fibre"
    assert driven.fact("OVERRIDE_ENDED").evidence == {"reason": "an operator ended it"}


def test_giving_back_what_was_never_taken_says_nothing() -> None:
    driven = settled()
    driven.handle(OverrideEnded())
    assert driven.facts == []


def test_a_new_choice_stands_in_place_of_the_old_one_and_its_end() -> None:
    driven = settled(**THREE)
    driven.handle(OverrideAsked("lte", 5))
    driven.handle(OverrideAsked("geo"))
    driven.run(60)
    assert driven.active == "geo"


# what the kernel says


def test_a_gateway_that_changed_is_followed_and_told() -> None:
    driven = settled()
    driven.change("fibre", gateways=((Family.IPV4, "198.18.0.254"),))
    fact = driven.fact("GATEWAY_CHANGED")
    assert (fact.uplink, fact.before, fact.after) == ("fibre", "198.18.0.1", "198.18.0.254")
    assert "198.18.0.254" in {route.gateway for route in driven.wish.routes}
    assert driven.moves == []


def test_each_family_decides_for_itself() -> None:
    driven = settled()
    both = ((Family.IPV4, "198.18.1.1"), (Family.IPV6, "fe80::1"))
    driven.change("lte", gateways=both)
    state = driven.core.state(driven.now).active
    assert (state.ipv4, state.ipv6) == ("fibre", "lte")


def test_a_restarted_agent_goes_on_with_what_its_predecessor_decided() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.run(5)
    before = driven.wish
    driven.facts.clear()
    driven.restart()
    assert driven.active == "lte"
    assert driven.wish.routes == before.routes
    assert driven.moves == []
    driven.run(30)
    assert driven.moves == []
    driven.cut.clear()
    driven.run(30)
    assert driven.moves == [("lte", "fibre")]


def test_a_choice_that_was_noted_and_not_done_is_done_by_the_next_agent_at_once() -> None:
    driven = settled()
    driven.cut.add("fibre")
    driven.facts.clear()
    driven.restart(Active("lte", "lte"))
    assert driven.active == "lte"
    driven.run(30)
    assert driven.moves == []
    assert driven.health("fibre") is Health.DEAD


@pytest.mark.parametrize("chosen", [Active(), Active("gone", "gone")])
def test_a_note_that_names_no_uplink_leaves_what_the_kernel_has(chosen: Active) -> None:
    driven = settled()
    driven.restart(chosen)
    assert driven.active == "fibre"


def test_a_restarted_agent_does_not_take_over_a_route_by_a_device_that_is_none_of_its_uplinks() -> None:
    driven = settled()
    core = Failover(driven.station, driven.now)
    core.handle(KernelSeen(tuple(driven.links.values()), ((Family.IPV4, "tun0"),)), driven.now)
    assert core.state(driven.now).active.ipv4 == "fibre"


def test_before_the_kernel_has_been_seen_nothing_is_wished_asked_or_judged() -> None:
    core = Failover(station(THREE), 0.0)
    effects = [effect for tenth in range(300) for effect in core.handle(Tick(), tenth / 10)]
    assert not any(isinstance(effect, SetRoutes | SendEchoes | Fact) for effect in effects)
