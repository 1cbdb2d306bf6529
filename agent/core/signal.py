"""What a modem says of its signal: read from mmcli's JSON, believed within the standards' ranges, told when news."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import msgspec

from wire.evidence import WITH_VERDICT
from wire.messages import Evidence, Fact, Signal

LONGEST_NAME = 64  # the centre takes no longer one
LASTS_S = 600.0  # it is told again each five minutes; what is older is not how it is now
TOLD_EVERY_S = 300.0  # a modem at the edge of its cell comes and goes
HYSTERESIS_DB = 4.0  # a modem at rest wanders by less

Ranges = Mapping[str, tuple[float, float]]
_SNR = (-23.0, 40.0)
_RSSI = (-113.0, -25.0)  # from the weakest that 3GPP TS 27.007 can report to the strongest of TS 36.133 9.1.18
RANGES: Mapping[str, Ranges] = {  # beyond them a figure is a modem's way to say that it has none
    "5g": {"rsrp": (-156.0, -31.0), "rsrq": (-43.0, 20.0), "snr": _SNR},  # 3GPP TS 38.133 10.1.6, 10.1.11, 10.1.16
    "lte": {"rsrp": (-140.0, -44.0), "rsrq": (-19.5, -3.0), "snr": _SNR, "rssi": _RSSI},  # TS 36.133 9.1.4, 9.1.7
    "umts": {"rssi": _RSSI},
    "gsm": {"rssi": _RSSI},
}
MEASURED_AS = {  # ModemManager's technologies, best first, and under which name their signal is
    "5gnr": "5g",
    **dict.fromkeys(("lte", "lte-cat-m", "lte-nb-iot"), "lte"),
    **dict.fromkeys(("hspa-plus", "hspa", "hsupa", "hsdpa", "umts"), "umts"),
    **dict.fromkeys(("edge", "gprs", "gsm-compact", "gsm"), "gsm"),
}


class Unreadable(Exception):
    """Not what mmcli says."""


@dataclass(frozen=True, slots=True)
class Modem:
    """What `mmcli -J -m` says that does not change with the weather, and in which network it is."""

    interfaces: tuple[str, ...] = ()
    """Its network ports."""
    bearers: tuple[str, ...] = ()
    """Connections; one may have an interface that is no port."""
    technologies: tuple[str, ...] = ()
    operator: str | None = None
    operator_code: str | None = None
    registration: str | None = None


@dataclass(frozen=True, slots=True)
class Strengths:
    """What `mmcli -J -m … --signal-get` says: for each technology that is measured its figures, in dB and dBm."""

    is_set_up: bool = False
    """ModemManager asks the modem by itself, as somebody has told it to."""
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def signal(modem: Modem, strengths: Strengths, cell_id: str | None) -> Signal:
    """All of it as one value; of several technologies in use, the best one that has figures."""
    used = [name for name in MEASURED_AS if name in modem.technologies]
    measured = [name for name in used if strengths.figures.get(MEASURED_AS[name])]
    technology = next(iter(measured or used or modem.technologies), None)
    figures = strengths.figures.get(MEASURED_AS.get(technology or "", ""), {})
    return Signal(
        technology=technology,
        rsrp_dbm=figures.get("rsrp"),
        rsrq_db=figures.get("rsrq"),
        snr_db=figures.get("snr"),
        rssi_dbm=figures.get("rssi"),
        operator=modem.operator,
        operator_code=modem.operator_code,
        cell_id=cell_id,
        registration=modem.registration,
    )


def is_news(told: Signal | None, now: Signal | None) -> bool:
    """Whether somebody who knows the one should hear of the other."""
    if told is None or now is None:
        return told is not now
    pairs = [(getattr(told, name), getattr(now, name)) for name in Signal.__struct_fields__]
    return any(_differ(before, after) for before, after in pairs)


def _differ(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return abs(after - before) >= HYSTERESIS_DB
    return bool(before != after)


# mmcli's answers


def paths(answer: bytes) -> tuple[str, ...]:
    """Of the modems that ModemManager knows; raises Unreadable."""
    return _paths(_tree(answer), "modem-list")


def modem(answer: bytes) -> Modem:
    """Raises Unreadable."""
    tree = _tree(answer)
    ports = [port.rpartition(" ") for port in _texts(tree, "modem", "generic", "ports")]
    technologies = _texts(tree, "modem", "generic", "access-technologies")
    registration = _text(tree, "modem", "3gpp", "registration-state")
    return Modem(
        interfaces=tuple(name for name, _, kind in ports if kind == "(net)"),
        bearers=_paths(tree, "modem", "generic", "bearers"),
        technologies=tuple(name for name in technologies if name != "unknown"),
        operator=_text(tree, "modem", "3gpp", "operator-name"),
        operator_code=_text(tree, "modem", "3gpp", "operator-code"),
        registration=None if registration == "unknown" else registration,
    )


def interface(answer: bytes) -> str | None:
    """Of a bearer; raises Unreadable."""
    return _text(_tree(answer), "bearer", "status", "interface")


def strengths(answer: bytes) -> Strengths:
    """Raises Unreadable."""
    tree = _tree(answer)
    rate = _text(tree, "modem", "signal", "refresh", "rate")
    found = {
        technology: {
            name: figure
            for name, (least, most) in ranges.items()
            if (figure := _figure(tree, "modem", "signal", technology, name)) is not None and least <= figure <= most
        }
        for technology, ranges in RANGES.items()
    }
    return Strengths(rate not in (None, "0"), found)


def cell_id(answer: bytes) -> str | None:
    """Raises Unreadable. ModemManager has nought where it knows none."""
    cell = _text(_tree(answer), "modem", "location", "3gpp", "cid")
    return cell if cell and cell.strip("0") else None


def _tree(answer: bytes) -> Any:
    try:
        return msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(f"mmcli does not answer in JSON: {answer[:40]!r}") from None


def _at(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _text(tree: Any, *keys: str) -> str | None:
    """Empty and `--` are mmcli's words for nothing."""
    value = _at(tree, *keys)
    if not isinstance(value, str) or value in ("", "--"):
        return None
    return "".join(c if c.isprintable() else " " for c in value[:LONGEST_NAME])


def _texts(tree: Any, *keys: str) -> tuple[str, ...]:
    values = _at(tree, *keys)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _paths(tree: Any, *keys: str) -> tuple[str, ...]:
    """They become arguments of a command, so that they must not look like options."""
    return tuple(text for text in _texts(tree, *keys) if text.startswith("/"))


def _figure(tree: Any, *keys: str) -> float | None:
    try:
        return float(_text(tree, *keys) or "")
    except ValueError:
        return None


# facts


class _Standing(Enum):
    HOME = auto()
    ROAMING = auto()
    OUT = auto()


_STANDINGS = {
    **dict.fromkeys(("home", "home-sms-only", "home-csfb-not-preferred"), _Standing.HOME),
    **dict.fromkeys(("roaming", "roaming-sms-only", "roaming-csfb-not-preferred"), _Standing.ROAMING),
    **dict.fromkeys(("idle", "searching", "denied", "emergency-only", "attached-rlos"), _Standing.OUT),
}  # "SMS only" is said of the part of LTE that carries calls; data goes all the same


class Reception:
    """One uplink's signal as last heard, and what is to be told of its registration. It decides nothing."""

    def __init__(self, uplink: str) -> None:
        self._uplink = uplink
        self._signal: Signal | None = None
        self._heard_at = 0.0
        self._told = _Standing.HOME  # what is as it should be is no news
        self._told_as: str | None = None
        self._told_at: float | None = None

    def known(self, now: float) -> Signal | None:
        return self._signal if now < self._heard_at + LASTS_S else None

    def evidence(self, now: float) -> Evidence:
        """What a verdict may be read with: how the modem hears, when it was asked shortly before."""
        heard = self.known(now)
        figures = {name: getattr(heard, name) for name in WITH_VERDICT} if heard is not None else {}
        return {name: figure for name, figure in figures.items() if figure is not None}

    def take(self, heard: Signal | None, now: float) -> list[Fact]:
        self._signal, self._heard_at = heard, now
        standing = None if heard is None else _STANDINGS.get(heard.registration or "")
        if heard is None or standing is None:
            return []
        if standing is self._told:
            self._told_as = heard.registration
            return []
        if self._told_at is not None and now < self._told_at + TOLD_EVERY_S:
            return []  # if it stays so, it is told when it is heard the next time
        before, self._told_as = self._told_as, heard.registration
        self._told, self._told_at = standing, now
        return [self._fact(standing, before, heard)]

    def _fact(self, standing: _Standing, before: str | None, heard: Signal) -> Fact:
        evidence: Evidence = {name: getattr(heard, name) for name in Signal.__struct_fields__}
        match standing:
            case _Standing.HOME:
                return Fact("MODEM_REGISTERED", self._uplink, before, heard.registration, evidence)
            case _Standing.ROAMING:
                return Fact("MODEM_ROAMING", self._uplink, before, heard.registration, evidence)
            case _Standing.OUT:
                return Fact("MODEM_NOT_REGISTERED", self._uplink, before, heard.registration, evidence)
