"""Stations with real packets; they need a cell: `python -m lab enter -- pytest tests/namespaces`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab.cell
from lab import weather
from lab.netns import Station
from lab.topology import Topology
from lab.weather import LinkWeather
from tests.namespaces.packets import MakeStation

_number = itertools.count()


@pytest.fixture(scope="session")
def cell() -> None:
    if not lab.cell.inside():
        why = "needs a cell: run `python -m lab enter -- pytest tests/namespaces`"
        (pytest.fail if "CI" in os.environ else pytest.skip)(why)


@pytest.fixture
def station(cell: None) -> Iterator[MakeStation]:  # noqa: ARG001
    """station(fibre={"delay_ms": 8}, lte={}) builds one; it is taken down after the test."""
    with ExitStack() as built:

        def make(ipv6: bool = True, traces_in: Path = Path(), **uplinks: object) -> Station:
            prefix = f"t{os.getpid() % 1000}-{next(_number)}-"
            weathers = {name: weather.changed(LinkWeather(), change) for name, change in uplinks.items()}
            return built.enter_context(Station(Topology(tuple(uplinks), ipv6, prefix), weathers, traces_in))

        yield make
