"""Whoever speaks with a broker by TLS: stations, thieves, strangers; remembers what came of it."""

import socket
import ssl
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.central.centre import eventually
from tests.central.secured import Device
from wire.topics import Address, Down, Up

CONNACK = b"\x20\x02\x00\x00"


class Caller:
    """Speaks MQTT with whatever certificate it is given, and remembers what came of it."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str, clean: bool = True) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        self.events: list[str] = []
        self._taken: set[int] = set()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=clean, protocol=mqtt.MQTTv311)
        self._client.tls_set_context(context)
        self._client.on_connect = lambda *a: self.events.append("refused" if a[3].is_failure else "connected")
        self._client.on_disconnect = lambda *_: self.events.append("gone")
        self._client.on_subscribe = lambda *a: self.answers.extend(reason.value for reason in a[3])
        self._client.on_message = lambda *a: self.heard.append((a[2].topic, a[2].payload))
        self._client.on_publish = lambda *a: self._taken.add(a[2])
        self._port = port

    def connect(self, testament: tuple[str, bytes] | None = None) -> "Caller":
        if testament:
            self._client.will_set(*testament, qos=1, retain=True)
        self._client.connect("127.0.0.1", self._port, 15)
        self._client.loop_start()
        eventually(lambda: self.events)
        return self

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Until the broker has acknowledged it, which says nothing of what it does with it."""
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        eventually(lambda: sent.mid in self._taken or "gone" in self.events)

    def subscribe(self, topic: str) -> int:
        count = len(self.answers)
        self._client.subscribe(topic, 0)
        eventually(lambda: len(self.answers) > count)
        return self.answers[-1]

    def drop(self) -> None:
        """Without a word, so that the will is published."""
        connection = self._client.socket()
        assert connection is not None
        self._client.loop_stop()
        connection.close()

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def context_of(device: Device | None, authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    if device is not None:
        context.load_cert_chain(device.state_dir / "device.crt", device.state_dir / "device.key")
    return context


def answer(port: int, context: ssl.SSLContext) -> bytes:
    """What the broker says to a session; nothing when it ends the connection before. It must be there to be asked."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                secured.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01x")
                return secured.recv(4)
        except (ssl.SSLError, ConnectionError):
            return b""


def topic(station: str, kind: Up | Down) -> str:
    return Address(station, kind).topic
