"""YAML in, settings out; every refusal names key, value and reason."""

from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import yaml

from agent.core.reflector import mistakes as reflector_mistakes
from agent.core.station import Centre, Check, Endpoint, Essential, Lan, Metered, Station, Uplink
from wire.topics import is_station

DEFAULT_PATH = Path("/etc/siaga/agent.yaml")
INTERFACE_BYTES = 15  # the kernel's IFNAMSIZ less the closing zero
NAME_BYTES = 32  # it stands in topics, tables and on cards
OPERATOR_LETTERS = 64  # the centre takes no longer name
STATE_DIR_BYTES = 96  # a socket in it has an address of at most 107
BODY_BYTES = 1024  # a page that a diagnosis fetches on a metered link
ZONE_BYTES = 200  # a random label is put before it
MB_AT_LEAST = 0.1  # 1,400 echoes
UP_KBPS_AT_LEAST, UP_KBPS_AT_MOST = 64, 1_000_000
PREFIX_AT_MOST = 64  # each host below has an address of its own
INSIDE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))  # RFC 1918, RFC 4193
UPLINKS_AT_MOST = 16  # each has a table and a mark of its own; the mark is one byte


class ConfigError(Exception):
    """The operator's mistakes, one line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def load(path: Path) -> Station:
    """Read and check the file; raises ConfigError with every mistake found."""
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """Its text; raises ConfigError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as why:
        reason = why.strerror if isinstance(why, OSError) else "it is not UTF-8 text"
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None


def parse(text: str, name: str = "agent.yaml") -> Station:
    """Check the text of a configuration; raises ConfigError with every mistake found."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as why:
        mark = getattr(why, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError([f"{name}:{where} not YAML: {getattr(why, 'problem', None) or _line(why)}"]) from None
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as why:  # 2024-13-45, or !!bool x
        raise ConfigError([f"{name}: a value is not what YAML takes it for: {_line(why)}; put it in quotes"]) from None
    form = _Form()
    station = form.struct(value, Station, "")
    if isinstance(station, Station):
        form.mistakes += _disagreements(station)
    if form.mistakes or not isinstance(station, Station):
        raise ConfigError([f"{name}: {_line(mistake)}" for mistake in form.mistakes])
    return station


@dataclass
class _Form:
    """Fills structs field by field, so that one mistake does not hide the next."""

    mistakes: list[str] = field(default_factory=list)

    def struct(self, value: Any, kind: type[msgspec.Struct], path: str) -> msgspec.Struct | None:
        if not isinstance(value, dict):
            self.refuse(path or "the file", value, f"must be a mapping with the keys of {kind.__name__.lower()}")
            return None
        before = len(self.mistakes)
        fields = {item.name: item for item in msgspec.structs.fields(kind)}
        for key in value:
            if key not in fields:
                self.refuse(_join(path, key), value[key], f"no such key; known are {', '.join(fields)}")
        filled = {}
        for key, item in fields.items():
            if key in value:
                filled[key] = self.item(value[key], item.type, _join(path, key))
            elif item.required:
                self.mistakes.append(f"{_join(path, key)} is missing")
        return kind(**filled) if len(self.mistakes) == before else None

    def item(self, value: Any, kind: Any, path: str) -> Any:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(value, kind, path)
        if kind in (tuple[Uplink, ...], tuple[Essential, ...]) and isinstance(value, list):
            return tuple(self.struct(each, get_args(kind)[0], f"{path}[{n}]") for n, each in enumerate(value))
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as why:
            quotes = "; put it in quotes" if kind is str and isinstance(value, int) else ""
            self.refuse(path, value, f"{why}{quotes}")
            return None

    def refuse(self, path: str, value: Any, reason: str) -> None:
        self.mistakes.append(f"{path} = {_short(value)}: {reason}")


def _disagreements(station: Station) -> list[str]:
    """What only shows when fields are looked at together or by their meaning."""
    return [
        *_station_mistakes(station),
        *_uplink_mistakes(station.uplinks),
        *_lan_mistakes(station.lan, station.uplinks),
        *_prefix_mistakes(station.uplinks, station.lan),
        *_centre_mistakes(station.centre),
        *_essential_mistakes(station.essential),
        *_check_mistakes(station.check or Check()),
        *_metrics_mistakes(station.metrics, station.lan),
    ]


def _station_mistakes(station: Station) -> list[str]:
    found = []
    if not is_station(station.station):
        found.append(f'station = "{station.station}": must be 13 digits: village code (10) and TPS number (3)')
    if not station.targets:
        found.append("targets = []: at least one address that answers echoes is needed")
    for n, target in enumerate(station.targets):
        if not _is_address(target):
            found.append(f'targets[{n}] = "{target}": is not an IP address')
        elif ip_address(target) in (ip_address(other) for other in station.targets[:n] if _is_address(other)):
            found.append(f'targets[{n}] = "{target}": is there twice; one target twice is one vote')
    if not Path(station.state_dir).is_absolute():
        found.append(f'state_dir = "{station.state_dir}": must be an absolute path')
    if not 0 < len(station.state_dir.encode()) <= STATE_DIR_BYTES or not station.state_dir.isprintable():
        found.append(
            f"state_dir = {_short(station.state_dir)}: must have at most {STATE_DIR_BYTES} printable characters"
        )
    return found


def _uplink_mistakes(uplinks: tuple[Uplink, ...]) -> list[str]:
    found = []
    if not 1 <= len(uplinks) <= UPLINKS_AT_MOST:
        found.append(f"uplinks: {len(uplinks)} given; 1 to {UPLINKS_AT_MOST} are possible")
    for n, uplink in enumerate(uplinks):
        path = f"uplinks[{n}]"
        if not _is_name(uplink.name):
            found.append(
                f'{path}.name = "{uplink.name}": 1 to {NAME_BYTES} of the characters a-z, 0-9 and - are possible'
            )
        if not _is_interface(uplink.interface):
            found.append(f'{path}.interface = "{uplink.interface}": is not a name the kernel takes')
        if uplink.gateway != "auto" and not _is_address(uplink.gateway):
            found.append(f'{path}.gateway = "{uplink.gateway}": must be auto or an IP address')
        for m, resolver in enumerate(uplink.resolvers):
            if not _is_address(resolver):
                found.append(f'{path}.resolvers[{m}] = "{resolver}": is not an IP address')
            elif resolver in (each for other in uplinks[:n] for each in other.resolvers):
                found.append(
                    f'{path}.resolvers[{m}] = "{resolver}": another uplink has it already; name only those that answer '
                    "by one uplink alone"
                )
        if uplink.operator is not None and not 1 <= len(uplink.operator) <= OPERATOR_LETTERS:
            found.append(
                f"{path}.operator = {_short(uplink.operator)}: 1 to {OPERATOR_LETTERS} characters are possible"
            )
        if uplink.metered:
            found += _plan_mistakes(uplink.metered, f"{path}.metered")
        if uplink.up_kbps is not None and not UP_KBPS_AT_LEAST <= uplink.up_kbps <= UP_KBPS_AT_MOST:
            found.append(
                f"{path}.up_kbps = {_short(uplink.up_kbps)}: {UP_KBPS_AT_LEAST} to {UP_KBPS_AT_MOST} kbit/s are "
                "possible; a faster uplink needs no such care"
            )
        for key in ("mb_per_day", "mb_per_month") if uplink.budget else ():
            value = getattr(uplink.budget, key)
            if value is not None and not value >= MB_AT_LEAST:
                found.append(f"{path}.budget.{key} = {value}: must be at least {MB_AT_LEAST}, or nothing is measured")
        for key in ("name", "interface"):
            value = getattr(uplink, key)
            if value in (getattr(other, key) for other in uplinks[:n]):
                found.append(f'{path}.{key} = "{value}": another uplink has it already')
    return found


def _plan_mistakes(metered: Metered, path: str) -> list[str]:
    found = []
    if not 0 < metered.mb_per_month < float("inf"):
        found.append(f"{path}.mb_per_month = {metered.mb_per_month}: must be above 0")
    elif metered.reserve_mb is not None and not 0 <= metered.reserve_mb < metered.mb_per_month:
        found.append(f"{path}.reserve_mb = {metered.reserve_mb}: must be at least 0 and below mb_per_month")
    if metered.from_day is not None and not 1 <= metered.from_day <= 28:
        found.append(f"{path}.from_day = {_short(metered.from_day)}: must be 1 to 28, a day that every month has")
    return found


def _prefix_mistakes(uplinks: tuple[Uplink, ...], lan: Lan) -> list[str]:
    found = []
    given: list[IPv6Network] = []
    for n, uplink in enumerate(uplinks):
        if uplink.prefix6 is None:
            continue
        mistake = f'uplinks[{n}].prefix6 = "{uplink.prefix6}"'
        prefix = IPv6Network(uplink.prefix6) if _is_network(uplink.prefix6) and ":" in uplink.prefix6 else None
        if prefix is None:
            found.append(f"{mistake}: must be an IPv6 prefix without bits behind its length, as 2001:db8:a::/56")
            continue
        if not 1 <= prefix.prefixlen <= PREFIX_AT_MOST:
            found.append(f"{mistake}: a LAN is given a prefix of at most {PREFIX_AT_MOST} bits")
        elif any(prefix.overlaps(other) for other in given):
            found.append(f"{mistake}: another uplink has it already, or a part of it")
        elif lan.nat != "managed":
            found.append(f"{mistake}: needs lan.nat = managed, or nobody translates from it")
        given.append(prefix)
    return found


def _essential_mistakes(essential: tuple[Essential, ...]) -> list[str]:
    found = []
    for n, each in enumerate(essential):
        path = f"essential[{n}]"
        if each.to is None and not each.ports:
            found.append(f"{path}: needs `to`, `ports` or both; without either everything would be essential")
        if each.to is not None and not _is_network(each.to):
            found.append(
                f"{path}.to = {_short(each.to)}: must be an address or a network without bits behind its length, as "
                "203.0.113.0/24; a name may change its address"
            )
        elif each.to is not None and not ip_network(each.to).prefixlen:
            found.append(f"{path}.to = {_short(each.to)}: is everything; name a network, or leave it out")
        for m, port in enumerate(each.ports):
            if not _is_port(port):
                found.append(f"{path}.ports[{m}] = {_short(port)}: must be as tcp/443, udp/123 or tcp/8000-8010")
    return found


def _lan_mistakes(lan: Lan, uplinks: tuple[Uplink, ...]) -> list[str]:
    found = []
    for n, interface in enumerate(lan.interfaces):
        if not _is_interface(interface):
            found.append(f'lan.interfaces[{n}] = "{interface}": is not a name the kernel takes')
        elif interface in (uplink.interface for uplink in uplinks):
            found.append(f'lan.interfaces[{n}] = "{interface}": is an uplink; an interface cannot be both')
    if lan.nat == "managed" and not lan.interfaces:
        found.append("lan.nat = managed: needs lan.interfaces, or there is nobody to masquerade")
    return found


def _centre_mistakes(centre: Centre) -> list[str]:
    found = []
    if not (_is_url(centre.broker, "mqtt") or _is_url(centre.broker, "mqtts")):
        found.append(f'centre.broker = "{centre.broker}": must be mqtts://host[:port], or mqtt:// in a laboratory')
    if centre.measure is not None and not (_is_url(f"udp://{centre.measure}", "udp") and _has_port(centre.measure)):
        found.append(f"centre.measure = {_short(centre.measure)}: must be host:port, as 198.51.100.10:8621")
    if centre.seen is not None and not _is_page(centre.seen):
        found.append(f"centre.seen = {_short(centre.seen)}: must be http://host/path, as the centre's /siaga/seen")
    return [*found, *reflector_mistakes(centre)]


def _is_url(text: str, scheme: str) -> bool:
    """A host and perhaps a port, and nothing else."""
    try:
        url = urlsplit(text)
        bare = url.path in ("", "/") and not (url.query or url.fragment or "@" in url.netloc)
        return url.scheme == scheme and bool(url.hostname) and bare and (url.port is None or url.port > 0)
    except ValueError:
        return False


def _has_port(text: str) -> bool:
    return text.rpartition(":")[2].isdigit()


def _check_mistakes(check: Check) -> list[str]:
    found = []
    for one, other in (("http", "body"), ("name", "answer"), ("tls_ca", "tls")):
        for given, needed in ((one, other), (other, one)):
            if given != "tls" and getattr(check, given) is not None and getattr(check, needed) is None:
                found.append(f"check.{given}: needs check.{needed} beside it")
    if check.http is not None and not _is_page(check.http):
        found.append(f"check.http = {_short(check.http)}: must be http://host/path; TLS would hide a portal")
    if check.body is not None and not 0 < len(check.body.encode()) <= BODY_BYTES:
        found.append(f"check.body = {_short(check.body)}: 1 to {BODY_BYTES} bytes are possible")
    if check.name is not None and not _is_zone(check.name):
        found.append(f"check.name = {_short(check.name)}: must be a domain name, as check.example.id")
    if check.answer is not None and not _is_address(check.answer):
        found.append(f"check.answer = {_short(check.answer)}: is not an IP address")
    if check.tls is not None and not _is_server(check.tls):
        found.append(f"check.tls = {_short(check.tls)}: must be host or host:port")
    if check.tls_ca is not None and not Path(check.tls_ca).is_absolute():
        found.append(f"check.tls_ca = {_short(check.tls_ca)}: must be an absolute path")
    return found


def _metrics_mistakes(metrics: str | None, lan: Lan) -> list[str]:
    if metrics is None:
        return []
    mistake, instead = f"metrics = {_short(metrics)}", "write 127.0.0.1:9815, or this device's own address on the LAN"
    try:
        at = Endpoint.of(metrics)
    except ValueError:
        return [f"{mistake}: must be ADDRESS:PORT with a literal address; {instead}"]
    address = ip_address(at.address)
    if address.is_unspecified:
        return [f"{mistake}: is every address, those of the uplinks too; {instead}"]
    if not (at.is_loopback or any(address in network for network in INSIDE)):
        return [f"{mistake}: is no loopback address and no private one; {instead}"]
    if not at.is_loopback and not lan.interfaces:
        return [f"{mistake}: needs lan.interfaces, by which alone it is then open; or write 127.0.0.1:{at.port}"]
    return []


def _is_page(text: str) -> bool:
    try:
        url = urlsplit(text)
        bare = "@" not in url.netloc and not url.fragment and url.path.startswith("/")
        good = url.scheme == "http" and bool(url.hostname) and bare and (url.port is None or url.port > 0)
    except ValueError:
        return False
    return good and text.isascii() and text.isprintable() and " " not in text


def _is_server(text: str) -> bool:
    try:
        url = urlsplit(f"//{text}")
        good = bool(url.hostname) and text == url.netloc and (url.port is None or url.port > 0)
    except ValueError:
        return False
    return good and "@" not in text and text.isascii() and text.isprintable() and " " not in text


def _is_zone(text: str) -> bool:
    labels = text.split(".")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
    return len(text) <= ZONE_BYTES and all(0 < len(each) < 64 and set(each.lower()) <= set(letters) for each in labels)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return "%" not in text


def _is_port(text: str) -> bool:
    protocol, _, span = text.partition("/")
    ends = span.split("-")
    if (
        protocol not in ("tcp", "udp")
        or len(ends) > 2
        or not all(e.isascii() and e.isdigit() and len(e) < 6 for e in ends)
    ):
        return False
    return 0 < int(ends[0]) <= int(ends[-1]) < 65_536


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_BYTES and all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in text)


def _is_interface(text: str) -> bool:
    short = 0 < len(text.encode()) <= INTERFACE_BYTES and text not in (".", "..")
    return short and not any(c.isspace() or c in '/:"' or not c.isprintable() for c in text)


def _join(path: str, key: object) -> str:
    name = key if isinstance(key, str) else _short(key)
    return f"{path}.{name}" if path else name


def _short(value: object) -> str:
    try:
        text = f'"{value}"' if isinstance(value, str) else str(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "…"


def _line(value: object) -> str:
    """On one line, and harmless to a terminal."""
    return "".join(c if c.isprintable() else " " for c in " ".join(str(value).split()))
