"""One MQTT connection of the courier: what is true of it only, how bytes go together, and what a refusal means."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import paho.mqtt.client as mqtt

from agent.core.events import Noticed, ShowState
from agent.edge.identity import NoIdentity
from agent.edge.trust import Misdated
from wire.messages import Evidence

WHY_LETTERS = 160


@dataclass(slots=True)
class Session:
    """What is true of one connection only."""

    name: str
    client: mqtt.Client
    subscribed: bool = False
    refused: bool = False
    sent: int = 0
    """The place in the spool of the newest record handed to the broker."""
    in_flight: int = 0
    progress_at: float = 0.0
    backlog_at: float = 0.0
    """Not before then, so that the backlog leaves room for what is new."""
    heard_at: float = 0.0
    """Of what the broker owes us, the last came then; or then we began to wait."""
    shown: ShowState | None = None
    shown_at: float = 0.0
    alive_at: float = 0.0
    """Then the centre was told something that was new."""
    trouble: str = ""
    """What the network's library said of it last, or why it was given up."""

    @property
    def waits(self) -> bool:
        """For the broker to say something."""
        return self.in_flight > 0 or not self.subscribed


class Refused(ConnectionError):
    """The broker took the connection, and would not have us."""


def refusal(session: Session) -> ConnectionError:
    if session.refused or "alert" in session.trouble.lower():
        return Refused(session.trouble or "it says no")
    return ConnectionError("the connection ended before it was of use")


def to_be_told(why: Exception) -> Noticed | None:
    """What a person has to do something about."""
    words: Evidence = {"why": str(why)[:WHY_LETTERS]}
    if isinstance(why, NoIdentity):
        return Noticed("NOT_ENROLLED", words)
    if isinstance(why, Refused):
        return Noticed("CERTIFICATE_REFUSED", words)
    is_strange = isinstance(why, ssl.SSLCertVerificationError | Misdated)
    return Noticed("CENTRE_UNTRUSTED", words) if is_strange else None


def decrypted(connection: object) -> bool:
    """What TLS has read and decrypted already makes no socket readable."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


@contextlib.contextmanager
def together(connection: socket.socket) -> Iterator[None]:
    """What is written within leaves in one packet if it fits, and what comes back may be acknowledged in one."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
