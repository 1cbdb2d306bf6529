"""A device that has enrolled at a centre signs, and that centre's authority is what its seals are judged by."""

import asyncio
from pathlib import Path

from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge.sealer import Sealer
from agent.edge.spool import Head
from central.core.chain import Verdict
from central.edge.signatures import Signatures
from tests.central.secured import A, SecuredCentre
from wire import chain
from wire.messages import Seal


def test_a_seal_of_an_enrolled_device_is_valid_by_the_centres_authority(tmp_path: Path) -> None:
    centre = SecuredCentre(tmp_path / "centre")
    centre.start()
    try:
        device = centre.devices(A)
        device.enrol(centre.cards(A)[0])
    finally:
        centre.end()
    uplinks = (Uplink("fibre", "eth0", Kind.FIBRE),)
    station = Station(A, uplinks, ("198.51.100.1",), Centre("mqtt://127.0.0.1"), state_dir=str(device.state_dir))
    kept: list[Seal] = []
    at = Head("0a1b2c3d4e5f6071", 41, chain.digest(b"41"))

    async def sign() -> None:
        async def head() -> Head:
            return at

        await Sealer(station, head, lambda seal: kept.append(seal), lambda _event: None)._seal()

    asyncio.run(sign())
    (seal,) = kept
    signatures = Signatures(A, (centre.data / "ca" / "ca.crt").read_text())
    text = chain.sealed(A, at.epoch, at.seq, at.chain)
    assert signatures.judge(seal, text) is Verdict.VALID
    assert signatures.judge(seal, text + b" ") is Verdict.FALSE
