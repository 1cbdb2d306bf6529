"""The embedded broker by TLS: each station its own topics and nothing else, whoever asks and however."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.central.caller import CONNACK, Caller, answer, context_of, topic
from tests.central.centre import eventually
from tests.central.secured import A, B, Device, SecuredCentre
from tests.central.station import delivery, fact, state, will
from wire.messages import encode
from wire.packing import PACKED
from wire.topics import Down, Up


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCentre]:
    made = SecuredCentre(tmp_path_factory.mktemp("secured"))
    made.start()
    yield made
    made.end()


@pytest.fixture(scope="module")
def devices(centre: SecuredCentre) -> tuple[Device, Device]:
    pair = centre.devices(A), centre.devices(B)
    for device, link in zip(pair, centre.cards(A, B), strict=True):
        device.enrol(link)
    return pair


@pytest.fixture
def call(centre: SecuredCentre) -> Iterator[Callable[..., Caller]]:
    callers: list[Caller] = []

    def begin(device: Device | None, name: str = "", **more: object) -> Caller:
        context = context_of(device, centre.data / "ca" / "ca.crt")
        callers.append(Caller(centre.mqtts_port, context, name or f"caller-{len(callers)}-{time.time_ns()}"))
        return callers[-1].connect(**more)  # type: ignore[arg-type]

    yield begin
    for caller in callers:
        caller.leave()


def test_a_station_is_heard_and_hears_its_mark(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    caller = call(devices[0])
    assert caller.subscribe(topic(A, Down.STORED)) == 0
    caller.publish(topic(A, Up.FACT), encode(delivery([fact(1)], station=A)))
    eventually(lambda: caller.heard)
    assert caller.heard[0][1].startswith(PACKED)
    assert centre.epochs(A)[0]["stored"] == 1
    assert caller.subscribe(f"siaga/1/6408/{A}/dn/#") == 0


@pytest.mark.parametrize(
    "wish",
    ["#", "+/#", "siaga/#", "siaga/1/6408/#", "+/+/+/+/dn/stored", f"siaga/1/6408/{B}/dn/stored",
     f"siaga/1/6408/{A}/up/#", f"siaga/1/6408/{B}/up/state",
     "$SYS/#", "$MQTT/#", "$JS/#", "$share/x/siaga/#", "_INBOX/#"],
)  # fmt: skip
def test_nothing_else_may_be_heard(wish: str, devices: tuple[Device, Device], call: Callable[..., Caller]) -> None:
    caller = call(devices[0])
    assert caller.subscribe(wish) == 128


def test_nothing_may_be_said_elsewhere(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    forger, victim = call(devices[0]), call(devices[1])
    victim.subscribe(f"siaga/1/6408/{B}/dn/#")
    marks = encode(delivery([fact(1), fact(2), fact(3)], station=B))
    for place in (topic(B, Up.FACT), f"siaga/1/6408/{B}/up/log", f"$MQTT/msgs/siaga/1/6408/{B}/up/fact"):
        forger.publish(place, marks)
    forger.publish(topic(B, Up.STATE), encode(state(B)), retain=True)
    forger.publish(topic(B, Down.STORED), b'{"epoch":"epoch-1","seq":9}', retain=True)
    forger.publish(topic(A, Down.STORED), b'{"epoch":"epoch-1","seq":9}', retain=True)
    for place in ("$JS/API/STREAM/DELETE/$MQTT_msgs", "$SYS/REQ/SERVER/PING", "anything"):
        forger.publish(place, b"")
    forger.publish(topic(A, Up.LOG), encode(delivery([fact(1, epoch="after")], station=A)))
    eventually(lambda: any(epoch["epoch"] == "after" for epoch in centre.epochs(A)))
    assert centre.epochs(B) == []
    assert centre.station(B) == {}
    assert victim.heard == []


def test_a_forged_will_is_not_published(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    victim = call(devices[1])
    victim.publish(topic(B, Up.STATE), encode(state(B, session="true")), retain=True)
    eventually(lambda: centre.station(B).get("word") == "SIAP")
    call(devices[0], testament=(topic(B, Up.STATE), encode(will(B, "true")))).drop()
    victim.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="will")], station=B)))
    eventually(lambda: centre.epochs(B))
    assert centre.station(B)["word"] == "SIAP"


def test_who_speaks_for_another_within_its_own_topic_is_not_believed(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    forger = call(devices[0])
    for payload in (encode(delivery([fact(7, epoch="lie")], station=B)), b"", b"\xff" * 100, b"[" * 60_000, b"{}"):
        forger.publish(topic(A, Up.FACT), payload)
    forger.publish(topic(A, Up.LOG), encode(delivery([fact(1, epoch="truth")], station=A)))
    eventually(lambda: any(epoch["epoch"] == "truth" for epoch in centre.epochs(A)))
    assert not any(epoch["epoch"] == "lie" for epoch in centre.epochs(B))


def test_what_is_too_large_ends_the_connection_and_nothing_else(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    forger, other = call(devices[0]), call(devices[1])
    forger.publish(topic(A, Up.LOG), b"x" * 300_000)
    eventually(lambda: "gone" in forger.events)
    other.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="large")], station=B)))
    eventually(lambda: any(epoch["epoch"] == "large" for epoch in centre.epochs(B)))
    assert other.events == ["connected"]


def test_what_is_said_again_is_stored_once(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    caller = call(devices[0])
    message = encode(delivery([fact(1, epoch="replay"), fact(2, epoch="replay")], station=A))
    for _ in range(5):
        caller.publish(topic(A, Up.LOG), message)
    caller.publish(topic(A, Up.LOG), encode(delivery([fact(3, epoch="replay")], station=A)))
    eventually(lambda: any(e["epoch"] == "replay" and e["stored"] == 3 for e in centre.epochs(A)))
    assert next(epoch["count"] for epoch in centre.epochs(A) if epoch["epoch"] == "replay") == 3


def test_the_collectors_place_cannot_be_taken(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    """Whoever connects under another's name throws it out: so nobody can know the collector's."""
    name = (centre.data / "tls" / "session-name").read_text()
    assert len(name) > 40
    call(devices[0], name="siaga-central")
    log = (centre.data / "broker-tls" / "nats-server.log").read_text()
    assert f'Replacing old client "{name}' not in log
    assert "lost the broker" not in centre.errors


def test_without_a_certificate_of_ours_nobody_is_let_in(
    centre: SecuredCentre, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("other")
    stranger = SecuredCentre(tmp_path)
    stranger.command("ca")
    link, device = stranger.cards(A)[0], stranger.devices(A)
    assert device.command("enrol", "--request", str(tmp_path / "asked")).stderr == ""
    signed = stranger.command("sign", str(tmp_path / "asked"), link.code, "--out", str(tmp_path / "answer"))
    assert signed.stderr == ""
    assert device.command("enrol", "--answer", str(tmp_path / "answer")).stderr == ""
    for shown in (None, device):
        assert answer(centre.mqtts_port, context_of(shown, centre.data / "ca" / "ca.crt")) != CONNACK


def test_what_has_expired_is_not_let_in_though_nobody_has_revoked_it(centre: SecuredCentre) -> None:
    for station, days in (("6408042001303", 60), ("6408042001304", 91)):
        device = centre.devices(station)
        centre.enrol_before(device, centre.cards(station)[0], days)
        context = context_of(device, centre.data / "ca" / "ca.crt")
        if days < 90:
            eventually(lambda context=context: answer(centre.mqtts_port, context) == CONNACK)
        else:
            assert answer(centre.mqtts_port, context) == b""


def test_tls_older_than_1_3_is_not_spoken(centre: SecuredCentre, devices: tuple[Device, Device]) -> None:
    context = context_of(devices[0], centre.data / "ca" / "ca.crt")
    assert answer(centre.mqtts_port, context) == CONNACK
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert answer(centre.mqtts_port, context) == b""


def test_a_revoked_station_is_dropped_and_its_neighbours_do_not_notice(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    station = "6408042001301"
    [link] = centre.cards(station)
    stolen = centre.devices(station)
    stolen.enrol(link)
    neighbour = call(devices[1])
    thief = eventually(lambda: _in(call, stolen))
    assert "1 certificates revoked" in centre.command("revoke", station).stdout
    eventually(lambda: "gone" in thief.events, deadline_s=30)
    assert _in(call, stolen) is None
    assert neighbour.events == ["connected"]
    assert "was revoked" in stolen.command("renew").stderr


def _in(call: Callable[..., Caller], device: Device) -> Caller | None:
    """The caller, if it is let in."""
    caller = call(device)
    return caller if caller.events[0] == "connected" else None


def test_many_who_come_and_go_disturb_nobody(
    centre: SecuredCentre, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    """Each enrolment and each revocation is a new configuration of the broker."""
    neighbour = call(devices[0])
    over = threading.Event()

    def speak() -> None:
        seq = 0
        while not over.is_set():
            seq += 1
            neighbour.publish(topic(A, Up.LOG), encode(delivery([fact(seq, epoch="steady")], station=A)))

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        for n in range(3):
            station = f"64080420014{n:02}"
            device = centre.devices(station)
            device.enrol(centre.cards(station)[0])
            eventually(lambda device=device: _in(call, device), deadline_s=30)
            centre.command("revoke", station)
    finally:
        over.set()
        speaking.join()
    assert neighbour.events == ["connected"]
    assert "lost the broker" not in centre.errors
