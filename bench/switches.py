"""Packets that the kernel refuses while the traffic is switched to and fro under a sender at full speed."""

import json
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench.drivers import OurAgent
from bench.loop import Loop
from bench.seen import Moves
from lab.netns import LabError, Station, stop
from lab.scenario import Scenario
from lab.topology import SERVER

SINKS = ("203.0.113.99", "2001:db8:aaaa::99")  # the providers drop what goes there, and count it
REST_S = 0.05  # between two switches, in which the sender has the new way for itself
SWITCH_WITHIN_S = 10.0
COUNTING = """table inet sink {{
  counter arrived {{ }}
  chain in {{
    type filter hook prerouting priority raw
    ip daddr {} counter name arrived drop
    ip6 daddr {} counter name arrived drop
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Switched:
    switches: int
    """Those that the kernel's routes have shown, in both families."""
    sent: int
    refused: dict[str, int]
    arrived: int
    """At the providers."""


def measure(story: Scenario, times: int, folder: Path) -> Switched:
    with ExitStack() as built:
        station = built.enter_context(Station.of(story, prefix="s-"))
        loop = built.enter_context(closing(Loop()))
        station.start_lab("internet", ["internet", SERVER])
        agent = OurAgent(station, story, folder)
        agent.start()
        agent.settle_quietly()
        providers = [line.provider for line in station.topology.lines]
        for provider in providers:
            _load(station, provider)
        families = [built.enter_context(closing(Moves(loop, station, ipv6))) for ipv6 in (False, True)]
        sender = station.start("tps", [sys.executable, "-m", "bench.full_speed", *SINKS], stdout=subprocess.PIPE)
        names = station.topology.uplinks
        for n in range(times):
            _switch(loop, agent, families, names[(n + 1) % len(names)])
        sender.terminate()
        told = json.loads(sender.communicate()[0])
        stop(sender)
        arrived = sum(_arrived(station, provider) for provider in providers)
    switches = min(len(moves.seen) - 1 for moves in families)
    return Switched(switches, told["sent_to_each"] * len(SINKS), told["refused"], arrived)


def row(done: Switched) -> list[str]:
    refused = sum(done.refused.values())
    why = "".join(f", {count} {what}" for what, count in sorted(done.refused.items()))
    measured = f"{refused} of {done.sent / 1e6:.1f} million refused in {done.switches} switches{why}"
    lost = done.sent - refused - done.arrived
    return [
        "operator's switch",
        "packets of a sender at full speed",
        f"{measured}; {lost} lost",
        "0",
        "yes" if not refused else "no",
    ]


def _switch(loop: Loop, agent: OurAgent, families: list[Moves], to: str) -> None:
    agent.check()
    agent.move(to)
    if not loop.run(lambda: all(moves.active == to for moves in families), SWITCH_WITHIN_S):
        raise LabError(f"the traffic does not go by {to} within {SWITCH_WITHIN_S:g} s")
    loop.rest(REST_S)


def _load(station: Station, provider: str) -> None:
    command = ["ip", "netns", "exec", station.topology.name(provider), "nft", "-f", "-"]
    subprocess.run(command, input=COUNTING.format(*SINKS), text=True, check=True)


def _arrived(station: Station, provider: str) -> int:
    listed = json.loads(station.run(provider, ["nft", "-j", "list", "counter", "inet", "sink", "arrived"]))
    return int(next(each["counter"]["packets"] for each in listed["nftables"] if "counter" in each))
