"""The modem's edge asks a played ModemManager by the real mmcli: what it finds, what it tells, how seldom it asks."""

import time
from itertools import count, pairwise

import pytest

from agent.core.events import KernelSeen
from agent.core.routes import Link
from agent.edge.modem import Modems, Pace
from tests.edge.conftest import become
from tests.edge.modem_bus import AT_HOME, HOME, LTE, Heard, ModemBus, at_work, lines
from wire.messages import Signal


def test_an_lte_modem_is_found_set_up_and_told_whole(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        before = len(heard.events)
        await become(lambda: modem_bus.times("--signal-get") > 3)
        assert len(heard.events) == before

    heard = at_work(story)
    assert {event.uplink for event in heard.events} == {"lte"}
    assert modem_bus.times("--signal-setup=30") == 1


def test_a_signal_that_wanders_little_is_no_news_and_one_that_falls_is(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        before = len(heard.events)
        modem_bus.play(lte=LTE | {"rsrp": -99.0})
        asked = modem_bus.times("--signal-get")
        await become(lambda: modem_bus.times("--signal-get") > asked + 2)
        assert len(heard.events) == before
        modem_bus.play(lte=LTE | {"rsrp": -118.0, "snr": -32768.0})
        await become(lambda: heard.signal is not None and heard.signal.rsrp_dbm == -118.0)
        assert heard.signal is not None
        assert heard.signal.snr_db is None

    at_work(story)


def test_what_does_not_change_is_told_again_after_a_while(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: [event.signal for event in heard.events[-3:]] == [HOME] * 3)

    at_work(story, Pace(turn_s=0.05, tell_s=0.1, look_s=0.1))


@pytest.mark.parametrize("registration", ["denied", "roaming", "searching"])
def test_a_registration_that_changes_is_told(modem_bus: ModemBus, registration: str) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        modem_bus.play(registration=registration, operator="Celcom", operator_code="50219")
        await become(lambda: heard.signal is not None and heard.signal.registration == registration)
        assert heard.signal is not None
        assert (heard.signal.operator, heard.signal.operator_code) == ("Celcom", "50219")

    at_work(story)


def test_polling_that_somebody_ended_is_set_up_again_but_not_at_once(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        modem_bus.play(rate=0)
        await become(lambda: modem_bus.times("--signal-setup=30") == 2)
        asked = modem_bus.times("--signal-get")
        await become(lambda: modem_bus.times("--signal-get") > asked + 3)

    at_work(story)
    assert modem_bus.times("--signal-setup=30") == 2


def test_a_modem_that_refuses_polling_is_told_without_strengths(
    modem_bus: ModemBus, caplog: pytest.LogCaptureFixture
) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME | {"locked": True, "lte": {}})

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: modem_bus.times("--signal-setup=30") == 2)
        assert heard.signal == Signal("lte", None, None, None, None, "Telkomsel", "51010", "0A1B2C3D", "home")

    at_work(story)
    (refusal,) = (line for line in lines(caplog) if "setup" in line)
    assert refusal.startswith("the signal of lte --signal-setup=30 is not known: mmcli says: couldn't setup")
    assert "the modem is locked" in refusal


def test_a_modem_without_signal_and_place_is_told_by_its_registration(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    some = ("interface", "registration", "operator", "operator_code", "technology")
    modem_bus.start_manager(**{key: AT_HOME[key] for key in some})

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: modem_bus.times("--location-get") > 1)
        assert [event.signal for event in heard.events] == [
            Signal("lte", operator="Telkomsel", operator_code="51010", registration="home")
        ]

    at_work(story)


def test_a_modem_is_known_by_the_interface_of_its_bearer_too(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME | {"interface": "", "bearer": "wwan0"})

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)

    at_work(story)


def test_a_modem_of_another_interface_is_not_ours(modem_bus: ModemBus, caplog: pytest.LogCaptureFixture) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME | {"interface": "wwan7", "bearer": "wwan7"})

    async def story(heard: Heard, modems: Modems) -> None:
        await become(lambda: modem_bus.times("-L") > 2)
        assert heard.events == []
        links = (Link("wan0", index=1), Link("wwan7", index=2))
        modems.see(KernelSeen(links))
        await become(lambda: heard.signal == HOME)

    at_work(story)
    assert lines(caplog)[0] == "the signal of lte is not known: ModemManager knows no modem of lte"


def test_without_a_modem_there_is_one_line_and_looks_grow_rare(
    modem_bus: ModemBus, caplog: pytest.LogCaptureFixture
) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager()

    pauses: list[float] = []

    async def story(heard: Heard, modems: Modems) -> None:
        looks: dict[float | None, None] = {}
        await become(lambda: looks.setdefault(modems._looked_at) is None and len(looks) > 5)
        _, *at = (look for look in looks if look is not None)
        pauses.extend(after - before for before, after in pairwise(at))
        assert heard.events == []

    at_work(story, Pace(turn_s=0.05, look_s=0.05, look_at_most_s=0.2))
    assert lines(caplog) == ["the signal of lte is not known: ModemManager knows no modem of lte"]
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.2), strict=False))


def test_an_interface_that_comes_and_goes_does_not_make_it_look_more_often(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager()
    pace = Pace(turn_s=0.05, look_s=0.5)

    async def story(_: Heard, modems: Modems) -> None:
        index = count()
        await become(lambda: modems.see(flapping(next(index))) is None and modem_bus.times("-L") > 4)

    begun_s = time.monotonic()
    at_work(story, pace)
    assert modem_bus.times("-L") <= (time.monotonic() - begun_s) / pace.look_s + 1


def test_a_modem_that_vanishes_is_not_known_and_is_found_again(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        modem_bus.unplug()
        await become(lambda: heard.signal is None)
        modem_bus.play(**AT_HOME | {"cell": "0A1B2C3E"})
        await become(lambda: heard.signal is not None and heard.signal.cell_id == "0A1B2C3E")

    heard = at_work(story)
    assert [event.signal for event in heard.events].count(None) == 1
    assert modem_bus.times("--signal-setup=30") == 2


def test_a_modem_manager_that_comes_later_and_goes_is_found_and_missed(
    modem_bus: ModemBus, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: modem_bus.times("-L") > 2)
        modem_bus.start_bus()
        looks = modem_bus.times("-L")
        await become(lambda: modem_bus.times("-L") > looks + 2)
        modem_bus.start_manager(**AT_HOME)
        await become(lambda: heard.signal == HOME)
        modem_bus.stop_manager()
        await become(lambda: heard.signal is None)

    at_work(story)
    assert lines(caplog)[:2] == [
        "the signal of lte is not known: mmcli says: couldn't get bus: Could not connect: No such file or directory",
        "the signal of lte is not known: mmcli says: couldn't find the ModemManager process in the bus",
    ]


def test_no_more_than_one_question_is_put_to_a_modem_in_a_turn(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)
    pace = Pace(turn_s=0.2, tell_s=60, look_s=0.1, setup_s=60)

    async def story(heard: Heard, modems: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        index = count()
        await become(lambda: modems.see(flapping(next(index))) is None and modem_bus.times("-m ") > 12)

    begun_s = time.monotonic()
    at_work(story, pace)
    turns = (time.monotonic() - begun_s) / pace.turn_s
    assert (
        12 < modem_bus.times("-m ") <= turns + 2
    )  # one more finds it, another one comes at the beginning of the first turn
    assert modem_bus.times("-L") == 1


def flapping(index: int) -> KernelSeen:
    return KernelSeen((Link("wan0"), Link("wwan0", index=index)))
