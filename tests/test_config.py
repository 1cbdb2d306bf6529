"""The configuration: a good file is read whole, and every mistake is one line with key, value and reason."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import ConfigError, load, parse
from agent.core.reflector import Reflector, reflector
from agent.core.station import (
    Centre,
    Check,
    Essential,
    Family,
    Guarantee,
    Kind,
    Lan,
    Metered,
    Nat,
    Station,
    Uplink,
)

WHOLE = """
station: "6408042001143"
uplinks:
  - name: fibre
    interface: eth0
    kind: fibre
    operator: Telkom
    contract: TLK-2024-117
    shared_fate: telkom
    payer: KPU
    gateway: auto
    guarantee: {down_mbps: 50, up_mbps: 10, rtt_ms: 30, loss: 0.01, availability: 0.995}
  - name: lte
    interface: wwan0
    kind: lte
    metered: {mb_per_month: 20000, reserve_mb: 500, from_day: 21}
    up_kbps: 1000
    prefix6: "2001:db8:a::/56"
  - name: vsat-1
    interface: eth2.100
    kind: geo
    gateway: 203.0.113.1
targets: [1.1.1.1, 9.9.9.9, "2606:4700:4700::1111"]
lan:
  interfaces: [lan0, wlan0]
  nat: managed
centre:
  broker: mqtt://centre.example:1884
essential:
  - {to: 203.0.113.0/24, ports: [tcp/443, udp/5000-5010]}
  - {to: "2001:db8:5::7"}
  - {ports: [tcp/8443]}
state_dir: /srv/siaga
"""
LEAST = """
station: "6408042001143"
uplinks: [{name: fibre, interface: eth0, kind: fibre}]
targets: [1.1.1.1]
centre: {broker: "mqtt://centre.example"}
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text, "a.yaml")
    assert str(refused.value) == "\n".join(refused.value.mistakes)
    return refused.value.mistakes


def with_change(change: dict[str, Any]) -> str:
    """The whole example with values put in place; a dotted path names the place, None takes it out."""
    value = yaml.safe_load(WHOLE)
    for path, new in change.items():
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place = value
        for step in way:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        if new is None:
            place.pop(last, None) if isinstance(place, dict) else place.pop(last)
        else:
            place[last] = new
    return yaml.safe_dump(value)


def test_the_whole_example_is_read() -> None:
    assert parse(WHOLE) == Station(
        station="6408042001143",
        uplinks=(
            Uplink(
                name="fibre",
                interface="eth0",
                kind=Kind.FIBRE,
                operator="Telkom",
                contract="TLK-2024-117",
                shared_fate="telkom",
                payer="KPU",
                gateway="auto",
                guarantee=Guarantee(down_mbps=50, up_mbps=10, rtt_ms=30, loss=0.01, availability=0.995),
            ),
            Uplink("lte", "wwan0", Kind.LTE, metered=Metered(20000, 500, 21), up_kbps=1000, prefix6="2001:db8:a::/56"),
            Uplink("vsat-1", "eth2.100", Kind.GEO, gateway="203.0.113.1"),
        ),
        targets=("1.1.1.1", "9.9.9.9", "2606:4700:4700::1111"),
        centre=Centre("mqtt://centre.example:1884"),
        lan=Lan(("lan0", "wlan0"), Nat.MANAGED),
        essential=(
            Essential("203.0.113.0/24", ("tcp/443", "udp/5000-5010")),
            Essential("2001:db8:5::7"),
            Essential(ports=("tcp/8443",)),
        ),
        state_dir="/srv/siaga",
    )


def test_a_reflector_is_read_for_each_family() -> None:
    both = ["[2001:db8::10]:862", "198.51.100.10:8620"]
    station = parse(with_change({"centre.stamp": both, "centre.stamp_key": "/etc/siaga/stamp.key"}))
    assert (station.centre.stamp, station.centre.stamp_key) == (tuple(both), "/etc/siaga/stamp.key")
    assert [reflector(text) for text in both] == [
        Reflector("2001:db8::10", 862, Family.IPV6),
        Reflector("198.51.100.10", 8620, Family.IPV4),
    ]


def test_a_check_is_read() -> None:
    page = {"http": "http://centre.example:8080/siaga/check", "body": "siaga check\n"}
    name = {"name": "check.example.id", "answer": "2001:db8::1"}
    safe = {"tls": "centre.example:8883", "tls_ca": "/etc/siaga/ca.pem"}
    assert parse(with_change({"check": {**page, **name, **safe}})).check == Check(**page, **name, **safe)
    assert parse(with_change({"check": {"tls": "[2001:db8::1]"}})).check == Check(tls="[2001:db8::1]")
    assert parse(WHOLE).check is None


@pytest.mark.parametrize("text", [WHOLE, LEAST, Path("config/agent.yaml").read_text()])
def test_what_was_read_is_read_the_same_from_what_the_agent_hands_on(text: str) -> None:
    """A diagnosis is a child of the agent, and is given the configuration that the agent runs with."""
    station = parse(text)
    assert parse(msgspec.json.encode(station).decode()) == station


def test_what_is_optional_may_be_left_out() -> None:
    station = parse(LEAST)
    assert station.lan == Lan((), Nat.EXTERNAL)
    assert station.state_dir == "/var/lib/siaga"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"station": None}, "station is missing"),
        ({"station": "640804200114"}, 'station = "640804200114": must be 13 digits'),
        ({"station": 6408042001143}, "station = 6408042001143: Expected `str`, got `int`"),
        ({"targets": None}, "targets is missing"),
        ({"targets": []}, "targets = []: at least one"),
        ({"targets": ["dns.example"]}, 'targets[0] = "dns.example": is not an IP address'),
        ({"targets": ["fe80::1%eth0"]}, 'targets[0] = "fe80::1%eth0": is not an IP address'),
        ({"targets": ["1.1.1.1", "9.9.9.9", "1.1.1.1"]}, 'targets[2] = "1.1.1.1": is there twice'),
        ({"targets": ["2001:db8::1", "2001:DB8:0::1"]}, 'targets[1] = "2001:DB8:0::1": is there twice'),
        ({"uplinks": None}, "uplinks is missing"),
        ({"uplinks": []}, "uplinks: 0 given; 1 to 16 are possible"),
        ({"uplinks": "eth0"}, 'uplinks = "eth0": Expected `array`, got `str`'),
        ({"uplinks.0": "eth0"}, 'uplinks[0] = "eth0": must be a mapping with the keys of uplink'),
        ({"uplinks.0.name": None}, "uplinks[0].name is missing"),
        ({"uplinks.0.name": "Serat Optik"}, 'uplinks[0].name = "Serat Optik": 1 to 32 of the characters'),
        ({"uplinks.0.name": ""}, 'uplinks[0].name = "": 1 to 32 of the characters'),
        ({"uplinks.1.name": "fibre"}, 'uplinks[1].name = "fibre": another uplink has it already'),
        ({"uplinks.1.interface": "eth0"}, 'uplinks[1].interface = "eth0": another uplink has it already'),
        ({"uplinks.1.interface": "a-name-of-16-xxx"}, 'uplinks[1].interface = "a-name-of-16-xxx": is not a name'),
        ({"uplinks.1.interface": "eth0/1"}, 'uplinks[1].interface = "eth0/1": is not a name the kernel takes'),
        ({"uplinks.1.interface": 'e"0'}, 'uplinks[1].interface = "e"0": is not a name the kernel takes'),
        ({"uplinks.1.kind": "5g"}, 'uplinks[1].kind = "5g": Invalid enum value'),
        ({"uplinks.1.gateway": "router"}, 'uplinks[1].gateway = "router": must be auto or an IP address'),
        ({"uplinks.1.operator": "x" * 65}, "1 to 64 characters are possible"),
        ({"uplinks.1.operator": 7}, "uplinks[1].operator = 7: Expected `str"),
        ({"uplinks.1.metered.mb_per_month": 0}, "uplinks[1].metered.mb_per_month = 0.0: must be above 0"),
        ({"uplinks.1.metered.mb_per_month": float("nan")}, "uplinks[1].metered.mb_per_month = nan: must be above 0"),
        ({"uplinks.1.metered.mb_per_month": float("inf")}, "uplinks[1].metered.mb_per_month = inf: must be above 0"),
        ({"uplinks.1.metered.reserve_mb": -1}, "reserve_mb = -1.0: must be at least 0 and below mb_per_month"),
        ({"uplinks.1.metered.reserve_mb": 20000}, "reserve_mb = 20000.0: must be at least 0 and below mb_per_month"),
        ({"uplinks.1.metered.reserve_mb": float("nan")}, "reserve_mb = nan: must be at least 0 and below mb_per_month"),
        ({"uplinks.1.metered.from_day": 0}, "from_day = 0: must be 1 to 28, a day that every month has"),
        ({"uplinks.1.metered.from_day": 31}, "from_day = 31: must be 1 to 28, a day that every month has"),
        ({"uplinks.1.up_kbps": 63}, "uplinks[1].up_kbps = 63: 64 to 1000000 kbit/s are possible"),
        ({"uplinks.1.up_kbps": 1_000_001}, "uplinks[1].up_kbps = 1000001: 64 to 1000000 kbit/s are possible"),
        ({"uplinks.1.up_kbps": "1M"}, 'uplinks[1].up_kbps = "1M": Expected `int'),
        ({"uplinks.1.prefix6": "2001:db8::1/56"}, 'prefix6 = "2001:db8::1/56": must be an IPv6 prefix without bits'),
        ({"uplinks.1.prefix6": "192.0.2.0/24"}, 'prefix6 = "192.0.2.0/24": must be an IPv6 prefix'),
        ({"uplinks.1.prefix6": "2001:db8::/96"}, 'prefix6 = "2001:db8::/96": a LAN is given a prefix of at most 64'),
        ({"uplinks.1.prefix6": "::/0"}, 'prefix6 = "::/0": a LAN is given a prefix of at most 64'),
        ({"uplinks.0.prefix6": "2001:db8:a::/48"}, 'uplinks[1].prefix6 = "2001:db8:a::/56": another uplink has it'),
        ({"lan.nat": "external"}, 'uplinks[1].prefix6 = "2001:db8:a::/56": needs lan.nat = managed'),
        ({"centre.stamp": "198.51.100.10:862"}, 'centre.stamp = "198.51.100.10:862": Expected `array`, got `str`'),
        (
            {"centre.stamp": ["centre.example:862"]},
            'centre.stamp[0] = "centre.example:862": must be an address and a port, as 198.51.100.10:862 or '
            "[2001:db8::10]:862; a name is not possible, because the agent asks no DNS while it measures",
        ),
        *(
            ({"centre.stamp": [text]}, f'centre.stamp[0] = "{text}": must be an address and a port')
            for text in (
                "198.51.100.10",
                "[198.51.100.10]:862",
                "2001:db8::10:862",
                "1.2.3.4:0",
                "1.2.3.4:65536",
                "1.2.3.4:²",
                "[fe80::1%eth0]:862",
                "[2001:db8::1]",
                "",
            )
        ),
        (
            {"centre.stamp": ["198.51.100.10:862", "198.51.100.11:862"]},
            'centre.stamp[1] = "198.51.100.11:862": there is one of ipv4 already; each family has one reflector',
        ),
        ({"centre.stamp_key": "/k"}, "centre.stamp_key: needs centre.stamp beside it"),
        ({"centre.stamp": ["1.2.3.4:862"], "centre.stamp_key": "k"}, 'stamp_key = "k": must be an absolute path'),
        ({"essential.0": {}}, "essential[0]: needs `to`, `ports` or both"),
        ({"essential.0.to": "pusat.example"}, 'essential[0].to = "pusat.example": must be an address or a network'),
        ({"essential.0.to": "203.0.113.1/24"}, 'essential[0].to = "203.0.113.1/24": must be an address or a network'),
        ({"essential.0.to": "fe80::1%eth0"}, 'essential[0].to = "fe80::1%eth0": must be an address or a network'),
        ({"essential.0.to": "0.0.0.0/0"}, 'essential[0].to = "0.0.0.0/0": is everything; name a network'),
        ({"essential.0.ports": [443]}, "essential[0].ports = [443]: Expected `str`, got `int`"),
        ({"essential.0.ports": ["443"]}, 'essential[0].ports[0] = "443": must be as tcp/443'),
        ({"essential.0.ports": ["tcp/0"]}, 'ports[0] = "tcp/0": must be as tcp/443, udp/123 or tcp/8000-8010'),
        ({"essential.0.ports": ["udp/7", "tcp/9-8"]}, 'ports[1] = "tcp/9-8": must be as tcp/443'),
        ({"essential.0.ports": ["tcp/65536"]}, 'ports[0] = "tcp/65536": must be as tcp/443'),
        ({"essential.0.ports": ["tcp/80 accept"]}, 'ports[0] = "tcp/80 accept": must be as tcp/443'),
        ({"essential.0.ports": ["tcp/²"]}, 'ports[0] = "tcp/²": must be as tcp/443'),
        ({"essential.0.ports": ["tcp/https"]}, 'ports[0] = "tcp/https": must be as tcp/443'),
        ({"essential.0.port": 443}, "essential[0].port = 443: no such key; known are to, ports"),
        ({"essential": ["203.0.113.7"]}, 'essential[0] = "203.0.113.7": must be a mapping with the keys of essential'),
        ({"essential": "all"}, 'essential = "all": Expected `array`, got `str`'),
        (
            {"uplinks.1.budget": {"mb_per_day": 0}},
            "uplinks[1].budget.mb_per_day = 0.0: must be at least 0.1, or nothing is measured",
        ),
        (
            {"uplinks.1.budget": {"mb_per_month": float("nan")}},
            "uplinks[1].budget.mb_per_month = nan: must be at least 0.1, or nothing is measured",
        ),
        ({"uplinks.1.metered.gb": 3}, "Object contains unknown field `gb`"),
        ({"uplinks.1.apn": "internet"}, 'uplinks[1].apn = "internet": no such key; known are name, interface, kind'),
        ({"lan.interfaces": ["eth0"]}, 'lan.interfaces[0] = "eth0": is an uplink; an interface cannot be both'),
        ({"lan.interfaces": ["lan 0"]}, 'lan.interfaces[0] = "lan 0": is not a name the kernel takes'),
        ({"lan.interfaces": []}, "lan.nat = managed: needs lan.interfaces"),
        ({"lan.nat": "yes"}, 'lan.nat = "yes": Invalid enum value'),
        ({"check": {"http": "http://x/y"}}, "check.http: needs check.body beside it"),
        ({"check": {"body": "x"}}, "check.body: needs check.http beside it"),
        ({"check": {"name": "x.id"}}, "check.name: needs check.answer beside it"),
        ({"check": {"answer": "1.1.1.1"}}, "check.answer: needs check.name beside it"),
        ({"check": {"tls_ca": "/ca.pem"}}, "check.tls_ca: needs check.tls beside it"),
        ({"check": {"http": "https://x/y", "body": "x"}}, 'check.http = "https://x/y": must be http://host/path; TLS'),
        ({"check": {"http": "http://x", "body": "x"}}, 'check.http = "http://x": must be http://host/path'),
        ({"check": {"http": "http://x/a b", "body": "x"}}, "must be http://host/path"),
        ({"check": {"http": "http://x:0/y", "body": "x"}}, "must be http://host/path"),
        ({"check": {"http": "http://[::1/y", "body": "x"}}, "must be http://host/path"),
        ({"check": {"http": "http://x/y", "body": ""}}, 'check.body = "": 1 to 1024 bytes are possible'),
        ({"check": {"http": "http://x/y", "body": "é" * 513}}, "1 to 1024 bytes are possible"),
        ({"check": {"name": "x y", "answer": "1.1.1.1"}}, 'check.name = "x y": must be a domain name'),
        ({"check": {"name": "a..b", "answer": "1.1.1.1"}}, 'check.name = "a..b": must be a domain name'),
        ({"check": {"name": "x.id", "answer": "x"}}, 'check.answer = "x": is not an IP address'),
        ({"check": {"tls": "https://x"}}, 'check.tls = "https://x": must be host or host:port'),
        ({"check": {"tls": "x:0"}}, 'check.tls = "x:0": must be host or host:port'),
        ({"check": {"tls": "x", "tls_ca": "ca.pem"}}, 'check.tls_ca = "ca.pem": must be an absolute path'),
        ({"check": {"speed": 1}}, "Object contains unknown field `speed`"),
        ({"check": "http://x/y"}, "check = "),
        ({"centre": None}, "centre is missing"),
        ({"centre": "mqtt://x"}, 'centre = "mqtt://x": must be a mapping with the keys of centre'),
        ({"centre.broker": "https://x"}, 'centre.broker = "https://x": must be mqtts://host[:port]'),
        ({"centre.broker": "mqtt://"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://x:0"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://x:99999"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://x/path"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://kpu:rahasia@x"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://x?tls=1"}, "must be mqtts://host"),
        ({"centre.broker": "mqtt://[::1"}, "must be mqtts://host"),
        ({"state_dir": "var/lib"}, 'state_dir = "var/lib": must be an absolute path'),
        ({"statedir": "/x"}, 'statedir = "/x": no such key; known are station, uplinks, targets'),
        ({"station": "one\nline"}, 'station = "one line": must be 13 digits'),
        ({"state_dir": "/\x1b[31m"}, 'state_dir = "/ [31m": must have at most 96 printable characters'),
        ({"state_dir": "/" + "x" * 96}, "must have at most 96 printable characters"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line_with_key_value_and_reason(change: dict[str, Any], complaint: str) -> None:
    found = mistakes(with_change(change))
    assert len(found) == 1
    assert found[0].startswith("a.yaml: ")
    assert complaint in found[0]


def test_all_mistakes_are_named_at_once() -> None:
    text = with_change({"station": None, "uplinks.0.kind": "dsl", "uplinks.1.colour": "red", "lan.nat": 3, "speed": 1})
    found = mistakes(text)
    assert len(found) == 5
    for part in ("station is missing", "uplinks[0].kind", "uplinks[1].colour", "lan.nat", "speed"):
        assert any(part in line for line in found)


def test_all_disagreements_are_named_at_once() -> None:
    text = with_change({"station": "1", "uplinks.1.name": "fibre", "targets": ["x"], "centre.broker": "x"})
    assert len(mistakes(text)) == 4


@pytest.mark.parametrize("value", ["", "null", "[]", "42", "just words"])
def test_a_file_that_is_no_mapping_is_refused(value: str) -> None:
    (line,) = mistakes(value)
    assert line.startswith("a.yaml: the file = ")
    assert "must be a mapping with the keys of station" in line


def test_yaml_that_is_broken_is_told_with_its_line() -> None:
    (line,) = mistakes('station: "6408042001143"\nuplinks:\n  - {name: fibre\ntargets: []\n')
    assert line.startswith("a.yaml: line 4, column ")
    assert "not YAML" in line


@pytest.mark.parametrize(
    "text",
    [
        "a: 2024-13-45",
        "a: !!bool maybe",
        "a: !!timestamp soon",
        "a: !!int x",
        "a: !!float x",
        "a: !!binary é",
        "a: 0x_",
        "a: " + "9" * 5000,
        "a: 0x" + "f" * 5000,
        "2024-01-01 99:99:99",
        "? [a, b]\n: c",
        "? {a: b}\n: c",
        "!!python/object:os.system {}",
        "[" * 5000,
        "a: &a [*a]",
        "&a {b: *a}",
        "\x00",
        "<<: 1",
        "%YAML 9.9\n---\na",
        "--- a\n--- b",
        "a: *nobody",
        "\ud800",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_yaml_that_even_its_reader_stumbles_over_is_refused_in_one_line(text: str) -> None:
    assert all(len(line.splitlines()) == 1 for line in mistakes(text))


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(LEAST)
    assert load(path) == parse(LEAST)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "agent.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(b"station: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8 text"):
        load(path)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["fibre", "auto", "managed", "1.1.1.1", "mqtt://x", "6408042001143", "eth0"])
)
keys = (
    st.sampled_from([*Station.__struct_fields__, *Uplink.__struct_fields__, *Lan.__struct_fields__, "broker"])
    | st.text(max_size=5)
    | st.integers()
    | st.none()
    | st.dates()
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6), max_leaves=20
)
places = st.sampled_from(
    [
        *Station.__struct_fields__,
        "uplinks.0",
        *(f"uplinks.1.{name}" for name in Uplink.__struct_fields__ if name not in ("metered",)),
        "uplinks.1.metered.reserve_mb",
        "uplinks.1.metered.from_day",
        "essential.0",
        "essential.0.to",
        "essential.0.ports",
        "essential.0.ports.0",
        *(f"check.{name}" for name in Check.__struct_fields__),
        "lan.interfaces",
        "lan.nat",
        "centre.broker",
        "targets.0",
    ]
)


def read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text), Station)
    except ConfigError as refused:
        assert refused.mistakes
        assert all(len(line.splitlines()) == 1 and len(line) < 1000 for line in refused.mistakes)


@settings(deadline=None)
@given(anything)
def test_whatever_value_the_file_holds_it_is_read_or_refused(value: object) -> None:
    read_or_refused(yaml.safe_dump(value, allow_unicode=True))


@settings(deadline=None)
@given(places, anything)
def test_whatever_value_stands_in_one_place_it_is_read_or_refused(place: str, value: object) -> None:
    read_or_refused(with_change({place: value}))


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="-{}[]:,!&*?|>#%@`'\" \na0x_.", max_size=60))
def test_whatever_text_the_file_holds_it_is_read_or_refused(text: str) -> None:
    read_or_refused(text)
