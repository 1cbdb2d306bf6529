"""The answer to `by which address do you see me?`: true, small, of now, and deaf to who claims to be somebody else."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from central.config import ConfigError, load
from tests.central.centre import Centre
from wire.messages import BadMessage, Public
from wire.seen import PATH, decode, encode, plain


def centre(folder: Path, **settings: object) -> Centre:
    table = folder / "networks.csv"
    table.write_text("127.0.0.0/8,64500,Di sini\n203.0.113.0/24,64501,Telkom\n")
    file = folder / "central.yaml"
    file.write_text(yaml.safe_dump({"networks": str(table)} | settings))
    return Centre(folder, "--config", str(file))


def test_a_station_is_told_its_address_and_whose_it_is_and_a_claim_is_not_believed(tmp_path: Path) -> None:
    running = centre(tmp_path).start()
    try:
        for headers in ({}, {"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}):
            status, told, body = running.get(PATH, **headers)
            assert (status, decode(body.encode())) == (200, Public("127.0.0.1", 64500, "Di sini"))
            assert told["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in told
            assert len(body) + sum(len(name) + len(value) + 4 for name, value in told.items()) < 700
    finally:
        running.stop()


def test_a_proxy_of_ours_is_believed(tmp_path: Path) -> None:
    running = centre(tmp_path, proxies=["127.0.0.1"]).start()
    try:
        told = {
            claim: decode(running.get(PATH, **{"X-Forwarded-For": claim})[2].encode())
            for claim in ("203.0.113.7", "198.51.100.1, 203.0.113.7", "::ffff:203.0.113.7")
        }
        assert set(told.values()) == {Public("203.0.113.7", 64501, "Telkom")}
        assert running.get(PATH, **{"X-Forwarded-For": "nobody"})[0] == 400
        assert decode(running.get(PATH)[2].encode()).address == "127.0.0.1"
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("networks: /nowhere", "networks = '/nowhere': cannot be read: No such file or directory"),
        ("networks: 7", "networks = 7: expected the path of a file with lines of prefix,asn,operator"),
        (
            "proxies: [here]",
            "proxies = ['here']: 'here' does not appear to be an IPv4 or IPv6 address; expected a list",
        ),
        ("proxies: 127.0.0.1", "proxies = '127.0.0.1': expected a list of addresses, as in [127.0.0.1]"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "c.yaml", {})
    assert str(refused.value).startswith(complaint)
    assert len(str(refused.value).splitlines()) == 1


def test_a_bad_line_of_the_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("prefix,asn,operator\n203.0.113.1/24,1,X\n")
    (tmp_path / "c.yaml").write_text(f"networks: {tmp_path}/n.csv")
    with pytest.raises(ConfigError, match=r"line 2: 203\.0\.113\.1/24 has host bits set"):
        load(tmp_path / "c.yaml", {})


@given(st.ip_addresses(), st.none() | st.integers(1, 2**32 - 1), st.none() | st.just("Telkom · Kaltim"))
def test_what_the_centre_writes_a_station_reads(address: object, asn: int | None, operator: str | None) -> None:
    assert decode(encode(Public(str(address), asn, operator))) == Public(plain(str(address)), asn, operator)


@given(st.binary(max_size=700) | st.text().map(str.encode))
def test_whatever_answers_in_the_centres_place_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadMessage):
        assert isinstance(decode(data), Public)


@pytest.mark.parametrize(
    "told",
    [
        {"address": "somewhere"},
        {"address": ""},
        {"address": "203.0.113.7", "asn": 0},
        {"address": "203.0.113.7", "asn": -1},
        {"address": "203.0.113.7", "asn": 1e9},
        {"address": "203.0.113.7", "operator": "x" * 65},
        {"address": "203.0.113.7", "operator": "\x1b[2J"},
        {"address": "203.0.113.7", "operator": ""},
        {"asn": 1},
        [],
        "203.0.113.7",
    ],
)
def test_a_lie_without_form_is_refused(told: object) -> None:
    with pytest.raises(BadMessage):
        decode(json.dumps(told).encode())
