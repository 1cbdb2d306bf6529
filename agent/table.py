"""What `siaga-agent status` prints for people."""

from typing import Any

import msgspec

from agent.core.fate import whose
from wire.evidence import heard_en
from wire.messages import Public, Signal

PLANS = {
    "open": "open: nothing is limited",
    "low": "low: what is not essential is slowed down",
    "reserve": "reserve: only the essential passes",
}


def table(status: dict[str, Any]) -> str:
    """`status` is what the running agent answers."""
    active, centre = status["active"], status["centre"]
    lines = [
        f"station {status['station']}  phase {status['phase']}  "
        f"traffic: IPv4 by {active['ipv4'] or '-'}, IPv6 by {active['ipv6'] or '-'}",
        f"{'uplink':<12} {'interface':<12} {'health':<8} {'for':>8} {'RTT ms':>8} {'loss':>6}  carries",
    ]
    for uplink in status["uplinks"]:
        rtt = "-" if uplink["rtt_ms"] is None else f"{uplink['rtt_ms']:.1f}"
        loss = "-" if uplink["loss"] is None else f"{uplink['loss']:.0%}"
        carries = "traffic" if uplink["carries_traffic"] else ""
        lines.append(
            f"{uplink['name']:<12} {uplink['interface']:<12} {uplink['health']:<8} {uplink['since_s']:>6.0f} s"
            f" {rtt:>8} {loss:>6}  {carries}".rstrip()
        )
    lines += [
        f"plan of {uplink['name']}: {_plan(uplink['plan'])}" for uplink in status["uplinks"] if uplink.get("plan")
    ]
    lines += [f"signal of {uplink['name']}: {_signal(uplink)}" for uplink in status["uplinks"] if uplink.get("signal")]
    lines += [f"{uplink['name']}: {_forecast(uplink)}" for uplink in status["uplinks"] if uplink.get("forecast")]
    seen = [uplink for uplink in status["uplinks"] if uplink.get("public")]
    lines += [f"{uplink['name']} as the centre sees it: {_public(uplink)}" for uplink in seen]
    connected = "connected" if centre["connected"] else "not connected"
    lines += [_configuration(given) for given in [status.get("configuration")] if given and given["version"]]
    lines += [_card(told) for told in [status.get("card")] if told]
    return "\n".join([*lines, f"centre: {connected}, {centre['unsent']} records not yet stored there"])


def _card(told: dict[str, Any]) -> str:
    return (
        f"card: cannot be written ({told['why']}); records are kept in memory, in {told['instead']}, and what the "
        "centre has not stored is lost when the power goes"
    )


def _configuration(given: dict[str, Any]) -> str:
    trial = "on trial until the centre is reached" if given["on_trial"] else "in force"
    return f"configuration: version {given['version']} of the centre, {trial}"


def _plan(plan: dict[str, Any]) -> str:
    return (
        f"{plan['used_mb']:.0f} of {plan['plan_mb']:.0f} MB used ({plan['used_mb'] / plan['plan_mb']:.0%}), "
        f"{plan['reserve_mb']:.0f} MB in reserve; {PLANS[plan['policy']]}"
    )


def _signal(uplink: dict[str, Any]) -> str:
    return heard_en(msgspec.convert(uplink["signal"], Signal))


def _forecast(uplink: dict[str, Any]) -> str:
    told = uplink["forecast"]
    return (
        f"20 MB of photos would take {told['photos_s']:.0f} s, a message {told['message_s']:.2g} s "
        f"({told['up_mbps']:.3g} Mbit/s free; measured {told['measured_s'] / 60:.0f} min ago)"
    )


def _public(uplink: dict[str, Any]) -> str:
    return ", ".join(f"{seen.address} ({whose(seen)})" for seen in msgspec.convert(uplink["public"], list[Public]))
