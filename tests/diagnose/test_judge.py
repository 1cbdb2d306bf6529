"""The verdict from plain values: each layer's failure has its code, its side, and whom to call."""

import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnose import words
from agent.diagnose.judge import ABOVE, STRAIGHT, Looks, evidence, judge
from agent.diagnose.look import Layer, Look, Outcome, State, Subject
from wire.evidence import told_en, told_id
from wire.findings import FINDINGS, Call, Finding, Side
from wire.messages import Fact

SUBJECT = Subject(
    "fibre", "eth1", operator="Telkom", address="192.168.8.2", gateway="192.168.8.1", mac="02:00:00:00:00:01"
)
GOOD = {
    Layer.LINK: Outcome.LINK_READY,
    Layer.GATEWAY: Outcome.GATEWAY_ANSWERS,
    Layer.DHCP: Outcome.OFFERED,
    Layer.INTERNET: Outcome.ANSWERED,
    Layer.MTU: Outcome.MTU_WHOLE,
    Layer.DNS: Outcome.DNS_RIGHT,
    Layer.TCP: Outcome.CONNECTED,
    Layer.MQTT: Outcome.ACKNOWLEDGED,
    Layer.HTTP: Outcome.PAGE_RIGHT,
    Layer.CLOCK: Outcome.CLOCK_RIGHT,
    Layer.TLS: Outcome.TLS_RIGHT,
}
UNPROVEN = {
    Layer.DNS: Outcome.DNS_PERHAPS,
    Layer.MQTT: Outcome.BELOW,
    Layer.HTTP: Outcome.NOT_CONFIGURED,
    Layer.TLS: Outcome.NOT_CONFIGURED,
}
DEAD = {Layer.INTERNET: Outcome.SILENT, Layer.MTU: Outcome.BELOW, Layer.TCP: Outcome.UNCONNECTED, **UNPROVEN}
BEGINNINGS = {
    Layer.LINK: ("LINK_",),
    Layer.GATEWAY: ("GATEWAY_",),
    Layer.DHCP: ("OFFERED", "NO_OFFER"),
    Layer.INTERNET: ("ANSWERED", "PARTLY_", "SILENT"),
    Layer.MTU: ("MTU_",),
    Layer.DNS: ("DNS_", "NO_RESOLVER"),
    Layer.TCP: ("CONNECTED", "REFUSED", "UNCONNECTED"),
    Layer.MQTT: ("ACKNOWLEDGED", "UNACKNOWLEDGED", "DECLINED"),
    Layer.HTTP: ("PAGE_",),
    Layer.CLOCK: ("CLOCK_",),
    Layer.TLS: ("TLS_",),
}
ANYWHERE = [
    outcome
    for outcome in Outcome
    if not outcome.name.startswith(tuple(each for row in BEGINNINGS.values() for each in row))
]
OUTCOMES_OF = {
    layer: [*ANYWHERE, *(outcome for outcome in Outcome if outcome.name.startswith(begin))]
    for layer, begin in BEGINNINGS.items()
}


def looks(change: Mapping[Layer, Outcome], **facts: float | str | None) -> Looks:
    """All good but for the change; `facts` stand in each of the looks that changed."""
    return {
        layer: Look(layer, change.get(layer, good), facts if layer in change else {}) for layer, good in GOOD.items()
    }


@pytest.mark.parametrize(
    ("change", "code", "side", "call"),
    [
        ({Layer.LINK: Outcome.LINK_GONE}, "LINK_GONE", Side.LAN, Call.TECHNICIAN),
        ({Layer.LINK: Outcome.LINK_OFF}, "LINK_OFF", Side.LAN, Call.TECHNICIAN),
        ({Layer.LINK: Outcome.LINK_NO_CARRIER}, "LINK_NO_CARRIER", Side.LAN, Call.POWER),
        ({Layer.LINK: Outcome.LINK_NO_ADDRESS}, "LINK_NO_LEASE", Side.LAN, Call.TECHNICIAN),
        ({Layer.LINK: Outcome.LINK_NO_GATEWAY}, "LINK_NO_LEASE", Side.LAN, Call.TECHNICIAN),
        ({Layer.LINK: Outcome.LINK_NO_ADDRESS, Layer.DHCP: Outcome.NO_OFFER}, "LINK_NO_OFFER", Side.MODEM, Call.POWER),
        ({Layer.GATEWAY: Outcome.GATEWAY_SILENT}, "GATEWAY_SILENT", Side.MODEM, Call.POWER),
        ({Layer.GATEWAY: Outcome.GATEWAY_DOUBLE}, "GATEWAY_DOUBLE", Side.LAN, Call.TECHNICIAN),
        (
            {Layer.GATEWAY: Outcome.GATEWAY_SILENT, Layer.DHCP: Outcome.OFFERED_OTHER},
            "GATEWAY_MOVED", Side.LAN, Call.TECHNICIAN,
        ),
        ({**DEAD, Layer.DHCP: Outcome.OFFERED_OTHER}, "GATEWAY_MOVED", Side.LAN, Call.TECHNICIAN),
        ({Layer.INTERNET: Outcome.PARTLY_ANSWERED}, "DESTINATION_SILENT", Side.DESTINATION, Call.DESTINATION),
        ({Layer.INTERNET: Outcome.SILENT, Layer.MTU: Outcome.BELOW}, "ECHO_BLOCKED", Side.CORE, Call.TECHNICIAN),
        ({Layer.MTU: Outcome.MTU_BLACK_HOLE}, "MTU_BLACK_HOLE", Side.CORE, Call.OPERATOR),
        ({Layer.DNS: Outcome.DNS_SILENT}, "DNS_SILENT", Side.CORE, Call.OPERATOR),
        ({Layer.DNS: Outcome.DNS_REFUSED}, "DNS_REFUSES", Side.CORE, Call.OPERATOR),
        ({Layer.DNS: Outcome.DNS_FORGED}, "DNS_HIJACKED", Side.CORE, Call.OPERATOR),
        ({Layer.DNS: Outcome.DNS_NO_SUCH_NAME}, "DNS_NAME_MISSING", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TCP: Outcome.UNCONNECTED}, "CENTRE_SILENT", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TCP: Outcome.REFUSED}, "CENTRE_REFUSES", Side.DESTINATION, Call.DESTINATION),
        ({Layer.MQTT: Outcome.UNACKNOWLEDGED}, "BROKER_SILENT", Side.DESTINATION, Call.DESTINATION),
        ({Layer.MQTT: Outcome.DECLINED}, "BROKER_REFUSES", Side.DESTINATION, Call.DESTINATION),
        ({Layer.HTTP: Outcome.PAGE_OTHER}, "PORTAL_FOUND", Side.ACCESS, Call.TECHNICIAN),
        ({**DEAD, Layer.HTTP: Outcome.PAGE_OTHER}, "PORTAL_FOUND", Side.ACCESS, Call.TECHNICIAN),
        ({Layer.HTTP: Outcome.PAGE_OTHER, Layer.DNS: Outcome.DNS_FORGED}, "PORTAL_FOUND", Side.ACCESS, Call.TECHNICIAN),
        ({Layer.HTTP: Outcome.PAGE_ERROR}, "CHECK_PAGE_WRONG", Side.DESTINATION, Call.DESTINATION),
        ({Layer.HTTP: Outcome.PAGE_SILENT}, "CHECK_PAGE_SILENT", Side.DESTINATION, Call.DESTINATION),
        ({Layer.CLOCK: Outcome.CLOCK_WRONG}, "CLOCK_WRONG", Side.LAN, Call.TECHNICIAN),
        ({Layer.TLS: Outcome.TLS_NOT_NOW}, "TLS_EXPIRED", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TLS: Outcome.TLS_NOT_NOW, Layer.CLOCK: Outcome.CLOCK_WRONG}, "CLOCK_WRONG", Side.LAN, Call.TECHNICIAN),
        ({Layer.TLS: Outcome.TLS_NOT_NOW, Layer.CLOCK: Outcome.CLOCK_UNSURE}, "CLOCK_WRONG", Side.LAN, Call.TECHNICIAN),
        ({Layer.TLS: Outcome.TLS_WRONG_NAME}, "TLS_WRONG_NAME", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TLS: Outcome.TLS_UNTRUSTED}, "TLS_UNTRUSTED", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TLS: Outcome.TLS_BROKEN}, "TLS_BROKEN", Side.DESTINATION, Call.DESTINATION),
        ({Layer.TLS: Outcome.TLS_SILENT}, "TLS_SILENT", Side.DESTINATION, Call.DESTINATION),
        ({}, "NOTHING_FOUND", Side.NONE, Call.NOBODY),
    ],
    ids=lambda value: " ".join(outcome.name for outcome in value.values()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_failure_has_its_code_its_side_and_whom_to_call(
    change: dict[Layer, Outcome], code: str, side: Side, call: Call
) -> None:
    finding = judge(looks(change), SUBJECT).finding
    assert (finding.code, finding.side, finding.call) == (code, side, call)


@pytest.mark.parametrize(
    ("side", "code"), [("access", "ACCESS_SILENT"), ("core", "CORE_SILENT"), ("destination", "DESTINATION_SILENT")]
)
def test_when_nothing_answers_the_last_hop_tells_whose_the_fault_is(side: str, code: str) -> None:
    verdict = judge(looks(DEAD, side=side, last_hop=2, last_address="100.64.0.1"), SUBJECT)
    assert verdict.code == code
    told = evidence(verdict, 2400, 14.2)
    assert (told["side"], told["last_hop"], told["last_address"]) == (side, 2, "100.64.0.1")


def test_a_strict_kernel_is_blamed_before_any_operator() -> None:
    seen = {**looks(DEAD, side="access"), Layer.LINK: Look(Layer.LINK, Outcome.LINK_READY, {"filter": "strict"})}
    assert judge(seen, SUBJECT).code == "ANSWERS_FILTERED"


def test_a_strict_kernel_is_not_blamed_while_answers_come() -> None:
    seen = {**looks({}), Layer.LINK: Look(Layer.LINK, Outcome.LINK_READY, {"filter": "strict"})}
    assert judge(seen, SUBJECT).code == "NOTHING_FOUND"


def test_without_a_gateway_it_is_not_said_that_one_answers() -> None:
    alone = Subject("lte", "wwan0", operator="Telkomsel")
    assert judge(looks(DEAD, side="access", last_hop=0), alone).code == "NOTHING_ANSWERS"
    assert judge(looks(DEAD, side="access", last_hop=1), alone).code == "ACCESS_SILENT"


def test_the_centre_is_not_blamed_by_an_uplink_of_which_nothing_is_known() -> None:
    unknown = {Layer.INTERNET: Outcome.NOT_CONFIGURED, Layer.TCP: Outcome.UNCONNECTED, **UNPROVEN}
    assert judge(looks(unknown), SUBJECT).code == "NOTHING_ANSWERS"


def test_a_bare_connection_proves_no_life() -> None:
    """Modems, portals and satellite accelerators take any connection themselves."""
    change = {**DEAD, Layer.TCP: Outcome.CONNECTED, Layer.MQTT: Outcome.UNACKNOWLEDGED}
    assert judge(looks(change, side="core"), SUBJECT).code == "CORE_SILENT"


def test_the_operator_is_called_by_the_name_that_the_configuration_gives() -> None:
    verdict = judge(looks(DEAD, side="access"), SUBJECT)
    fact = Fact("UPLINK_DIAGNOSED", "fibre", evidence=evidence(verdict, 2400, 14.2))
    assert told_en(fact).endswith("restart the modem once; if that does not help, call Telkom")
    assert told_id(fact).endswith("mulai ulang modem sekali; bila tetap, hubungi Telkom")


def test_a_nameless_operator_is_called_all_the_same() -> None:
    nameless = Subject("fibre", "eth1", gateway="192.168.8.1")
    fact = Fact("UPLINK_DIAGNOSED", "fibre", evidence=evidence(judge(looks(DEAD, side="access"), nameless), 1, 1))
    assert told_en(fact).endswith("call this uplink's operator")
    assert told_id(fact).endswith("hubungi operator jalur ini")


anything = st.fixed_dictionaries({layer: st.sampled_from(OUTCOMES_OF[layer]) for layer in Layer})
sides = st.sampled_from(["access", "core", "destination"])
strings = st.text(max_size=200)


@given(anything, sides, strings)
def test_a_verdict_is_clean_exactly_when_no_look_has_failed(
    outcomes: dict[Layer, Outcome], side: str, word: str
) -> None:
    seen = {layer: Look(layer, outcome, {"side": side, "why": word}) for layer, outcome in outcomes.items()}
    verdict = judge(seen, SUBJECT)
    failed = any(look.state is State.FAILED for look in seen.values())
    assert (verdict.finding.call is Call.NOBODY) is not failed


@given(anything, sides, strings)
def test_evidence_is_numbers_and_short_strings(outcomes: dict[Layer, Outcome], side: str, word: str) -> None:
    facts = {"side": side, "why": word, "location": word, "name": word, "status": 302, "mtu": 1400}
    verdict = judge({layer: Look(layer, outcome, facts) for layer, outcome in outcomes.items()}, SUBJECT)
    for name, value in evidence(verdict, 1234, 5.67).items():
        assert type(value) in (int, float) or (isinstance(value, str) and len(value) <= 64 and value.isprintable()), (
            name
        )


def test_what_a_peer_says_at_length_is_cut_and_harmless() -> None:
    told = evidence(judge(looks({Layer.TLS: Outcome.TLS_BROKEN}, why="\x1b[31m" + "x" * 200), SUBJECT), 1, 1)
    assert told["why"] == "?[31m" + "x" * 59


@given(anything)
def test_a_higher_failure_never_hides_a_lower_one(outcomes: dict[Layer, Outcome]) -> None:
    """Whatever is seen above, a cable that is out is a cable that is out."""
    seen = {layer: Look(layer, outcome) for layer, outcome in {**outcomes, Layer.LINK: Outcome.LINK_NO_CARRIER}.items()}
    assert judge(seen, SUBJECT).code == "LINK_NO_CARRIER"


def test_every_outcome_that_fails_leads_somewhere() -> None:
    named = {(layer, outcome) for layer, outcome, _ in (*STRAIGHT, *ABOVE)}
    failing = {(layer, each) for layer in Layer for each in OUTCOMES_OF[layer] if each.state is State.FAILED}
    special = {(Layer.LINK, Outcome.LINK_NO_ADDRESS), (Layer.LINK, Outcome.LINK_NO_GATEWAY)}
    assert failing == named | special | {(Layer.GATEWAY, Outcome.GATEWAY_SILENT)}


def test_every_outcome_has_its_words_in_both_languages() -> None:
    assert set(words.WORDS) == set(Outcome)
    for each in words.WORDS.values():
        assert _names(each.id) == _names(each.en)


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=list(FINDINGS))
def test_a_finding_says_in_both_languages_where_and_who(finding: Finding) -> None:
    texts = [finding.where_id, finding.do_id, finding.where_en, finding.do_en]
    assert all(text and text == text.strip() and not text.endswith(".") for text in texts)
    assert _names(finding.where_id + finding.do_id) == _names(finding.where_en + finding.do_en)
    assert ("{operator}" in finding.do_en) >= (finding.call is Call.OPERATOR)


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
