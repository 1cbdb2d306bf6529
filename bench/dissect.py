"""A session taken apart: what it says in MQTT, and what TLS, TCP and IP put around it."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from agent.edge.broker import Courier
from bench import table

EVERYTHING = 3  # ETH_P_ALL
ETHERNET_BYTES = 14
TLS_HEADER_BYTES = 5
TCP = 6
LARGEST_FRAME = 65_550
SAID = re.compile(r"(?:Sending|Received) (\w+)(?: \(d\d, q(\d).*?'(?:b')?siaga/[^']*/([a-z]+)')?")
TOPIC = re.compile(r"siaga/[^']*")
PAYLOAD = re.compile(r"\((\d+) bytes\)$")
SORTS = {
    "sum": "summary",
    "log": "summary with a seal",
    "fact": "fact",
    "state": "state",
    "stored": "mark of what is stored",
    "PUBACK": "acknowledgement by the broker",
    "PINGREQ": "ping",
    "PINGRESP": "answer to a ping",
}


@dataclass
class Dissection:
    """Of what crosses a device between `begin` and `end`; the courier says what it means."""

    device: str
    messages: Counter[str] = field(default_factory=Counter)
    message_bytes: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    empty: int = 0
    """Packets that only acknowledge."""
    records: int = 0
    """Of TLS."""
    header_bytes: int = 0
    tls_bytes: int = 0
    """With what is in the records."""

    def begin(self) -> None:
        self._opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        self._opened.bind((self.device, 0))
        self._opened.settimeout(0.2)
        self._going = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._going = False
        self._thread.join()
        self._opened.close()

    def hear(self, text: str) -> None:
        """A line of the MQTT library's log."""
        if (said := SAID.match(text)) is None or not self._going:
            return
        packet, qos, kind = said.groups()
        sort = SORTS[kind or packet]
        self.messages[sort] += 1
        self.message_bytes[sort] += _publish_bytes(text, qos) if kind else 4 if packet == "PUBACK" else 2

    def _listen(self) -> None:
        while self._going:
            try:
                self._take(self._opened.recv(LARGEST_FRAME)[ETHERNET_BYTES:])
            except TimeoutError:
                continue

    def _take(self, packet: bytes) -> None:
        if packet[0] >> 4 != 4 or packet[9] != TCP:
            return
        ip_bytes, whole = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        headers = ip_bytes + (packet[ip_bytes + 12] >> 4) * 4
        inside = packet[headers:whole]
        self.packets += 1
        self.header_bytes += headers
        self.empty += not inside
        self.tls_bytes += len(inside)
        while inside:
            self.records += 1
            inside = inside[TLS_HEADER_BYTES + int.from_bytes(inside[3:5], "big") :]

    def told(self, minutes: int) -> str:
        """Of a minute in the mean."""
        rows = [
            [sort, f"{self.messages[sort] / minutes:.2f}", f"{self.message_bytes[sort] / minutes:.0f}"]
            for sort in dict.fromkeys(SORTS.values())
            if self.messages[sort] or sort == "ping"
        ]
        around = self.tls_bytes - self.message_bytes.total()
        rows += [
            ["TLS around them: records", f"{self.records / minutes:.2f}", f"{around / minutes:.0f}"],
            [f"IP and TCP headers: packets ({self.empty / minutes:.2f} of them only acknowledge)",
             f"{self.packets / minutes:.2f}", f"{self.header_bytes / minutes:.0f}"],
            ["**together**", "", f"**{(self.tls_bytes + self.header_bytes) / minutes:.0f}**"],
        ]  # fmt: skip
        return table.render(["a minute of it", "how many", "bytes"], rows)


class Heard(Courier):
    """A courier of which every packet of MQTT is counted."""

    dissection: Dissection | None = None

    def _on_log(self, session: Any, level: int, text: str) -> None:
        if self.dissection is not None:
            self.dissection.hear(text)
        super()._on_log(session, level, text)


def _publish_bytes(text: str, qos: str) -> int:
    topic, payload = TOPIC.search(text), PAYLOAD.search(text)
    assert topic is not None and payload is not None, text
    left = 2 + len(topic[0]) + (2 if qos != "0" else 0) + int(payload[1])
    return 1 + (1 if left < 128 else 2) + left
