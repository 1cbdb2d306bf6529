"""What the tests of the edges share: a cell for those that need the real kernel, brokers and couriers, and waiting."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lab.cell
import lab.namespace
from tests.edge.brokers import broker as broker
from tests.edge.brokers import courier_to as courier_to
from tests.edge.brokers import listen as listen
from tests.edge.brokers import spool as spool
from tests.edge.brokers import told as told
from tests.edge.link import space
from tests.edge.waiting import become as become
from tests.edge.waiting import wait_until as wait_until
from tests.namespaces import neighbours_fetch


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
