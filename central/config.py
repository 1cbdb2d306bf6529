"""What the operator may set: YAML in, settings out; every refusal names key, value and reason."""

import os
import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from central.core.networks import Networks
from central.core.networks import parse as parse_networks
from central.core.quiet import Hours
from wire.stamp import read_key

SYSTEM_DATA = Path("/var/lib/siaga-central")
USER_DATA = Path("siaga-data")
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
NAME_LETTERS, SUPPORT_LETTERS = 253, 60


class ConfigError(Exception):
    """The operator's mistakes, one line each."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """`broker` is a path to nats-server, `mqtt://` or `mqtts://HOST:PORT` of one that runs elsewhere, or None."""

    http: Endpoint
    mqtt: Endpoint
    data: Path
    broker: str | None = None
    hosts: tuple[str, ...] = ()
    """Further names by which browsers may ask for the pages."""
    stamp: Endpoint | None = None
    """Where the stations' test packets are answered; None: nowhere."""
    stamp_key: bytes | None = field(default=None, repr=False)
    """With it only packets that were made with it are answered."""
    measure: Endpoint | None = None
    """Where the stations' bandwidth tests are served, by UDP and TCP; None: nowhere."""
    quiet: tuple[Hours, ...] = ()
    """When they are not."""
    networks: Networks = field(default_factory=Networks, repr=False)
    """Whose an address is by which a station asks."""
    proxies: tuple[str, ...] = ()
    """Addresses of web proxies before us, which may say who has asked them."""
    mqtts: Endpoint | None = None
    """Where stations connect by TLS with certificates of ours, instead of `mqtt`."""
    enrol: Endpoint | None = None
    """Where devices get their certificates by the code on a card; None: only by files."""
    names: tuple[str, ...] = ()
    """Names and addresses by which stations reach this centre; the first stands on cards."""
    support: str = ""
    """A telephone number for the cards."""
    station_config: Path | None = None
    """What a new station's configuration begins with."""

    @property
    def is_secured(self) -> bool:
        """Whether this centre is an authority: then stations have certificates."""
        return bool(self.mqtts or self.enrol or (self.broker or "").startswith(MQTTS_URL))

    @property
    def broker_for_stations(self) -> str:
        """mqtts://host:port as stations reach it."""
        if self.broker and self.broker.startswith((MQTT_URL, MQTTS_URL)):
            return self.broker
        if self.mqtts is None:
            return f"mqtt://{Endpoint(self.names[0], self.mqtt.port)}"
        return f"mqtts://{Endpoint(self.names[0], self.mqtts.port)}"

    @property
    def enrol_url(self) -> str:
        """https://host:port as devices reach it; empty when they cannot."""
        return f"https://{Endpoint(self.names[0], self.enrol.port)}" if self.enrol else ""

    @property
    def outside_broker(self) -> Endpoint | None:
        for scheme in (MQTT_URL, MQTTS_URL):
            if self.broker and self.broker.startswith(scheme):
                return endpoint(self.broker.removeprefix(scheme))
        return None


MQTT_URL, MQTTS_URL = "mqtt://", "mqtts://"


def load(file: Path | None, flags: dict[str, str]) -> Settings:
    """Defaults, then the file, then the command line; raises ConfigError with all mistakes."""
    settings = Settings(Endpoint("127.0.0.1", 8080), Endpoint("127.0.0.1", 1883), _default_data())
    mistakes: list[str] = []
    for source, values in (("", _read(file) if file else {}), ("--", flags)):
        for key, value in values.items():
            try:
                settings = replace(settings, **{key: _reader(key)(value)})
            except ValueError as why:
                mistakes.append(f"{source}{key} = {value!r}: {why}")
    if settings.is_secured and not settings.names and not mistakes:
        mistakes.append("names is missing: by which names or addresses do stations reach this centre? as in [10.8.0.1]")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return settings


def _default_data() -> Path:
    return SYSTEM_DATA if SYSTEM_DATA.is_dir() and os.access(SYSTEM_DATA, os.W_OK) else USER_DATA


def _read(file: Path) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{file} cannot be read: {getattr(why, 'strerror', why)}") from None
    except yaml.YAMLError as why:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(why).split())}") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{file}: expected lines of `key: value`")
    return content or {}


def _reader(key: Any) -> Any:
    try:
        return READERS[key]
    except (KeyError, TypeError):
        raise ValueError(f"there is no such key; known are {', '.join(READERS)}") from None


def endpoint(value: Any) -> Endpoint:
    """`HOST:PORT` or `[IPv6]:PORT`; raises ValueError."""
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:8080")
    if not host or not colon or not port.isascii() or not port.isdigit():
        raise ValueError("expected HOST:PORT, as in 127.0.0.1:8080")
    if not 1 <= int(port) <= 65535:
        raise ValueError("a port is between 1 and 65535")
    return Endpoint(host, int(port))


def _folder(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("expected the path of a folder")
    return Path(value)


def _broker(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected the path of nats-server, mqtt://HOST:PORT or mqtts://HOST:PORT")
    for scheme in (MQTT_URL, MQTTS_URL):
        if value.startswith(scheme):
            endpoint(value.removeprefix(scheme))
            return value
    if "://" in value:
        raise ValueError("only mqtt:// and mqtts:// are spoken")
    return value


def _file(value: Any) -> Path:
    if not isinstance(value, str) or not value or not Path(value).is_file():
        raise ValueError("expected the path of a file that is there")
    return Path(value)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError("expected a list of names, as in [siaga.example.go.id]")
    return tuple(value)


def _networks(value: Any) -> Networks:
    """Of the file with that path."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected the path of a file with lines of prefix,asn,operator")
    try:
        return parse_networks(Path(value).read_text(encoding="utf-8"))
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _addresses(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("expected a list of addresses, as in [127.0.0.1]")
    try:
        return tuple(str(ip_address(each)) for each in map(str, value))
    except ValueError as why:
        raise ValueError(f"{why}; expected a list of addresses, as in [127.0.0.1]") from None


def _reached(value: Any) -> tuple[str, ...]:
    for name in _names(value):
        if not (name.isascii() and name.isprintable()) or set(name) & set(' /#@[]"') or len(name) > NAME_LETTERS:
            raise ValueError(f"{name[:NAME_LETTERS]!r} is no name of a host and no address")
    return _names(value)


def _line(value: Any) -> str:
    if not isinstance(value, str | int) or not 0 < len(str(value)) <= SUPPORT_LETTERS or not str(value).isprintable():
        raise ValueError(f"expected a line of at most {SUPPORT_LETTERS} letters, as in 0812-3456-7890")
    return str(value)


def _key(value: Any) -> bytes:
    """Of the file with that path."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected the path of a file that holds the key")
    try:
        return read_key(Path(value).read_bytes().decode("ascii", "replace"))
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None


def _quiet(value: Any) -> tuple[Hours, ...]:
    if not isinstance(value, list):
        raise ValueError('expected a list of hours, as in ["07:00-13:00"]')
    return tuple(_hours(text) for text in value)


def _hours(text: Any) -> Hours:
    found = HOURS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a time from 00:00 to 23:59 and another, as in 07:00-13:00")
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    hours = Hours(begin_hour * 3600 + begin_minute * 60, end_hour * 3600 + end_minute * 60)
    if hours.begin_s == hours.end_s:
        raise ValueError(f"{text!r} is no time at all; leave out `measure` when nothing is ever to be tested")
    return hours


READERS = {
    "networks": _networks,
    "proxies": _addresses,
    "http": endpoint,
    "mqtt": endpoint,
    "data": _folder,
    "broker": _broker,
    "hosts": _names,
    "stamp": endpoint,
    "stamp_key": _key,
    "measure": endpoint,
    "quiet": _quiet,
    "mqtts": endpoint,
    "enrol": endpoint,
    "names": _reached,
    "support": _line,
    "station_config": _file,
}
