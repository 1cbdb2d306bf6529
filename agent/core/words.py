"""One line each for the log and for systemd: what a fact says, and how the station is."""

from agent.core.events import ShowState
from wire import evidence
from wire.messages import Fact


def line(state: ShowState) -> str:
    healths = ", ".join(f"{uplink.name} {uplink.health}" for uplink in state.uplinks)
    return f"traffic by {state.active.ipv4 or 'nothing'}; {healths}"


def sentence(fact: Fact) -> str:
    """UPLINK_DEAD lte: up -> dead: nothing heard for 2.1 s (9 echoes unanswered, …"""
    subject = f" {fact.uplink}" if fact.uplink else ""
    change = f": {fact.before or 'nothing'} -> {fact.after}" if fact.after else ""
    told = evidence.told_en(fact)
    return f"{fact.code}{subject}{change}" + (f": {told}" if told else "")
