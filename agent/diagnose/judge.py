"""From all looks to one verdict: the lowest layer that explains what was seen, and what proves life above it."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from agent.diagnose.look import Facts, Layer, Look, Outcome, State, Subject
from wire.findings import FINDINGS, Finding, Side
from wire.messages import Evidence

Looks = Mapping[Layer, Look]
LETTERS = 64

STRAIGHT: tuple[tuple[Layer, Outcome, str], ...] = (
    (Layer.LINK, Outcome.LINK_GONE, "LINK_GONE"),
    (Layer.LINK, Outcome.LINK_OFF, "LINK_OFF"),
    (Layer.LINK, Outcome.LINK_NO_CARRIER, "LINK_NO_CARRIER"),
    (Layer.GATEWAY, Outcome.GATEWAY_DOUBLE, "GATEWAY_DOUBLE"),
    (Layer.HTTP, Outcome.PAGE_OTHER, "PORTAL_FOUND"),
)
"""Seen for certain, whatever else was seen; in this order."""

ABOVE: tuple[tuple[Layer, Outcome, str], ...] = (
    (Layer.DNS, Outcome.DNS_FORGED, "DNS_HIJACKED"),
    (Layer.DNS, Outcome.DNS_SILENT, "DNS_SILENT"),
    (Layer.DNS, Outcome.DNS_REFUSED, "DNS_REFUSES"),
    (Layer.DNS, Outcome.DNS_NO_SUCH_NAME, "DNS_NAME_MISSING"),
    (Layer.MTU, Outcome.MTU_BLACK_HOLE, "MTU_BLACK_HOLE"),
    (Layer.TCP, Outcome.REFUSED, "CENTRE_REFUSES"),
    (Layer.TCP, Outcome.UNCONNECTED, "CENTRE_SILENT"),
    (Layer.MQTT, Outcome.UNACKNOWLEDGED, "BROKER_SILENT"),
    (Layer.MQTT, Outcome.DECLINED, "BROKER_REFUSES"),
    (Layer.HTTP, Outcome.PAGE_SILENT, "CHECK_PAGE_SILENT"),
    (Layer.HTTP, Outcome.PAGE_ERROR, "CHECK_PAGE_WRONG"),
    (Layer.CLOCK, Outcome.CLOCK_WRONG, "CLOCK_WRONG"),
    (Layer.TLS, Outcome.TLS_NOT_NOW, "TLS_EXPIRED"),
    (Layer.TLS, Outcome.TLS_WRONG_NAME, "TLS_WRONG_NAME"),
    (Layer.TLS, Outcome.TLS_UNTRUSTED, "TLS_UNTRUSTED"),
    (Layer.TLS, Outcome.TLS_BROKEN, "TLS_BROKEN"),
    (Layer.TLS, Outcome.TLS_SILENT, "TLS_SILENT"),
    (Layer.INTERNET, Outcome.PARTLY_ANSWERED, "DESTINATION_SILENT"),
    (Layer.INTERNET, Outcome.SILENT, "ECHO_BLOCKED"),
)
"""Of an uplink that reaches the Internet, the first that was seen."""

PROOFS = (
    (Layer.HTTP, Outcome.PAGE_RIGHT, "HTTP"),
    (Layer.MQTT, Outcome.ACKNOWLEDGED, "MQTT"),
    (Layer.TLS, Outcome.TLS_RIGHT, "TLS"),
    (Layer.DNS, Outcome.DNS_RIGHT, "DNS"),
)
"""What only the true other end can answer. A bare TCP connection is no proof: modems and portals take any."""

SILENT_BEHIND = {Side.ACCESS: "ACCESS_SILENT", Side.CORE: "CORE_SILENT", Side.DESTINATION: "DESTINATION_SILENT"}


@dataclass(frozen=True, slots=True)
class Verdict:
    code: str
    values: Facts

    @property
    def finding(self) -> Finding:
        return FINDINGS[self.code]


def judge(looks: Looks, subject: Subject) -> Verdict:
    code = _code(looks, subject)
    return Verdict(code, _values(looks, subject, code))


def _code(looks: Looks, subject: Subject) -> str:
    works = proof(looks)
    for layer, outcome, code in STRAIGHT:
        if _is(looks, layer, outcome):
            return code
    if _is(looks, Layer.LINK, Outcome.LINK_NO_ADDRESS, Outcome.LINK_NO_GATEWAY):
        return "LINK_NO_LEASE" if _is(looks, Layer.DHCP, *OFFERS) else "LINK_NO_OFFER"
    if _is(looks, Layer.GATEWAY, Outcome.GATEWAY_SILENT):
        return "GATEWAY_MOVED" if _is(looks, Layer.DHCP, Outcome.OFFERED_OTHER) else "GATEWAY_SILENT"
    if _is(looks, Layer.INTERNET, Outcome.SILENT) and works is None:
        return _silent_code(looks, subject)
    for layer, outcome, code in ABOVE:
        if _is(looks, layer, outcome):
            return _second_thought(code, looks, works)
    return "NOTHING_FOUND"


OFFERS = (Outcome.OFFERED, Outcome.OFFERED_NEW, Outcome.OFFERED_OTHER)


def _silent_code(looks: Looks, subject: Subject) -> str:
    """No target answers, and nothing else proves life."""
    if looks[Layer.LINK].facts.get("filter") == "strict":
        return "ANSWERS_FILTERED"
    if _is(looks, Layer.DHCP, Outcome.OFFERED_OTHER):
        return "GATEWAY_MOVED"
    internet = looks[Layer.INTERNET].facts
    if subject.gateway is None and not internet.get("last_hop"):
        return "NOTHING_ANSWERS"
    return SILENT_BEHIND[Side(str(internet.get("side") or Side.CORE))]


def _second_thought(code: str, looks: Looks, works: str | None) -> str:
    if code == "TLS_EXPIRED" and not _is(looks, Layer.CLOCK, Outcome.CLOCK_RIGHT):
        return "CLOCK_WRONG"  # a certificate cannot be held against its owner by a board that does not know the day
    internet = looks.get(Layer.INTERNET)
    unproven = works is None and (internet is None or internet.state is State.UNKNOWN)
    if code in ("CENTRE_SILENT", "DNS_SILENT") and unproven:
        return "NOTHING_ANSWERS"
    return code


def proof(looks: Looks) -> str | None:
    """What shows that the Internet is reached, though no echo may be answered."""
    return next((word for layer, outcome, word in PROOFS if _is(looks, layer, outcome)), None)


def _is(looks: Looks, layer: Layer, *outcomes: Outcome) -> bool:
    look = looks.get(layer)
    return look is not None and look.outcome in outcomes


def _values(looks: Looks, subject: Subject, code: str) -> Facts:
    """All that a sentence may need; what the look of the finding's own layer says comes last, and so wins."""
    values: Facts = {}
    for layer in (Layer.DHCP, Layer.GATEWAY, Layer.INTERNET, Layer.CLOCK, _layer(code)):
        if layer in looks:
            values |= {name: value for name, value in looks[layer].facts.items() if value is not None}
    states = [look.state for look in looks.values()]
    own: Facts = {"uplink": subject.uplink, "interface": subject.device, "gateway": subject.gateway}
    own |= {"operator": subject.operator, "works": proof(looks)}
    own |= {"good": states.count(State.OK), "unknown": states.count(State.UNKNOWN)}
    return values | {name: value for name, value in own.items() if value is not None}


def _layer(code: str) -> Layer:
    layer = FINDINGS[code].layer
    return Layer(layer) if layer in list(Layer) else Layer.LINK


def evidence(verdict: Verdict, spent_bytes: int, took_s: float) -> Evidence:
    """For a fact: numbers and short strings, no more than its sentence and its reader need."""
    finding = verdict.finding
    told: Evidence = {"layer": finding.layer, "code": finding.code, "side": finding.side.value}
    told |= {"call": finding.call.value}
    texts = (finding.where_id, finding.do_id, finding.where_en, finding.do_en)
    needed = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    for name in sorted((needed | {"last_hop", "last_address"}) & verdict.values.keys()):
        value = verdict.values[name]
        told[name] = _short(value) if isinstance(value, str) else value
    return {**told, "bytes": spent_bytes, "took_s": round(took_s, 1)}


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:LETTERS]
