"""The centre as a child process on loopback, as an operator would start it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 15.0


def eventually(what: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Wait until this is true and give it; fail at the deadline."""
    end_s = time.monotonic() + deadline_s
    while not (found := what()):
        assert time.monotonic() < end_s, f"not within {deadline_s} s"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Centre:
    """One data directory, two ports; may be started again and again."""

    def __init__(self, folder: Path, *more: str, **environment: str) -> None:
        self.data = folder / "data"
        self.http_port, self.mqtt_port = free_port(), free_port()
        self._output, self._errors = folder / "stdout", folder / "stderr"
        self._more = more
        self._environment = environment

    def start(self) -> "Centre":
        """Start it and wait until it has said where it is."""
        self.launch()
        eventually(lambda: "data " in self.output or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors
        return self

    def launch(self) -> None:
        options = ["--data", str(self.data), "--http", self.http, "--mqtt", f"127.0.0.1:{self.mqtt_port}"]
        with self._output.open("w") as output, self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "central", "run", *options, *self._more],
                stdout=output,
                stderr=errors,
                env=os.environ | self._environment,
            )

    def refusal(self) -> str:
        """What it says when it does not start; it must be one sentence and exit code 2."""
        self.launch()
        assert self.process.wait(DEADLINE_S) == 2, self.errors
        assert self.errors.count("\n") == 1, self.errors
        return self.errors

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        request = urllib.request.Request(f"http://{self.http}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, dict(answer.headers), answer.read().decode()

    def station(self, number: str) -> dict[str, Any]:
        stations = json.loads(self.get("/api/stations")[2])["stations"]
        return next((station for station in stations if station["station"] == number), {})

    def epochs(self, number: str) -> list[dict[str, Any]]:
        status, _, content = self.get(f"/api/stations/{number}/records")
        return json.loads(content)["epochs"] if status == 200 else []

    def broker_pid(self) -> int | None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(FileNotFoundError):  # it may die while we look
                if Path(f"/proc/{pid}/exe").readlink().name == "nats-server":
                    return int(pid)
        return None
