"""A flow belongs to the uplink by which it began until it is forgotten, whatever way its packets take meanwhile."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from icmplib import ping

from agent.core import nft_table
from agent.core.nft_table import MARKS, mark
from agent.core.station import Centre, Family, Lan, Station
from agent.edge import conntrack, nft
from lab.namespace import within
from tests.edge.conftest import wait_until
from tests.edge.link import far
from tests.edge.test_conntrack import entries
from tests.edge.test_traffic import GATEWAYS6, SERVER, SERVER6, UPLINKS, forward, go_by, lan, way

STATION = Station("6408042001143", UPLINKS, ("198.51.100.1",), Centre("mqtt://198.51.100.10"), Lan(("lan0",)))
TABLE = nft_table.text(STATION, tuple(uplink.interface for uplink in UPLINKS))
FIREWALL = """table inet operator {
  chain out {
    type nat hook postrouting priority srcnat
    oifname wan0 snat ip to 198.18.0.2; oifname wan0 snat ip6 to 2001:db8:10::2
    oifname wan1 snat ip to 198.18.1.2; oifname wan1 snat ip6 to 2001:db8:11::2
  }
}
"""
PORT = 7007


@pytest.fixture
def client(cell: None) -> Iterator[str]:  # noqa: ARG001
    """On the LAN of a station with two uplinks, whose operator's firewall has a static rule for each of them."""
    with ExitStack() as built:
        name = built.enter_context(lan())
        forward()
        for n in range(2):
            built.enter_context(way(n))
        go_by(0)
        assert ping(GATEWAYS6[1], count=1, timeout=5).is_alive  # so that the neighbour is known
        subprocess.run(["nft", "-f", "-"], input=FIREWALL.encode(), check=True)
        asyncio.run(nft.Keeper().want(TABLE))
        yield name


def of_uplinks(family: Family) -> list[int]:
    return [entries().get((family, mark(n)), 0) for n in range(2)]


@pytest.mark.parametrize(("family", "server"), [(Family.IPV4, SERVER), (Family.IPV6, SERVER6)])
def test_a_packet_that_leaves_by_the_new_way_too_soon_is_forgotten_with_its_flow(
    client: str, family: Family, server: str
) -> None:
    number = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
    with within(client):
        sending = socket.socket(number, socket.SOCK_DGRAM)
    with within(far("server1")):
        there = socket.socket(number, socket.SOCK_DGRAM)
    with sending, there:
        there.bind(("", PORT))
        there.settimeout(5)
        sending.sendto(b"by the first", (server, PORT))
        wait_until(lambda: of_uplinks(family) == [1, 0])
        go_by(1)
        sending.sendto(b"too soon", (server, PORT))
        said, address = there.recvfrom(100)
        assert (said, address[0].endswith(("0.2", "10::2"))) == (b"too soon", True)
        assert of_uplinks(family) == [1, 0]
        conntrack.flush(family, mark(0), MARKS)
        sending.sendto(b"anew", (server, PORT))
        said, address = there.recvfrom(100)
        assert (said, address[0].endswith(("1.2", "11::2"))) == (b"anew", True)
        assert of_uplinks(family) == [0, 1]
