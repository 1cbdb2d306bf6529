"""Whether the centre's broker acknowledges a session: CONNECT of a stranger's name, nothing published, DISCONNECT."""

import os
import socket
import ssl
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from agent.diagnose.look import Facts, Layer, Look, Outcome, Purse, Subject, milliseconds
from agent.diagnose.tcp import connection

COST = 700
COST_SECURED = 8_000  # with certificates both ways
CONNECT, CONNACK, DISCONNECT = 0x10, 0x20, b"\xe0\x00"  # MQTT 3.1.1, section 3
CLEAN_SESSION = 2
KEEP_ALIVE_S = 10
CONNACK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the broker is: as configured, and what that means now."""

    centre: str
    address: str
    host: str
    port: int


def look(subject: Subject, at: Place, secured: ssl.SSLContext | None, wait_s: float, purse: Purse) -> Look:
    """Raises nothing of the network: that it took the connection was seen a moment ago."""
    facts: Facts = {"centre": at.centre}
    if not purse.allows(COST if secured is None else COST_SECURED):
        return Look(Layer.MQTT, Outcome.NO_BYTES, facts)
    began_at = time.monotonic()
    try:
        with connection(subject, at.address, at.port, wait_s, purse) as plain, _over(plain, secured, at.host) as opened:
            opened.sendall(_connect(f"siaga-diagnose-{os.urandom(4).hex()}"))
            answer = b""
            while len(answer) < CONNACK_BYTES and (piece := opened.recv(CONNACK_BYTES - len(answer))):
                answer += piece
            opened.sendall(DISCONNECT)
    except OSError:
        return Look(Layer.MQTT, Outcome.UNACKNOWLEDGED, facts)
    if len(answer) < CONNACK_BYTES or answer[0] != CONNACK:
        return Look(Layer.MQTT, Outcome.UNACKNOWLEDGED, facts)
    if answer[3]:
        return Look(Layer.MQTT, Outcome.DECLINED, {**facts, "answer": answer[3]})
    return Look(Layer.MQTT, Outcome.ACKNOWLEDGED, {**facts, "ms": milliseconds(time.monotonic() - began_at)})


def _over(plain: socket.socket, secured: ssl.SSLContext | None, host: str) -> AbstractContextManager[socket.socket]:
    """The connection itself, or TLS on top; what it carried is asked of the one below."""
    return nullcontext(plain) if secured is None else secured.wrap_socket(plain.dup(), server_hostname=host)


def _connect(client: str) -> bytes:
    name = client.encode()
    body = b"\x00\x04MQTT\x04" + bytes([CLEAN_SESSION, 0, KEEP_ALIVE_S]) + len(name).to_bytes(2) + name
    return bytes([CONNECT, len(body)]) + body
