"""A real broker for the courier's tests, somebody in the centre's place who hears everything, and couriers that end."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.core.events import Event, ShowState
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge import broker as module
from agent.edge.broker import Courier
from agent.edge.spool import Spool
from central.edge.broker import find_program
from tests.edge.records import STAMP, begun
from tests.edge.waiting import wait_until
from wire.messages import Active, Delivery, Health, State, Stored, UplinkState, decode, decode_record, encode
from wire.topics import Address, Down, from_every_station

STATION = "6408042001143"
FIBRE = UplinkState("fibre", "eth0", "fibre", Health.UP, 3.0, True)
SHOWN = ShowState(Active("fibre"), (FIBRE,))

CONNECTED, SUBSCRIBED = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00"


class Broker:
    """nats-server on a free port, with its store on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        configuration = self.folder / "nats.conf"
        configuration.write_text(
            'server_name: test\nlisten: "127.0.0.1:-1"\n'
            f"mqtt {{ host: 127.0.0.1, port: {self.port} }}\n"
            f"jetstream {{ store_dir: {json.dumps(str(self.folder))}, sync_interval: always }}\n"
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([find_program(None), "-c", configuration], stdout=log, stderr=log)
        wait_until(self.answers)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path)
    started.start()
    yield started
    started.kill()


@dataclass
class Listener:
    """In the centre's place: hears everything, in order, and may give marks."""

    broker: Broker
    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "listener", protocol=mqtt.MQTTv311, clean_session=False)
        self.client.on_connect = lambda client, *_: client.subscribe(from_every_station(), qos=1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda *arguments: self._hear(arguments[2])
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", self.broker.port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def deliveries(self) -> list[Delivery]:
        return [decode(data, Delivery) for topic, data, _ in self.heard if not topic.endswith("/state")]

    @property
    def states(self) -> list[State]:
        return [decode(data, State) for topic, data, _ in self.heard if topic.endswith("/state")]

    @property
    def seqs(self) -> list[int]:
        return [decode_record(data).seq for delivery in self.deliveries for data in delivery.records]

    def give(self, payload: bytes) -> None:
        """A mark, or what pretends to be one."""
        self.client.publish(Address(STATION, Down.STORED).topic, payload, qos=1, retain=True).wait_for_publish(10)


@pytest.fixture
def listen() -> Iterator[Callable[[Broker], Listener]]:
    listeners: list[Listener] = []

    def begin(broker: Broker) -> Listener:
        listeners.append(Listener(broker))
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = begun(tmp_path / "spool.sqlite3")
    yield made
    made.close()


@pytest.fixture
def told() -> list[Event]:
    """What the courier tells the core."""
    return []


@pytest.fixture
def courier_to(spool: Spool, told: list[Event], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Courier]]:
    """Couriers that end with the test; they wait less between two attempts."""
    monkeypatch.setattr(module, "BACKOFF_S", (0.05, 0.2))
    made: list[Courier] = []

    def to(port: int, of: Spool = spool) -> Courier:
        uplinks = (Uplink("fibre", "eth0", Kind.FIBRE),)
        station = Station(STATION, uplinks, ("198.51.100.1",), Centre(f"mqtt://127.0.0.1:{port}"))
        made.append(Courier(station, of, "0.1.0", lambda: STAMP, told.append))
        made[-1].show(SHOWN)
        made[-1].start()
        return made[-1]

    yield to
    for courier in made:
        if courier.alive:
            courier.stop()
            assert not courier.alive


Start = Callable[..., Courier]
Listen = Callable[[Broker], Listener]


def mark(spool: Spool, seq: int) -> bytes:
    return encode(Stored(spool.epoch, seq))
