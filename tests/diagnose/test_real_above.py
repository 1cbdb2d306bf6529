"""Faults above the path, with real packets: names, pages, the centre, certificates and the clock.

Stand-ins: the servers are a few lines of these tests; what lies between is the kernel's.
"""

import subprocess
from email.utils import formatdate

import pytest
import yaml

from agent.config import parse
from agent.core import nft_table
from agent.core.lanes import Lanes
from tests.diagnose import servers
from tests.diagnose.chain import CENTRE, Chain
from tests.diagnose.far import ANSWER, BODY, secure, serve

# DNS


@pytest.mark.parametrize("check", [True, False])
def test_a_resolver_that_answers_everything_with_one_address(check: bool, way: Chain) -> None:
    with serve(way, check, dns=servers.resolver({}, otherwise="198.18.20.1"), http=None):
        way.config.get("check", {}).pop("http", None)
        way.config.get("check", {}).pop("body", None)
        done = way.diagnose()
    told = done.evidence
    assert (done.code, told["code"], told["got"]) == (1, "DNS_HIJACKED", "198.18.20.1")
    assert told["expected"] == (ANSWER if check else "NXDOMAIN")
    assert told["name"].endswith(".check.example" if check else ".invalid")


def test_no_cache_can_answer_for_the_resolver(way: Chain) -> None:
    with serve(way):
        names = [way.diagnose().look("dns")["facts"]["name"] for _ in range(2)]
    assert names[0] != names[1]
    assert all(name.endswith(".check.example") for name in names)


@pytest.mark.parametrize(
    ("dns", "code"),
    [
        (None, "DNS_SILENT"),
        (servers.resolver({}, otherwise=servers.SERVFAIL), "DNS_REFUSES"),
        (servers.resolver({}), "DNS_NAME_MISSING"),
        (lambda _question: b"nonsense", "DNS_SILENT"),
    ],
    ids=["silent", "fails", "missing", "nonsense"],
)
def test_a_resolver_that_is_of_no_use(dns: object, code: str, way: Chain) -> None:
    with serve(way, dns=dns):
        assert way.diagnose().evidence["code"] == code


# portal and page


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (servers.page("302 Found", "", "Location: http://login.wifi/"), "PORTAL_FOUND"),
        (servers.page("200 OK", "<html>Kuota Anda habis</html>"), "PORTAL_FOUND"),
        (servers.page("200 OK", BODY + "x"), "PORTAL_FOUND"),
        (servers.page("511 Network Authentication Required", ""), "PORTAL_FOUND"),
        (servers.page("404 Not Found", BODY), "CHECK_PAGE_WRONG"),
        (servers.page("503 Service Unavailable", ""), "CHECK_PAGE_WRONG"),
        (servers.silence, "CHECK_PAGE_SILENT"),
        (None, "CHECK_PAGE_SILENT"),
    ],
    ids=["redirect", "another page", "more than the page", "511", "404", "503", "silence", "refusal"],
)
def test_a_page_that_is_not_ours(page: object, code: str, way: Chain) -> None:
    with serve(way, http=page):
        assert way.diagnose().evidence["code"] == code


def test_a_portal_that_swallows_everything_but_pages(way: Chain) -> None:
    """As a hotspot does before the login: echoes vanish, names all lead to it, its page comes."""
    way.nft("modem", "icmp type echo-request drop", "iifname lan tcp dport != 80 drop")
    portal = servers.page("302 Found", "", "Location: http://login.wifi/")
    with serve(way, dns=servers.resolver({}, otherwise=CENTRE), http=portal):
        done = way.diagnose()
    assert done.evidence["code"] == "PORTAL_FOUND"
    assert (done.evidence["status"], done.evidence["location"]) == (302, "http://login.wifi/")


def test_what_we_refuse_ourselves_is_not_blamed_on_anybody(way: Chain) -> None:
    """With a plan that is nearly used up the agent refuses all but the essential; a page is not."""
    with serve(way):
        station = parse(yaml.safe_dump(way.config))
        lanes = [Lanes(queued=False, refused=True, up_kbps=None, down_kbps=None)]
        table = nft_table.text(station, ("wan0",), lanes)
        subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)
        done = way.diagnose()
    assert (done.code, done.outcomes()["http"]) == (0, "kept for the essential")
    assert done.outcomes()["mqtt"] == "acknowledged"


# the centre


@pytest.mark.parametrize(
    ("mqtt", "code"),
    [
        (None, "CENTRE_REFUSES"),
        (servers.silence, "BROKER_SILENT"),
        (servers.broker(b"HTTP/1.1 400"), "BROKER_SILENT"),
        (servers.broker(b"\x20\x02\x00\x05"), "BROKER_REFUSES"),
    ],
    ids=["refuses", "silent", "nonsense", "declines"],
)
def test_a_centre_that_does_not_acknowledge(mqtt: object, code: str, way: Chain) -> None:
    with serve(way, mqtt=mqtt):
        told = way.diagnose().evidence
    assert (told["code"], told["side"], told["call"]) == (code, "destination", "destination")


def test_a_centre_that_is_not_there(way: Chain) -> None:
    way.nft("core", "tcp dport 1883 drop")
    with serve(way):
        assert way.diagnose().evidence["code"] == "CENTRE_SILENT"


# TLS and the clock


def dated(date: str) -> servers.Talk:
    return servers.page("200 OK", BODY, f"Date: {date}")


def now() -> str:
    return formatdate(usegmt=True)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({"name": "other.example"}, "TLS_WRONG_NAME"),
        ({"trusted": False}, "TLS_UNTRUSTED"),
        ({"begins": "20240101000000Z", "ends": "20250101000000Z"}, "TLS_EXPIRED"),
    ],
    ids=["another name", "an unknown issuer", "expired"],
)
def test_a_certificate_that_is_not_right(made: dict[str, str], code: str, way: Chain) -> None:
    with serve(way, http=dated(now())):
        talk = secure(way, **made)  # type: ignore[arg-type]
        with servers.tcp(way.name("far"), CENTRE, 443, talk):
            assert way.diagnose().evidence["code"] == code


@pytest.mark.parametrize(
    ("begins", "ends", "date"),
    [
        ("20350101000000Z", "20440101000000Z", "Tue, 02 Jan 2035 00:00:00 GMT"),
        ("20200101000000Z", "20210101000000Z", "Thu, 02 Jan 2020 00:00:00 GMT"),
    ],
    ids=["the board's clock is behind", "the board's clock is ahead"],
)
def test_a_wrong_clock_is_not_held_against_the_certificate(begins: str, ends: str, date: str, way: Chain) -> None:
    """A namespace has no clock of its own: the centre's certificate and its page's date stand for the true time."""
    with serve(way, http=dated(date)):
        talk = secure(way, begins=begins, ends=ends)
        with servers.tcp(way.name("far"), CENTRE, 443, talk):
            done = way.diagnose()
    assert (done.evidence["code"], done.evidence["side"]) == ("CLOCK_WRONG", "lan")
    assert done.outcomes()["tls"] == "not valid now"


@pytest.mark.parametrize(("talk", "code"), [(servers.greeting, "TLS_BROKEN"), (servers.silence, "TLS_SILENT")])
def test_who_does_not_speak_tls(talk: servers.Talk, code: str, way: Chain) -> None:
    with serve(way):
        secure(way)
        with servers.tcp(way.name("far"), CENTRE, 443, talk):
            assert way.diagnose().evidence["code"] == code
