"""The gateway as a neighbour: does it answer ARP (or IPv6 neighbour discovery), and is it the only one that does."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any

from scapy.layers.l2 import ARP, Ether

from agent.core.station import Family
from agent.diagnose.look import Layer, Look, Outcome, Purse, Subject, milliseconds
from agent.diagnose.packet import Tap, tap

TRIES = 3
WAIT_S = 0.5
SECOND_ANSWER_S = 0.2  # an impostor answers as fast as the gateway does
ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
KERNELS_OWN = 4 * 28  # it asks for itself before the first packet, and is asked in turn
COST = 2 * TRIES * 72 + KERNELS_OWN

Answer = Callable[[Any, str], str | None]
"""The MAC that a frame gives for the gateway; None when it is about something else."""


def look(subject: Subject, purse: Purse) -> Look:
    """Raises OSError."""
    if subject.gateway is None or subject.mac is None:
        return Look(Layer.GATEWAY, Outcome.NO_NEIGHBOURS)
    if not purse.allows(COST):
        return Look(Layer.GATEWAY, Outcome.NO_BYTES)
    is_v4 = subject.family is Family.IPV4
    question, answer = (_arp(subject), _arp_answer) if is_v4 else _solicitation(subject)
    purse.spend(KERNELS_OWN)
    with tap(subject.device, ETH_P_ARP if is_v4 else ETH_P_IPV6, purse) as line:
        for tried in range(TRIES):
            asked_at = time.monotonic()
            line.send(question)
            macs, took_s = _macs(line, answer, subject.gateway, asked_at)
            if macs:
                return _heard(subject.gateway, macs, took_s, tried + 1)
    return Look(Layer.GATEWAY, Outcome.GATEWAY_SILENT, {"gateway": subject.gateway, "asked": TRIES})


def _heard(gateway: str, macs: list[str], took_s: float, asked: int) -> Look:
    facts: dict[str, float | str | None] = {"gateway": gateway, "mac": macs[0]}
    if len(macs) > 1:
        return Look(Layer.GATEWAY, Outcome.GATEWAY_DOUBLE, {**facts, "other_mac": macs[1]})
    return Look(Layer.GATEWAY, Outcome.GATEWAY_ANSWERS, {**facts, "ms": milliseconds(took_s), "asked": asked})


def _macs(line: Tap, answer: Answer, gateway: str, asked_at: float) -> tuple[list[str], float]:
    """Who answers for the gateway, in the order in which they did, and when the first one did."""
    macs: list[str] = []
    took_s = 0.0
    for frame in line.hear(WAIT_S):
        mac = answer(frame, gateway)
        if mac is not None:
            line.paid(frame)
            took_s = took_s or time.monotonic() - asked_at
            if mac not in macs:
                macs.append(mac)
        if macs and time.monotonic() > asked_at + took_s + SECOND_ANSWER_S:
            break
    return macs, took_s


def _arp(subject: Subject) -> Any:
    return Ether(src=subject.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op="who-has", hwsrc=subject.mac, psrc=subject.address, pdst=subject.gateway
    )


def _arp_answer(frame: Any, gateway: str) -> str | None:
    is_answer = ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == gateway
    return str(frame[ARP].hwsrc) if is_answer else None


def _solicitation(subject: Subject) -> tuple[Any, Answer]:
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6

    gateway = IPv6Address(subject.gateway or "")
    low = gateway.packed[-3:]
    group = IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + low)
    question = (
        Ether(src=subject.mac, dst="33:33:ff:" + low.hex(":"))
        / IPv6(src=subject.address, dst=str(group), hlim=255)
        / ICMPv6ND_NS(tgt=str(gateway))
        / ICMPv6NDOptSrcLLAddr(lladdr=subject.mac)
    )

    def answer(frame: Any, _gateway: str) -> str | None:
        if ICMPv6ND_NA not in frame or IPv6Address(frame[ICMPv6ND_NA].tgt) != gateway:
            return None
        option = frame.getlayer(ICMPv6NDOptDstLLAddr)
        return str(option.lladdr if option is not None else frame.src)

    return question, answer
