"""Whatever happens to a station, in whatever order: ours is as wished, theirs is untouched, and there is a way out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from agent.core.nft_table import NFT_TABLE
from agent.core.routes import ACTIVE_TABLE, BY_CHOICE, FIRST_UPLINK_TABLE, OUT_DEVICE, PROTOCOL, SPECIFIC_FIRST
from tests.edge.link import ip
from tests.namespaces.ground import NAMES, SOON_S, START_S, Ground, Wire, add_foreign, ground
from tests.namespaces.truth import Ear, flaws, missing_ways, others

WALKS, STEPS = 4, 25
COMES_BACK = 0.5  # an agent that has ended, at each step
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
        self._touched: Wire | None = None
        self._told: list[str] = []

    def teardown(self) -> None:
        self._built.close()

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        """The seed is all that is drawn: what is drawn step by step begins with one step over and over."""
        self._chance = random.Random(seed)
        add_foreign()
        self._ground.start()
        self._hold(f"begun with seed {seed}", START_S)

    @rule()
    def step(self) -> None:
        self._touched = wire = self._chance.choice(self._ground.wires)
        if not self._ground.agent and self._chance.random() < COMES_BACK:
            return self._start()
        happenings = (*(self._with_wire if wire.is_plugged else (self._plug,)), self._way, *self._by_others)
        return self._chance.choice(happenings)(wire)

    # what happens to an uplink

    @property
    def _with_wire(self) -> tuple[Callable[[Wire], None], ...]:
        return self._cable, self._bounce, self._unplug, self._gateway, self._no_default, self._address, self._better

    def _cable(self, wire: Wire) -> None:
        on = self._chance.random() < 0.5
        wire.cable(on)
        self._hold(f"{wire.device}: cable {on}")

    def _way(self, wire: Wire) -> None:
        wire.way(not wire.answers)
        self._hold(f"{wire.device}: answers {wire.answers}")

    def _bounce(self, wire: Wire) -> None:
        ip("link", "set", wire.device, "down")
        if self._chance.random() < 0.5:
            self._hold(f"{wire.device}: down")
        wire.configure()
        self._hold(f"{wire.device}: up")

    def _unplug(self, wire: Wire) -> None:
        wire.unplug()
        self._hold(f"{wire.device}: gone")

    def _plug(self, wire: Wire) -> None:
        wire.plug()
        wire.configure()
        self._hold(f"{wire.device}: there again")

    def _gateway(self, wire: Wire) -> None:
        wire.gateway = 255 - wire.gateway
        wire.configure()
        self._hold(f"{wire.device}: gateway {wire.gateway}")

    def _no_default(self, wire: Wire) -> None:
        wire.drop_defaults()
        self._hold(f"{wire.device}: no default route")

    def _address(self, wire: Wire) -> None:
        wire.give_up_address()
        wire.host = wire.host % 9 + 2
        wire.configure()
        self._hold(f"{wire.device}: address {wire.host}")

    def _better(self, wire: Wire) -> None:
        wire.configure()
        better = ("default", "via", wire.other_gateway4, "dev", wire.device, "metric", "7")
        ip("route", "replace", *better)
        self._hold(f"{wire.device}: a better default route")
        ip("route", "del", *better)
        self._hold(f"{wire.device}: and gone")

    # what others do

    @property
    def _by_others(self) -> tuple[Callable[[Wire], None], ...]:
        return self._theft, self._theft, self._stranger, self._choice, self._end

    def _theft(self, _: Wire) -> None:
        what = self._chance.choice(THEFTS)
        subprocess.run(what.split(), check=False, capture_output=True)  # nothing may be there to be taken
        self._hold(what)

    def _stranger(self, _: Wire) -> None:
        device, verb = self._chance.choice(("other0", "lan0")), self._chance.choice(("replace", "del"))
        subprocess.run(["ip", "route", verb, "default", "dev", device, "metric", "5"], check=False, capture_output=True)
        self._hold(f"{verb} a default route by {device}")

    def _choice(self, _: Wire) -> None:
        name = self._chance.choice((*NAMES, None))
        if self._ground.agent is not None:
            self._ground.ask(**({"do": "auto"} if name is None else {"do": "move", "uplink": name, "for_s": None}))
        self._hold(f"the operator's choice: {name}")

    def _end(self, _: Wire) -> None:
        how = self._chance.choice((signal.SIGKILL, signal.SIGTERM))
        self._ground.end(how)
        self._hear()
        self._places.clear()  # the next run has sockets of its own
        self._hold(f"the agent's end by {how.name}")

    def _start(self) -> None:
        self._ground.start()
        self._hold("the agent's start", START_S)

    def _hold(self, what: str, patience_s: float = SOON_S) -> None:
        """Waits until what must be is so, and sees that nothing else was touched meanwhile."""
        self._told.append(what)
        theirs, began = others(), time.monotonic()
        while found := flaws(self._ground) if self._ground.agent else missing_ways(self._ground):
            assert time.monotonic() < began + patience_s, self._story(*found)
            time.sleep(0.01)
        assert others() == theirs, self._story()
        self._hear()
        if self._ground.agent is not None:
            assert self._ground.agent.poll() is None, self._story()
        assert "ROUTES_REFUSED" not in self._ground.told(), self._story()

    def _hear(self) -> None:
        """Each echo socket speaks by one uplink, and as that uplink unless its address changes meanwhile."""
        wires = {wire.device: wire for wire in self._ground.wires}
        for device, source, socket in self._ear.echoes():
            is_as_it_was = wires[device] is not self._touched  # a device without address borrows another's
            assert source in wires[device].addresses or not is_as_it_was, self._story(f"{device}: {source}")
            places = self._places.setdefault(socket, set())
            places.add(wires[device].place)
            assert len(places) == 1, self._story(f"{device}: {source}")

    def _story(self, *found: str) -> str:
        return "\n".join((*found, "", *self._told, "", self._ground.told()))


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
