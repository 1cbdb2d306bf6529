"""Seals by a real key in a real child process; without a key, with a broken one, and with a child that hangs."""

import asyncio
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agent.core.events import Event, Noticed
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge import child
from agent.edge import sealer as module
from agent.edge.sealer import Sealer
from agent.edge.spool import Head
from wire import chain
from wire.messages import Seal

NUMBER = "6408042001143"


def make_key(state_dir: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = state_dir / "device.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


class Desk:
    """In the daemon's place: says where the chain is, and keeps what comes."""

    def __init__(self, state_dir: Path) -> None:
        uplinks = (Uplink("fibre", "eth0", Kind.FIBRE),)
        station = Station(NUMBER, uplinks, ("198.51.100.1",), Centre("mqtt://127.0.0.1"), state_dir=str(state_dir))
        self.state_dir = state_dir
        self.epoch, self.seq = "0a1b2c3d4e5f6071", 41
        self.kept: list[Seal] = []
        self.told: list[Event] = []
        self.sealer = Sealer(station, self._head, self.kept.append, self.told.append)

    async def _head(self) -> Head:
        return Head(self.epoch, self.seq, chain.digest(str(self.seq).encode()))

    def verify(self, seal: Seal) -> None:
        key = load_pem_private_key((self.state_dir / "device.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        text = chain.sealed(NUMBER, self.epoch, seal.upto, chain.binary(seal.chain))
        key.public_key().verify(chain.binary(seal.signature), text, ec.ECDSA(hashes.SHA256()))


def with_desk(state_dir: Path, test: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(Desk(state_dir))

    asyncio.run(run())


def test_a_seal_says_how_far_and_is_signed_by_the_devices_key(tmp_path: Path) -> None:
    make_key(tmp_path)

    async def test(desk: Desk) -> None:
        await desk.sealer._seal()
        (seal,) = desk.kept
        assert (seal.upto, seal.certificate) == (41, None)
        desk.verify(seal)
        desk.epoch = "another"
        with pytest.raises(InvalidSignature):
            desk.verify(seal)

    with_desk(tmp_path, test)


def test_the_certificate_goes_along_when_it_is_new(tmp_path: Path) -> None:
    make_key(tmp_path)

    async def test(desk: Desk) -> None:
        for certificate in ("one", "one", "two", "two"):
            (tmp_path / "device.crt").write_text(certificate)
            await desk.sealer._seal()
        assert [seal.certificate for seal in desk.kept] == ["one", None, "two", None]

    with_desk(tmp_path, test)


def test_a_device_without_a_key_signs_nothing_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def test(desk: Desk) -> None:
        for _ in range(3):
            await desk.sealer._seal()
        assert (desk.kept, desk.told) == ([], [])
        assert caplog.text.count("records are not signed") == 1
        make_key(tmp_path)
        await desk.sealer._seal()
        assert len(desk.kept) == 1

    with_desk(tmp_path, test)


@pytest.mark.parametrize("spoilt", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_used_is_told_once_and_tried_again(spoilt: bytes, tmp_path: Path) -> None:
    (tmp_path / "device.key").write_bytes(spoilt)

    async def test(desk: Desk) -> None:
        await desk.sealer._seal()
        await desk.sealer._seal()
        assert [event.code for event in desk.told if isinstance(event, Noticed)] == ["SEAL_FAILED"]
        make_key(tmp_path)
        await desk.sealer._seal()
        assert len(desk.kept) == 1

    with_desk(tmp_path, test)


def test_a_child_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path)
    monkeypatch.setattr(child, "LIMIT_S", 0.2)
    real = child.run
    monkeypatch.setattr(module.child, "run", lambda _command, text: real(["/bin/sleep", "60"], text))

    async def test(desk: Desk) -> None:
        await desk.sealer._seal()
        assert desk.told == [Noticed("SEAL_FAILED", {"why": "it took too long"})]
        assert desk.kept == []

    with_desk(tmp_path, test)


def test_seals_come_by_themselves_and_at_once_when_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path)
    for name, value in {"FIRST_S": 0.01, "EVERY_S": 3600.0, "AFTER_S": 0.01, "PAUSE_S": 0.01}.items():
        monkeypatch.setattr(module, name, value)

    async def test(desk: Desk) -> None:
        running = asyncio.create_task(desk.sealer.run())
        for count in (1, 2):
            async with asyncio.timeout(20):
                while len(desk.kept) < count:
                    await asyncio.sleep(0.01)
            desk.sealer.want()
        running.cancel()

    with_desk(tmp_path, test)
