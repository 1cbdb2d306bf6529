"""Whatever happens to a station, in whatever order: ours is as wished, theirs is untouched, and there is a way out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from agent.core.nft_table import NFT_TABLE
from agent.core.routes import ACTIVE_TABLE, BY_CHOICE, FIRST_UPLINK_TABLE, OUT_DEVICE, PROTOCOL, SPECIFIC_FIRST
from tests.edge.link import ip
from tests.namespaces.ground import NAMES, SOON_S, START_S, Ground, Wire, add_foreign, ground
from tests.namespaces.truth import Ear, flaws, missing_ways, others

WALKS, STEPS = 3, 25
PLACES = st.integers(0, len(NAMES) - 1)
THEFTS = (
    f"ip rule del priority {BY_CHOICE}",
    f"ip -6 rule del priority {SPECIFIC_FIRST}",
    f"ip rule del priority {OUT_DEVICE}",
    f"ip rule flush protocol {PROTOCOL}",
    f"ip route flush table {ACTIVE_TABLE}",
    f"ip -6 route flush table {FIRST_UPLINK_TABLE}",
    f"ip route flush proto {PROTOCOL} table all",
    f"nft delete table inet {NFT_TABLE}",
    f"nft flush chain inet {NFT_TABLE} keep",
    f"ip rule add priority 9000 from all lookup {ACTIVE_TABLE} protocol {PROTOCOL}",
    "sysctl -qw net.ipv4.ip_forward=0",
    "sysctl -qw net.ipv4.conf.all.rp_filter=1",
    "sysctl -qw net.ipv4.conf.wan0.rp_filter=1",
)


class Walk(RuleBasedStateMachine):
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._built = ExitStack()
        self._ground: Ground = self._built.enter_context(ground(self.folder / f"{time.monotonic_ns()}"))
        self._ear = Ear()
        self._built.callback(self._ear.close)
        self._places: dict[tuple[str, bytes], set[int]] = {}

    def teardown(self) -> None:
        self._built.close()

    @initialize()
    def begin(self) -> None:
        add_foreign()
        self._ground.start()
        self._hold(START_S)

    # what happens to the uplinks

    @rule(place=PLACES, on=st.booleans())
    def cable(self, place: int, on: bool) -> None:
        wire = self._wire(place)
        if wire.is_plugged:
            wire.cable(on)
        self._hold()

    @rule(place=PLACES, on=st.booleans())
    def way_behind_the_first_hop(self, place: int, on: bool) -> None:
        self._wire(place).way(on)
        self._hold()

    @rule(place=PLACES)
    def taken_down_and_configured_again(self, place: int) -> None:
        wire = self._wire(place)
        if wire.is_plugged:
            ip("link", "set", wire.device, "down")
            self._hold()
            wire.configure()
        self._hold()

    @rule(place=PLACES)
    def unplugged_or_plugged_in(self, place: int) -> None:
        wire = self._wire(place)
        if wire.is_plugged:
            wire.unplug()
        else:
            wire.plug()
            wire.configure()
        self._hold()

    @rule(place=PLACES, last=st.sampled_from((1, 254)))
    def other_gateway(self, place: int, last: int) -> None:
        wire = self._wire(place)
        wire.gateway = last
        if wire.is_plugged:
            wire.configure()
        self._hold()

    @rule(place=PLACES)
    def no_default(self, place: int) -> None:
        if self._wire(place).is_plugged:
            self._wire(place).drop_defaults()
        self._hold()

    @rule(place=PLACES, last=st.sampled_from((2, 3, 4)))
    def other_address(self, place: int, last: int) -> None:
        wire = self._wire(place)
        if wire.is_plugged and last != wire.host:
            wire.give_up_address()
            wire.host = last
            wire.configure()
        self._hold()

    @rule(place=PLACES)
    def a_better_default(self, place: int) -> None:
        wire = self._wire(place)
        if wire.is_plugged:
            wire.configure()
            ip("route", "replace", "default", "via", wire.other_gateway4, "dev", wire.device, "metric", "7")
            self._hold()
            ip("route", "del", "default", "via", wire.other_gateway4, "dev", wire.device, "metric", "7")
        self._hold()

    # what others do

    @rule(what=st.sampled_from(THEFTS))
    def meddled_with(self, what: str) -> None:
        subprocess.run(what.split(), check=False, capture_output=True)  # nothing may be there to be taken
        self._hold()

    @rule(device=st.sampled_from(("other0", "lan0")), on=st.booleans())
    def a_strange_default(self, device: str, on: bool) -> None:
        verb = "replace" if on else "del"
        subprocess.run(["ip", "route", verb, "default", "dev", device, "metric", "5"], check=False, capture_output=True)
        self._hold()

    # what the operator and the agent's own fate do

    @rule(name=st.sampled_from((*NAMES, None)))
    def choice(self, name: str | None) -> None:
        if self._runs:
            self._ground.ask(**({"do": "auto"} if name is None else {"do": "move", "uplink": name, "for_s": None}))
        self._hold()

    @precondition(lambda self: self._runs)
    @rule(how=st.sampled_from((signal.SIGKILL, signal.SIGTERM)))
    def ended(self, how: signal.Signals) -> None:
        self._end(how)
        self._hold()

    @precondition(lambda self: not self._runs)
    @rule()
    def started(self) -> None:
        self._ground.start()
        self._hold(START_S)

    @precondition(lambda self: self._runs)
    @rule()
    def killed_and_started(self) -> None:
        self._end(signal.SIGKILL)
        self._ground.start()
        self._hold()

    def _end(self, how: signal.Signals) -> None:
        self._ground.end(how)
        self._hear()
        self._places.clear()  # the next run has sockets of its own

    def _wire(self, place: int) -> Wire:
        return self._ground.wires[place]

    @property
    def _runs(self) -> bool:
        return self._ground.agent is not None

    def _hold(self, patience_s: float = SOON_S) -> None:
        """Waits until what must be is so, and sees that nothing else was touched meanwhile."""
        theirs, began = others(), time.monotonic()
        while found := flaws(self._ground) if self._runs else missing_ways(self._ground):
            assert time.monotonic() < began + patience_s, "\n".join((*found, self._ground.told()))
            time.sleep(0.01)
        assert others() == theirs
        self._hear()
        if self._runs:
            assert self._ground.agent is not None
            assert self._ground.agent.poll() is None, self._ground.told()
        assert "ROUTES_REFUSED" not in self._ground.told(), self._ground.told()

    def _hear(self) -> None:
        """Each echo socket speaks by one uplink, and as that uplink."""
        wires = {wire.device: wire for wire in self._ground.wires}
        for device, source, socket_ in self._ear.echoes():
            assert source in wires[device].addresses, (device, source)
            places = self._places.setdefault(socket_, set())
            places.add(wires[device].place)
            assert len(places) == 1, (device, source)


@pytest.mark.usefixtures("cell")
def test_a_random_walk(tmp_path: Path) -> None:
    Walk.folder = tmp_path
    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
