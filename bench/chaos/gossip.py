"""A network that says again what stations said, later, and in any order.

It listens with the centre's certificate and speaks with each station's own: the broker lets nobody else.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench.chaos.places import CENTRE, MQTT_PORT, Places
from wire.messages import BadMessage
from wire.topics import from_every_station, parse

REMEMBERED = 2000
AT_ONCE = (20, 200)
PATIENCE_S, RETRY_S = 30.0, 0.3
TAKEN_S = 1.0


class Gossip:
    def __init__(self, places: Places, seed: int) -> None:
        self._draw = random.Random(seed)
        self._heard: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()
        self.repeated = 0
        authority, own = places.centre.data / "ca" / "ca.crt", places.centre.data / "tls"
        self._papers = {
            post.name: (authority, post.card / "device.crt", post.card / "device.key") for post in places.posts
        }
        self._ear = _client("gossip", authority, own / "collector.crt", own / "collector.key")
        self._ear.on_connect = lambda client, *_: client.subscribe(from_every_station(), qos=0)
        self._ear.on_subscribe = self._again_if_refused
        self._ear.on_message = self._hear
        self._ear.connect_async(CENTRE, MQTT_PORT, 5)
        self._ear.loop_start()

    def stop(self) -> None:
        self._ear.disconnect()
        self._ear.loop_stop()

    def repeat(self, draw: random.Random) -> int:
        """How many messages are said again, by whoever of the stations reaches the broker; not waited for."""
        with self._lock:
            again = draw.sample(self._heard, min(len(self._heard), draw.randint(*AT_ONCE)))
        by_station: dict[str, list[tuple[str, bytes, int]]] = {}
        for topic, payload in again:
            by_station.setdefault(parse(topic).station, []).append((topic, payload, draw.choice([0, 1])))
        for station, messages in by_station.items():
            threading.Thread(target=self._say, args=(station, messages), daemon=True).start()
        return len(again)

    def _say(self, station: str, messages: list[tuple[str, bytes, int]]) -> None:
        """Until the broker has taken them; it is away often."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_said(station, messages) and time.monotonic() < deadline:
            time.sleep(RETRY_S)

    def _is_said(self, station: str, messages: list[tuple[str, bytes, int]]) -> bool:
        client = _client(f"gossip-{station}", *self._papers[station])
        try:
            client.connect(CENTRE, MQTT_PORT, 5)
            client.loop_start()
            taken = [client.publish(topic, payload, qos=qos) for topic, payload, qos in messages]
            for each in taken:
                each.wait_for_publish(TAKEN_S)
        except (OSError, ValueError, RuntimeError):
            return False
        finally:
            client.disconnect()
            client.loop_stop()
        with self._lock:
            self.repeated += sum(each.is_published() for each in taken)
        return True

    def _again_if_refused(self, client: mqtt.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        """A broker that has just started refuses at first."""
        if any(reason.is_failure for reason in reasons):
            time.sleep(0.3)
            client.subscribe(from_every_station(), qos=0)

    def _hear(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            parse(message.topic)
        except BadMessage:
            return
        heard = (message.topic, message.payload)
        with self._lock:
            if len(self._heard) < REMEMBERED:
                self._heard.append(heard)
            else:
                self._heard[self._draw.randrange(REMEMBERED)] = heard


def _client(name: str, authority: Path, certificate: Path, key: Path) -> mqtt.Client:
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(authority)
    trusted.load_cert_chain(certificate, key)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv311)
    client.tls_set_context(trusted)
    client.reconnect_delay_set(0.2, 1)
    return client
