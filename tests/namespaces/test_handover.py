"""Whose connections stay on an uplink that the traffic has left, and whose leave it; with the real agent."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import scenario
from lab.internet import DOWNLOAD_PORT, ECHO_PORT
from lab.namespace import within
from lab.netns import Station
from lab.programs import Programs
from lab.topology import SERVER
from tests.namespaces.packets import wait_until

SETTLED_WITHIN_S = 40.0
CLEARED_WITHIN_S = 15.0  # ten seconds, and a busy machine
PIECE = 5_000  # of a download; one comes each tenth of a second
_number = itertools.count()


class Handover:
    """A station whose traffic goes by fibre; its standby, an LTE, is paid by volume or not."""

    def __init__(self, folder: Path, prefix: str, nat: str, metered: bool, built: ExitStack) -> None:
        story = scenario.read(
            f"{{title: T, lasts_s: 1, nat: {nat}, uplinks: {{fibre: {{kind: fibre, weather: {{delay_ms: 2}}}}, "
            f"lte: {{kind: lte, metered: {str(metered).lower()}, weather: {{delay_ms: 4}}}}}}}}"
        )
        self._built = built
        self.station = built.enter_context(Station.of(story, prefix=prefix))
        self.station.start_lab("internet", ["internet", SERVER])
        self.agent = Programs(self.station, story, folder)
        self.agent.start_centre()
        self.agent.start_agent()
        wait_until(lambda: (status := self.agent.status()) is not None and status.is_settled, SETTLED_WITHIN_S)

    def connect(self, port: int, where: str = "lan") -> socket.socket:
        with within(self.station.topology.name(where)):
            made = socket.create_connection((SERVER, port), timeout=5)
        return self._built.enter_context(made)

    def comes_from(self, uplink: str, port: int) -> bool:
        """The server has a connection from that uplink's address."""
        asked = ["ss", "-Htn", "state", "established", f"( sport = :{port} and dst {self._address(uplink)} )"]
        return bool(self.station.run("internet", asked))

    def new_goes_by(self, uplink: str) -> bool:
        with self.connect(ECHO_PORT):
            return self.comes_from(uplink, ECHO_PORT)

    def move(self, uplink: str) -> None:
        self.agent.move(uplink)
        wait_until(lambda: self.new_goes_by(uplink))

    def _address(self, uplink: str) -> str:
        return self.station.topology.line(uplink).address


@pytest.fixture
def handover(cell: None, tmp_path: Path) -> Iterator[Callable[..., Handover]]:  # noqa: ARG001
    with ExitStack() as built:
        yield lambda nat, metered: Handover(tmp_path, f"ho{os.getpid() % 1000}-{next(_number)}-", nat, metered, built)


def goes_on(download: socket.socket) -> bool:
    """As many pieces come as a second brings; more than could have been on the way."""
    return all(download.recv(PIECE, socket.MSG_WAITALL) for _ in range(10))


@pytest.mark.parametrize("nat", ["managed", "external"])
def test_a_download_stays_on_a_free_standby_and_new_connections_come_home(
    handover: Callable[..., Handover], nat: str
) -> None:
    made = handover(nat, metered=False)
    made.move("lte")
    downloads = [made.connect(DOWNLOAD_PORT, where) for where in ("lan", "tps")]
    made.move("fibre")
    assert all(goes_on(download) for download in downloads)
    assert made.comes_from("lte", DOWNLOAD_PORT)
    assert not made.comes_from("fibre", DOWNLOAD_PORT)


@pytest.mark.parametrize("nat", ["managed", "external"])
def test_a_metered_standby_is_cleared_and_both_ends_are_told(handover: Callable[..., Handover], nat: str) -> None:
    """The server too: or it would send again and again, for a quarter of an hour, to who has left."""
    made = handover(nat, metered=True)
    made.move("lte")
    of_lan, of_station = (made.connect(DOWNLOAD_PORT, where) for where in ("lan", "tps"))
    made.move("fibre")
    wait_until(lambda: not made.comes_from("lte", DOWNLOAD_PORT), CLEARED_WITHIN_S)
    with pytest.raises(ConnectionAbortedError):
        while of_station.recv(PIECE):
            pass
    with pytest.raises(ConnectionResetError):
        while True:
            of_lan.send(b".")
            of_lan.recv(PIECE)
    assert made.new_goes_by("fibre")
