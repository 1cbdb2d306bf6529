"""Commands and their answers, byte for byte; what is signed stays verifiable; every name of a refusal has its words."""

import ast
import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from agent.core.given import Question
from agent.verify import Unsure, check, judge
from central.edge.authority import Authority
from wire.codes import CODES
from wire.command import CONFIG_BYTES, CONTEXT, Command, Kind, Result, Signed, Status, Why, decode, encode
from wire.messages import LARGEST_BYTES, BadMessage
from wire.refusals import REFUSALS

GOLDEN = Path("tests/wire/golden_command")
STATION = "6408042001143"
ID = "0f1e2d3c4b5a6978"
DAY_OF_SIGNING_S = 1_795_347_843.0
TEXT = f'station: "{STATION}"\n'
SAMPLES: dict[str, Any] = {
    "command": Command(
        STATION, ID, Kind.MOVE, "Siti Rahma", 1795000000.0, 1795000300.0, "a1b2c3d4e5f6", 412.25,
        {"uplink": "lte", "for_s": 1800.0},
    ),
    "config": Command(
        STATION, "config-7", Kind.CONFIG, "Siti Rahma", 1795000000.0, None,
        arguments={"version": 7, "hash": "aa", "text": TEXT},
    ),
    "result": Result(
        STATION, ID, Status.REFUSED, "PHASE_FORBIDS", "phase count", {"phase": "count", "left_s": None, "n": 2.5}
    ),
}  # fmt: skip


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_golden_file_is_the_value_written_here_both_ways(name: str) -> None:
    assert decode(golden(name), type(SAMPLES[name])) == SAMPLES[name]
    assert encode(SAMPLES[name]) == golden(name)


def test_what_was_signed_once_is_still_the_centres() -> None:
    signed = decode(golden("signed"), Signed)
    check(signed, (GOLDEN / "authority.pem").read_text(), DAY_OF_SIGNING_S)
    assert decode(signed.body.encode(), Command) == SAMPLES["command"]
    assert encode(signed) == golden("signed")


@pytest.mark.parametrize("at", range(0, 220, 7))
def test_a_letter_changed_anywhere_in_it_is_seen(at: int) -> None:
    signed = decode(golden("signed"), Signed)
    body = signed.body[:at] + chr(ord(signed.body[at]) ^ 1) + signed.body[at + 1 :]
    with pytest.raises(Unsure):
        check(Signed(body, signed.signature, signed.certificate), (GOLDEN / "authority.pem").read_text(), None)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"type":"signed"}', b"[" * 100_000, b" " * (1 << 17)])
def test_what_is_none_is_refused_in_one_sentence(data: bytes) -> None:
    for kind in (Signed, Command, Result):
        with pytest.raises(BadMessage) as refused:
            decode(data, kind)  # type: ignore[type-var]
        assert len(str(refused.value).splitlines()) == 1


def test_the_largest_configuration_fits_into_one_message_however_it_is_quoted() -> None:
    worst = Command(
        STATION,
        "config-7",
        "config",
        "x" * 64,
        0,
        None,
        arguments={"text": '"' * (CONFIG_BYTES // 2) + "a" * (CONFIG_BYTES // 2)},
    )
    sealed = encode(Signed(encode(worst).decode(), "s" * 96, "c" * 1000))
    assert len(sealed) <= LARGEST_BYTES * 1.2
    usual = Command(
        STATION, "config-7", "config", "x" * 64, 0, None, arguments={"text": ('- key: "value"\n' * 2000)[:CONFIG_BYTES]}
    )
    assert len(encode(Signed(encode(usual).decode(), "s" * 96, "c" * 1000))) <= LARGEST_BYTES


def test_every_reason_has_its_words_and_is_given_by_somebody() -> None:
    assert set(REFUSALS) == set(Why) - {Why.NOT_ENROLLED}
    assert {str(why) for why in Why} <= CODES.keys()
    given = {
        node.attr
        for path in Path("agent").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Why"
    }
    assert given == {str(why) for why in Why}


YEAR_S = 365 * 86_400.0


@pytest.mark.parametrize("wall_s", [DAY_OF_SIGNING_S - YEAR_S, DAY_OF_SIGNING_S + YEAR_S])
def test_on_a_day_on_which_the_certificate_is_not_valid_nobody_is_obeyed(wall_s: float) -> None:
    signed, authority = decode(golden("signed"), Signed), (GOLDEN / "authority.pem").read_text()
    with pytest.raises(Unsure, match="not valid today"):
        check(signed, authority, wall_s)
    check(signed, authority, None)


@pytest.mark.parametrize("name", [STATION, "siaga-collector", "siaga-command2", "SIAGA-COMMAND"])
def test_who_has_another_certificate_of_the_same_authority_may_not_command(name: str, tmp_path: Path) -> None:
    authority, key = Authority(tmp_path), ec.generate_private_key(ec.SECP256R1())
    issued = authority.own(key.public_key(), name, (), DAY_OF_SIGNING_S)
    body = encode(SAMPLES["command"]).decode()
    signature = base64.b64encode(key.sign(CONTEXT + body.encode(), ec.ECDSA(hashes.SHA256()))).decode()
    with pytest.raises(Unsure, match="who may not command"):
        check(Signed(body, signature, issued.pem), authority.pem, DAY_OF_SIGNING_S)


def test_a_certificate_that_its_holder_has_signed_himself_is_none(tmp_path: Path) -> None:
    other = Authority(tmp_path)
    signed = decode(golden("signed"), Signed)
    with pytest.raises(Unsure, match="not from this device's authority"):
        check(Signed(signed.body, signed.signature, other.pem), (GOLDEN / "authority.pem").read_text(), None)


def test_a_certificate_of_a_version_that_there_is_not_is_none() -> None:
    """Found by the fuzzer: that is no ValueError."""
    signed = decode(golden("signed"), Signed)
    der = x509.load_pem_x509_certificate(signed.certificate.encode()).public_bytes(Encoding.DER)
    odd = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020117"), 1)
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(odd).decode()}-----END CERTIFICATE-----\n"
    with pytest.raises(Unsure, match="not from this device's authority"):
        check(Signed(signed.body, signed.signature, pem), (GOLDEN / "authority.pem").read_text(), None)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_the_child_is_asked_it_says_that_it_is_unsure(data: bytes) -> None:
    text, authority = data.decode(errors="replace"), (GOLDEN / "authority.pem").read_text()
    good = decode(golden("signed"), Signed)
    for signed in (
        Signed(text, good.signature, good.certificate),
        Signed(good.body, text, good.certificate),
        Signed(good.body, good.signature, text),
    ):
        with pytest.raises(Unsure):
            check(signed, authority, None)
    assert judge(Question(text, authority, STATION, "/x", None)).forged
    assert judge(Question(golden("signed").decode(), text, STATION, "/x", None)).forged
