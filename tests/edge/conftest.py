"""What the tests of the edges share: waiting for a state, and a cell for those that need the real kernel."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lab.cell
import lab.namespace
from tests.edge.link import space
from tests.namespaces import neighbours_fetch


def wait_until(is_so: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Fails when it does not become so in time."""
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not so within {patience_s} s"
        time.sleep(0.005)


async def become(is_so: Callable[[], bool], patience_s: float = 10.0) -> None:
    """The same, while a loop of asyncio goes on."""
    async with asyncio.timeout(patience_s):
        while not is_so():
            await asyncio.sleep(0.005)


@pytest.fixture
def cell() -> Iterator[None]:
    """A network of the test's own; others run at the same time and change rules and routes too."""
    if not (os.geteuid() == 0 and lab.cell.inside()):
        why = "needs a cell: run `python -m lab enter -- pytest tests/edge`"
        (pytest.fail if "CI" in os.environ else pytest.skip)(why)
    with space(f"edge-{os.getpid()}") as name, lab.namespace.within(name):
        yield


@pytest.fixture
def modem_bus(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """With the real mmcli; neither the bus nor ModemManager is started yet."""
    from tests.edge.modem_bus import ModemBus

    if not neighbours_fetch.is_ready():
        (pytest.fail if "CI" in os.environ else pytest.skip)(neighbours_fetch.why_not())
    caplog.set_level("INFO")
    with tempfile.TemporaryDirectory(prefix="modem-") as folder:  # short: the address of a socket has 107 bytes
        made = ModemBus(Path(folder), monkeypatch)
        made.install_mmcli()
        try:
            yield made
        finally:
            made.close()
