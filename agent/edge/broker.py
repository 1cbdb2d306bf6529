"""The MQTT session: birth and last will, newest state first, then the spool, oldest first, until the centre has it.

One thread of its own, because name look-up, connecting and the card may each take seconds, and the loop must not wait.
"""

import contextlib
import logging
import os
import random
import select
import socket
import sqlite3
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.decide import Phase
from agent.core.events import Event, Noticed, ShowState
from agent.core.report import Line, has_drifted, is_news
from agent.core.station import Station
from agent.edge import identity, trust
from agent.edge.identity import NoIdentity
from agent.edge.session import Session, decrypted, refusal, to_be_told, together
from agent.edge.spool import Load, Spool
from wire import command
from wire.command import Result
from wire.messages import (
    LARGEST_BYTES,
    Active,
    BadMessage,
    Delivery,
    Fact,
    Gap,
    Stamp,
    State,
    Stored,
    Summary,
    decode,
    decode_record,
    encode,
)
from wire.packing import pack
from wire.topics import Address, Down, Up

log = logging.getLogger(__name__)

KEEPALIVE_S = 65  # ALIVE_EVERY_S and a little; the broker says the will after one and a half of it
ANSWER_S = 20  # all that we say is to be acknowledged; when nothing is for so long, this connection is of no use
CONNECT_S = 3
BACKOFF_S = (0.5, 30.0)  # first and longest wait between attempts; each is drawn from half to all of it
IN_FLIGHT = 20  # deliveries that the broker has not acknowledged yet
BATCH = 200  # records at most in one delivery of the backlog; its bytes, before they are packed, bound it sooner
BACKLOG_BYTES_PER_S = {Phase.NORMAL: 16_000, Phase.COUNT: 1250, Phase.UPLOAD: 1250}
"""What is old can wait: a day offline takes ten seconds, or two minutes while the line is needed for results."""
ENVELOPE_BYTES = 256  # of a delivery, around its records
GAP_BYTES = 160
STATE_EVERY_S = 300  # with a minute's records, or where figures have drifted; what is news is shown at once
ALIVE_EVERY_S = 63  # when a minute's records do not say that we live, a state does; nothing else is a ping
RESEND_S = 30  # the broker took them, the centre did not say so: send again, it knows doubles
LAST_WORDS_S = 2
ANSWERS_AT_MOST = 32  # to commands, while there is no connection; the centre asks again

Hear = Callable[[Down, bytes, bool], None]
"""Kind, payload, and whether the broker had kept it; not to wait."""


class Courier:
    """`show`, `poke` and `move` are called from the loop and return at once; the thread does the rest."""

    def __init__(
        self,
        station: Station,
        spool: Spool,
        version: str,
        clock: Callable[[], Stamp],
        tell: Callable[[Event], None],
        hear: Hear | None = None,
    ) -> None:
        """`hear` is told of commands, in this thread."""
        self._host, self._port = station.centre.broker_host, station.centre.broker_port
        self._state_dir = Path(station.state_dir) if station.centre.is_secured else None
        self._told: str | None = None
        self._station = station.station
        self._spool = spool
        self._version = version
        self._clock, self._tell = clock, tell
        self._hear = hear
        self._answers: deque[Result] = deque(maxlen=ANSWERS_AT_MOST)
        self._state = ShowState(Active(), ())
        self._sessions = 0
        self._forgiven = False
        self._moved = self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self.connected = False
        self.confirmed = False
        """In this run the centre has said that it stored something."""

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def show(self, state: ShowState) -> None:
        """The latest state; older ones that were not published yet are not."""
        self._state = state
        self.poke()

    def answer(self, result: Result) -> None:
        """What came of a command, from any thread; it is repeated when the command is."""
        self._answers.append(result)
        self.poke()

    def poke(self) -> None:
        """There is something new in the spool."""
        with contextlib.suppress(BlockingIOError):  # then it has been poked often enough to wake up
            os.write(self._wake_write, b"\0")

    def move(self) -> None:
        """Traffic goes another way: this connection's address is no longer ours, so open a new one at once."""
        self._moved = True
        self.poke()

    def stop(self) -> None:
        """Say goodbye if there is a connection, and end the thread."""
        self._stopping = True
        self.poke()
        self._thread.join(CONNECT_S + LAST_WORDS_S + 1)

    def _run(self) -> None:
        pause_s = BACKOFF_S[0]
        told = ""
        while not self._stopping:
            self._moved = False
            try:
                session = self._connect()
                self._serve(session)
                if not (session.subscribed or self._moved or self._stopping):
                    raise refusal(session)
                pause_s, told = BACKOFF_S[0], ""
            except (NoIdentity, OSError, ValueError, struct.error, MQTTException, sqlite3.Error) as why:
                self._tell_why(why)
                if str(why) != told:
                    log.warning("broker %s:%s: %s", self._host, self._port, why)
                    told = str(why)
                pause_s = min(2 * pause_s, BACKOFF_S[1])
            self.connected = False
            until = time.monotonic() + pause_s * random.uniform(0.5, 1)
            while not (self._stopping or self._moved) and (left_s := until - time.monotonic()) > 0:
                self._wait(left_s)

    def _connect(self) -> Session:
        self._sessions += 1
        trusted = trust.of_device(self._state_dir) if self._state_dir else None
        name = identity.session_name(self._state_dir) if self._state_dir else ""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, f"siaga-{self._station}{name}", protocol=mqtt.MQTTv311)
        client.connect_timeout = CONNECT_S
        if trusted is not None:
            client.tls_set_context(trusted)
        client.max_inflight_messages_set(IN_FLIGHT)
        session = Session(f"{self._clock().boot}-{self._sessions}", client)
        client.on_connect = lambda *arguments: self._on_connect(session, arguments[3])
        client.on_subscribe = lambda *arguments: self._on_subscribe(session, arguments[3])
        client.on_message = lambda _client, _data, message: self._on_message(session, message)
        client.on_publish = lambda *_: self._on_publish(session)
        client.will_set(self._topic(Up.STATE), pack(encode(self._goodbye(session))), qos=1, retain=True)
        client.on_log = lambda *arguments: self._on_log(session, arguments[2], arguments[3])
        client.connect(self._host, self._port, KEEPALIVE_S)
        session.heard_at = time.monotonic()
        if trusted is not None and trusted.forgiven and not self._forgiven:
            self._forgiven = True
            self._tell(Noticed("CLOCK_FORGIVEN", {"why": trusted.forgiven}))
        return session

    def _serve(self, session: Session) -> None:
        """Until the connection ends, or traffic moves, or the agent stops."""
        client = session.client
        while not (self._moved or self._stopping or session.refused):
            connection = client.socket()
            if not isinstance(connection, socket.socket):
                break
            if session.waits and time.monotonic() > session.heard_at + ANSWER_S:
                session.trouble = f"it has answered nothing for {ANSWER_S:g} s"
                break
            pause_s = min(max(session.backlog_at - time.monotonic(), 0.0) or 1.0, 1.0)
            readable = decrypted(connection) or self._wait(
                pause_s, connection.fileno(), "writing" if client.want_write() else ""
            )
            if readable and client.loop_read() != mqtt.MQTT_ERR_SUCCESS:
                break
            if client.want_write():
                client.loop_write()
            if session.subscribed:
                with together(connection):
                    self._publish(session)
        if self._stopping and session.subscribed:
            self._say_goodbye(session)
        client.disconnect()
        if (connection := client.socket()) is not None:
            connection.close()
        if session.subscribed and not self._stopping:
            why = "traffic moved" if self._moved else session.trouble
            log.info("broker connection ended%s", f", {why}" if why else "")

    def _publish(self, session: Session) -> None:
        if (
            session.shown is None
            or is_news(session.shown, self._state)
            or time.monotonic() > session.alive_at + ALIVE_EVERY_S
        ):
            self._show(session)
        while self._answers and session.in_flight < IN_FLIGHT:
            self._send(session, Up.RESULT, command.encode(self._answers.popleft()))
        now = time.monotonic()
        if not self._is_waiting(session):
            session.progress_at = now
        elif now > session.progress_at + RESEND_S:
            log.info("the centre has not confirmed what it was sent; sending it again")
            session.sent, session.progress_at = 0, now
        while session.in_flight < IN_FLIGHT and now >= session.backlog_at:
            load = self._spool.after(session.sent, BATCH)
            if load is None:
                return
            found = _fitting(load)
            lines = [each for each in found if isinstance(each, Line)]
            session.sent = load.place(lines[-1].seq)
            between = [each for each in found if isinstance(each, Gap)]
            records = tuple(msgspec.Raw(line.data) for line in lines)
            if now > session.shown_at + STATE_EVERY_S or has_drifted(session.shown or self._state, self._state):
                self._show(session)
            if self._spool.after(session.sent, 1) is None:
                session.alive_at = now
            delivery = Delivery(self._station, load.oldest, records, (*load.below, *between))
            kind, payload = _kind(lines), pack(encode(delivery))
            self._send(session, kind, payload)
            if kind is Up.LOG:
                session.backlog_at = now + len(payload) / BACKLOG_BYTES_PER_S[Phase(self._state.phase)]

    def _show(self, session: Session) -> None:
        session.shown, session.shown_at = self._state, time.monotonic()
        session.alive_at = session.shown_at
        self._send(session, Up.STATE, pack(encode(self._birth(session))), retain=True)

    def _send(self, session: Session, kind: Up, payload: bytes, retain: bool = False) -> None:
        if session.in_flight == 0:
            session.heard_at = time.monotonic()
        session.in_flight += 1
        session.client.publish(self._topic(kind), payload, qos=1, retain=retain)

    def _on_connect(self, session: Session, reason: ReasonCode) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection: %s", reason)
            session.refused = True
            session.trouble = str(reason)
            return
        session.client.subscribe([(self._topic(kind), 0) for kind in Down])

    def _on_subscribe(self, session: Session, reasons: list[ReasonCode]) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("broker refuses us one of %s", ", ".join(self._topic(each) for each in Down))
            session.refused = True
            return
        log.info("connected to broker %s:%s", self._host, self._port)
        session.subscribed = self.connected = True
        self._told = None

    def _on_log(self, session: Session, level: int, text: str) -> None:
        if level == mqtt.MQTT_LOG_ERR:
            session.trouble = text

    def _tell_why(self, why: Exception) -> None:
        """What a person has to do something about; once, until it is another or over."""
        notice = to_be_told(why) if self._state_dir else None
        if notice is not None and notice.code != self._told:
            self._told = notice.code
            self._tell(notice)

    def _on_publish(self, session: Session) -> None:
        session.in_flight -= 1
        session.heard_at = time.monotonic()

    def _on_message(self, session: Session, message: mqtt.MQTTMessage) -> None:
        for kind in (Down.COMMAND, Down.CONFIG):
            if message.topic == self._topic(kind) and self._hear is not None:
                self._hear(kind, bytes(message.payload), message.retain)
                return
        try:
            mark = decode(bytes(message.payload), Stored)
        except BadMessage as why:
            log.warning("a message on %s was dropped: %s", message.topic, why)
            return
        if self._spool.forget(mark.epoch, mark.seq):
            session.progress_at = time.monotonic()
            self.confirmed = True

    def _is_waiting(self, session: Session) -> bool:
        """For the centre's word on something that was sent."""
        oldest = self._spool.oldest()
        return oldest is not None and oldest <= session.sent

    def _birth(self, session: Session) -> State:
        return State(
            self._station,
            session.name,
            True,
            self._version,
            self._clock(),
            active=self._state.active,
            uplinks=self._state.uplinks,
        )

    def _goodbye(self, session: Session) -> State:
        return State(self._station, session.name, False, self._version, self._clock())

    def _say_goodbye(self, session: Session) -> None:
        self._publish(session)
        self._send(session, Up.STATE, pack(encode(self._goodbye(session))), retain=True)
        until = time.monotonic() + LAST_WORDS_S
        while session.in_flight > 0 and time.monotonic() < until:
            if session.client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
                return

    def _topic(self, kind: Up | Down) -> str:
        return Address(self._station, kind).topic

    def _wait(self, for_s: float, connection: int | None = None, writing: Literal["writing", ""] = "") -> bool:
        """Until there is something to do; true when the connection can be read."""
        reading = [self._wake_read] if connection is None else [self._wake_read, connection]
        readable, _, _ = select.select(reading, reading[1:] if writing else [], [], for_s)
        if self._wake_read in readable:
            os.read(self._wake_read, 4096)
        return connection in readable


def _fitting(load: Load) -> list[Line | Gap]:
    """As many of the first as one delivery may carry; always one record, which is far smaller."""
    left = LARGEST_BYTES - ENVELOPE_BYTES - len(load.below) * GAP_BYTES
    is_empty = True
    for n, each in enumerate(load.found):
        left -= len(each.data) + 1 if isinstance(each, Line) else GAP_BYTES
        if left < 0 and not is_empty:
            return load.found[:n]
        is_empty = is_empty and isinstance(each, Gap)
    return load.found


def _kind(lines: list[Line]) -> Up:
    if len(lines) > 1:
        return Up.LOG
    try:
        body = decode_record(lines[0].data).body
    except BadMessage:  # a newer agent wrote it
        return Up.LOG
    return Up.FACT if isinstance(body, Fact) else Up.SUM if isinstance(body, Summary) else Up.LOG
