"""The stations and the centre of a chaos run: namespaces, cards, processes; how each is harmed, and healed."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from agent.edge import control, owner
from agent.edge.card import SPOOL
from bench.chaos import oracle
from bench.chaos.oracle import Ledger
from lab.namespace import within
from lab.netns import LabError
from tests.central.secured import codes_in
from tests.edge.link import ip
from wire.enrolment import Link

CENTRE = "198.51.100.10"
TARGETS = ("198.51.100.1", "198.51.100.2")
MQTT_PORT, ENROL_PORT = 8883, 8443
BROKER = f"mqtts://{CENTRE}:{MQTT_PORT}"
START_S = 20.0
UPLINKS = ("fibre", "lte")
CARD_BYTES = 12 * 2**20
RUN = Path("/run/chaos")  # the cell's own, so that nothing is left of it
NO_SEAL_YET = "not signed by the device"  # of the last records, says `verify`
MISTAKE = 2  # the exit code of who refuses to start
START_AGAIN_S = 0.3  # as the unit says
NO_WRITES = (0, resource.RLIM_INFINITY)
CUT = """
table ip chaos {
  set cut { type ifname; }
  chain in { type filter hook prerouting priority raw; iifname @cut drop; }
}
"""


class Program:
    """A process that is to run, except when a fault holds it down."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self.log = name, log
        self.process: subprocess.Popen[Any] | None = None
        self.ended_by_itself: list[str] = []
        self.refused_to_start = 0
        """While a fault lasted: systemd tries again until it is over."""
        self._is_held_down = True
        self._again_at = 0.0
        with log.open("ab") as file:  # a pipe: what forbids a program to write files must not silence it
            self._writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file, process_group=0)

    def command(self) -> list[str]:
        raise NotImplementedError

    def launch(self, **more: Any) -> None:
        log = self._writer.stdin
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, process_group=0, **more)
        self._is_held_down = False

    def kill(self, how: int = signal.SIGKILL) -> None:
        """And hold it down."""
        self._is_held_down = True
        if self.process is not None:
            self.signal(how)
            self.process.wait(15)

    def end(self) -> None:
        self.signal(signal.SIGCONT)
        self.kill()
        assert self._writer.stdin is not None
        self._writer.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a child of a killed agent may still hold the pipe
            self._writer.wait(2)
        self._writer.kill()
        self._writer.wait()

    def signal(self, how: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)

    def look(self, now: float) -> None:
        """As systemd does: what has ended by itself is noted, and started again."""
        if self._is_held_down or self.process is None or (code := self.process.poll()) is None:
            return
        if self._again_at == 0.0:
            self._again_at = now + START_AGAIN_S
            self._note_end(code, self._last_line())
        elif now >= self._again_at:
            self._again_at = 0.0
            self.launch()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def crashes(self) -> int:
        return (
            self.log.read_text(errors="replace").count("Traceback (most recent call last)") if self.log.exists() else 0
        )

    def _note_end(self, code: int, said: str) -> None:
        if code == MISTAKE and "cannot be used" in said:
            self.refused_to_start += 1
        else:
            self.ended_by_itself.append(f"{self.name} ended by itself with {code}: {said}")

    def _last_line(self) -> str:
        return (self.told().splitlines() or [""])[-1][:200]

    def told(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Post(Program):
    """A polling station with two uplinks, whose far ends are in the cell, and a small card of its own."""

    def __init__(self, place: int, folder: Path) -> None:
        super().__init__(f"6408042001{place + 1:03}", folder / f"agent-{place + 1}.log")
        self.space = f"tps{place + 1}"
        self.ends = tuple(f"{self.space}-{uplink}" for uplink in range(len(UPLINKS)))
        self._nets = tuple(f"198.18.{10 * (place + 1) + uplink}" for uplink in range(len(UPLINKS)))
        self.card = RUN / self.space / "card"
        self.runtime = RUN / self.space / "run"
        self.clock = RUN / self.space / "clock"
        self._config = RUN / self.space / "agent.yaml"
        self.ledger = Ledger()
        self.is_damaged = False
        self._reader: threading.Thread | None = None
        self._reader_failed: list[BaseException] = []

    def build(self) -> None:
        ip("netns", "add", self.space)
        ip("-n", self.space, "link", "set", "lo", "up")
        for place, (end, net) in enumerate(zip(self.ends, self._nets, strict=True)):
            near = f"wan{place}"
            ip("link", "add", end, "type", "veth", "peer", "name", near, "netns", self.space)
            ip("address", "add", f"{net}.1/24", "dev", end)
            ip("link", "set", end, "up")
            ip("-n", self.space, "address", "add", f"{net}.2/24", "dev", near)
            ip("-n", self.space, "link", "set", near, "up")
            ip("-n", self.space, "route", "add", "default", "via", f"{net}.1", "dev", near, "metric", str(100 + place))
        for folder in (self.card, self.runtime):
            folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={CARD_BYTES}", "tmpfs", str(self.card)], check=True)
        self.set_clock(0, "synced")
        self._config.write_text(yaml.safe_dump(self._settings()))

    def command(self) -> list[str]:
        watched = [sys.executable, "-m", "bench.chaos.watched", str(self._pipe), str(self.clock)]
        return [*watched, "run", "--config", str(self._config)]

    def launch(self, **more: Any) -> None:
        self.finish_reading()
        reading, self._pipe = os.pipe()
        environment = os.environ | {"RUNTIME_DIRECTORY": str(self.runtime)}
        with within(self.space):  # not by `ip netns exec`, whose own mounts would not see the card's change
            super().launch(pass_fds=(self._pipe,), env=environment, **more)
        os.close(self._pipe)
        self.ledger.restart()
        self._reader = threading.Thread(target=self._read, args=(os.fdopen(reading, "rb"),), daemon=True)
        self._reader.start()

    def enrol(self, card: Link) -> None:
        with within(self.space):
            said([sys.executable, "-m", "agent", "enrol", str(card), "--config", str(self._config)])

    def finish_reading(self) -> None:
        """All that a killed agent had told is in its ledger then."""
        if self._reader is not None:
            self._reader.join(10)
            if self._reader.is_alive() or self._reader_failed:
                raise LabError(f"{self.name}: its account cannot be read to the end: {self._reader_failed}")

    def set_clock(self, wrong_s: float, synced: str) -> None:
        beside = self.clock.with_suffix(".new")
        beside.write_text(f"{wrong_s} {synced}")
        beside.replace(self.clock)

    def fill_card(self) -> None:
        with contextlib.suppress(OSError), (self.card / "photos").open("wb", buffering=0) as file:
            while file.write(b"\0" * 65_536):
                pass
        with contextlib.suppress(OSError), (self.card / "photos").open("ab", buffering=0) as file:
            while file.write(b"\0"):
                pass

    def free_card(self) -> None:
        (self.card / "photos").unlink(missing_ok=True)

    def mount_card(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.card)], check=True)

    def refuse_writes(self) -> None:
        """The card turns every write down, as one does whose file system has gone read-only under a running program."""
        if self.pid is not None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, NO_WRITES)

    def take_writes(self) -> None:
        if self.pid is not None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def damage(self, draw: random.Random) -> str:
        """Of the killed agent's spool: cut off, or written over, at a random byte; what was done."""
        if self.spool.parent != self.card:
            return "nothing to damage: it is in memory"
        self.is_damaged = True
        files = [file for file in self.card.glob("spool.sqlite3*") if file.suffix in (".sqlite3", ".sqlite3-wal")]
        files = [file for file in files if file.stat().st_size]
        if not files:
            return "nothing to damage"
        file = draw.choice(sorted(files))
        size = file.stat().st_size
        at = draw.randrange(size)
        if draw.random() < 0.5:
            os.truncate(file, at)
            return f"{file.name} cut at {at} of {size}"
        many = draw.randint(1, 64)
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(draw.randbytes(many))
        return f"{file.name} {many} bytes overwritten at {at} of {size}"

    def unsent(self) -> int | None:
        try:
            return int(control.ask(self._holding(owner.FILE), {"do": "status"})["centre"]["unsent"])
        except (control.NotRunning, OSError, KeyError, ValueError):
            return None

    @property
    def spool(self) -> Path:
        return self._holding(SPOOL) / SPOOL

    def _holding(self, name: str) -> Path:
        """Where this part of its state is: on the card, or in memory since the card took nothing."""
        return next((file.parent for file in self.runtime.glob(f"memory-????????/{name}")), self.card)

    def _read(self, told: IO[bytes]) -> None:
        try:
            with told:
                for line in told:
                    if line.endswith(b"\n"):
                        self.ledger.hear(line[:-1])
        except BaseException as why:
            self._reader_failed.append(why)
            raise

    def _settings(self) -> dict[str, object]:
        return {
            "station": self.name,
            "uplinks": [{"name": name, "interface": f"wan{place}", "kind": name} for place, name in enumerate(UPLINKS)],
            "targets": list(TARGETS),
            "centre": {"broker": BROKER},
            "state_dir": str(self.card),
        }


class Centre(Program):
    """siaga-central as an operator starts it, with its own broker."""

    def __init__(self, folder: Path) -> None:
        super().__init__("the centre", folder / "centre.log")
        self.data = folder / "centre"
        self.database = self.data / "siaga.sqlite3"

        self._config = folder / "centre.yaml"
        ports = f"mqtts: {CENTRE}:{MQTT_PORT}\nenrol: {CENTRE}:{ENROL_PORT}"
        self._config.write_text(f"http: 127.0.0.1:8080\ndata: {self.data}\nnames: [{CENTRE}]\n{ports}\n")

    def command(self) -> list[str]:
        return self._central("run")

    def cards(self, stations: Sequence[str]) -> list[Link]:
        """Printed by its command, and read as a phone reads them."""
        listed, printed = (self._config.with_name(name) for name in ("stations.csv", "cards.pdf"))
        listed.write_text("station,name\n" + "".join(f"{station},TPS {station[-3:]}\n" for station in stations))
        said(self._central("cards", "--election", "Chaos", "--csv", str(listed), "--out", str(printed)))
        fingerprint = said(self._central("ca")).split()[1]
        codes = codes_in(printed.read_bytes())
        return [Link(f"https://{CENTRE}:{ENROL_PORT}", code, fingerprint) for code in codes]

    def doubts(self, station: str) -> list[str]:
        """What `verify` finds wrong with the evidence of all that is stored of a station, one line each."""
        file = self._config.with_name(f"{station}.jsonl")
        whole = ("--evidence", station, "1971-01-01T00:00", "2200-01-01T00:00")
        said(self._central("export", *whole, "--out", str(file)))
        command = [sys.executable, "-m", "central", "verify", str(file), "--ca", str(self.data / "ca" / "ca.crt")]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        told = (checked.stdout + checked.stderr).splitlines()
        return [f"{station} {line}" for line in told[1:] if "PROVEN" not in line and NO_SEAL_YET not in line]

    def _central(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "central", *arguments, "--config", str(self._config)]

    @property
    def is_ready(self) -> bool:
        return "data " in self.told()

    def launch(self, **more: Any) -> None:
        self._has_lost_broker = False
        super().launch(**more)

    def kill_broker(self) -> None:
        pid = self.broker_pid()
        if pid is not None:
            self._has_lost_broker = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _note_end(self, code: int, said: str) -> None:
        """Whose broker is killed before it has begun to work says so and gives up; systemd starts it anew."""
        if code == MISTAKE and self._has_lost_broker and "stopped at once" in said:
            self.refused_to_start += 1
        else:
            super()._note_end(code, said)

    def broker_pid(self) -> int | None:
        if self.pid is None:
            return None
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                if Path(f"/proc/{child}/exe").readlink().name == "nats-server":
                    return int(child)
        return None

    def stored(self, station: str) -> list[oracle.Line]:
        return oracle.stored(self.database, station).get(station, []) if self.database.exists() else []


@dataclass(frozen=True, slots=True)
class Places:
    posts: tuple[Post, ...]
    centre: Centre

    @property
    def programs(self) -> tuple[Program, ...]:
        return (self.centre, *self.posts)


def cut(end: str, on: bool) -> None:
    """Behind the first hop: what the station sends by this uplink goes nowhere, though the cable is in."""
    what = "delete" if on else "add"
    subprocess.run(["nft", what, "element", "ip", "chaos", "cut", f'{{ "{end}" }}'], check=True)


@contextmanager
def built(stations: int, folder: Path) -> Iterator[Places]:
    """In a cell, which takes all down by ending; the processes are ended here."""
    places = Places(tuple(Post(place, folder) for place in range(stations)), Centre(folder))
    for path in ("icmp_ratelimit", "icmp_msgs_per_sec"):
        Path("/proc/sys/net/ipv4", path).write_text("0" if path == "icmp_ratelimit" else "1000000")
    for address in (CENTRE, *TARGETS):
        ip("address", "add", f"{address}/32", "dev", "lo")
    subprocess.run(["nft", "-f", "-"], input=CUT, text=True, check=True)
    for post in places.posts:
        post.build()
    try:
        _begin(places)
        yield places
    finally:
        for program in places.programs:
            program.end()


def _begin(places: Places) -> None:
    """The centre runs, and every station has its certificate."""
    cards = places.centre.cards([post.name for post in places.posts])
    places.centre.launch()
    if not wait_until(lambda: places.centre.is_ready, START_S):
        raise LabError(f"the centre does not start: {places.centre.told()[-500:]}")
    for post, card in zip(places.posts, cards, strict=True):
        post.enrol(card)


def said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command[1:5])} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(is_so: Any, patience_s: float, every_s: float = 0.1) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(every_s)
    return True
