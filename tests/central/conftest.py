"""Centres and stations for the tests of the centre."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from central.core.networks import Networks
from central.edge.web import settings
from tests.central.centre import Centre
from tests.central.chained import AUTHORITY, pem
from tests.central.station import SANGATTA, Station


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """A centre of this test alone, not started yet."""
    centre = Centre(tmp_path)
    yield centre
    if hasattr(centre, "process"):
        centre.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """A running centre that the tests of one file share; each uses stations of its own."""
    centre = Centre(tmp_path_factory.mktemp("centre")).start()
    yield centre
    centre.end()


@pytest.fixture
def join() -> Iterator[Callable[..., Station]]:
    """Connect a station to a centre; it leaves when the test ends."""
    joined: list[Station] = []

    def connect(centre: Centre, number: str = SANGATTA) -> Station:
        joined.append(Station(centre.mqtt_port, number))
        return joined[-1]

    yield connect
    for station in joined:
        station.leave()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The store in this process; Django can be told only once where it is, so tests take stations of their own."""
    data = tmp_path_factory.mktemp("store")
    settings.configure(data, ["localhost"], Networks())
    from central.edge import following, store

    (data / "ca.crt").write_text(pem(AUTHORITY))
    following.judge_by(data / "ca.crt")
    store.open_store(data / "siaga.sqlite3")
    yield store
    store.let_go()
