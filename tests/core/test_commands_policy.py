"""What the centre may command when: the whole table, against the rules as a person would say them."""

from itertools import product

import pytest

from agent.core.commands import RULES, Situation, refusal
from agent.core.decide import Phase
from wire.command import Kind, Why
from wire.messages import Health

EVERY = [
    Situation(*each)
    for each in product(Phase, Health, (False, True), (False, True), (None, *Health), *3 * [(False, True)])
]


def expected(kind: Kind, now: Situation) -> set[Why]:
    """All that stands against it, in no order."""
    calm = now.phase is Phase.NORMAL
    said = {
        Why.NO_SUCH_UPLINK: now.named is None and kind not in (Kind.AUTO, Kind.CONFIG),
        Why.PHASE_FORBIDS: not calm
        and (kind in (Kind.MEASURE, Kind.CONFIG) or (kind in (Kind.MOVE, Kind.DRILL) and now.carrying != Health.DEAD)),
        Why.BUSY: now.busy and kind is not Kind.AUTO,
        Why.BUDGET_FORBIDS: not now.paid and kind in (Kind.MEASURE, Kind.DIAGNOSE),
        Why.UPLINK_IN_USE: now.used and kind is Kind.MEASURE,
        Why.UPLINK_NOT_UP: (kind is Kind.MEASURE and now.named not in (Health.UP, None))
        or (kind is Kind.MOVE and now.named is Health.DEAD),
        Why.OPERATOR_DECIDES: now.overridden and kind is Kind.DRILL,
        Why.NO_STANDBY: not now.standby and kind is Kind.DRILL,
    }
    return {why for why, is_so in said.items() if is_so}


@pytest.mark.parametrize("kind", list(Kind))
def test_the_whole_table(kind: Kind) -> None:
    assert len(EVERY) == 3 * 4 * 2 * 2 * 5 * 8
    for now in EVERY:
        why, against = refusal(kind, now), expected(kind, now)
        assert (why in against) if against else why is None, (kind, now)


def test_every_kind_has_its_rules_and_no_other_is_obeyed() -> None:
    assert set(RULES) == set(Kind)
    assert refusal("reboot", Situation()) is Why.UNKNOWN_KIND


def test_auto_is_never_refused() -> None:
    assert {refusal(Kind.AUTO, now) for now in EVERY} == {None}
