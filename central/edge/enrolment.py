"""Starts the enrolment desk as a child process, and waits until the centre's own papers are there."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

READY_PATIENCE_S = 20.0  # a small board makes its first keys
STOP_PATIENCE_S = 3.0
LAUNCH = """
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv.pop(1)):
    sys.path[:0] = sys.argv.pop(1).split(os.pathsep)
    runpy.run_module("central.edge.desk", run_name="__main__", alter_sys=True)
"""


class EnrolmentError(Exception):
    """The desk cannot work; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What devices are told, and by which names they reach us; the first stands on cards."""

    hosts: Sequence[str]
    broker: str
    renew_at: str
    config_file: Path | None


class Enrolment:
    """The child; its socket was opened before, and outlives a restart."""

    name = "enrolment desk"

    def __init__(self, data: Path, offer: Offer, listener: socket.socket | None) -> None:
        self._data, self._offer, self._listener = data, offer, listener
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Call it from the main thread: the kernel ends the child when the starting thread ends."""
        self._ready, telling = os.pipe()
        descriptor = self._listener.fileno() if self._listener else None
        orders = {
            "data": str(self._data.resolve()),
            "hosts": list(self._offer.hosts),
            "broker": self._offer.broker,
            "renew_at": self._offer.renew_at,
            "config_file": str(self._offer.config_file) if self._offer.config_file else None,
            "listener": descriptor,
            "ready": telling,
        }
        launch = [sys.executable, "-c", LAUNCH, str(os.getpid()), os.pathsep.join(filter(None, sys.path))]
        self._child = subprocess.Popen(
            [*launch, msgspec.json.encode(orders).decode()],
            stdin=subprocess.DEVNULL,
            pass_fds=[telling] if descriptor is None else [telling, descriptor],
            start_new_session=True,  # Ctrl-C in a terminal is for us; we end the child in order
        )
        os.close(telling)

    def wait_until_ready(self) -> None:
        """Wait until the papers are there; raises EnrolmentError."""
        deadline_s = time.monotonic() + READY_PATIENCE_S
        readable, _, _ = select.select([self._ready], [], [], max(0.0, deadline_s - time.monotonic()))
        said = os.read(self._ready, 1000).decode(errors="replace") if readable else "it does not answer"
        if said != "\n":
            raise EnrolmentError(f"the enrolment desk cannot work: {said or 'it ended at once'}")

    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        if self._child is None:
            return
        os.close(self._ready)
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._child = None


def config_mistake(file: Path) -> str | None:
    """Why a file cannot be what stations begin with; None when it can."""
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as why:
        return f"cannot be read: {getattr(why, 'strerror', None) or why}"
    except yaml.YAMLError as why:
        return f"is not YAML: {' '.join(str(why).split())}"
    centre = value.get("centre") if isinstance(value, dict) else None
    if not isinstance(centre, dict) or "station" not in value or "broker" not in centre:
        return "needs the keys `station` and `centre: broker:`, which are then filled in for each station"
    return None
