"""Independent eyes and a smallest router for the tests: echoes by icmplib, patience, and a static way out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab.netns import Station

MakeStation = Callable[..., Station]  # station(fibre={"delay_ms": 8}, lte={})

_PING = """
import icmplib, json, sys
address, count, source, every_s = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None, float(sys.argv[4])
timeout_s = float(sys.argv[5])
host = icmplib.ping(address, count=count, interval=every_s, timeout=timeout_s, source=source)
print(json.dumps({"rtt_ms": sorted(host.rtts), "answered": host.packets_received, "sent": host.packets_sent}))
"""


def ping(
    station: Station,
    where: str,
    address: str,
    count: int = 5,
    source: str = "",
    every_s: float = 0.02,
    timeout_s: float = 0.5,
) -> dict[str, object]:
    """One echo after the other: each waits for its answer or its time-out, then `every_s`."""
    arguments = [address, str(count), source, str(every_s), str(timeout_s)]
    told = station.run(where, [sys.executable, "-c", _PING, *arguments], timeout_s=60)
    return dict(json.loads(told))


def answers(station: Station, where: str, address: str, source: str = "") -> int:
    """How many of three echoes are answered."""
    return int(str(ping(station, where, address, 3, source, timeout_s=0.3)["answered"]))


def median_rtt_ms(station: Station, where: str, address: str, count: int = 11) -> float:
    rtts = ping(station, where, address, count)["rtt_ms"]
    assert isinstance(rtts, list)
    return float(rtts[len(rtts) // 2])


def make_static_router(station: Station, uplink: str) -> None:
    """The least that an agent does: forwards, masquerades, and sends everything by one uplink."""
    for path in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        station.run("tps", ["sh", "-c", f"echo 1 > /proc/sys/{path}"])
    rules = Path("/run") / f"{station.topology.prefix}router.nft"
    chain = "type nat hook postrouting priority srcnat\noifname wan* masquerade"
    rules.write_text(f"table inet router {{\nchain out {{\n{chain}\n}}\n}}\n")
    station.run("tps", ["nft", "-f", str(rules)])
    send_by(station, uplink)


def send_by(station: Station, uplink: str) -> None:
    line = station.topology.line(uplink)
    for family, gateway in (("-4", line.gateway("home")), ("-6", line.gateway6("home"))):
        default = ["default", "via", gateway, "dev", line.device, "metric", "1"]
        station.run("tps", ["ip", family, "route", "flush", "default", "metric", "1"])
        station.run("tps", ["ip", family, "route", "replace", *default])


def wait_until(is_so: Callable[[], bool], patience_s: float = 5.0) -> None:
    """Fails when it does not become so in time."""
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not so within {patience_s} s"
        time.sleep(0.01)
