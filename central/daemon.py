"""The centre as a process: starts its parts in order, restarts those that die, stops them in reverse."""

import fcntl
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from central.config import MQTTS_URL, Endpoint, Settings
from central.edge import measuring, reflector, systemd
from central.edge.broker import Broker, BrokerError, find_program, listener, reachable
from central.edge.enrolment import Enrolment, EnrolmentError, Offer, config_mistake
from central.edge.papers import Papers, session_name
from central.edge.web import settings as web_settings
from wire import journal

LOOK_EVERY_S = 0.25
RESTART_FIRST_S = 0.25
RESTART_LONGEST_S = 10.0
ANY = ("0.0.0.0", "::")
DEATH_PATIENCE_S = 2.0  # what a centre that was just killed may need to let go of its files and ports

QUIET = {  # what any stranger can cause by asking for a page must not fill the log
    "django.request": logging.ERROR,
    "django.security.DisallowedHost": logging.CRITICAL,
    "uvicorn.error": logging.ERROR,
}

log = logging.getLogger("siaga.daemon")


class CannotStart(Exception):
    """The operator has to do something first; the sentence says what."""


class Part(Protocol):
    """What the daemon starts, looks after and stops."""

    name: str

    def start(self) -> None: ...
    def wait_until_ready(self) -> None: ...
    def is_alive(self) -> bool: ...
    def stop(self) -> None: ...


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; raises CannotStart."""
    journal.log("%(levelname)s %(name)s: %(message)s")
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    lock = _own(settings.data)
    started: list[Part] = []
    try:
        for part in _in_order(settings):
            part.start()
            started.append(part)
            part.wait_until_ready()
        _announce(settings)
        look_after([Care(part) for part in started], stopping)
    except (BrokerError, EnrolmentError) as why:
        raise CannotStart(str(why)) from None
    finally:
        systemd.notify("STOPPING=1")
        for part in reversed(started):
            part.stop()
        os.close(lock)


def _own(data: Path) -> int:
    """Make the data directory ours alone, for as long as this process lives."""
    try:
        data.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as why:
        raise CannotStart(f"the data directory {data} cannot be used: {why.strerror}") from None
    deadline_s = time.monotonic() + DEATH_PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() > deadline_s:
                os.close(lock)
                raise CannotStart(f"the data directory {data} is in use by another siaga-central") from None
            time.sleep(0.05)


def _bound(key: str, to: Endpoint, listen: Callable[[str, int], socket.socket]) -> socket.socket:
    deadline_s = time.monotonic() + DEATH_PATIENCE_S
    while True:
        try:
            return listen(to.host, to.port)
        except OSError as why:
            if time.monotonic() > deadline_s:
                raise CannotStart(f"{key} {to} cannot be used: {why.strerror or why}") from None
            time.sleep(0.05)


def _in_order(settings: Settings) -> Iterator[Part]:
    """Store first, then who makes the papers, broker, collector, pages: each is made when the one before is ready.

    Before them all ports are taken, so that one that cannot be had is refused before anything begins.
    """
    page_listener = _bound("http", settings.http, listener)
    answering = [*_reflectors(settings), *_testers(settings)]
    web_settings.configure(settings.data, hosts(settings), settings.networks)
    from central.edge.following import judge_by  # late: Django's models exist only after its settings
    from central.edge.store import StoreError, open_store
    from central.edge.web.server import Web

    judge_by(settings.data / "ca" / "ca.crt")
    try:
        open_store(settings.data / "siaga.sqlite3")
    except StoreError as why:
        raise CannotStart(str(why)) from None
    if settings.is_secured:
        yield _desk(settings)
    yield from _hearing(settings)
    yield Web(page_listener, settings.proxies)
    yield from answering


def _desk(settings: Settings) -> Part:
    if settings.station_config is not None and (mistake := config_mistake(settings.station_config)):
        raise CannotStart(f"station_config {settings.station_config}: {mistake}")
    bound = _bound("enrol", settings.enrol, listener) if settings.enrol else None
    return Enrolment(settings.data, offer(settings), bound)


def offer(settings: Settings) -> Offer:
    """What a device is told when it enrols."""
    here = [endpoint.host for endpoint in (settings.mqtts, settings.enrol) if endpoint and endpoint.host not in ANY]
    own = dict.fromkeys([*settings.names, *here, "localhost", "127.0.0.1", "::1"])  # each once, in this order
    return Offer(tuple(own), settings.broker_for_stations, settings.enrol_url, settings.station_config)


def _hearing(settings: Settings) -> Iterator[Part]:
    from central.edge.collector import CLIENT_ID, REDELIVERY_S, Collector, Session
    from central.edge.commander import Commander
    from central.edge.permissions import Doorkeeper, secured

    papers = Papers(settings.data)
    outside, within = settings.outside_broker, settings.mqtts or settings.mqtt
    is_secured = bool(settings.mqtts) if outside is None else (settings.broker or "").startswith(MQTTS_URL)
    session = Session(session_name(papers), papers) if is_secured else Session(CLIENT_ID)
    if outside:
        elsewhere = Collector(outside.host, outside.port, session=session)
        yield elsewhere
        yield Commander(settings.data, elsewhere.say)
        return
    folder = settings.data / ("broker-tls" if is_secured else "broker")  # what one holds for us the other never gives
    allowed = secured(papers, time.time()) if is_secured else None
    broker = Broker(find_program(settings.broker), folder, within.host, within.port, allowed)
    broker.prepare()
    first_wait_s = REDELIVERY_S if broker.has_history() else 0.0
    yield broker
    if is_secured:
        yield Doorkeeper(papers, broker)
    collector = Collector(reachable(within.host), within.port, first_wait_s, session=session)
    yield collector
    yield Commander(settings.data, collector.say)


def _reflectors(settings: Settings) -> list[Part]:
    if settings.stamp is None:
        return []
    key = settings.stamp_key
    bound = _bound("stamp", settings.stamp, reflector.listener)
    return [reflector.Reflector(bound, (lambda _ssid: key) if key else None)]


def _testers(settings: Settings) -> list[Part]:
    if settings.measure is None:
        return []
    datagrams, connections = (_bound("measure", settings.measure, each) for each in (reflector.listener, listener))
    return [measuring.Measuring(datagrams, connections, quiet=settings.quiet)]


def hosts(settings: Settings) -> list[str]:
    """The names by which browsers may ask for the pages; a foreign name would be a trick (DNS rebinding)."""
    own = [settings.http.host, f"[{settings.http.host}]", socket.gethostname(), "localhost", "127.0.0.1", "[::1]"]
    return [*own, *settings.hosts]


def _announce(settings: Settings) -> None:
    inside = f"mqtts://{settings.mqtts}" if settings.mqtts else f"mqtt://{settings.mqtt}"
    broker = settings.broker if settings.outside_broker else inside
    print(f"page    http://{settings.http}/")
    print(f"broker  {broker}{' (not ours)' if settings.outside_broker else ''}")
    if settings.stamp:
        print(f"stamp   {settings.stamp}{'' if settings.stamp_key else ' (anybody)'}")
    if settings.measure:
        print(f"measure {settings.measure} (anybody)")
    if settings.enrol:
        print(f"enrol   https://{settings.enrol} (names: {', '.join(settings.names)})")
    print(f"data    {settings.data.resolve()}", flush=True)
    if not is_loopback(settings.http.host):
        log.warning("the pages need no log in yet, and %s can be reached from other machines", settings.http)
    systemd.notify("READY=1")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass
class Care:
    """A part, and the patience with which it is started again."""

    part: Part
    delay_s: float = RESTART_FIRST_S
    due_s: float | None = None
    well_since_s: float = 0.0

    def look(self, now_s: float) -> None:
        """Start the part again when it is dead and its time has come; the delay grows until it stays well."""
        if self.part.is_alive():
            if self.due_s is None and now_s - self.well_since_s > RESTART_LONGEST_S:
                self.delay_s = RESTART_FIRST_S
            return
        if self.due_s is None:
            log.error("the %s has died; starting it again in %.2f s", self.part.name, self.delay_s)
            self.due_s = now_s + self.delay_s
        elif now_s >= self.due_s:
            self.due_s = None
            self.well_since_s = now_s
            self.delay_s = min(2 * self.delay_s, RESTART_LONGEST_S)
            self.part.stop()
            self.part.start()


def look_after(cares: list[Care], stopping: threading.Event) -> None:
    """Return when told to stop."""
    while not stopping.wait(LOOK_EVERY_S):
        for care in cares:
            care.look(time.monotonic())
        systemd.notify("WATCHDOG=1")
