"""Counts what each uplink carries: bytes of its interface, and the LAN's packets by our nft table."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.core.events import Event, KernelSeen, TrafficCounted
from agent.core.nft_table import ANSWERED, ASKED
from agent.core.station import Station
from agent.edge.counters import Counters

log = logging.getLogger(__name__)

EVERY_S = 0.25  # an answer seen that late still saves the next echo, which a fibre sends each half second
DEVICES = Path("/proc/thread-self/net/dev")  # all at one reading; /sys/class/net may show another network's
RX_BYTES, TX_BYTES = 0, 8  # columns behind the name


class Traffic:
    """What has changed since it was last told is emitted; counters that begin again are passed on as they are."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._device = {uplink.name: uplink.interface for uplink in station.uplinks}
        self._emit = emit
        self._counters = Counters() if station.lan.interfaces else None  # else there is no table of ours
        self._packets: dict[str, int] = {}
        self._told: dict[str, TrafficCounted] = {}
        self._faults: dict[str, str] = {}

    async def run(self) -> None:
        """Until it is cancelled, and never longer without: this is only evidence, it must not end what switches."""
        while True:
            try:
                self.look()
                self._note("traffic", None)
            except Exception as why:
                self._note("traffic", why)
            await asyncio.sleep(EVERY_S)

    def see(self, picture: KernelSeen) -> None:
        """An interface may be renamed."""
        self._device = {name: link.interface for name, link in zip(self._device, picture.links, strict=True)}

    def look(self) -> None:
        carried = _bytes_carried()
        self._read_packets()
        for name, device in self._device.items():
            if device not in carried:
                continue
            asked, answered = (self._packets.get(f"{which}-{name}") for which in (ASKED, ANSWERED))
            counted = TrafficCounted(name, *carried[device], asked, answered)
            if counted != self._told.get(name):
                self._told[name] = counted
                self._emit(counted)

    @property
    def carried(self) -> Mapping[str, TrafficCounted]:
        """What was told last of each uplink."""
        return self._told

    def close(self) -> None:
        if self._counters is not None:
            self._counters.close()

    def _read_packets(self) -> None:
        """What was read before stands while nothing can be read: no news is neither life nor a new beginning."""
        if self._counters is None:
            return
        try:
            self._packets = self._counters.packets()
            self._note("packets", None)
        except OSError as why:
            self._note("packets", why)

    def _note(self, what: str, why: Exception | None) -> None:
        """Once for each fault, until it is gone."""
        fault = repr(why) if why else ""
        if fault and self._faults.get(what) != fault:
            log.warning("the %s of the uplinks cannot be counted: %s", what, why)
        self._faults[what] = fault


def _bytes_carried() -> dict[str, tuple[int, int]]:
    """Interface -> received, sent. Raises OSError."""
    carried = {}
    for line in DEVICES.read_text().splitlines()[2:]:
        name, _, columns = line.partition(":")
        figures = columns.split()
        carried[name.strip()] = int(figures[RX_BYTES]), int(figures[TX_BYTES])
    return carried
