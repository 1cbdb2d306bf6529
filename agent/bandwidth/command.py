"""`siaga-agent measure`: asks the running agent what the uplink's budget allows, tests, and tells what it has cost."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from agent.bandwidth import run, words
from agent.bandwidth.bound import CannotMeasure
from agent.bandwidth.order import Order
from agent.core.bandwidth import group
from agent.core.station import Kind, Station, Uplink
from agent.edge import control

USUAL_BYTES = {"train": 200_000, "transfer": 12_000_000, "speedtest": 12_000_000}
USUAL_METERED_BYTES = 3_000_000
BYTES_AT_LEAST = {"train": 100_000, "transfer": 200_000, "speedtest": 1_000_000}
THIN = (Kind.LTE, Kind.GEO)
BYTES_AT_MOST = 32_000_000  # the centre grants no more in one turn


def measure(station: Station, uplink: Uplink, parsed: argparse.Namespace) -> str:
    """What to print; raises CannotMeasure."""
    if parsed.public and parsed.how != "speedtest":
        raise CannotMeasure("--public goes with --speedtest alone")
    if station.centre.measure is None:
        raise CannotMeasure("centre.measure is not set, so there is nobody to measure with")
    known = _known(station, uplink)
    order = Order(
        uplink.name,
        uplink.interface,
        station.centre.measure,
        group(station.station, uplink),
        _allowed(parsed, uplink, known),
        parsed.wait,
        1 if uplink.metered or uplink.kind in THIN else 4,
        known.get("loss"),
    )
    try:
        tested = run.public(order) if parsed.public else run.measure(order, parsed.how)
    except CannotMeasure as why:
        _ask(station, {"do": "not_tested", "uplink": uplink.name, "why": str(why), "bytes": why.spent_bytes})
        raise
    if known:
        _ask(station, {"do": "tested", "result": msgspec.to_builtins(tested)})
    if parsed.json:
        return msgspec.json.encode(tested).decode()
    uncharged = "" if known else "\nno agent runs, so these bytes are charged to no budget"
    return f"{words.told(tested)}{uncharged}"


def _known(station: Station, uplink: Uplink) -> dict[str, Any]:
    """What the running agent says of it: what may be spent, and what is lost. Nothing when none runs."""
    answer = _ask(station, {"do": "allowance", "uplink": uplink.name})
    if "error" in answer:
        raise CannotMeasure(str(answer["error"]))
    return answer


def _ask(station: Station, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return control.ask(Path(station.state_dir), request)
    except control.NotRunning:
        return {}


def _allowed(parsed: argparse.Namespace, uplink: Uplink, known: dict[str, Any]) -> int:
    how = str(parsed.how)
    usual = min(USUAL_BYTES[how], USUAL_METERED_BYTES if uplink.metered else BYTES_AT_MOST)
    wanted = min(parsed.bytes or usual, BYTES_AT_MOST)
    if wanted < BYTES_AT_LEAST[how]:
        raise CannotMeasure(f"--bytes {wanted}: {how} needs at least {BYTES_AT_LEAST[how]}")
    allowance = known.get("bytes")
    if allowance is not None and allowance < wanted:
        raise CannotMeasure(
            f"the budget of {uplink.name} leaves {max(0, round(allowance)) / 1e6:.2f} MB now, and this may cost "
            f"{wanted / 1e6:.2f} MB; see uplinks[].budget, or give --bytes"
        )
    if how == "speedtest" and uplink.metered is not None and parsed.bytes is None:
        raise CannotMeasure(f"{uplink.name} is metered: speedtest-cli is off there unless you say --bytes")
    return wanted
