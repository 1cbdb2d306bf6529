"""Talks to a running relay over its Unix socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import weather
from lab.reading import Refusal
from lab.weather import LinkWeather

CONTROL = Path("/run/lab")  # the cell's own
_PATIENCE_S = 5.0


def control_path(uplink: str) -> Path:
    return CONTROL / f"{uplink}.socket"


def ask(path: Path, request: dict[str, object], is_alive: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """The relay's answer: counts and weather of both directions, after it did what was asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.bind("")  # the kernel picks an address for the answer
        asker.settimeout(_PATIENCE_S)
        _connect(asker, path, is_alive)
        asker.send(json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(asker.recv(65536))
    if "error" in answer:
        raise OSError(answer["error"])
    return answer


def change_weather(uplink: str, change: object) -> None:
    """For a person in the lab's shell: a change merged over the weather that the relay has."""
    path = control_path(uplink)
    if not path.exists():
        here = ", ".join(sorted(each.stem for each in CONTROL.glob("*.socket"))) or "none: is this the lab's shell?"
        raise Refusal("uplink", uplink, f"not an uplink of this lab; here are {here}")
    now = weather.changed(LinkWeather(), ask(path, {})["weather"])
    wanted = weather.changed(now, change)
    ask(path, {"weather": weather.written(wanted)})


def _connect(asker: socket.socket, path: Path, is_alive: Callable[[], bool]) -> None:
    """A relay that has just been started needs a moment for its socket."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            asker.connect(str(path))
            return
        except (FileNotFoundError, ConnectionRefusedError):
            if not is_alive() or time.monotonic() > deadline_s:
                raise
        time.sleep(0.002)
