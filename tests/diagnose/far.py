"""The far end as the tests want it: all of its servers, good but for what a test changes, and what wan0 carried."""

from contextlib import ExitStack
from pathlib import Path

from tests.diagnose import servers
from tests.diagnose.chain import CENTRE, RESOLVER, Chain

BODY, PAGE_HOST, ANSWER = "siaga check\n", "centre.example", "203.0.113.9"
ZONES = {"check.example": ANSWER, PAGE_HOST: CENTRE}
RIGHT_PAGE = servers.page("200 OK", BODY)


def serve(way: Chain, check: bool = True, **changes: object) -> ExitStack:
    """The far end's servers, all good but for the changes; None leaves one out."""
    talks = {"dns": servers.resolver(ZONES), "http": RIGHT_PAGE, "mqtt": servers.broker(), **changes}
    far, up = way.name("far"), ExitStack()
    if talks["dns"] is not None:
        up.enter_context(servers.udp(far, RESOLVER, 53, talks["dns"]))
    for port, name in ((80, "http"), (1883, "mqtt"), (443, "tls")):
        if talks.get(name) is not None:
            up.enter_context(servers.tcp(far, CENTRE, port, talks[name]))
    if check:
        way.config["check"] = {
            "http": f"http://{PAGE_HOST}/siaga/check", "body": BODY, "name": "check.example", "answer": ANSWER
        }  # fmt: skip
    return up


def secure(way: Chain, name: str = PAGE_HOST, trusted: bool = True, **span: str) -> servers.Talk:
    """A TLS server of that name; the configuration trusts its authority or another one."""
    (way.folder / "other").mkdir()
    authority, other = servers.Authority(way.folder), servers.Authority(way.folder / "other")
    way.config.setdefault("check", {})
    way.config["check"] |= {"tls": PAGE_HOST, "tls_ca": str((authority if trusted else other).file)}
    return servers.secure(authority.sign(name, **span))


def carried() -> int:
    """Bytes of wan0 above Ethernet, both ways, by the kernel's own count."""
    rows = [line.split() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()]
    counts = next([int(figure) for figure in row[1:]] for row in rows if row[0] == "wan0:")
    return counts[0] + counts[8] - 14 * (counts[1] + counts[9])
