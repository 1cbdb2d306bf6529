"""The whole agent at work on a way of four hops: an uplink dies, and the agent says by itself where."""

import asyncio
from pathlib import Path

import pytest
import yaml

from agent.config import parse
from agent.core.diagnosis import ALLOWANCE_BYTES
from agent.core.events import Effect, Event
from agent.daemon import Daemon
from agent.edge import child
from agent.edge.kernel import clean_up
from tests.diagnose.chain import CORE, Chain
from tests.edge.conftest import become
from wire.evidence import told_en
from wire.messages import Fact, Health


def test_an_uplink_that_dies_is_diagnosed_once_and_what_was_found_is_reported(
    way: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "AFTER_S", 0.1)
    Path(way.config["state_dir"]).mkdir()
    station = parse(yaml.safe_dump(way.config))
    told: list[Fact] = []

    async def run() -> int:
        daemon = Daemon(station, "0.1.0")
        handle = daemon._core.handle

        def listen(event: Event, now: float) -> list[Effect]:
            effects = handle(event, now)
            told.extend(effect for effect in effects if isinstance(effect, Fact))
            return effects

        daemon._core.handle = listen  # type: ignore[method-assign]
        working = asyncio.create_task(daemon.run())
        budget = daemon._core._lines["fibre"].watch.budget
        await become(lambda: _healths(told) == [Health.UP], 30)
        spent = budget.spent.day_bytes
        way.nft("core", "drop")
        await become(lambda: any(fact.code == "UPLINK_DIAGNOSED" for fact in told), 40)
        paid = budget.spent.day_bytes - spent
        daemon._stop()
        async with asyncio.timeout(10):
            await working
        await clean_up(station)
        return paid

    paid = asyncio.run(run())
    (fact,) = [fact for fact in told if fact.code == "UPLINK_DIAGNOSED"]
    found = fact.evidence
    assert (fact.uplink, found["code"], found["last_hop"], found["last_address"]) == ("fibre", "CORE_SILENT", 3, CORE)
    assert told_en(fact).endswith("call Telkom and name that hop")
    assert all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in found.values())
    assert float(found["bytes"] or 0) <= paid <= float(found["bytes"] or 0) + 20_000
    assert float(found["bytes"] or 0) < ALLOWANCE_BYTES


def _healths(told: list[Fact]) -> list[str | None]:
    return [fact.after for fact in told if fact.code.startswith("UPLINK_")]
