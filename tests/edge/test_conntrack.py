"""Connections that the kernel tracks are forgotten by their mark: those of one family, all at once, and no others."""

import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from icmplib import ping
from pyroute2 import NFCTSocket

from agent.core.station import Family
from agent.edge import conntrack
from tests.edge.link import FAR, FAR6, wire

V4, V6 = Family.IPV4, Family.IPV6
OURS = 0xFF000000
FIRST, SECOND = 0x01000000, 0x02000000  # in the bits that are ours
OTHERS = 0x00000005  # in those that are not
RULES = f"""
table inet marks {{
  chain output {{
    type filter hook output priority mangle; policy accept;
    udp dport 10000-19999 ct mark set ct mark & 0x00ffffff | {FIRST}
    udp dport 20000-29999 ct mark set ct mark & 0x00ffffff | {SECOND}
    udp dport 30000-39999 ct mark set {OTHERS}
    udp dport 40000-49999 ct mark set {FIRST | OTHERS}
  }}
}}
"""


@pytest.fixture
def tracked(cell: None) -> Iterator[None]:  # noqa: ARG001
    """A wire whose connections are marked by their port."""
    with wire():
        subprocess.run(["nft", "-f", "-"], input=RULES.encode(), check=True)
        for address in (FAR, FAR6):  # a packet that waits for its neighbour keeps its entry
            assert ping(address, count=1, timeout=5).is_alive
        yield


def begin(address: str, ports: range) -> None:
    """A flow to each port: its first packet is enough."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for port in ports:
            sending.sendto(b"?", (address, port))


def entries() -> dict[tuple[Family, int], int]:
    """(family, mark) -> UDP entries, as another program reads them."""
    found: Counter[tuple[Family, int]] = Counter()
    for family, number in ((V4, socket.AF_INET), (V6, socket.AF_INET6)):
        with NFCTSocket(nfgen_family=number) as asking:
            for entry in asking.dump():
                if entry.get("CTA_TUPLE_ORIG").get("CTA_TUPLE_PROTO").get("CTA_PROTO_NUM") == socket.IPPROTO_UDP:
                    found[family, entry.get("CTA_MARK") or 0] += 1
    return found


ALL = {
    (V4, FIRST): 7,
    (V4, SECOND): 3,
    (V4, OTHERS): 2,
    (V4, FIRST | OTHERS): 4,
    (V4, 0): 1,
    (V6, FIRST): 6,
    (V6, SECOND): 5,
}


def begin_all() -> None:
    begin(FAR, range(10_000, 10_007))
    begin(FAR, range(20_000, 20_003))
    begin(FAR, range(30_000, 30_002))
    begin(FAR, range(40_000, 40_004))
    begin(FAR, range(50_000, 50_001))
    begin(FAR6, range(10_000, 10_006))
    begin(FAR6, range(20_000, 20_005))
    assert entries() == ALL


def without(*gone: tuple[Family, int]) -> dict[tuple[Family, int], int]:
    return {key: value for key, value in ALL.items() if key not in gone}


@pytest.mark.usefixtures("tracked")
def test_only_what_carries_the_mark_is_forgotten_whatever_others_have_set_beside_it() -> None:
    begin_all()
    assert conntrack.flush(V4, FIRST, OURS) == 7 + 4
    assert entries() == without((V4, FIRST), (V4, FIRST | OTHERS))
    assert conntrack.flush(V4, OTHERS, 0xFFFFFFFF) == 2
    assert entries() == without((V4, FIRST), (V4, FIRST | OTHERS), (V4, OTHERS))


@pytest.mark.usefixtures("tracked")
def test_the_other_family_is_forgotten_by_itself() -> None:
    begin_all()
    assert conntrack.flush(V6, FIRST, OURS) == 6
    assert entries() == without((V6, FIRST))
    assert conntrack.flush(V6, 0, 0) >= 5
    assert entries() == without((V6, FIRST), (V6, SECOND))


@pytest.mark.usefixtures("tracked")
def test_where_nothing_carries_the_mark_nothing_happens() -> None:
    assert conntrack.flush(V4, FIRST, OURS) == 0
    assert conntrack.flush(V6, FIRST, OURS) == 0
    begin_all()
    assert conntrack.flush(V4, 0x03000000, OURS) == 0
    assert entries() == ALL


@pytest.mark.usefixtures("tracked")
def test_ten_thousand_flows_go_at_once() -> None:
    begin(FAR, range(10_000, 20_000))
    begin(FAR, range(20_000, 20_500))
    assert conntrack.flush(V4, FIRST, OURS) == 10_000
    assert (entries().get((V4, FIRST)), entries()[V4, SECOND]) == (None, 500)


@pytest.mark.usefixtures("tracked")
def test_threads_do_not_hear_each_others_answers() -> None:
    begin_all()
    kinds = [(V4, FIRST), (V4, SECOND), (V6, FIRST), (V6, SECOND)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda kind: conntrack.flush(*kind, OURS), kinds * 10))
    assert entries() == without(*kinds, (V4, FIRST | OTHERS))
