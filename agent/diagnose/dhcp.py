"""What a DHCP server would offer: asked by a DISCOVER alone, so that no lease is taken and none is changed."""

import os
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from agent.core.station import Family
from agent.diagnose.look import Facts, Layer, Look, Outcome, Purse, Subject
from agent.diagnose.packet import tap

WAIT_S = 1.0
TRIES = 2
ETH_P_IP = 0x0800
BROADCAST_FLAG = 0x8000  # an answer to our address would go to a port on which nobody of ours listens
OFFER = 2
COST = TRIES * (300 + 2 * 600)


def look(subject: Subject, purse: Purse) -> Look:
    """Asked with our own MAC: a server names the lease that it holds for us anyway. Raises OSError."""
    if subject.family is not Family.IPV4 or subject.mac is None:
        return Look(Layer.DHCP, Outcome.NO_NEIGHBOURS)
    if not purse.allows(COST):
        return Look(Layer.DHCP, Outcome.NO_BYTES)
    transaction = int.from_bytes(os.urandom(4))
    with tap(subject.device, ETH_P_IP, purse) as line:
        for _ in range(TRIES):
            line.send(_discover(subject.mac, transaction))
            for frame in line.hear(WAIT_S):
                if BOOTP in frame and frame[BOOTP].xid == transaction and frame[BOOTP].op == 2:
                    line.paid(frame)
                    options = _options(frame)
                    if options.get("message-type") == OFFER:
                        return _judged(subject, str(frame[BOOTP].yiaddr), str(frame[IP].src), options)
    return Look(Layer.DHCP, Outcome.NO_OFFER)


def _judged(subject: Subject, offered: str, source: str, options: dict[str, Any]) -> Look:
    router = options.get("router")
    facts: Facts = {
        "server": str(options.get("server_id") or source),
        "offered": offered,
        "router": None if router is None else str(router),
        "gateway": subject.gateway,
    }
    if subject.gateway is None or router is None:
        return Look(Layer.DHCP, Outcome.OFFERED_NEW, facts)
    return Look(Layer.DHCP, Outcome.OFFERED if router == subject.gateway else Outcome.OFFERED_OTHER, facts)


def _discover(mac: str, transaction: int) -> Any:
    return (
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=bytes.fromhex(mac.replace(":", "")), xid=transaction, flags=BROADCAST_FLAG)
        / DHCP(options=[("message-type", "discover"), ("param_req_list", [1, 3, 6]), "end"])
    )


def _options(frame: Any) -> dict[str, Any]:
    return (
        {option[0]: option[1] for option in frame[DHCP].options if isinstance(option, tuple)} if DHCP in frame else {}
    )
