"""The agent's side of an identity, against a real centre: without one it works on, with one it reports, and renews."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from agent import config
from agent.core.events import Event, Noticed
from agent.edge import broker as courier_module
from agent.edge import clock
from agent.edge.broker import Courier
from agent.edge.identity import Told
from agent.edge.renewer import Renewer, due_s
from agent.edge.spool import Spool
from tests.central.centre import eventually
from tests.central.secured import Device, SecuredCentre
from tests.edge.records import STAMP, fact

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCentre]:
    made = SecuredCentre(tmp_path_factory.mktemp("secured"))
    made.start()
    yield made
    made.end()


class Reporting:
    """A courier and what it told of its identity."""

    def __init__(self, device: Device, port: int) -> None:
        device.config.write_text(
            device.config.read_text().replace("mqtt://127.0.0.1 ", f"mqtts://127.0.0.1:{port} ", 1)
        )
        device.state_dir.mkdir(exist_ok=True)
        self.told: list[Event] = []
        self._spool = Spool(device.state_dir / "spool.sqlite3", device.station, "a-run-of-it")
        station = config.load(device.config)
        self.courier = Courier(station, self._spool, "0.1.0", lambda: STAMP, self.told.append)
        self.courier.start()

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.told if isinstance(event, Noticed)]

    @property
    def unsent(self) -> int:
        return self._spool.unsent

    def note(self, number: int) -> None:
        self._spool.put(fact(number), STAMP)
        self.courier.poke()

    def close(self) -> None:
        self.courier.stop()
        self._spool.close()


@pytest.fixture
def report(centre: SecuredCentre, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Device], Reporting]]:
    """Couriers that end with the test; they wait less between two attempts. The clock is set."""
    monkeypatch.setattr(courier_module, "BACKOFF_S", (0.1, 0.3))
    monkeypatch.setattr(clock, "wall", lambda: (time.time(), True))
    begun: list[Reporting] = []

    def begin(device: Device) -> Reporting:
        begun.append(Reporting(device, centre.mqtts_port))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


def test_a_device_without_identity_says_so_once_and_reports_as_soon_as_it_has_one(
    centre: SecuredCentre, report: Callable[[Device], Reporting]
) -> None:
    device = centre.devices("6408042001401")
    reporting = report(device)
    eventually(lambda: reporting.codes)
    assert "siaga-agent enrol CODE" in str(reporting.told[0])
    device.enrol(centre.cards(device.station)[0])
    eventually(lambda: reporting.courier.connected)
    assert reporting.codes == ["NOT_ENROLLED"]
    eventually(lambda: centre.station(device.station))


def test_a_revoked_device_is_told_so_and_stays_alive(
    centre: SecuredCentre, report: Callable[[Device], Reporting]
) -> None:
    device = centre.devices("6408042001402")
    device.enrol(centre.cards(device.station)[0])
    reporting = report(device)
    eventually(lambda: reporting.courier.connected)
    centre.command("revoke", device.station)
    eventually(lambda: "CERTIFICATE_REFUSED" in reporting.codes, deadline_s=30)
    assert reporting.courier.alive
    device.enrol(centre.cards(device.station)[0])
    eventually(lambda: reporting.courier.connected)
    assert reporting.codes == ["CERTIFICATE_REFUSED"]


def test_a_broker_of_another_authority_is_told_nothing(
    centre: SecuredCentre, report: Callable[[Device], Reporting], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = SecuredCentre(tmp_path_factory.mktemp("other"))
    other.start()
    try:
        device = other.devices("6408042001403")
        device.enrol(other.cards(device.station)[0])
        device.config.write_text(device.config.read_text().replace(f":{other.mqtts_port}", f":{centre.mqtts_port}"))
        reporting = report(device)
        eventually(lambda: reporting.codes)
        assert reporting.codes == ["CENTRE_UNTRUSTED"]
        assert centre.station(device.station) == {}
    finally:
        other.end()


def test_a_clock_that_nobody_has_set_is_told_once(
    centre: SecuredCentre, report: Callable[[Device], Reporting], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = centre.devices("6408042001404")
    device.enrol(centre.cards(device.station)[0])
    monkeypatch.setattr(clock, "wall", lambda: (100.0, False))
    reporting = report(device)
    eventually(lambda: reporting.courier.connected)
    reporting.courier.move()
    eventually(lambda: reporting.courier._sessions > 1 and reporting.courier.connected)
    assert reporting.codes == ["CLOCK_FORGIVEN"]


def look(device: Device) -> tuple[bool, list[Event], int]:
    """What one look of the renewer came to: whether all is well, what it told, how often it had the session moved."""
    told: list[Event] = []
    moved: list[int] = []
    made = Renewer(config.load(device.config), told.append, lambda: moved.append(1))
    return asyncio.run(made._look()), told, len(moved)


@pytest.fixture
def _set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: (time.time(), True))


@pytest.mark.usefixtures("_set")
def test_what_is_still_young_is_not_renewed(centre: SecuredCentre) -> None:
    device = centre.devices("6408042001405")
    device.enrol(centre.cards(device.station)[0])
    before = device.serial
    assert look(device) == (True, [], 0)
    assert device.serial == before


@pytest.mark.usefixtures("_set")
@pytest.mark.parametrize(("station", "days"), [("6408042001406", 61), ("6408042001407", 100)])
def test_a_certificate_is_renewed_with_the_same_key_even_some_time_after_its_end(
    centre: SecuredCentre, station: str, days: int
) -> None:
    device = centre.devices(station)
    centre.enrol_before(device, centre.cards(station)[0], days)
    key, before = (device.state_dir / "device.key").read_bytes(), device.serial
    assert look(device) == (True, [Noticed("CERTIFICATE_RENEWED", {"days": 90})], 1)
    assert device.serial != before
    assert (device.state_dir / "device.key").read_bytes() == key
    assert (f"{station} renews a certificate that ended 10.0 days ago" in centre.errors) == (days == 100)


@pytest.mark.usefixtures("_set")
def test_too_long_after_its_end_it_needs_a_new_card(centre: SecuredCentre) -> None:
    device = centre.devices("6408042001408")
    centre.enrol_before(device, centre.cards(device.station)[0], 125)
    assert "expired too long ago" in device.command("renew").stderr
    well, told, moved = look(device)
    assert (well, moved) == (False, 0)
    assert [event.code for event in told if isinstance(event, Noticed)] == ["CERTIFICATE_NOT_RENEWED"]


@pytest.mark.usefixtures("_set")
def test_an_answer_that_was_lost_is_given_again(centre: SecuredCentre) -> None:
    device = centre.devices("6408042001409")
    centre.enrol_before(device, centre.cards(device.station)[0], 61)
    old = {name: (device.state_dir / name).read_bytes() for name in ("device.crt", "device.json")}
    device.command("renew")
    first = device.serial
    for name, content in old.items():
        (device.state_dir / name).write_bytes(content)
    device.command("renew")
    assert device.serial == first


@pytest.mark.usefixtures("_set")
def test_a_centre_that_is_away_is_told_once(centre: SecuredCentre) -> None:
    device = centre.devices("6408042001410")
    centre.enrol_before(device, centre.cards(device.station)[0], 61)
    file = device.state_dir / "device.json"
    file.write_text(file.read_text().replace(f":{centre.enrol_port}", ":1"))
    told: list[Event] = []
    made = Renewer(config.load(device.config), told.append, lambda: None)
    for _ in range(2):
        assert not asyncio.run(made._look())
    assert [event.code for event in told if isinstance(event, Noticed)] == ["CERTIFICATE_NOT_RENEWED"]


def test_each_device_renews_at_a_moment_of_its_own_before_two_thirds_of_its_life() -> None:
    due = [due_s(Told("6408042001143", f"{n:x}", 0.0, 90 * DAY_S)) for n in range(500)]
    assert 52.5 * DAY_S <= min(due) < 53 * DAY_S
    assert 59.5 * DAY_S < max(due) <= 60 * DAY_S
    assert due == [due_s(Told("6408042001143", f"{n:x}", 0.0, 90 * DAY_S)) for n in range(500)]


def test_a_device_without_tls_renews_nothing(centre: SecuredCentre) -> None:
    device = centre.devices("6408042001411")
    asyncio.run(asyncio.wait_for(Renewer(config.load(device.config), lambda _: None, lambda: None).run(), 5))
