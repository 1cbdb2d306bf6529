"""When an uplink that died is looked at closely: once in an outage, seldom, within its budget, never for a cable."""

import pytest

from agent.core.budget import Budget, Caps, Spent
from agent.core.diagnosis import AGAIN_AFTER_S, ALLOWANCE_BYTES, Diagnosis
from agent.core.events import Diagnose, Diagnosed, Effect, Event
from tests.core.driven import Driven, settled
from wire.messages import Evidence, Fact

DEAD = Fact("UPLINK_DEAD", "fibre", "up", "dead", {"cause": "silence"})
POOR = Fact("UPLINK_POOR", "fibre", "dead", "poor", {"cause": "answers again, with loss"})
UP = Fact("UPLINK_UP", "fibre", "dead", "up", {"cause": "proven good"})
FOUND: Evidence = {"layer": "internet", "code": "CORE_SILENT", "last_hop": 3, "bytes": 2500}


def diagnosis(day_bytes: float = 1e6) -> tuple[Diagnosis, Budget]:
    budget = Budget(Caps(day_bytes, 30 * day_bytes), Spent(), 0.0)
    return Diagnosis("fibre", budget), budget


def recorded() -> tuple[Driven, list[list[Effect]]]:
    """A settled station, and the effects of each event from now on."""
    driven = settled()
    steps: list[list[Effect]] = []
    handle = driven.handle

    def record(event: Event) -> list[Effect]:
        steps.append(handle(event))
        return steps[-1]

    driven.handle = record  # type: ignore[method-assign]
    return driven, steps


def orders(steps: list[list[Effect]]) -> list[Diagnose]:
    return [effect for step in steps for effect in step if isinstance(effect, Diagnose)]


def test_an_uplink_that_dies_is_looked_at_and_pays_for_it() -> None:
    looked, budget = diagnosis()
    assert looked.hear(DEAD, 1.0) == Diagnose("fibre", ALLOWANCE_BYTES)
    assert budget.spent.day_bytes == budget.spent.month_bytes == ALLOWANCE_BYTES
    assert looked.done(FOUND) == Fact("UPLINK_DIAGNOSED", "fibre", evidence=FOUND)
    assert budget.spent.day_bytes == budget.spent.month_bytes == 2500


@pytest.mark.parametrize("spent", [None, "much", 10 * ALLOWANCE_BYTES])
def test_who_does_not_say_what_it_spent_pays_the_whole_allowance(spent: float | str | None) -> None:
    looked, budget = diagnosis()
    looked.hear(DEAD, 1.0)
    looked.done({"code": "DIAGNOSIS_FAILED", "bytes": spent})
    assert budget.spent.day_bytes == ALLOWANCE_BYTES


@pytest.mark.parametrize("cause", ["no carrier", "no such interface"])
def test_what_the_kernel_knows_is_not_asked_of_the_network(cause: str) -> None:
    looked, budget = diagnosis()
    assert looked.hear(Fact("UPLINK_DEAD", "fibre", "up", "dead", {"cause": cause}), 1.0) is None
    assert budget.spent.day_bytes == 0


def test_one_outage_is_looked_at_once_though_the_uplink_half_returns() -> None:
    looked, _ = diagnosis()
    assert looked.hear(DEAD, 1.0)
    for moment in (60.0, AGAIN_AFTER_S + 2, 10 * AGAIN_AFTER_S):
        assert looked.hear(POOR, moment) is None
        assert looked.hear(DEAD, moment + 1) is None
    assert looked.hear(UP, 20 * AGAIN_AFTER_S) is None
    assert looked.hear(DEAD, 20 * AGAIN_AFTER_S + 1)


def test_an_uplink_that_dies_again_and_again_is_looked_at_once_in_ten_minutes() -> None:
    looked, _ = diagnosis(1e9)
    begun = []
    for second in range(0, 3600, 30):
        looked.hear(UP, float(second))
        if looked.hear(DEAD, second + 10.0):
            begun.append(second)
    assert begun == [0, 600, 1200, 1800, 2400, 3000]


def test_a_budget_that_cannot_pay_is_left_alone() -> None:
    looked, budget = diagnosis(ALLOWANCE_BYTES - 1)
    skipped = looked.hear(DEAD, 1.0)
    assert isinstance(skipped, Fact)
    assert (skipped.code, skipped.uplink) == ("DIAGNOSIS_SKIPPED", "fibre")
    assert looked.hear(DEAD, 2.0) is None
    assert budget.spent.day_bytes == 0


def test_the_news_of_another_uplink_are_nothing_to_it() -> None:
    driven, steps = recorded()
    driven.cut.add("lte")
    driven.run(120)
    assert orders(steps) == [Diagnose("lte", ALLOWANCE_BYTES)]


def test_the_traffic_is_moved_before_anything_is_looked_at() -> None:
    driven, steps = recorded()
    driven.cut.add("fibre")
    driven.run(30)
    (step,) = [step for step in steps if orders([step])]
    kinds = [type(effect).__name__ for effect in step]
    assert kinds.index("SetRoutes") < kinds.index("Fact") < kinds.index("Diagnose")


def test_what_was_found_becomes_a_fact_of_that_uplink() -> None:
    driven = settled()
    driven.handle(Diagnosed("lte", FOUND))
    assert driven.fact("UPLINK_DIAGNOSED") == Fact("UPLINK_DIAGNOSED", "lte", evidence=FOUND)


def test_a_cable_that_is_pulled_orders_nothing() -> None:
    driven, steps = recorded()
    driven.change("fibre", carrier=False)
    driven.run(60)
    assert "UPLINK_DEAD" in driven.codes
    assert orders(steps) == []
