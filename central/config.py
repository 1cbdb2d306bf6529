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
    """`broker` is a path to nats-server, `mqtt://HOST:PORT` of one that runs elsewhere, or None to look for one."""

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

    @property
    def outside_broker(self) -> Endpoint | None:
        return (
            endpoint(self.broker.removeprefix(MQTT_URL)) if self.broker and self.broker.startswith(MQTT_URL) else None
        )


MQTT_URL = "mqtt://"


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
        raise ValueError("expected the path of nats-server, or mqtt://HOST:PORT")
    if value.startswith(MQTT_URL):
        endpoint(value.removeprefix(MQTT_URL))
    elif "://" in value:
        raise ValueError("only mqtt:// is spoken")
    return value


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
}
