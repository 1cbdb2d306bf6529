"""A scenario: a station, what happens to it and when, and what must then be true; read from YAML, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import yaml

from lab import reading, weather
from lab.reading import Refusal
from lab.weather import LinkWeather

KINDS = ("fibre", "lte", "leo", "geo")
HEALTHS = ("up", "poor", "dead", "unknown")
TARGETS = ("198.51.100.1", "198.51.100.2")
NATS = ("managed", "external")
LONGEST_S = 24 * 3600.0

Place = Literal["home", "moved"]


@dataclass(frozen=True, slots=True)
class Uplink:
    name: str
    kind: str
    weather: LinkWeather
    operator: str
    metered: bool = False  # its plan is paid by volume


# What happens. Each action says when, in seconds since the timeline began.


@dataclass(frozen=True, slots=True)
class SetWeather:
    at_s: float
    uplink: str
    weather: LinkWeather  # whole: what was, with the change merged over it


@dataclass(frozen=True, slots=True)
class SetCarrier:
    at_s: float
    uplink: str
    on: bool


@dataclass(frozen=True, slots=True)
class SetGateway:
    """The provider's gateway changes its address, as after a DHCP renew, or takes the old one back."""

    at_s: float
    uplink: str
    to: Place


@dataclass(frozen=True, slots=True)
class SetTarget:
    at_s: float
    target: str
    answers: bool


@dataclass(frozen=True, slots=True)
class SetAgent:
    """Killed (kill -9) or started."""

    at_s: float
    runs: bool


@dataclass(frozen=True, slots=True)
class SetBroker:
    at_s: float
    runs: bool


Action = SetWeather | SetCarrier | SetGateway | SetTarget | SetAgent | SetBroker


# What must be true. A condition speaks of one moment; Becomes and Stays say when; the rest speaks of the whole run.


@dataclass(frozen=True, slots=True)
class ActiveIs:
    uplink: str


@dataclass(frozen=True, slots=True)
class HealthIs:
    uplink: str
    one_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GatewayIs:
    uplink: str
    place: Place


Condition = ActiveIs | HealthIs | GatewayIs


@dataclass(frozen=True, slots=True)
class Becomes:
    """At some moment of [after_s, after_s + within_s] all conditions hold."""

    after_s: float
    within_s: float
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Stays:
    """At every moment of [after_s, until_s] all conditions hold."""

    after_s: float
    until_s: float
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """How often the active uplink changed over the whole run."""

    count: int


@dataclass(frozen=True, slots=True)
class ClientGapBelow:
    """The longest silence of the LAN client's 10 ms UDP stream."""

    gap_s: float


@dataclass(frozen=True, slots=True)
class DownloadsBroken:
    """How often the LAN client had to begin its download anew."""

    count: int


@dataclass(frozen=True, slots=True)
class StoredEverything:
    """At the end the centre holds every record, in order, none twice."""


Expectation = Becomes | Stays | Moves | ClientGapBelow | DownloadsBroken | StoredEverything


@dataclass(frozen=True, slots=True)
class Scenario:
    title: str
    uplinks: tuple[Uplink, ...]  # in order of preference
    lasts_s: float
    timeline: tuple[Action, ...]  # in order of time
    expect: tuple[Expectation, ...]
    ipv6: bool = True
    nat: str = "managed"  # by the agent; external: by a firewall of the operator's own, to each uplink's address


def read(yaml_text: str) -> Scenario:
    """The scenario that the text describes; raises Refusal."""
    try:
        written = yaml.safe_load(yaml_text)
    except yaml.YAMLError as error:
        raise Refusal("scenario", " ".join(str(error).split()), "is not YAML") from None
    known = ("title", "uplinks", "lasts_s", "timeline", "expect", "ipv6", "nat")
    top = reading.table("scenario", written, known, needed=("title", "uplinks", "lasts_s"))
    uplinks = _uplinks(top["uplinks"])
    lasts_s = reading.number("lasts_s", top["lasts_s"], 0.1, LONGEST_S)
    return Scenario(
        title=reading.text("title", top["title"]),
        uplinks=uplinks,
        lasts_s=lasts_s,
        timeline=_timeline(reading.rows("timeline", top.get("timeline", [])), uplinks, lasts_s),
        expect=tuple(
            _expectation(f"expect[{place}]", row, uplinks, lasts_s)
            for place, row in enumerate(reading.rows("expect", top.get("expect", [])))
        ),
        ipv6=reading.flag("ipv6", top.get("ipv6", True)),
        nat=reading.word("nat", top.get("nat", "managed"), NATS),
    )


def _uplinks(written: object) -> tuple[Uplink, ...]:
    if not isinstance(written, Mapping) or not 1 <= len(written) <= 8:
        raise Refusal("uplinks", written, "must be a table of one to eight uplinks, in order of preference")
    uplinks = []
    for name, row in written.items():
        key = f"uplinks.{name}"
        if not isinstance(name, str) or not name.isidentifier():
            raise Refusal(key, name, "an uplink's name is letters, digits and _")
        values = reading.table(key, row, ("kind", "weather", "operator", "metered"), needed=("kind",))
        uplinks.append(
            Uplink(
                name=name,
                kind=reading.word(f"{key}.kind", values["kind"], KINDS),
                weather=weather.changed(LinkWeather(), values.get("weather", {}), f"{key}.weather"),
                operator=reading.text(f"{key}.operator", values.get("operator", name.capitalize())),
                metered=reading.flag(f"{key}.metered", values.get("metered", False)),
            )
        )
    return tuple(uplinks)


def _timeline(rows: list[object], uplinks: tuple[Uplink, ...], lasts_s: float) -> tuple[Action, ...]:
    now = {uplink.name: uplink.weather for uplink in uplinks}
    actions: list[Action] = []
    for place, row in enumerate(rows):
        key = f"timeline[{place}]"
        if not isinstance(row, Mapping):
            raise Refusal(key, row, "must be a table of keys and values")
        subject = next((name for name in _ACTIONS if name in row), None)
        if subject is None:
            raise Refusal(key, dict(row), f"needs one of {', '.join(_ACTIONS)}")
        needed, read_action = _ACTIONS[subject]
        values = reading.table(key, row, needed, needed=needed)
        if "uplink" in values:
            reading.word(f"{key}.uplink", values["uplink"], tuple(now))
        at_s = reading.number(f"{key}.at_s", values["at_s"], 0, lasts_s)
        if actions and at_s < actions[-1].at_s:
            raise Refusal(f"{key}.at_s", values["at_s"], "is before the row above it")
        action = read_action(key, at_s, values, now)
        if isinstance(action, SetWeather):
            now[action.uplink] = action.weather
        actions.append(action)
    return tuple(actions)


_Read = Callable[[str, float, Mapping[str, object], Mapping[str, LinkWeather]], Action]


def _weather(key: str, at_s: float, values: Mapping[str, object], now: Mapping[str, LinkWeather]) -> Action:
    uplink = str(values["uplink"])
    return SetWeather(at_s, uplink, weather.changed(now[uplink], values["weather"], f"{key}.weather"))


def _carrier(key: str, at_s: float, values: Mapping[str, object], _: object) -> Action:
    return SetCarrier(at_s, str(values["uplink"]), reading.flag(f"{key}.carrier", values["carrier"]))


def _gateway(key: str, at_s: float, values: Mapping[str, object], _: object) -> Action:
    return SetGateway(at_s, str(values["uplink"]), _place(f"{key}.gateway", values["gateway"]))


def _target(key: str, at_s: float, values: Mapping[str, object], _: object) -> Action:
    target = reading.word(f"{key}.target", values["target"], TARGETS)
    return SetTarget(at_s, target, reading.flag(f"{key}.answers", values["answers"]))


def _agent(key: str, at_s: float, values: Mapping[str, object], _: object) -> Action:
    return SetAgent(at_s, reading.word(f"{key}.agent", values["agent"], ("kill", "start")) == "start")


def _broker(key: str, at_s: float, values: Mapping[str, object], _: object) -> Action:
    return SetBroker(at_s, reading.word(f"{key}.broker", values["broker"], ("stop", "start")) == "start")


_ACTIONS: Mapping[str, tuple[tuple[str, ...], _Read]] = {
    "weather": (("at_s", "uplink", "weather"), _weather),
    "carrier": (("at_s", "uplink", "carrier"), _carrier),
    "gateway": (("at_s", "uplink", "gateway"), _gateway),
    "target": (("at_s", "target", "answers"), _target),
    "agent": (("at_s", "agent"), _agent),
    "broker": (("at_s", "broker"), _broker),
}


def _expectation(key: str, row: object, uplinks: tuple[Uplink, ...], lasts_s: float) -> Expectation:
    if isinstance(row, Mapping) and len(row) == 1:
        name, value = next(iter(row.items()))
        if name == "moves":
            return Moves(reading.whole(f"{key}.moves", value, 0, 1_000_000))
        if name == "client_gap_below_s":
            return ClientGapBelow(reading.number(f"{key}.client_gap_below_s", value, 0, LONGEST_S))
        if name == "downloads_broken":
            return DownloadsBroken(reading.whole(f"{key}.downloads_broken", value, 0, 1_000_000))
        if name == "stored":
            reading.word(f"{key}.stored", value, ("everything",))
            return StoredEverything()
    known = ("after_s", "within_s", "until_s", "active", "health", "gateway")
    values = reading.table(key, row, known, needed=("after_s",))
    after_s = reading.number(f"{key}.after_s", values["after_s"], 0, lasts_s)
    conditions = _conditions(key, values, [uplink.name for uplink in uplinks])
    if ("within_s" in values) == ("until_s" in values):
        raise Refusal(key, values, "needs either within_s (becomes true) or until_s (is true throughout)")
    if "within_s" in values:
        return Becomes(after_s, reading.number(f"{key}.within_s", values["within_s"], 0, lasts_s - after_s), conditions)
    return Stays(after_s, reading.number(f"{key}.until_s", values["until_s"], after_s, lasts_s), conditions)


def _conditions(key: str, values: Mapping[str, object], names: list[str]) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    if "active" in values:
        conditions.append(ActiveIs(reading.word(f"{key}.active", values["active"], names)))
    for name, words in reading.table(f"{key}.health", values.get("health", {}), names).items():
        place = f"{key}.health.{name}"
        one_of = words if isinstance(words, list) else [words]
        conditions.append(HealthIs(name, tuple(reading.word(place, word, HEALTHS) for word in one_of)))
    for name, where in reading.table(f"{key}.gateway", values.get("gateway", {}), names).items():
        conditions.append(GatewayIs(name, _place(f"{key}.gateway.{name}", where)))
    if not conditions:
        raise Refusal(key, dict(values), "says nothing: needs active, health or gateway")
    return tuple(conditions)


def _place(key: str, value: object) -> Place:
    return cast(Place, reading.word(key, value, ("home", "moved")))
