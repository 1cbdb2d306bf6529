"""From a printed card to a certificate, by the programs' own commands: each card once, and nobody else."""

import base64
import contextlib
import json
import os
import select
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from agent.enrol import exchange
from agent.enrol.device import request
from central.edge.authority import BadRequest, requested_key
from tests.central.secured import A, B, Device, SecuredCentre, codes_in
from wire.enrolment import Admission, Application, Link, grouped


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCentre]:
    """Shared by the tests of this file; each uses stations of its own."""
    made = SecuredCentre(tmp_path_factory.mktemp("enrolment"))
    made.start()
    yield made
    made.end()


def test_a_device_becomes_a_station_by_what_the_qr_says(centre: SecuredCentre) -> None:
    [link] = centre.cards(A)
    device = centre.devices(A)
    done = device.command("enrol", str(link))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"this device is station {A} now; its certificate is good for 90 days" in done.stdout
    assert stat.S_IMODE((device.state_dir / "device.key").stat().st_mode) == 0o600
    assert f'broker: "mqtts://127.0.0.1:{centre.mqtts_port}"   # of the centre' in device.config.read_text()
    assert (device.state_dir / "centre-ca.crt").read_text() == (centre.data / "ca" / "ca.crt").read_text()


def test_a_code_may_be_typed_as_people_type(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001201")
    typed = grouped(link.code).lower().replace("0", "o").replace("1", "l").replace("-", " ")
    device = centre.devices("6408042001201")
    done = device.command("enrol", typed, "--url", link.url, "--ca-fingerprint", link.fingerprint[:20].upper())
    assert (done.returncode, done.stderr) == (0, "")


def test_a_card_that_is_used_again_by_another_device_raises_an_alarm_that_a_supervisor_releases(
    centre: SecuredCentre,
) -> None:
    station = "6408042001202"
    [link] = centre.cards(station)
    first, second = centre.devices(station), Device(centre.folder, station, "-second")
    first.enrol(link)
    refused = second.command("enrol", str(link))
    assert refused.returncode == 2
    assert refused.stderr.startswith("siaga-agent: This card was used by another device before. The centre has been")
    assert not (second.state_dir / "device.crt").exists()
    assert f"CARD_USED_TWICE {station}: used from 127.0.0.1" in centre.errors
    page = centre.get("/")[2]
    assert "64.08.04.2001 · TPS 202" in page
    assert "Kartu Pasang TPS ini dipakai oleh dua perangkat" in page
    assert "pertama dari 127.0.0.1, lalu dari 127.0.0.1" in page
    [newer] = centre.cards(station)
    assert "held because its card was used twice" in second.command("enrol", str(newer)).stderr
    assert "released by" in centre.command("release", station).stdout
    assert "dipakai oleh dua perangkat" not in centre.get("/")[2]
    second.enrol(newer)
    assert "is not held" in centre.command("release", station).stderr


def test_the_same_device_that_lost_the_answer_gets_it_again(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001203")
    device = centre.devices("6408042001203")
    device.enrol(link)
    before = device.certificate
    (device.state_dir / "device.crt").unlink()
    device.enrol(link)
    assert device.certificate == before


def test_of_two_devices_at_the_same_moment_one_wins(centre: SecuredCentre) -> None:
    station = "6408042001204"
    [link] = centre.cards(station)
    several = [Device(centre.folder, station, f"-{n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda device: device.command("enrol", str(link)).returncode, several))
    assert sorted(codes) == [0, 2, 2, 2]


def test_a_card_of_another_station_is_refused_and_not_used_up(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001205")
    refused = centre.devices("6408042001206").command("enrol", str(link))
    assert (refused.returncode, "belongs to another station" in refused.stderr) == (2, True)
    centre.devices("6408042001205").enrol(link)


def test_a_newer_card_makes_the_older_void_and_ends_the_older_device(centre: SecuredCentre) -> None:
    station = "6408042001207"
    [first] = centre.cards(station)
    [second] = centre.cards(station)
    dead, new = centre.devices(station), Device(centre.folder, station, "-new")
    assert "replaced by a newer one" in dead.command("enrol", str(first)).stderr
    dead.enrol(second)
    [third] = centre.cards(station)
    assert dead.command("renew").returncode == 0, "until the new device is there, the old one goes on"
    new.enrol(third)
    assert "was revoked" in dead.command("renew").stderr


def test_who_is_not_the_centre_of_the_card_is_told_nothing(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001208")
    foreign = Link(link.url, link.code, "ab" * 32)
    refused = centre.devices("6408042001208").command("enrol", str(foreign))
    assert refused.returncode == 5
    assert "is not the centre that this card is from" in refused.stderr
    centre.devices("6408042001208").enrol(link)


class Doorkeeper:
    """In front of the desk: lets so many connections go without an answer, then all others through to it."""

    def __init__(self, port: int, turned_away: int) -> None:
        self._port, self._left = port, turned_away
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.turned_away = 0
        self._threads = [threading.Thread(target=self._receive)]
        self._threads[0].start()

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes who waits there
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                guest = self._listener.accept()[0]
                if self.turned_away < self._left:
                    self.turned_away += 1
                    guest.close()
                    continue
                self._threads.append(threading.Thread(target=self._pass_on, args=(guest,)))
                self._threads[-1].start()

    def _pass_on(self, guest: socket.socket) -> None:
        """Question and answer in turns, as both speak."""
        with guest, socket.create_connection(("127.0.0.1", self._port)) as desk, contextlib.suppress(OSError):
            while True:
                for one in select.select([guest, desk], [], [])[0]:
                    if not (data := one.recv(65_536)):
                        return
                    (desk if one is guest else guest).sendall(data)


@pytest.mark.parametrize(("turned_away", "busy_for_s"), [(3, 30.0), (10**6, 0.05)])
def test_a_desk_that_has_its_hands_full_is_asked_again_for_a_while(
    turned_away: int, busy_for_s: float, centre: SecuredCentre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BUSY_PAUSE_S", (0.0, 0.02))
    monkeypatch.setattr(exchange, "BUSY_FOR_S", busy_for_s)
    station = "6408042001230" if turned_away == 3 else "6408042001231"
    [link] = centre.cards(station)
    place = urlsplit(link.url)
    keeper = Doorkeeper(place.port or 443, turned_away)
    by_keeper = Link(f"https://127.0.0.1:{keeper.port}", link.code, link.fingerprint)
    asked = Application(link.code, request(tmp_path), station, "")
    try:
        if turned_away == 3:
            assert isinstance(exchange.apply(by_keeper, asked), Admission)
            assert keeper.turned_away == 3
        else:
            with pytest.raises(exchange.Unreachable, match="cannot be asked"):
                exchange.apply(by_keeper, asked)
    finally:
        keeper.end()


def test_without_any_uplink_it_goes_by_files(centre: SecuredCentre) -> None:
    station = "6408042001209"
    [link] = centre.cards(station)
    device, other = centre.devices(station), Device(centre.folder, station, "-other")
    asked, answer = centre.folder / "asked", centre.folder / "answer"
    told = device.command("enrol", "--request", str(asked)).stdout
    assert "siaga-central sign asked CODE, with the card's code" in told and "asked.answer" in told
    assert "is no answer of the centre" in device.command("enrol", "--answer", str(asked)).stderr
    assert link.code not in asked.read_text()
    done = centre.command("sign", str(asked), grouped(link.code), "--out", str(answer))
    assert (done.returncode, done.stderr) == (0, "")
    assert "siaga-agent enrol --answer …/answer" in done.stdout
    assert "is no request of a device" in centre.command("sign", str(answer), link.code).stderr
    assert "certificate does not fit our key" in other.command("enrol", "--answer", str(answer)).stderr
    assert device.command("enrol", "--answer", str(answer)).returncode == 0
    other.command("enrol", "--request", str(asked))
    again = centre.command("sign", str(asked), link.code)
    assert (again.returncode, "used by another device" in again.stderr) == (2, True)


def test_a_new_device_gets_its_configuration_too(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001210")
    device = centre.devices("6408042001210")
    device.config.unlink()
    state_dir = centre.folder / "given"
    done = device.command("enrol", str(link), "--state-dir", str(state_dir))
    assert (done.returncode, done.stderr) == (0, "")
    assert 'station: "6408042001210"' in device.config.read_text()
    assert "6408042001210" in device.command("check").stdout


def test_the_authoritys_key_is_for_its_owner_alone_and_codes_are_not_kept(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001211")
    for file in (centre.data / "ca" / "ca.key", centre.data / "tls" / "server.key", centre.folder / "cards.pdf"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for file in centre.data.glob("siaga.sqlite3*"):
        assert link.code.encode() not in file.read_bytes()
    pem = (centre.data / "ca" / "ca.key").read_bytes()
    private = load_pem_private_key(pem, None)
    assert isinstance(private, EllipticCurvePrivateKey)
    number = private.private_numbers().private_value.to_bytes(32, "big")
    held = _memory(centre.process.pid)
    assert b"siaga.sqlite3" in held, "its memory is read"
    for secret in (number, number[::-1], pem.splitlines()[1]):
        assert secret not in held, "who serves the pages never had the key"


def _memory(pid: int) -> bytes:
    """All that the process may write to."""
    held = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, allowed, *_ = line.split()
            if not allowed.startswith("rw"):
                continue
            first, last = (int(each, 16) for each in place.split("-"))
            memory.seek(first)
            with contextlib.suppress(OSError):
                held += memory.read(last - first)
    return bytes(held)


def test_a_restarted_centre_is_the_same_authority(tmp_path: Path) -> None:
    centre = SecuredCentre(tmp_path / "centre")
    try:
        centre.start()
        before = centre.command("ca").stdout
        centre.stop()
        centre.start()
        assert centre.command("ca").stdout == before
        os.truncate(centre.data / "ca" / "ca.key", 20)
        centre.stop()
        (centre.folder / "stderr").write_text("")
        assert "the authority in" in centre.refusal()
    finally:
        centre.end()


def test_bad_lines_of_a_list_are_named_and_nothing_is_half_made(centre: SecuredCentre) -> None:
    listed, printed = centre.folder / "bad.csv", centre.folder / "bad.pdf"
    listed.write_text(f"station,name\n{A},TPS\n123,short\n{A},twice\n{B},\n{B},a,b\n")
    done = centre.command("cards", "--election", "Uji", "--csv", str(listed), "--out", str(printed))
    assert done.returncode == 2
    assert done.stderr.replace("siaga-central: ", "").splitlines() == [
        f"{listed}: line 3: station = '123': must be 13 digits: village code (10) and TPS number (3)",
        f"{listed}: line 4: station = '{A}': is there twice",
        f"{listed}: line 5: name is empty",
        f"{listed}: line 6: 3 columns, where line 1 names 2",
    ]
    assert not printed.exists()


def test_a_pdf_that_cannot_be_written_leaves_older_cards_good(centre: SecuredCentre) -> None:
    station = "6408042001212"
    [link] = centre.cards(station)
    listed = centre.folder / "list.csv"
    done = centre.command("cards", "--election", "Uji", "--csv", str(listed), "--out", "/nowhere/cards.pdf")
    assert (done.returncode, done.stderr) == (
        2,
        "siaga-central: /nowhere/cards.pdf cannot be written: No such file or directory\n",
    )
    centre.devices(station).enrol(link)


def test_many_cards_have_many_codes(centre: SecuredCentre) -> None:
    links = centre.cards(*(f"64080420013{n:02}" for n in range(50)))
    assert len({link.code for link in links}) == 50
    assert len(codes_in((centre.folder / "cards.pdf").read_bytes())) == 50


def test_the_answer_is_for_who_asked(centre: SecuredCentre) -> None:
    station = "6408042001213"
    [link] = centre.cards(station)
    device = centre.devices(station)
    asked, answer = centre.folder / "asked", centre.folder / "answer"
    device.command("enrol", "--request", str(asked))
    centre.command("sign", str(asked), link.code, "--out", str(answer))
    told = json.loads(answer.read_text())
    told["station"] = B
    answer.write_text(json.dumps(told))
    assert f"the answer is for station {B}" in device.command("enrol", "--answer", str(answer)).stderr


def test_a_request_of_a_version_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """Found by the fuzzer: that is no ValueError."""
    der = x509.load_pem_x509_csr(request(tmp_path).encode()).public_bytes(Encoding.DER)
    odd = base64.encodebytes(der.replace(bytes.fromhex("020100"), bytes.fromhex("020104"), 1)).decode()
    with pytest.raises(BadRequest, match="no PKCS#10"):
        requested_key(f"-----BEGIN CERTIFICATE REQUEST-----\n{odd}-----END CERTIFICATE REQUEST-----\n")
