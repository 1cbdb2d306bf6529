"""Mosquitto with our example files: the same promises as the broker that we bring along."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.edge import broker as courier_module
from tests.central import mosquitto
from tests.central.caller import CONNACK, Caller, answer, context_of, topic
from tests.central.centre import eventually
from tests.central.mosquitto import Mosquitto
from tests.central.secured import A, B, Device, SecuredCentre
from tests.central.station import delivery, fact, state, will
from tests.central.test_agent_secured import Reporting
from wire.messages import Stored, decode, encode
from wire.topics import Down, Up


class CentreBeside(SecuredCentre):
    """Its broker is a Mosquitto that is started when the certificates are there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.mosquitto = Mosquitto(folder, folder / "data")
        super().__init__(folder)
        self.mqtts_port = self.mosquitto.port

    @property
    def broker(self) -> str:
        return f'broker: "mqtts://127.0.0.1:{self.mosquitto.port}"'


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentreBeside]:
    if not mosquitto.program():
        (pytest.fail if "CI" in os.environ else pytest.skip)("needs mosquitto: run make neighbours")
    made = CentreBeside(tmp_path_factory.mktemp("mosquitto"))
    made.start()
    assert made.mosquitto.look()
    eventually(lambda: "hearing the stations" in made.errors, deadline_s=30)
    yield made
    made.end()
    made.mosquitto.stop()


@pytest.fixture(scope="module")
def devices(centre: CentreBeside) -> tuple[Device, Device]:
    pair = centre.devices(A), centre.devices(B)
    for device, link in zip(pair, centre.cards(A, B), strict=True):
        device.enrol(link)
    return pair


@pytest.fixture
def call(centre: CentreBeside) -> Iterator[Callable[..., Caller]]:
    callers: list[Caller] = []

    def begin(device: Device, name: str = "whatever", **more: object) -> Caller:
        context = context_of(device, centre.data / "ca" / "ca.crt")
        callers.append(Caller(centre.mqtts_port, context, name))
        return callers[-1].connect(**more)  # type: ignore[arg-type]

    yield begin
    for caller in callers:
        caller.leave()


def test_a_station_is_heard_and_hears_its_mark(
    centre: CentreBeside, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    caller = call(devices[0])
    assert caller.subscribe(f"siaga/1/6408/{A}/dn/#") == 0
    caller.publish(topic(A, Up.FACT), encode(delivery([fact(1)], station=A)))
    eventually(lambda: caller.heard)
    assert centre.epochs(A)[0]["stored"] == 1


def test_nothing_else_is_heard_and_nothing_is_said_elsewhere(
    centre: CentreBeside, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    """A subscription is granted, as MQTT 3.1.1 lets a broker do, but nothing comes by it."""
    forger, victim = call(devices[0]), call(devices[1])
    for wish in ("#", "siaga/#", "$SYS/#", f"siaga/1/6408/{B}/#", "+/+/+/+/+/+"):
        forger.subscribe(wish)
    victim.subscribe(f"siaga/1/6408/{B}/dn/#")
    forger.publish(topic(B, Up.FACT), encode(delivery([fact(1), fact(2)], station=B)))
    forger.publish(topic(B, Up.STATE), encode(state(B, session="false")), retain=True)
    forger.publish(topic(B, Down.STORED), b'{"epoch":"epoch-1","seq":9}', retain=True)
    victim.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="mine")], station=B)))
    eventually(lambda: victim.heard)
    assert [epoch["epoch"] for epoch in centre.epochs(B)] == ["mine"]
    assert [heard_topic for heard_topic, _ in forger.heard if heard_topic != topic(A, Down.STORED)] == []
    assert {decode(payload, Stored).epoch for _, payload in victim.heard} == {"mine"}


def test_a_forged_will_is_not_published(
    centre: CentreBeside, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    victim = call(devices[1])
    victim.publish(topic(B, Up.STATE), encode(state(B, session="true")), retain=True)
    eventually(lambda: centre.station(B).get("word") == "SIAP")
    forger = call(devices[0], testament=(topic(B, Up.STATE), encode(will(B, "true"))))
    if forger.events == ["connected"]:
        forger.drop()
    victim.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="will")], station=B)))
    eventually(lambda: any(epoch["epoch"] == "will" for epoch in centre.epochs(B)))
    assert centre.station(B)["word"] == "SIAP"


def test_nobody_takes_anothers_session(
    centre: CentreBeside, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    victim = call(devices[1], name="siaga-victim")
    for name in ("siaga-victim", B, "collector"):
        call(devices[0], name=name)
    victim.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="stays")], station=B)))
    assert victim.events == ["connected"]
    assert "lost the broker" not in centre.errors


def test_what_is_too_large_ends_the_connection_and_nothing_else(
    centre: CentreBeside, devices: tuple[Device, Device], call: Callable[..., Caller]
) -> None:
    forger = call(devices[0])
    forger.publish(topic(A, Up.LOG), b"x" * 300_000)
    eventually(lambda: "gone" in forger.events)
    other = call(devices[1])
    other.publish(topic(B, Up.LOG), encode(delivery([fact(1, epoch="large")], station=B)))
    eventually(lambda: any(epoch["epoch"] == "large" for epoch in centre.epochs(B)))


def test_without_a_certificate_nobody_is_let_in(centre: CentreBeside, devices: tuple[Device, Device]) -> None:
    assert answer(centre.mqtts_port, context_of(devices[0], centre.data / "ca" / "ca.crt")) == CONNACK
    assert answer(centre.mqtts_port, context_of(None, centre.data / "ca" / "ca.crt")) == b""


def test_an_expired_certificate_is_refused(centre: CentreBeside) -> None:
    for station, days in (("6408042001303", 60), ("6408042001304", 91)):
        device = centre.devices(station)
        centre.enrol_before(device, centre.cards(station)[0], days)
        told = answer(centre.mqtts_port, context_of(device, centre.data / "ca" / "ca.crt"))
        assert told == (CONNACK if days < 90 else b"")


def revoke(centre: CentreBeside, station: str) -> None:
    crl = centre.data / "ca" / "crl.pem"
    before = crl.read_bytes()
    centre.command("revoke", station)
    eventually(lambda: crl.read_bytes() != before)


def test_a_reload_refuses_the_revoked_but_leaves_a_live_session(
    centre: CentreBeside, call: Callable[..., Caller]
) -> None:
    """Which is why the unit restarts it."""
    thief = centre.devices("6408042001302")
    thief.enrol(centre.cards(thief.station)[0])
    context = context_of(thief, centre.data / "ca" / "ca.crt")
    live = call(thief)
    revoke(centre, thief.station)
    centre.mosquitto.reload()
    assert answer(centre.mqtts_port, context) == b""
    live.publish(topic(thief.station, Up.LOG), encode(delivery([fact(1)], station=thief.station)))
    eventually(lambda: centre.epochs(thief.station))
    assert live.events == ["connected"]
    assert centre.mosquitto.look()
    eventually(lambda: "gone" in live.events)
    assert answer(centre.mqtts_port, context) == b""


def test_the_unit_cuts_the_revoked_off_and_costs_the_others_nothing(
    centre: CentreBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "BACKOFF_S", (0.1, 0.3))
    stations = ("6408042001305", "6408042001306", "6408042001307")
    devices = [centre.devices(station) for station in stations]
    for device, link in zip(devices, centre.cards(*stations), strict=True):
        device.enrol(link)
    couriers = [Reporting(device, centre.mqtts_port) for device in devices]
    thief, *others = couriers
    try:
        eventually(lambda: all(each.courier.connected for each in couriers))
        assert not centre.mosquitto.look(), "while nobody was revoked it does nothing"
        for number in range(40):
            for each in couriers:
                each.note(number)
            if number == 20:
                revoke(centre, stations[0])
                assert centre.mosquitto.look()
        eventually(lambda: "CERTIFICATE_REFUSED" in thief.codes)
        for each, station in zip(others, stations[1:], strict=True):
            eventually(lambda: each.courier.connected and not each.unsent)  # noqa: B023 - it ends before the next
            assert [(epoch["stored"], epoch["first"], epoch["count"]) for epoch in centre.epochs(station)] == [
                (40, 1, 40)
            ]
            assert each.codes == []
        assert not thief.courier.connected
        assert not centre.mosquitto.look(), "what it was started with is what there is"
    finally:
        for each in couriers:
            each.close()
