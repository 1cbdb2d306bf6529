"""Tells systemd that we are ready, alive and how we are: sd_notify(3), when NOTIFY_SOCKET is there."""

import contextlib
import os
import socket
import time

REFUSED_S = 5  # else a mistake in the configuration fills the card: systemd tries again after 0.3 s


class Notify:
    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdigit() else None
        """How often systemd wants to hear of us; None when it does not care."""

    def ready(self) -> None:
        self._send("READY=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        self._send(f"STATUS={line}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def refused(self, sentence: str) -> None:
        """Systemd shows the sentence, and does not try again before a while has passed; without systemd, nothing."""
        if self._address:
            self.status(sentence.replace("\n", "; "))
            time.sleep(REFUSED_S)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        # When systemd is busy or gone, that must not stop us.
        with socket.socket(socket.AF_UNIX, kind) as opened, contextlib.suppress(OSError):
            opened.sendto(text.encode(), self._address)
