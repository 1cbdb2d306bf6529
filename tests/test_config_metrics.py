"""Where the metrics may be served, and where an uplink asks how it is seen; the rest is refused in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import INSIDE, ip_address, parse
from agent.core.station import Endpoint
from tests.test_config import mistakes, with_change

INSTEAD = "write 127.0.0.1:9815, or this device's own address on the LAN"


@pytest.mark.parametrize("at", ["127.0.0.1:9815", "[::1]:9815", "192.168.1.1:1", "[fd00::1]:65535", "10.0.0.1:80"])
def test_loopback_and_the_lan_are_good(at: str) -> None:
    assert parse(with_change({"metrics": at})).metrics == at
    assert str(Endpoint.of(at)) == at


@pytest.mark.parametrize(
    ("at", "complaint"),
    [
        ("0.0.0.0:9815", f"is every address, those of the uplinks too; {INSTEAD}"),
        ("[::]:9815", f"is every address, those of the uplinks too; {INSTEAD}"),
        ("203.0.113.1:9815", f"is no loopback address and no private one; {INSTEAD}"),
        ("100.64.0.1:9815", f"is no loopback address and no private one; {INSTEAD}"),
        ("[2001:db8::1]:9815", f"is no loopback address and no private one; {INSTEAD}"),
        ("[fe80::1]:9815", f"is no loopback address and no private one; {INSTEAD}"),
        ("localhost:9815", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("9815", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("127.0.0.1", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("127.0.0.1:0", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("127.0.0.1:65536", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("::1:9815", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("[127.0.0.1]:9815", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
        ("[fd00::1%lo]:9815", f"must be ADDRESS:PORT with a literal address; {INSTEAD}"),
    ],
)
def test_what_is_open_to_an_uplink_or_no_place_is_refused(at: str, complaint: str) -> None:
    assert mistakes(with_change({"metrics": at})) == [f'a.yaml: metrics = "{at}": {complaint}']


def test_an_address_of_the_lan_needs_to_know_the_lan() -> None:
    told = 'metrics = "10.0.0.1:9815": needs lan.interfaces, by which alone it is then open; or write 127.0.0.1:9815'
    assert f"a.yaml: {told}" in mistakes(with_change({"metrics": "10.0.0.1:9815", "lan": None}))


@given(st.ip_addresses(), st.integers(-1, 70_000))
def test_no_address_is_taken_that_is_neither_loopback_nor_private(address: object, port: int) -> None:
    text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    is_inside = ip_address(str(address)).is_loopback or any(ip_address(str(address)) in each for each in INSIDE)
    if is_inside and 0 < port < 65_536:
        assert parse(with_change({"metrics": text})).metrics == text
    else:
        assert len(mistakes(with_change({"metrics": text}))) == 1


@pytest.mark.parametrize("seen", ["https://centre.example/siaga/seen", "centre.example", "http:///siaga/seen", ""])
def test_the_page_that_tells_how_an_uplink_is_seen_is_plain_http(seen: str) -> None:
    told = f'a.yaml: centre.seen = "{seen}": must be http://host/path, as the centre\'s /siaga/seen'
    assert mistakes(with_change({"centre.seen": seen})) == [told]
