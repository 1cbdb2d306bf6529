"""What the centre commands, driven through the core: what it begins, what is answered, and what stands in history."""

import math
from typing import Any

import pytest

from agent.core.commands import PATIENCE_S
from agent.core.decide import Phase
from agent.core.diagnosis import ALLOWANCE_BYTES
from agent.core.drill import STAY_S, WAIT_S
from agent.core.events import (
    Answer,
    BandwidthMeasured,
    Commanded,
    Configure,
    Diagnose,
    Diagnosed,
    Effect,
    Event,
    HandedOver,
    MeasureBandwidth,
    NotMeasured,
    OverrideAsked,
    OverrideEnded,
    PhaseSet,
    SetRoutes,
    Tick,
)
from agent.core.trials import COST_BYTES
from tests.core.driven import Driven, settled
from tests.core.test_trials import found
from wire.command import Command, Kind, Result, Status, Why

STATION = "6408042001143"
BY = "Siti Rahma"


class Obeying(Driven):
    """The kernel sets routes a moment after they are wished; answers are kept."""

    slow_s = 0.01
    answers: list[Result]
    is_obedient = True

    def handle(self, event: Event) -> list[Effect]:
        effects = super().handle(event)
        for effect in effects:
            if isinstance(effect, Answer):
                self.answers.append(effect.result)
            if isinstance(effect, SetRoutes) and self.is_obedient:
                self._expect(self.now + self.slow_s, HandedOver(True, 3.5, 2, 1))
        return effects

    def command(self, kind: str, **arguments: Any) -> list[Effect]:
        command = Command(STATION, f"id-{kind}", kind, BY, 0.0, None, arguments=arguments)
        return self.handle(Commanded(command))

    @property
    def answer(self) -> Result:
        return self.answers[-1]


@pytest.fixture
def driven() -> Obeying:
    ready = settled()
    ready.__class__ = Obeying
    assert isinstance(ready, Obeying)
    ready.answers = []
    return ready


def outcome(driven: Obeying) -> tuple[Status, str]:
    return driven.answer.status, driven.answer.code


def test_traffic_is_moved_for_a_while_and_the_history_says_by_whom(driven: Obeying) -> None:
    driven.command(Kind.MOVE, uplink="lte", for_s=60)
    assert driven.active == "lte"
    assert outcome(driven) == (Status.DONE, "COMMAND_DONE")
    told = driven.fact("COMMAND_DONE")
    assert (told.uplink, told.evidence["by"], told.evidence["kind"], told.evidence["id"]) == (
        "lte",
        BY,
        "move",
        "id-move",
    )
    driven.run(61)
    assert driven.active == "fibre"


def test_auto_gives_the_decision_back_and_may_come_when_there_is_nothing_to_give(driven: Obeying) -> None:
    driven.command(Kind.MOVE, uplink="lte", for_s=3600)
    driven.command(Kind.AUTO)
    driven.run(1)
    assert driven.active == "fibre"
    driven.command(Kind.AUTO)
    assert [answer.status for answer in driven.answers] == [Status.DONE] * 3


@pytest.mark.parametrize(
    ("kind", "arguments", "code"),
    [
        (Kind.MOVE, {}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte"}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte", "for_s": 0}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte", "for_s": -1}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte", "for_s": math.nan}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte", "for_s": math.inf}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "lte", "for_s": "60"}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": 7, "for_s": 60}, Why.BAD_ARGUMENTS),
        (Kind.MOVE, {"uplink": "geo", "for_s": 60}, Why.NO_SUCH_UPLINK),
        (Kind.DRILL, {"for_s": 4}, Why.BAD_ARGUMENTS),
        (Kind.DRILL, {"for_s": 121}, Why.BAD_ARGUMENTS),
        (Kind.DRILL, {"uplink": 1}, Why.BAD_ARGUMENTS),
        (Kind.DRILL, {"uplink": "geo"}, Why.NO_SUCH_UPLINK),
        (Kind.DRILL, {"uplink": "fibre"}, Why.NO_STANDBY),
        (Kind.MEASURE, {}, Why.BAD_ARGUMENTS),
        (Kind.MEASURE, {"uplink": "geo"}, Why.NO_SUCH_UPLINK),
        (Kind.DIAGNOSE, {"uplink": None}, Why.BAD_ARGUMENTS),
        ("reboot", {}, Why.UNKNOWN_KIND),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_changes_nothing(
    kind: str, arguments: dict[str, Any], code: str, driven: Obeying
) -> None:
    driven.command(kind, **arguments)
    assert outcome(driven) == (Status.REFUSED, code)
    assert driven.codes == ["COMMAND_REFUSED"]
    assert driven.fact("COMMAND_REFUSED").evidence["why"] == code
    assert (driven.active, driven.moves) == ("fibre", [])


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.UPLOAD])
def test_while_votes_are_counted_nothing_is_moved_that_works(phase: Phase, driven: Obeying) -> None:
    driven.handle(PhaseSet(phase))
    for kind, arguments in ((Kind.MOVE, {"uplink": "lte", "for_s": 60}), (Kind.DRILL, {}), (Kind.CONFIG, {})):
        driven.command(kind, **arguments)
        assert outcome(driven) == (Status.REFUSED, Why.PHASE_FORBIDS)
    assert driven.moves == []


def test_while_votes_are_counted_a_station_that_is_cut_off_may_be_moved(driven: Obeying) -> None:
    driven.handle(PhaseSet(Phase.COUNT))
    driven.cut |= {"fibre", "lte"}
    driven.run(60)
    assert driven.codes[-1] == "NO_UPLINK"
    driven.command(Kind.MOVE, uplink="lte", for_s=60)
    assert outcome(driven) == (Status.REFUSED, Why.UPLINK_NOT_UP)
    driven.cut.discard("lte")
    driven.handle(OverrideAsked("fibre"))
    driven.run(60)
    assert driven.active == "fibre"
    driven.command(Kind.MOVE, uplink="lte", for_s=60)
    assert (outcome(driven), driven.active) == ((Status.DONE, "COMMAND_DONE"), "lte")


def test_a_measurement_is_ordered_and_its_figures_are_the_answer(driven: Obeying) -> None:
    effects = driven.command(Kind.MEASURE, uplink="lte")
    assert MeasureBandwidth("lte", COST_BYTES) in effects
    assert driven.answers == []
    driven.handle(BandwidthMeasured("fibre", found(uplink="fibre")))
    assert driven.answers == []
    driven.handle(BandwidthMeasured("lte", found()))
    assert outcome(driven) == (Status.DONE, "COMMAND_DONE")
    assert driven.answer.evidence["up_mbps"] == 5.0


def test_a_measurement_without_a_result_has_failed(driven: Obeying) -> None:
    driven.command(Kind.MEASURE, uplink="lte")
    driven.handle(NotMeasured("lte", "quiet hours", 0))
    assert (outcome(driven), driven.answer.text) == ((Status.FAILED, Why.NO_RESULT), "quiet hours")
    assert driven.codes[-1] == "COMMAND_FAILED"


def test_one_at_a_time_and_nobody_waits_for_ever(driven: Obeying) -> None:
    driven.command(Kind.MEASURE, uplink="lte")
    driven.command(Kind.DIAGNOSE, uplink="lte")
    assert outcome(driven) == (Status.REFUSED, Why.BUSY)
    driven.run(PATIENCE_S + 1)
    assert outcome(driven) == (Status.FAILED, Why.NO_RESULT)
    assert driven.answer.id == "id-measure"
    driven.command(Kind.DIAGNOSE, uplink="lte")
    assert driven.answers[-1].id == "id-measure"


def test_a_measurement_that_the_budget_does_not_allow_is_refused(driven: Obeying) -> None:
    driven.core._lines["lte"].watch.budget.charge(10**9)
    for kind in (Kind.MEASURE, Kind.DIAGNOSE):
        driven.command(kind, uplink="lte")
        assert outcome(driven) == (Status.REFUSED, Why.BUDGET_FORBIDS)


def test_a_look_is_paid_in_advance_and_what_was_found_is_the_answer(driven: Obeying) -> None:
    budget = driven.core._lines["lte"].watch.budget
    before = budget.spent.day_bytes
    effects = driven.command(Kind.DIAGNOSE, uplink="lte")
    assert [effect for effect in effects if isinstance(effect, Diagnose)] == [Diagnose("lte", ALLOWANCE_BYTES)]
    assert budget.spent.day_bytes == before + ALLOWANCE_BYTES
    driven.handle(Diagnosed("lte", {"code": "NO_FAULT", "bytes": 5000}))
    assert (outcome(driven), driven.answer.evidence["bytes"]) == ((Status.DONE, "COMMAND_DONE"), 5000)
    assert budget.spent.day_bytes == before + 5000
    assert driven.codes == ["UPLINK_DIAGNOSED", "COMMAND_DONE"]


def test_a_configuration_is_handed_to_who_can_try_it(driven: Obeying) -> None:
    effects = driven.command(Kind.CONFIG, version=7, hash="x", text="y")
    assert [effect.command.id for effect in effects if isinstance(effect, Configure)] == ["id-config"]
    assert driven.answers == []


# the drill


def test_a_drill_goes_to_the_standby_stays_and_comes_back_and_tells_its_times(driven: Obeying) -> None:
    driven.command(Kind.DRILL)
    assert driven.active == "lte"
    driven.run(STAY_S - 1)
    assert (driven.active, driven.answers) == ("lte", [])
    driven.run(2)
    assert driven.active == "fibre"
    assert outcome(driven) == (Status.DONE, "COMMAND_DONE")
    told = driven.answer.evidence
    assert (told["home"], told["standby"], told["stay_s"], told["loss"]) == ("fibre", "lte", STAY_S, 0.0)
    assert told["away_s"] == told["back_s"] == pytest.approx(driven.slow_s)
    assert told["away_routes_ms"] == told["back_routes_ms"] == 3.5
    assert driven.moves == [("fibre", "lte"), ("lte", "fibre")]
    assert driven.core._orders.uplink is None


def test_a_drill_comes_back_even_when_the_count_begins_meanwhile(driven: Obeying) -> None:
    driven.command(Kind.DRILL, uplink="lte", for_s=10)
    driven.run(5)
    driven.handle(PhaseSet(Phase.COUNT))
    driven.run(10)
    assert (driven.active, outcome(driven)) == ("fibre", (Status.DONE, "COMMAND_DONE"))


def test_a_standby_that_dies_ends_the_drill_at_once(driven: Obeying) -> None:
    driven.command(Kind.DRILL, for_s=120)
    driven.run(1)
    driven.cut.add("lte")
    driven.run(15)
    assert driven.active == "fibre"
    assert outcome(driven) == (Status.FAILED, Why.DRILL_FAILED)
    assert driven.answer.text == "lte died as soon as it carried traffic"


def test_a_home_that_dies_meanwhile_is_not_gone_back_to(driven: Obeying) -> None:
    driven.command(Kind.DRILL)
    driven.run(1)
    driven.cut.add("fibre")
    driven.run(STAY_S + 1)
    assert driven.active == "lte"
    assert outcome(driven) == (Status.FAILED, Why.DRILL_FAILED)
    assert driven.core._orders.uplink is None


def test_a_kernel_that_does_not_follow_ends_the_drill(driven: Obeying) -> None:
    driven.is_obedient = False
    driven.command(Kind.DRILL)
    driven.run(WAIT_S + 1)
    assert outcome(driven) == (Status.FAILED, Why.DRILL_FAILED)
    assert (driven.active, driven.core._orders.uplink) == ("fibre", None)


@pytest.mark.parametrize("event", [OverrideAsked("fibre"), OverrideEnded()])
def test_an_operator_at_the_station_ends_a_drill_and_keeps_his_choice(event: Event, driven: Obeying) -> None:
    driven.command(Kind.DRILL)
    driven.run(1)
    driven.handle(event)
    assert (driven.active, outcome(driven)) == ("fibre", (Status.FAILED, Why.DRILL_FAILED))
    driven.run(200)
    assert driven.active == "fibre"
    assert (driven.core._orders.uplink is None) == isinstance(event, OverrideEnded)


def test_auto_ends_a_drill_too(driven: Obeying) -> None:
    driven.command(Kind.DRILL)
    driven.run(1)
    driven.command(Kind.AUTO)
    assert [(each.id, each.status) for each in driven.answers] == [
        ("id-drill", Status.FAILED),
        ("id-auto", Status.DONE),
    ]
    driven.run(1)
    assert driven.active == "fibre"


def test_a_drill_does_not_take_an_operators_choice_away(driven: Obeying) -> None:
    driven.handle(OverrideAsked("fibre"))
    driven.command(Kind.DRILL)
    assert outcome(driven) == (Status.REFUSED, Why.OPERATOR_DECIDES)


def test_a_dead_standby_cannot_be_rehearsed_with(driven: Obeying) -> None:
    driven.cut.add("lte")
    driven.run(120)
    driven.command(Kind.DRILL)
    assert outcome(driven) == (Status.REFUSED, Why.NO_STANDBY)


def test_commands_do_not_make_the_core_spin(driven: Obeying) -> None:
    driven.command(Kind.DRILL)
    driven.command(Kind.MEASURE, uplink="lte")
    for _ in range(2000):
        driven.now = max(driven.now, driven.core.wake_at())
        driven.handle(Tick())
    assert driven.now > 60
