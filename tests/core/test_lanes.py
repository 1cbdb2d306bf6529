"""What is essential, and what the rest may do, held as the text that nft and tc are given."""

from itertools import product
from pathlib import Path

import msgspec
import pytest

from agent.core import nft_table
from agent.core.lanes import Standing, lanes, shape, tc_text
from agent.core.plan import Policy
from agent.core.routes import Link, text, wish
from agent.core.station import Centre, Essential, Kind, Lan, Metered, Nat, Station, Uplink
from wire.messages import Active

UPLINKS = (
    Uplink("fibre", "eth0", Kind.FIBRE, prefix6="2001:db8:a::/56"),
    Uplink("lte", "wwan0", Kind.LTE, metered=Metered(3000), up_kbps=1000, prefix6="2001:db8:b::/56"),
    Uplink("geo", "eth2", Kind.GEO, up_kbps=512, prefix6="2001:db8:c:1::/64"),
    Uplink("spare", "usb0", Kind.LTE, metered=Metered(500, 100)),
)
STATION = Station(
    "6408042001143",
    UPLINKS,
    ("198.51.100.1",),
    Centre("mqtt://198.51.100.10:8884"),
    Lan(("lan0",), Nat.MANAGED),
    (
        Essential("203.0.113.0/24", ("tcp/443", "udp/5000-5010")),
        Essential("2001:db8:5::/48"),
        Essential(ports=("tcp/8443",)),
    ),
)
INTERFACES = tuple(uplink.interface for uplink in UPLINKS)
LINKS = tuple(Link(name, True, index=n + 2) for n, name in enumerate(INTERFACES))
GOLDEN = Path(__file__).with_name("lanes.golden")
STORIES = {
    "open": Standing(),
    "low": Standing(Policy.LOW),
    "low, and the kernel cannot queue": Standing(Policy.LOW, "no HTB"),
    "reserve": Standing(Policy.RESERVE),
    "reserve, and the kernel cannot queue": Standing(Policy.RESERVE, "no HTB"),
    "open, and the kernel cannot queue": Standing(Policy.OPEN, "no HTB"),
}


def standings(standing: Standing) -> list[Standing]:
    """A plan's policy is of metered uplinks only, and there is nothing to queue where nobody said how thin it is."""
    return [
        Standing(standing.policy if uplink.metered else Policy.OPEN, standing.unqueued if uplink.up_kbps else None)
        for uplink in UPLINKS
    ]


def table(standing: Standing, station: Station = STATION) -> str:
    found = [lanes(uplink, each) for uplink, each in zip(station.uplinks, standings(standing), strict=True)]
    return nft_table.text(station, INTERFACES, found)


def told(standing: Standing) -> str:
    """The part of the table that differs from a station's without plans."""
    return table(standing).split("  chain count {")[1].split("  }\n", 1)[1].removesuffix("}\n")


def queues(policy: Policy) -> str:
    made = shape(UPLINKS[1], Standing(policy), "wwan0", 3)
    assert made is not None
    return tc_text(made)


def whole() -> str:
    translated = table(Standing()).split("  chain postrouting {\n")[1].split("  }\n")[0]
    return (
        f"# translated\n{translated}\n"
        + "".join(f"# {story}\n{told(standing)}\n" for story, standing in STORIES.items())
        + f"# queues, open\n{queues(Policy.OPEN)}\n# queues, low\n{queues(Policy.LOW)}"
    )


def test_every_policy_looks_like_this() -> None:
    assert whole() == GOLDEN.read_text()
    assert queues(Policy.RESERVE) == queues(Policy.LOW)


@pytest.mark.parametrize("standing", STORIES.values(), ids=list(STORIES))
def test_whatever_is_dropped_or_refused_comes_behind_all_that_is_essential(standing: Standing) -> None:
    for chain in ("outward", "inward"):
        body = table(standing).partition(f"chain {chain} {{\n")[2].partition("  }\n")[0].splitlines()
        essential = [n for n, line in enumerate(body) if line.endswith(" return")]
        limits = [n for n, line in enumerate(body) if line.endswith(("drop", "goto refuse"))]
        assert not body or len(essential) == 8  # icmp, udp and tcp firsts, the broker, four that are configured
        assert not limits or max(essential) < min(limits)


@pytest.mark.parametrize("standing", STORIES.values(), ids=list(STORIES))
def test_where_something_comes_in_a_limit_drops_and_never_refuses(standing: Standing) -> None:
    inward = table(standing).partition("chain inward {\n")[2].partition("  }\n")[0]
    assert "goto" not in inward
    assert "chain input" not in table(standing) or "oifname" not in table(standing).split("chain input")[1]


def test_a_broker_with_a_name_is_essential_by_its_port() -> None:
    named = msgspec.structs.replace(STATION, centre=Centre("mqtt://centre.example"))
    assert "    tcp dport 1883 return\n" in table(Standing(), named)
    six = msgspec.structs.replace(STATION, centre=Centre("mqtt://[2001:db8::9]:1884"))
    assert "    ip6 daddr 2001:db8::9/128 tcp dport 1884 return\n" in table(Standing(), six)


def test_without_a_lan_the_station_limits_itself() -> None:
    alone = msgspec.structs.replace(STATION, lan=Lan())
    shown = table(Standing(Policy.RESERVE), alone)
    assert "masquerade" not in shown
    assert "counter asked" not in shown
    assert "goto refuse" in shown


def test_without_limits_the_table_is_as_it_always_was() -> None:
    free = tuple(Uplink(u.name, u.interface, u.kind) for u in UPLINKS)
    station = msgspec.structs.replace(STATION, uplinks=free)
    plain = nft_table.text(station, INTERFACES)
    assert wish(station, LINKS, Active()).nft == plain
    assert "chain count" in plain
    assert not any(word in plain for word in ("outward", "inward", "refuse", "hook forward"))


def test_a_plan_that_is_open_is_no_limit() -> None:
    spare = msgspec.structs.replace(STATION, uplinks=UPLINKS[:1] + UPLINKS[3:])
    assert "outward" not in wish(spare, (LINKS[0], LINKS[3]), Active()).nft


def test_the_wish_says_it_as_a_whole() -> None:
    shown = text(wish(STATION, LINKS, Active("lte"), standings=standings(Standing(Policy.RESERVE))))
    assert 'oifname "wwan0" goto refuse' in shown
    assert "qdisc add dev wwan0 root handle 51a9: htb default 3" in shown


def test_an_interface_that_is_not_there_has_no_queues() -> None:
    gone = (*LINKS[:1], Link("wwan0"), *LINKS[2:])
    assert [each.interface for each in wish(STATION, gone, Active()).shapes] == ["eth2"]


def test_no_limit_of_the_rest_is_above_what_the_uplink_carries() -> None:
    for kbps, policy, mb in product((64, 512, 100_000), Policy, (1, 500, 1_000_000)):
        uplink = Uplink("lte", "wwan0", Kind.LTE, metered=Metered(mb), up_kbps=kbps)
        made = shape(uplink, Standing(policy), "wwan0", 2)
        assert made is not None
        assert 0 < made.rest_kbps <= kbps
        policed = lanes(uplink, Standing(policy, "no HTB"))
        assert policed.refused or 0 < (policed.up_kbps or 0) <= kbps / 2
        for line in tc_text(made).splitlines():
            if " rate " in line and "htb" in line:
                words = line.split()
                rate, ceil = (int(words[words.index(w) + 1].removesuffix("kbit")) for w in ("rate", "ceil"))
                assert 0 < rate <= ceil <= kbps


def test_prefixes_are_translated_only_where_we_translate() -> None:
    external = msgspec.structs.replace(STATION, lan=Lan(("lan0",), Nat.EXTERNAL))
    assert "snat" not in table(Standing(), external)
