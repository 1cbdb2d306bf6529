"""A modem's signal: what mmcli says, what of it is believed, when it is news, and that it never moves traffic."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import signal
from agent.core.events import Effect, ShowState, SignalSeen
from agent.core.report import SUMMARY_EVERY_S
from agent.core.signal import HYSTERESIS_DB, LASTS_S, LONGEST_NAME, TOLD_EVERY_S, Modem, Reception, Strengths
from tests.core.driven import settled
from wire import evidence
from wire.messages import Fact, Signal

MODEM = {  # as mmcli 1.20.4 says it, less what nobody reads
    "modem": {
        "3gpp": {
            "imei": "--",
            "operator-code": "51010",
            "operator-name": "Telkomsel",
            "registration-state": "home",
        },
        "generic": {
            "access-technologies": ["lte"],
            "bearers": ["/org/freedesktop/ModemManager1/Bearer/0"],
            "ports": ["cdc-wdm0 (qmi)", "ttyUSB2 (at)", "wwan0 (net)"],
            "state": "connected",
        },
    }
}
STRENGTHS = {
    "modem": {
        "signal": {
            "5g": {"error-rate": "--", "rsrp": "--", "rsrq": "--", "snr": "--"},
            "gsm": {"error-rate": "--", "rssi": "--"},
            "lte": {"error-rate": "--", "rsrp": "-97.00", "rsrq": "-11.00", "rssi": "-67.00", "snr": "9.20"},
            "refresh": {"rate": "30"},
            "umts": {"ecio": "--", "error-rate": "--", "rscp": "--", "rssi": "--"},
        }
    }
}
CELL = {"modem": {"location": {"3gpp": {"cid": "0A1B2C3D", "lac": "FFFE", "mcc": "510", "mnc": "10", "tac": "1234"}}}}
GOOD = Signal("lte", -97.0, -11.0, 9.2, -67.0, "Telkomsel", "51010", "0A1B2C3D", "home")


def said(value: object) -> bytes:
    return json.dumps(value).encode()


def measured(**figures: str) -> Strengths:
    return signal.strengths(said({"modem": {"signal": {"lte": figures}}}))


def lte(**figures: str) -> Signal:
    return signal.signal(Modem(technologies=("lte",)), measured(**figures), None)


# what mmcli says


def test_everything_that_mmcli_says_becomes_one_signal() -> None:
    modem = signal.modem(said(MODEM))
    assert (modem.interfaces, modem.bearers) == (("wwan0",), ("/org/freedesktop/ModemManager1/Bearer/0",))
    assert signal.signal(modem, signal.strengths(said(STRENGTHS)), signal.cell_id(said(CELL))) == GOOD


def test_modems_and_the_interface_of_a_bearer_are_found() -> None:
    assert signal.paths(b'{"modem-list":["/org/freedesktop/ModemManager1/Modem/0"]}') == (
        "/org/freedesktop/ModemManager1/Modem/0",
    )
    assert signal.paths(b'{"modem-list":[]}') == ()
    assert signal.interface(b'{"bearer":{"status":{"connected":"yes","interface":"qmapmux0.0"}}}') == "qmapmux0.0"
    assert signal.interface(b'{"bearer":{"status":{"interface":"--"}}}') is None


@pytest.mark.parametrize(
    "answer", [{}, [], None, 7, {"modem": []}, {"modem": {"generic": None, "3gpp": "--"}}], ids=str
)
def test_whatever_is_missing_is_not_known(answer: Any) -> None:
    empty = signal.modem(said(answer)), signal.strengths(said(answer)), signal.cell_id(said(answer))
    assert signal.signal(*empty) == Signal()
    assert not empty[1].is_set_up
    assert signal.paths(said(answer)) == ()


def test_dashes_are_nothing() -> None:
    dashes = {"modem": {"3gpp": {"operator-name": "--", "registration-state": "--"}, "generic": {"ports": []}}}
    assert signal.modem(said(dashes)) == Modem()
    assert measured(rsrp="--", rsrq="", snr="-").figures["lte"] == {}
    assert signal.cell_id(b'{"modem":{"location":{"3gpp":{"cid":"00000000"}}}}') is None


def test_an_unknown_registration_is_none() -> None:
    assert signal.modem(b'{"modem":{"3gpp":{"registration-state":"unknown"}}}').registration is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"error: couldn't find modem", b"{", b"\xff", b'{"modem": {]', b"[" * 60_000],
    ids=lambda b: repr(b[:9]),
)
def test_what_is_no_json_is_refused(answer: bytes) -> None:
    for read in (signal.paths, signal.modem, signal.strengths, signal.cell_id, signal.interface):
        with pytest.raises(signal.Unreadable, match="does not answer in JSON"):
            read(answer)


KEYS = ("modem", "3gpp", "generic", "signal", "lte", "rsrp", "refresh", "rate", "ports", "location", "cid")
LEAVES = st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner))


@given(TREES)
def test_whatever_json_comes_it_is_read(answer: Any) -> None:
    read = signal.signal(signal.modem(said(answer)), signal.strengths(said(answer)), signal.cell_id(said(answer)))
    assert all(name is None or len(name) <= LONGEST_NAME for name in (read.operator, read.cell_id, read.registration))


def test_a_name_is_cut_and_cannot_steer_a_terminal() -> None:
    named = signal.modem(said({"modem": {"3gpp": {"operator-name": "\x1b[31m" + "x" * 100}}}))
    assert named.operator == " [31m" + "x" * (LONGEST_NAME - 5)


# what is believed


@pytest.mark.parametrize(
    ("name", "field", "least", "most"),
    [
        ("rsrp", "rsrp_dbm", -140.0, -44.0),
        ("rsrq", "rsrq_db", -19.5, -3.0),
        ("snr", "snr_db", -23.0, 40.0),
        ("rssi", "rssi_dbm", -113.0, -25.0),
    ],
)
def test_a_figure_outside_of_its_range_is_none(name: str, field: str, least: float, most: float) -> None:
    believed = [getattr(lte(**{name: f"{figure:.2f}"}), field) for figure in (least, most, least - 0.5, most + 0.5)]
    assert believed == [least, most, None, None]


@pytest.mark.parametrize("sentinel", ["-32768.00", "32767.00", "0.00", "255.00", "nan", "inf", "-inf", "1e999"])
def test_what_modems_say_for_nothing_is_no_figure(sentinel: str) -> None:
    assert lte(rsrp=sentinel, rsrq=sentinel, rssi=sentinel) == Signal("lte")
    assert lte(snr=sentinel).snr_db in (None, 0.0)


def test_of_two_technologies_the_better_one_that_was_measured_is_shown() -> None:
    both = Modem(technologies=("lte", "5gnr"))
    only_lte = measured(rsrp="-97.00")
    assert signal.signal(both, only_lte, None).technology == "lte"
    five = signal.strengths(b'{"modem":{"signal":{"5g":{"rsrp":"-150.00"},"lte":{"rsrp":"-97.00"}}}}')
    assert signal.signal(both, five, None) == Signal("5gnr", -150.0)
    assert signal.signal(both, Strengths(), None) == Signal("5gnr")
    assert signal.signal(Modem(technologies=("hspa",)), only_lte, None) == Signal("hspa")
    assert signal.signal(Modem(technologies=("evdo0",)), only_lte, None) == Signal("evdo0")


# what is news


@pytest.mark.parametrize("name", ["rsrp_dbm", "rsrq_db", "snr_db", "rssi_dbm"])
def test_a_figure_is_news_when_it_has_changed_by_the_hysteresis(name: str) -> None:
    for step in (HYSTERESIS_DB, -HYSTERESIS_DB):
        assert not signal.is_news(Signal(**{name: -9.0}), Signal(**{name: -9.0 + 0.99 * step}))  # type: ignore[arg-type]
        assert signal.is_news(Signal(**{name: -9.0}), Signal(**{name: -9.0 + step}))  # type: ignore[arg-type]
    assert signal.is_news(Signal(**{name: -9.0}), Signal())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["technology", "operator", "operator_code", "cell_id", "registration"])
def test_a_name_is_news_whenever_it_changes(name: str) -> None:
    assert signal.is_news(Signal(**{name: "a"}), Signal(**{name: "b"}))
    assert signal.is_news(Signal(), Signal(**{name: "b"}))
    assert not signal.is_news(Signal(**{name: "a"}), Signal(**{name: "a"}))


def test_that_a_signal_comes_or_goes_is_news() -> None:
    assert signal.is_news(None, Signal())
    assert signal.is_news(Signal(), None)
    assert not signal.is_news(None, None)


# facts


def codes(reception: Reception, *heard: str | None, every_s: float = TOLD_EVERY_S) -> list[str]:
    told = [reception.take(Signal(registration=state), 1000.0 + n * every_s) for n, state in enumerate(heard)]
    return [fact.code for facts in told for fact in facts]


def test_a_modem_that_is_at_home_from_the_start_is_no_news() -> None:
    assert codes(Reception("lte"), "home", "home", "home-sms-only", "home") == []


def test_a_registration_that_is_lost_denied_abroad_or_back_is_told() -> None:
    told = codes(Reception("lte"), "home", "searching", "denied", "roaming", "home", "denied")
    assert told == ["MODEM_NOT_REGISTERED", "MODEM_ROAMING", "MODEM_REGISTERED", "MODEM_NOT_REGISTERED"]


def test_a_modem_that_is_abroad_or_denied_from_the_start_is_told() -> None:
    assert codes(Reception("lte"), "roaming") == ["MODEM_ROAMING"]
    assert codes(Reception("lte"), "denied") == ["MODEM_NOT_REGISTERED"]


def test_a_registration_that_nobody_knows_is_no_news() -> None:
    assert codes(Reception("lte"), "home", None, "new-in-2030", "home") == []


def test_a_modem_that_comes_and_goes_is_told_once_in_five_minutes() -> None:
    flapping = ["searching", "home"] * 60
    told = codes(Reception("lte"), *flapping, every_s=30.0)
    assert 2 <= len(told) <= 120 * 30 / TOLD_EVERY_S


def test_what_was_held_back_is_told_if_it_stays_so() -> None:
    lte = Reception("lte")
    assert codes(lte, "searching") == ["MODEM_NOT_REGISTERED"]
    assert lte.take(Signal(registration="home"), 1030.0) == []
    assert [fact.code for fact in lte.take(Signal(registration="home"), 1330.0)] == ["MODEM_REGISTERED"]


def test_a_fact_says_what_the_modem_heard_in_both_languages() -> None:
    lte = Reception("lte")
    lte.take(GOOD, 0.0)
    (fact,) = lte.take(Signal("lte", -121.0, operator_code="51010", registration="denied"), 30.0)
    assert (fact.uplink, fact.before, fact.after) == ("lte", "home", "denied")
    assert all(value is None or isinstance(value, float | str) for value in fact.evidence.values())
    assert evidence.told_en(fact) == (
        "the modem says: denied; lte - (51010), cell -, RSRP -121 dBm, RSRQ - dB, SNR - dB"
    )
    assert evidence.told_id(fact).startswith("menurut modem: denied; lte - (51010), sel -, RSRP -121 dBm")


# in the core


def hear(driven: Any, heard: Signal | None) -> list[Effect]:
    return list(driven.core.handle(SignalSeen("lte", heard), driven.now))


def shown(driven: Any) -> Signal | None:
    return next(each.signal for each in driven.core.state(driven.now).uplinks if each.name == "lte")


def test_the_state_and_the_summary_show_the_signal_as_it_was_heard() -> None:
    driven = settled()
    assert shown(driven) is None
    assert hear(driven, GOOD) == []
    assert shown(driven) == GOOD
    driven.run(SUMMARY_EVERY_S)
    assert [uplink.signal for uplink in driven.summaries[-1].uplinks] == [None, GOOD]
    hear(driven, None)
    assert shown(driven) is None


def test_a_signal_that_nobody_told_again_is_not_shown_for_ever() -> None:
    driven = settled()
    hear(driven, GOOD)
    driven.now += LASTS_S - 1
    assert shown(driven) == GOOD
    driven.now += 1
    assert shown(driven) is None


def test_a_lost_registration_is_a_fact_and_the_state_is_shown_with_it() -> None:
    fact, state = hear(settled(), Signal(registration="denied"))
    assert isinstance(fact, Fact)
    assert fact.code == "MODEM_NOT_REGISTERED"
    assert isinstance(state, ShowState)


@pytest.mark.parametrize("heard", [None, Signal("lte", -140.0, registration="denied"), GOOD], ids=str)
def test_no_signal_however_bad_or_good_moves_traffic_or_changes_a_verdict(heard: Signal | None) -> None:
    told, untold = settled(), settled()
    for second in range(120):
        if second == 60:
            told.cut.add("fibre")
            untold.cut.add("fibre")
        hear(told, heard)
        told.run(1)
        untold.run(1)
    assert told.moves[-1] == ("fibre", "lte")
    assert told.facts == untold.facts
    assert told.echoes == untold.echoes


def test_a_verdict_says_how_the_modem_heard_when_it_fell() -> None:
    driven = settled()
    hear(driven, Signal("lte", rsrp_dbm=-118.0, snr_db=-3.5, cell_id="00A1B203", registration="home"))
    driven.cut.add("lte")
    driven.run(60)
    fact = driven.fact("UPLINK_DEAD")
    assert fact.uplink == "lte"
    assert (fact.evidence["rsrp_dbm"], fact.evidence["snr_db"]) == (-118.0, -3.5)
    assert "registration" not in fact.evidence
    assert evidence.told_id(fact).endswith("; sinyal lte · RSRP -118 dBm · SNR -3,5 dB · sel 00A1B203")
    assert evidence.told_en(fact).endswith("; signal lte · RSRP -118 dBm · SNR -3.5 dB · cell 00A1B203")


def test_a_signal_heard_long_ago_says_nothing_of_a_verdict() -> None:
    driven = settled()
    hear(driven, Signal("lte", rsrp_dbm=-118.0))
    driven.run(LASTS_S)
    driven.cut.add("lte")
    driven.run(60)
    assert "rsrp_dbm" not in driven.fact("UPLINK_DEAD").evidence


def test_what_no_agent_of_ours_writes_is_left_out_of_the_line() -> None:
    odd = Fact("UPLINK_DEAD", "lte", "up", "dead", {"cause": "no carrier", "rsrp_dbm": "strong"})
    assert "strong" not in evidence.told_id(odd)
