"""Sockets that leave by one uplink only and lead to the centre's bandwidth server, and what they cost."""

import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SO_TIMESTAMPNS = 35
BUFFER_BYTES = 1_000_000  # a whole train
HEADERS_BYTES: dict[int, int] = {socket.AF_INET: 40, socket.AF_INET6: 60}  # IP and TCP
TCP_OPTIONS_BYTES = 12  # timestamps
TCP_INFO_BYTES, SEGMENTS_AT, RECEIVED_AT, SENT_AT = 232, 136, 128, 200  # struct tcp_info of linux/tcp.h
DEVICES = Path("/proc/thread-self/net/dev")
RX_BYTES, TX_BYTES = 0, 8  # columns behind the name
ETHERNET_BYTES = 14


class CannotMeasure(Exception):
    """One sentence for who asked."""

    spent_bytes = 0
    """Until it was seen."""


class Unreachable(CannotMeasure):
    """The server cannot be used by this uplink."""


@dataclass(slots=True)
class Cost:
    """Of IP packets, one way."""

    bytes: int = 0
    packets: int = 0

    def add(self, size: int, packets: int = 1) -> None:
        self.bytes, self.packets = self.bytes + size, self.packets + packets

    @property
    def on_device(self) -> int:
        """As the interface counts them."""
        return self.bytes + self.packets * ETHERNET_BYTES


@dataclass(frozen=True, slots=True)
class Carried:
    """By an interface since it began to count."""

    up_bytes: int
    down_bytes: int


class Bound:
    """To one server by one device."""

    def __init__(self, device: str, server: str, timeout_s: float) -> None:
        """Raises Unreachable when the server's name leads nowhere."""
        self.device, self.timeout_s = device, timeout_s
        self.up, self.down = Cost(), Cost()
        self._counted: dict[socket.socket, tuple[int, int, int, int]] = {}
        url = urlsplit(f"//{server}")
        try:
            found = socket.getaddrinfo(url.hostname, url.port, type=socket.SOCK_STREAM)[0]
        except OSError as why:
            raise Unreachable(f"centre.measure = {server}: {why.strerror}") from None
        self.family: int = found[0]
        self.address: tuple[Any, ...] = found[4]

    def tcp(self) -> socket.socket:
        """Raises Unreachable."""
        opened = self._open(socket.SOCK_STREAM)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def udp(self) -> socket.socket:
        """It does not block, and tells when packets came; raises Unreachable."""
        opened = self._open(socket.SOCK_DGRAM)
        for option, value in (
            (socket.SO_SNDBUF, BUFFER_BYTES),
            (socket.SO_RCVBUF, BUFFER_BYTES),
            (SO_TIMESTAMPNS, 1),
        ):
            opened.setsockopt(socket.SOL_SOCKET, option, value)
        opened.setblocking(False)
        return opened

    def charge(self, connection: socket.socket) -> None:
        """What a connection of TCP has cost since it was charged last, with what was sent twice and every header."""
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES).ljust(TCP_INFO_BYTES, b"\0")
        segments_out, segments_in = struct.unpack_from("@II", info, SEGMENTS_AT)
        (received,), (sent,) = struct.unpack_from("@Q", info, RECEIVED_AT), struct.unpack_from("@Q", info, SENT_AT)
        now = segments_out, segments_in, sent, received
        before = self._counted.get(connection, (0, 0, 0, 0))
        self._counted[connection] = now
        out, came, sent, received = (max(0, new - old) for new, old in zip(now, before, strict=True))
        header = HEADERS_BYTES[self.family] + TCP_OPTIONS_BYTES
        self.up.add(sent + out * header, out)
        self.down.add(received + came * header, came)

    def carried(self) -> Carried | None:
        """By the device; None when it is gone."""
        for row in DEVICES.read_text().splitlines()[2:]:
            name, _, columns = row.partition(":")
            if name.strip() == self.device:
                figures = columns.split()
                return Carried(int(figures[TX_BYTES]), int(figures[RX_BYTES]))
        return None

    def _open(self, kind: socket.SocketKind) -> socket.socket:
        opened = socket.socket(self.family, kind)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
            opened.settimeout(self.timeout_s)
            opened.connect(self.address)
        except OSError as why:
            opened.close()
            raise Unreachable(self._sentence(why)) from None
        return opened

    def _sentence(self, why: OSError) -> str:
        host, port, *_ = self.address
        if isinstance(why, PermissionError):
            return f"a socket cannot be bound to {self.device} ({why.strerror}); run as root"
        return f"{host} port {port} cannot be reached by {self.device}: {why.strerror or why}"
