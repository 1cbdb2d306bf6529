"""What systemd wants to hear: ready, and still alive."""

import os
import socket


def notify(line: str) -> None:
    """Tell the service manager; does nothing when there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(line.encode())
