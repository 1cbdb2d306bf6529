"""What people ordered lasts as long as they said, and its end is told."""

from agent.core.decide import Phase
from agent.core.events import OverrideAsked, OverrideEnded, PhaseSet
from agent.core.memory import Memory
from agent.core.orders import Orders


def test_a_phase_ends_by_itself_and_is_remembered_with_what_is_left_of_it() -> None:
    orders = Orders(Memory(), 0.0)
    assert [fact.code for fact in orders.obey(PhaseSet(Phase.COUNT, 60.0), 10.0)] == ["PHASE_SET"]
    assert (orders.phase, list(orders.ends()), orders.phase_left_s(30.0)) == (Phase.COUNT, [70.0], 40.0)
    assert list(orders.expire(69.9)) == []
    (ended,) = orders.expire(70.0)
    assert (ended.code, ended.before, ended.after) == ("PHASE_SET", Phase.COUNT, Phase.NORMAL)
    assert (orders.phase, list(orders.ends()), orders.phase_left_s(71.0)) == (Phase.NORMAL, [], None)


def test_a_phase_goes_on_after_a_restart_for_what_was_left() -> None:
    orders = Orders(Memory(phase="upload", phase_left_s=40.0), 1000.0)
    assert (orders.phase, list(orders.ends())) == (Phase.UPLOAD, [1040.0])


def test_an_uplink_that_was_asked_for_is_given_back_in_time_or_by_hand() -> None:
    orders = Orders(Memory(), 0.0)
    list(orders.obey(OverrideAsked("lte", 60.0), 10.0))
    assert (orders.uplink, list(orders.expire(69.9)), list(orders.ends())) == ("lte", [], [70.0])
    assert [fact.evidence["reason"] for fact in orders.expire(70.0)] == ["its time is over"]
    assert (orders.uplink, list(orders.expire(71.0))) == (None, [])
    assert list(orders.obey(OverrideEnded(), 72.0)) == []
    list(orders.obey(OverrideAsked("lte"), 73.0))
    assert list(orders.expire(10.0**9)) == []
    assert [fact.evidence["reason"] for fact in orders.obey(OverrideEnded(), 74.0)] == ["an operator ended it"]
