"""A WireGuard tunnel from the station to a peer beyond its uplinks, with all traffic in it, as wg-quick sets it up."""

from __future__ import annotations

import subprocess

from lab.netns import Station
from lab.scenario import TARGETS
from lab.topology import SERVER
from tests.namespaces.neighbours import House
from tests.namespaces.packets import answers, wait_until

BEYOND = "203.0.113.9"  # answers only what comes out of the tunnel
_PORT = 51820
_STATION_KEY = "SGeFL5krW/R6j5nHMEmJht7gT5UYDvcgMN6CIY0tVkI="
_STATION_PUBLIC = "VEIyLaZY202X71iEEu8+jqoyb48FPdyteSkWCHj3PCY="
_PEER_KEY = "IBVI+QdFIFtSNHA7CHh0YwAHTG6opUsX1dKbQZ+nzn0="
_PEER_PUBLIC = "GKajbVvcJzzlBM67PbCVCL1zZZTgesQOc+Ph00JNOGw="
_STATIONS = f"""[Interface]
PrivateKey = {_STATION_KEY}
Address = 10.77.0.2/24, fd77::2/64
[Peer]
PublicKey = {_PEER_PUBLIC}
Endpoint = {SERVER}:{_PORT}
AllowedIPs = 0.0.0.0/0, ::/0
"""
_PEERS = f"""[Interface]
PrivateKey = {_PEER_KEY}
ListenPort = {_PORT}
[Peer]
PublicKey = {_STATION_PUBLIC}
AllowedIPs = 10.77.0.2/32, fd77::2/128, 192.0.2.0/24
"""


class Tunnel:
    """The peer runs from the beginning; `up` and `down` are the station's own."""

    def __init__(self, station: Station, house: House) -> None:
        self._station, self._house = station, house
        house.write("etc/wireguard/wg0.conf", _STATIONS)
        house.write("etc/wireguard/peer.conf", _PEERS)
        house.start("env", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "peer", where="internet", log="peer")
        wait_until(lambda: "peer" in station.run("internet", ["ip", "-br", "link"]))
        wait_until(lambda: (house.folder / "run/wireguard/peer.sock").exists())
        house.run("wg", "setconf", "peer", "/etc/wireguard/peer.conf", where="internet")
        ip = [
            "address add 10.77.0.1/24 dev peer",
            f"address add {BEYOND}/32 dev peer",
            "link set peer up",
            "route add 192.0.2.0/24 dev peer",
            *(f"rule add pref 50 iif {line.provider} to {BEYOND} blackhole" for line in station.topology.lines),
        ]
        for command in ip:
            station.run("internet", ["ip", *command.split()])
        self._count_echoes()

    def up(self) -> None:
        self._house.run("env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", "up", "wg0")

    def down(self) -> None:
        self._house.run("wg-quick", "down", "wg0")

    def carries(self, where: str = "tps") -> bool:
        """An echo comes back through it."""
        return answers(self._station, where, BEYOND) > 0

    def comes_from(self) -> str:
        """The address from which the peer last heard an encrypted packet."""
        return self._house.run("wg", "show", "peer", "endpoints", where="internet").split()[-1].split(":")[0]

    def echoes(self) -> dict[str, int]:
        """How many of the agent's have reached its targets, by where they came from."""
        ways = ("peer", *(line.provider for line in self._station.topology.lines))
        listed = self._station.run("internet", ["nft", "list", "table", "inet", "ways"])
        return {way: int(listed.split(f"counter {way} {{")[1].split()[1]) for way in ways}

    def _count_echoes(self) -> None:
        ways = ("peer", *(line.provider for line in self._station.topology.lines))
        targets = ", ".join(TARGETS)
        table = (
            "table inet ways {\n"
            + "".join(f"counter {way} {{ }}\n" for way in ways)
            + "chain in { type filter hook prerouting priority raw\n"
            + "".join(
                f"iifname {way} ip daddr {{ {targets} }} icmp type echo-request counter name {way}\n" for way in ways
            )
            + "}\n}\n"
        )
        command = ["ip", "netns", "exec", self._station.topology.name("internet"), "nft", "-f", "-"]
        subprocess.run(command, input=table, text=True, check=True)
