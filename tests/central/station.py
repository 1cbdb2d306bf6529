"""A polling station as the centre's tests need it: it speaks the contract over real MQTT and remembers the answers."""

import queue
import threading
from collections.abc import Iterable

import msgspec
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from wire.messages import (
    Active,
    Delivery,
    Fact,
    Gap,
    Health,
    Record,
    Stamp,
    State,
    Stored,
    Summary,
    UplinkState,
    UplinkSummary,
    decode,
    encode,
)
from wire.topics import Address, Down, Up

DEADLINE_S = 30.0
SANGATTA = "6408042001143"


def stamp(uptime_s: float, boot: str = "boot-1") -> Stamp:
    return Stamp(boot, uptime_s, 1_700_000_000 + uptime_s, synced=False)


def uplink(name: str, health: Health = Health.UP, operator: str = "Telkom") -> UplinkState:
    return UplinkState(name, f"eth-{name}", name, health, 60.0, name == "fibre", operator, 8.4, 0.01)


def state(
    station: str = SANGATTA,
    uptime_s: float = 60.0,
    *,
    boot: str = "boot-1",
    session: str = "session-1",
    carries: str | None = "fibre",
    uplinks: tuple[UplinkState, ...] = (uplink("fibre"), uplink("lte", operator="Telkomsel")),
) -> State:
    return State(station, session, True, "0.1.0", stamp(uptime_s, boot), Active(carries, None), uplinks)


def will(station: str = SANGATTA, session: str = "session-1") -> State:
    return State(station, session, False, "0.1.0", stamp(0.0))


def fact(seq: int, code: str = "UPLINK_DEAD", epoch: str = "epoch-1") -> Record:
    return Record(epoch, seq, stamp(float(seq)), Fact(code, "fibre", "up", "dead", {"loss": 1.0, "cause": "silence"}))


def summary(seq: int, epoch: str = "epoch-1") -> Record:
    measured = UplinkSummary("fibre", Health.UP, 60, 59, 1, 0, 0, 7.9, 8.4, 9.9, 12.0, 14.2)
    return Record(epoch, seq, stamp(float(seq)), Summary(60.0, Active("fibre", None), (measured,)))


def delivery(
    records: Iterable[Record], oldest: int = 1, station: str = SANGATTA, gaps: tuple[Gap, ...] = ()
) -> Delivery:
    return Delivery(station, oldest, tuple(msgspec.Raw(encode(record)) for record in records), gaps)


class Station:
    """Publishes at QoS 1, hears its marks at QoS 0, and comes back by itself when the broker was gone."""

    def __init__(self, port: int, number: str = SANGATTA) -> None:
        self.number = number
        self.marks: list[Stored] = []
        self.ordered: list[tuple[str, bytes, bool]] = []
        """(kind, payload, retained) of commands and configurations."""
        self._connected = threading.Event()
        self._taken: queue.Queue[int] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"station-{number}", clean_session=False)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._connected.clear()
        self._client.on_publish = lambda _client, _data, mid, *_: self._taken.put(mid)
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.connect_async("127.0.0.1", port, keepalive=5)
        self._client.loop_start()
        assert self._connected.wait(DEADLINE_S), "the broker takes no station"

    def say(self, message: State | Delivery, kind: Up | None = None) -> mqtt.MQTTMessageInfo:
        if isinstance(message, State):
            return self.send(encode(message), Up.STATE, retain=True)
        return self.send(encode(message), kind or Up.LOG)

    def tell(self, message: State | Delivery) -> None:
        """Say it once the broker is there, and wait until the broker took it: so a stream keeps its order."""
        assert self._connected.wait(DEADLINE_S), "the broker did not come back"
        info = self.say(message)
        while self._taken.get(timeout=DEADLINE_S) != info.mid:
            pass

    def send(self, payload: bytes, kind: str = "log", retain: bool = False) -> mqtt.MQTTMessageInfo:
        topic = Address(self.number, Up.LOG).topic.replace("/log", f"/{kind}")
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def mark(self, epoch: str = "epoch-1") -> int:
        return next((mark.seq for mark in reversed(self.marks) if mark.epoch == epoch), 0)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client, _data, _flags, _reason, _properties) -> None:
        client.subscribe([(Address(self.number, kind).topic, 0) for kind in Down])
        self._connected.set()

    def _on_message(self, _client, _data, message) -> None:
        kind = message.topic.rpartition("/")[2]
        if kind == Down.STORED:
            self.marks.append(decode(message.payload, Stored))
        else:
            self.ordered.append((kind, message.payload, message.retain))
