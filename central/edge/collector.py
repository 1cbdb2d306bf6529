"""Hears every station: MQTT in, store, and only then the acknowledgement and the high-water mark back."""

import contextlib
import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.utils import OperationalError
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from central.core.intake import Delivered, Refused, read
from central.edge import store
from central.edge.papers import Papers, client_context, show_certificate
from central.edge.store import Arrival
from wire.messages import Stored, encode
from wire.packing import pack
from wire.topics import Address, Down, from_every_station

CLIENT_ID = "siaga-central"
LARGEST_BATCH = 500
LONGEST_BATCH_S = 0.25
LULL_S = 0.02  # then the mark comes within the 40 ms in which a station's kernel holds back what it acknowledges
KEEPALIVE_S = 30
REDELIVERY_S = 1.25  # longer than the embedded broker's ack_wait: what was not acknowledged then comes before the new
WAITING_MESSAGES = 2000  # then the network thread waits, and with it the broker
COMPLAINT_EVERY_S = 60.0
READY_PATIENCE_S = 5.0
STORE_RETRY_S = 1.0
SUBACK_PATIENCE_S = 10.0
STOP_PATIENCE_S = 2.0

log = logging.getLogger("siaga.collector")

Keep = Callable[[Sequence[Arrival], float], dict[str, list[Stored]]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as it came, and the connection that its acknowledgement belongs to."""

    connection: int
    mid: int
    qos: int
    topic: str
    payload: bytes
    is_retained: bool


@dataclass(frozen=True, slots=True)
class Session:
    """Under which name the broker keeps what we have not heard yet, and by which papers it knows us."""

    client_id: str
    papers: Papers | None = None


class Collector:
    """Two threads: paho's, which only puts messages on a queue, and the one that stores them."""

    name = "collector"

    def __init__(
        self,
        host: str,
        port: int,
        first_wait_s: float = 0.0,
        keep: Keep = store.keep,
        session: Session | None = None,
    ) -> None:
        self._session = session or Session(CLIENT_ID)
        self._host = host
        self._port = port
        self._wait_s = first_wait_s
        self._keep = keep
        self._hearing = threading.Event()
        self._complaints = Complaints()

    def start(self) -> None:
        self._waiting: queue.Queue[Parcel] = queue.Queue(WAITING_MESSAGES)
        self._stopping = threading.Event()
        self._connection = 0
        self._connection_lock = threading.Lock()  # an acknowledgement must not slip into a newer connection
        self._asked_s: float | None = None
        self._client = self._new_client()
        self._storing = threading.Thread(target=self._store_all, name="store", daemon=True)
        self._storing.start()
        self._client.connect_async(self._host, self._port, KEEPALIVE_S)
        self._client.loop_start()

    def wait_until_ready(self) -> None:
        """Wait a little for the stations to be heard; a broker elsewhere may come later."""
        self._hearing.wait(READY_PATIENCE_S)

    def is_alive(self) -> bool:
        asked_s = self._asked_s
        if asked_s is not None and time.monotonic() - asked_s > SUBACK_PATIENCE_S:
            return False
        network = self._client._thread  # paho tells in no other way that its thread has ended
        return self._storing.is_alive() and network is not None and network.is_alive()

    def stop(self) -> None:
        """Store what has been begun, then say goodbye; what was not stored was not acknowledged and comes again."""
        self._stopping.set()
        self._storing.join(STOP_PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: bytes, is_retained: bool) -> bool:
        """By this connection, from any thread; False while there is none."""
        if not self._client.is_connected():
            return False
        self._client.publish(topic, payload, qos=1, retain=is_retained)
        return True

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._session.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        if self._session.papers is not None:
            self._context = client_context(self._session.papers)
            client.tls_set_context(self._context)
        client.max_inflight_messages_set(LARGEST_BATCH)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        _spread(client)
        return client

    def _on_pre_connect(self, _client: mqtt.Client, _data: Any) -> None:
        if self._session.papers is not None:
            with contextlib.suppress(OSError):  # then the broker judges the old one
                show_certificate(self._context, self._session.papers)
        self._stopping.wait(self._wait_s)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._complain("connection", f"the broker at {self._host}:{self._port} refuses us: {reason}")
            return
        with self._connection_lock:
            self._connection += 1
        self._asked_s = time.monotonic()
        client.subscribe(from_every_station(), qos=1)

    def _on_subscribe(self, client: mqtt.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.value != 1 for reason in reasons):
            self._complain("subscription", f"the broker does not let us hear the stations at QoS 1: {reasons}")
            client.disconnect()  # ends paho's thread, so that the daemon starts us anew, with patience
            return
        self._asked_s = None
        self._wait_s = REDELIVERY_S  # from now on the broker may hold something for us
        self._hearing.set()
        log.info("hearing the stations through the broker at %s:%d", self._host, self._port)

    def _on_disconnect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._asked_s = None
        self._hearing.clear()
        if not self._stopping.is_set():
            self._complain("connection", f"lost the broker at {self._host}:{self._port}: {reason}")
        _spread(client)

    def _on_connect_fail(self, client: mqtt.Client, _data: Any) -> None:
        self._complain("connection", f"the broker at {self._host}:{self._port} cannot be reached")
        _spread(client)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        parcel = Parcel(
            self._connection, message.mid, message.qos, _topic_of(message), message.payload, bool(message.retain)
        )
        while not self._stopping.is_set():
            try:
                self._waiting.put(parcel, timeout=LONGEST_BATCH_S)
                return
            except queue.Full:
                continue

    def _store_all(self) -> None:
        try:
            while not self._stopping.is_set():
                batch = self._next_batch()
                if batch:
                    self._settle(batch)
        finally:
            store.let_go()

    def _next_batch(self) -> list[Parcel]:
        batch: list[Parcel] = []
        full_s = time.monotonic() + LONGEST_BATCH_S
        while len(batch) < LARGEST_BATCH and (left_s := full_s - time.monotonic()) > 0:
            try:
                batch.append(self._waiting.get(timeout=min(LULL_S, left_s)))
            except queue.Empty:
                if batch:
                    break
        return batch

    def _settle(self, batch: list[Parcel]) -> None:
        arrivals = [arrival for parcel in batch if (arrival := self._judged(parcel))]
        marks = self._kept(arrivals)
        if marks is None:
            return
        for station, stored in marks.items():  # before the acknowledgements: if we die in between, both come again
            for mark in stored:
                self._send(station, mark)
        with self._connection_lock:
            for parcel in batch:
                if parcel.connection == self._connection:
                    self._client.ack(parcel.mid, parcel.qos)

    def _judged(self, parcel: Parcel) -> Arrival | None:
        try:
            message = read(parcel.topic, parcel.payload)
        except Refused as why:
            self._complain(why.kind, f"dropped a message: {why}")
            return None
        if isinstance(message, Delivered):
            for line in message.lines:
                if line.record is None:
                    self._complain("record", f"not understood, kept: {message.station} record {line.seq}: {line.flaw}")
        return Arrival(message, parcel.is_retained)

    def _kept(self, arrivals: list[Arrival]) -> dict[str, list[Stored]] | None:
        """Store, for as long as it takes; None when told to stop before that."""
        while True:
            try:
                return self._keep(arrivals, time.time()) if arrivals else {}
            except OperationalError as why:
                self._complain("store", f"the database takes nothing, the stations keep their records: {why}")
            if self._stopping.wait(STORE_RETRY_S):
                return None

    def _send(self, station: str, mark: Stored) -> None:
        if self._client.is_connected():  # if not, nothing is acknowledged either, and this comes again
            self._client.publish(Address(station, Down.STORED).topic, pack(encode(mark)), qos=1, retain=True)

    def _complain(self, kind: str, sentence: str) -> None:
        count = self._complaints.due(kind, time.monotonic())
        if count:
            log.warning("%s%s", sentence, f" ({count} of this kind since the last line)" if count > 1 else "")


class Complaints:
    """At most one line per kind and minute; the others are counted."""

    def __init__(self) -> None:
        self._unsaid: Counter[str] = Counter()
        self._said_s: dict[str, float] = {}

    def due(self, kind: str, now_s: float) -> int:
        """How many there were since the last line; 0 when it is too early for another."""
        self._unsaid[kind] += 1
        if now_s - self._said_s.get(kind, -COMPLAINT_EVERY_S) < COMPLAINT_EVERY_S:
            return 0
        self._said_s[kind] = now_s
        return self._unsaid.pop(kind)


def _spread(client: mqtt.Client) -> None:
    """Draw new delays, so that the clients of one broker do not all come back at once."""
    client.reconnect_delay_set(min_delay=random.uniform(0.2, 0.6), max_delay=random.uniform(5, 10))


def _topic_of(message: mqtt.MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""
