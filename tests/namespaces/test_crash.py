"""kill -9 at any point of a switch: traffic goes on, or the next agent repairs it; nothing is there twice."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.core.nft_table import mark
from agent.core.routes import ACTIVE_TABLE
from agent.core.station import Family
from agent.edge.rawnetlink import FAMILY
from tests.namespaces.dying import TOLD
from tests.namespaces.ground import AGENT, SOON_S, START_S, TARGETS, Ground, ground
from tests.namespaces.packets import wait_until
from tests.namespaces.truth import OPTION, flaws, flows_marked, ours, way

DYING = (sys.executable, "-m", "tests.namespaces.dying")
CHANGES = 14  # of a whole switch away from a dead uplink; the next one is the sweep, three seconds later
AT_ONCE = 4  # they mostly wait
_building = threading.Lock()


@contextmanager
def built(folder: Path) -> Iterator[Ground]:
    with _building:
        making = ground(folder)
        made = making.__enter__()
    try:
        yield made
    finally:
        making.__exit__(None, None, None)


def begin(here: Ground, program: Sequence[str] = AGENT) -> None:
    """A run that knows its uplinks well enough to choose between them."""
    here.start((*program, "run"))
    wait_until(lambda: here.health("fibre") == "up" and here.rtt_ms("lte") is not None, START_S)


def moved(here: Ground) -> set[str]:
    """Families whose default route was replaced in this run before it ended."""
    told = [line for line in here.told().splitlines() if f"{TOLD}: route replace" in line and "dst=default" in line]
    active = [line for line in told if f"table={ACTIVE_TABLE}" in line]
    return {str(family) for family in Family if any(f"family={FAMILY[family]:d}" in line for line in active)}


def changes(here: Ground) -> int:
    return here.told().count(TOLD)


def die(here: Ground) -> None:
    assert here.agent is not None
    wait_until(lambda: here.agent is not None and here.agent.poll() is not None, START_S)
    assert here.agent.returncode == -signal.SIGKILL, here.told()
    here.agent = None
    assert len(set(ours())) == len(ours())


def begin_flow(here: Ground) -> None:
    """One that goes by the first uplink, as that uplink."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.bind((here.wires[0].address, 0))
        sending.sendto(b"?", (TARGETS[0], 9))
    wait_until(lambda: flows_marked(mark(0)) == 1)


def fail_over(folder: Path, after: int) -> None:
    """Dies after so many changes. The next run does the rest, because it was noted; it need not decide anew."""
    with built(folder) as here:
        begin(here, (*DYING, str(after)))
        begin_flow(here)
        here.wires[0].way(False)
        die(here)
        assert changes(here) == after
        assert here.told().count("HANDED_OVER") == (1 if after <= CHANGES else 2)
        for family, option in OPTION.items():
            assert way(option) == ("wan1" if family in moved(here) else "wan0")
        told = len(here.told())
        here.start()
        wait_until(lambda: all(way(option) == "wan1" for option in OPTION.values()), START_S)
        wait_until(lambda: here.health("fibre") == "dead" and not flaws(here), START_S)
        assert "TRAFFIC_MOVED" not in here.told()[told:]
        wait_until(lambda: flows_marked(mark(0)) == 0, SOON_S)


def come_home(folder: Path, after: int) -> None:
    """Both uplinks live: all traffic goes on, by one or the other."""
    with built(folder) as here:
        begin(here)
        here.wires[0].way(False)
        wait_until(lambda: way("-4") == way("-6") == "wan1", START_S)
        here.end(signal.SIGKILL)
        here.wires[0].way(True)
        here.start((*DYING, str(after), "run"))
        die(here)
        assert changes(here) == after
        for family, option in OPTION.items():
            assert way(option) == ("wan0" if family in moved(here) else "wan1")
        here.start()
        wait_until(lambda: not flaws(here), SOON_S)
        wait_until(lambda: way("-4") == way("-6") == "wan0" and not flaws(here), START_S)


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize(("switch", "steps"), [(fail_over, CHANGES + 2), (come_home, 3)])
def test_a_run_that_is_killed_in_a_switch_is_followed_by_one_that_repairs(
    switch: Callable[[Path, int], None], steps: int, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as killing:
        running = [killing.submit(switch, tmp_path / str(after), after) for after in range(steps)]
    for each in running:
        each.result()
