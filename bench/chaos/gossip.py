"""A network that says again what stations said, later, and in any order.

It listens with the centre's certificate and speaks with each station's own: the broker lets nobody else.
"""

from __future__ import annotations

import random
import ssl
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench.chaos.places import CENTRE, MQTT_PORT, Places
from wire.messages import BadMessage
from wire.topics import from_every_station, parse

REMEMBERED = 2000
AT_ONCE = (20, 200)


class Gossip:
    def __init__(self, places: Places, seed: int) -> None:
        self._draw = random.Random(seed)
        self._heard: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()
        self.repeated = 0
        authority, own = places.centre.data / "ca" / "ca.crt", places.centre.data / "tls"
        self._ear = _client("gossip", authority, own / "collector.crt", own / "collector.key")
        self._ear.on_connect = lambda client, *_: client.subscribe(from_every_station(), qos=0)
        self._ear.on_message = self._hear
        self._mouths = {
            post.name: _client(f"gossip-{post.name}", authority, post.card / "device.crt", post.card / "device.key")
            for post in places.posts
        }
        for client in (self._ear, *self._mouths.values()):
            client.connect_async(CENTRE, MQTT_PORT, 5)
            client.loop_start()

    def stop(self) -> None:
        for client in (self._ear, *self._mouths.values()):
            client.disconnect()
            client.loop_stop()

    def repeat(self, draw: random.Random) -> int:
        """How many messages were said again."""
        with self._lock:
            again = draw.sample(self._heard, min(len(self._heard), draw.randint(*AT_ONCE)))
        said = 0
        for topic, payload in again:
            mouth = self._mouths[parse(topic).station]
            if mouth.is_connected():
                mouth.publish(topic, payload, qos=draw.choice([0, 1]))
                said += 1
        self.repeated += said
        return said

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
