"""What the kernel of a station has: rules and routes of ours, those of others, and which of ours should be there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.core.routes import (
    ACTIVE_TABLE,
    BY_CHOICE,
    FIRST_UPLINK_TABLE,
    FROM_ADDRESS,
    MAIN_TABLE,
    OUT_DEVICE,
    PROTOCOL,
    SPECIFIC_FIRST,
)
from lab.netns import LabError, Station

OURS = f" proto {PROTOCOL}"
_VOLATILE = re.compile(r" (expires \d+sec|linkdown)\b")
_KERNELS_OWN = re.compile(r"table 255\b|^-6 (fe80::/64|multicast|5 ff00::/8) ")


class Kernel:
    def __init__(self, station: Station, folder: Path) -> None:
        self._station = station
        self._devices = tuple(line.device for line in station.topology.lines)
        self._heard = folder / "monitor"
        with self._heard.open("wb") as out:
            station.start("tps", ["ip", "-N", "-o", "-ts", "monitor", "route", "rule"], stdout=out)

    def ours(self) -> set[str]:
        """Up to our mark: what follows is the kernel's own."""
        return {line[: line.index(OURS)] for line in self._all() if OURS in line}

    def others(self) -> set[str]:
        return {_VOLATILE.sub("", line) for line in self._all() if OURS not in line and not _KERNELS_OWN.search(line)}

    def wished(self) -> set[str]:
        """Ours as they should be, reckoned from what others have put there; the choice itself is as it is.

        Rules that name no address and no device of an uplink are left out, but for the first and the last.
        """
        return {f"{family} {line}" for family in ("-4", "-6") for line in self._wished(family)}

    def has_both_ways(self) -> bool:
        """Both uplinks have an address of each family and lead outside."""
        return all(
            self.gateways(family).keys() == {*self._devices}
            and all(any(self._addresses(family, device)) for device in self._devices)
            for family in ("-4", "-6")
        )

    def flaws(self) -> set[str]:
        """What of ours is missing, and the routes of ours that should not be there."""
        wished, ours = self.wished(), self.ours()
        return (wished - ours) | {line for line in ours - wished if " lookup " not in line}

    def urgent_flaws(self) -> set[str]:
        """Without the rules for addresses: they wait until an uplink that was dead has proven good."""
        return {line for line in self.flaws() if ": from all " in line or " lookup " not in line}

    def gateways(self, family: str) -> dict[str, str]:
        """Of each device, the gateway of its best default route in main."""
        found: dict[str, tuple[int, str]] = {}
        for route in self._json(family, "route", "show", "default", "table", str(MAIN_TABLE)):
            if str(route.get("protocol")) == str(PROTOCOL):
                continue
            for hop in route.get("nexthops", [route]):
                best = found.get(hop["dev"])
                if best is None or route.get("metric", 0) < best[0]:
                    found[hop["dev"]] = route.get("metric", 0), hop["gateway"]
        return {device: gateway for device, (_, gateway) in found.items()}

    def taken(self) -> list[str]:
        """Everything of ours whose end the kernel has told of."""
        heard = self._heard.read_text().splitlines()
        return [line.split("Deleted", 1)[1].strip() for line in heard if "Deleted" in line and OURS in line]

    def _wished(self, family: str) -> Iterator[str]:
        gateways = self.gateways(family)
        yield f"{SPECIFIC_FIRST}: from all lookup {MAIN_TABLE} suppress_prefixlength 0"
        yield f"{BY_CHOICE}: from all lookup {ACTIVE_TABLE}"
        for n, device in enumerate(self._devices):
            table = FIRST_UPLINK_TABLE + n
            yield f"{OUT_DEVICE + n}: from all oif {device} lookup {table}"
            for address in self._addresses(family, device):
                yield f"{FROM_ADDRESS + n}: from {address} lookup {table}"
            if device in gateways:
                yield f"default via {gateways[device]} dev {device} table {table}"
        chosen = self._json(family, "route", "show", "default", "table", str(ACTIVE_TABLE))
        for device in {route["dev"] for route in chosen} or set(gateways):
            yield f"default via {gateways.get(device, 'nobody')} dev {device} table {ACTIVE_TABLE}"

    def _addresses(self, family: str, device: str) -> Iterator[str]:
        for each in self._json(family, "address", "show", "dev", device, "scope", "global"):
            yield from (address["local"] for address in each.get("addr_info", ()) if "local" in address)

    def _all(self) -> Iterator[str]:
        for family in ("-4", "-6"):
            for what in (["rule"], ["route", "show", "table", "all"]):
                for line in self._station.run("tps", ["ip", "-N", "-o", family, *what]).splitlines():
                    yield f"{family} {' '.join(line.split())}"

    def _json(self, family: str, *what: str) -> Any:
        """An empty list also where the kernel has no such table yet: then `ip` begins a list and fails."""
        try:
            return json.loads(self._station.run("tps", ["ip", "-N", "-j", family, *what]) or "[]")
        except LabError as why:
            assert "FIB table does not exist" in str(why)
            return []


def without_metrics(lines: set[str]) -> set[str]:
    """Metrics left out, and the ways of one route in a fixed order: a manager may give others the second time."""
    plain = (re.sub(r" metric \d+", "", line).split("\\") for line in lines)
    return {"\\".join([first, *sorted(way.strip() for way in ways)]) for first, *ways in plain}


def but_for_the_choice(lines: set[str]) -> set[str]:
    return {line for line in lines if f"table {ACTIVE_TABLE}" not in line}
