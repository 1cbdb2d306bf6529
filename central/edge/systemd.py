"""What systemd wants to hear: ready, still alive, and what was refused."""

import contextlib
import os
import socket
import time

REFUSED_S = 5  # else a mistake in the configuration fills the journal: systemd tries again after one second


def notify(line: str) -> None:
    """Tell the service manager; does nothing when there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    # When systemd is busy or gone, that must not stop us.
    with socket.socket(socket.AF_UNIX, kind) as out, contextlib.suppress(OSError):
        out.sendto(line.encode(), "\0" + address[1:] if address.startswith("@") else address)


def refused(lines: str) -> None:
    """Systemd shows the lines as one, and does not try again before a while has passed; without systemd, nothing."""
    if os.environ.get("NOTIFY_SOCKET"):
        notify("STATUS=" + lines.replace("\n", "; "))
        time.sleep(REFUSED_S)
