"""The enrolment desk and the world's mess: guesses, floods, slow and broken talkers; it goes on letting in who may."""

import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from central.core.tries import Limits
from tests.central.centre import eventually
from tests.central.secured import SecuredCentre
from wire.enrolment import LARGEST_BYTES, Application, encode


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[SecuredCentre]:
    made = SecuredCentre(tmp_path)
    made.start()
    yield made
    made.end()


def opened(centre: SecuredCentre) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=centre.data / "ca" / "ca.crt")
    plain = socket.create_connection(("127.0.0.1", centre.enrol_port), timeout=20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def said(centre: SecuredCentre, data: bytes) -> bytes:
    """The whole answer; empty when there is none."""
    with opened(centre) as connection:
        try:
            connection.sendall(data)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
            return answer
        except (ConnectionError, ssl.SSLError):
            return b""


def posted(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def guess(n: int) -> bytes:
    return posted("/enrol", encode(Application(f"{n:020}", request_of_somebody())))


def request_of_somebody() -> str:
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = asked.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_who_guesses_is_stopped_for_a_while_and_a_whole_regencys_typing_errors_are_not(centre: SecuredCentre) -> None:
    most = int(Limits().wrong_of_one)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: said(centre, guess(n)), range(most + 100)))
    known = [answer for answer in answers if b" 403 " in answer and b"does not know this code" in answer]
    stopped = [answer for answer in answers if b" 429 " in answer and b"Too many wrong codes" in answer]
    assert len(known) >= most > 701 / 4
    assert stopped
    assert len(known) + len(stopped) == len(answers)


def test_a_refusal_takes_the_same_time_whatever_its_reason(centre: SecuredCentre) -> None:
    for data in (guess(1), posted("/enrol", b"{}"), posted("/renew", b"{}")):
        began = time.monotonic()
        assert said(centre, data)
        assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\x16\x03\x01" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: \xc2\xb2\r\n\r\n",
        posted("/enrol", b"x" * (LARGEST_BYTES + 1)),
        posted("/enrol", b"[" * 30_000),
        posted("/enrol", encode(Application("0" * 20, "-----BEGIN CERTIFICATE REQUEST-----\n"))),
        posted("/enrol", encode(Application("0" * 20, "x" * 30_000))),
        posted("/renew", b'{"type":"renewal","request":""}'),
    ],
    ids=range(14),
)
def test_what_is_no_question_disturbs_nobody(centre: SecuredCentre, data: bytes) -> None:
    with opened(centre) as connection, contextlib.suppress(OSError):  # it may be let go before all is said
        connection.sendall(data or b"\n")
        connection.settimeout(0.3)
        connection.recv(100)
    assert b"BEGIN CERTIFICATE" in said(centre, b"GET /ca.crt HTTP/1.1\r\n\r\n")
    assert "Traceback" not in centre.errors


def test_slow_ones_do_not_keep_others_out(centre: SecuredCentre) -> None:
    slow = [socket.create_connection(("127.0.0.1", centre.enrol_port)) for _ in range(40)]
    half = []
    for _ in range(15):
        half.append(opened(centre))
        half[-1].sendall(b"POST /enrol HTTP/1.1\r\n")
    [link] = centre.cards("6408042001502")
    try:
        assert centre.devices("6408042001502").command("enrol", str(link)).returncode == 0
    finally:
        for each in (*slow, *half):
            each.close()


def test_a_killed_desk_is_there_again(centre: SecuredCentre) -> None:
    [link] = centre.cards("6408042001503")
    children = Path(f"/proc/{centre.process.pid}/task/{centre.process.pid}/children").read_text().split()
    desk = next(pid for pid in children if "nats-server" not in str(Path(f"/proc/{pid}/exe").readlink()))
    os.kill(int(desk), signal.SIGKILL)
    eventually(lambda: "the enrolment desk has died" in centre.errors)
    eventually(lambda: _takes(centre))
    assert centre.devices("6408042001503").command("enrol", str(link)).returncode == 0


def _takes(centre: SecuredCentre) -> bool:
    try:
        return b"BEGIN" in said(centre, b"GET /ca.crt HTTP/1.1\r\n\r\n")
    except OSError:
        return False
