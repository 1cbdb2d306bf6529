"""Whom the device trusts while its clock is not set, and when it is: over real TLS, with certificates of any date."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.edge import clock, memory, trust
from agent.edge.trust import GRACE_S, Misdated, TimeKeeper, last_time, misdated, trusting
from central.edge.authority import OWN_DAYS, Authority, private_pem

DAY_S = 86_400.0
Serve = Callable[..., int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def serve(authority: Authority, tmp_path: Path) -> Iterator[Serve]:
    """A server whose certificate begins so many days from now; gives its port."""
    listeners: list[socket.socket] = []

    def begin(days: float, of: Authority = authority) -> int:
        key = ec.generate_private_key(ec.SECP256R1())
        issued = of.own(key.public_key(), "server", ["127.0.0.1"], time.time() + days * DAY_S)
        (tmp_path / "crt").write_text(issued.pem)
        (tmp_path / "key").write_bytes(private_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_welcome, args=(listeners[-1], context), daemon=True).start()
        return int(listeners[-1].getsockname()[1])

    yield begin
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _welcome(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
            with plain, context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(1)
        except ssl.SSLError:
            continue
        except OSError:
            return


def meet(port: int, authority: Authority, last_s: float = 0.0) -> str:
    """What was forgiven; raises what the handshake raises."""
    context = trusting(authority.pem, last_s)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1"),
    ):
        return context.forgiven


@pytest.fixture
def in_1970(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: (100.0, False))


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: (time.time(), True))


@pytest.mark.usefixtures("in_1970")
def test_a_board_in_1970_believes_the_centre_and_says_what_it_forgave(serve: Serve, authority: Authority) -> None:
    assert meet(serve(0), authority, time.time() - 100 * DAY_S) == "not yet valid"


@pytest.mark.usefixtures("in_1970")
def test_a_board_that_knows_no_time_at_all_believes_its_own_authority(serve: Serve, authority: Authority) -> None:
    assert meet(serve(0), authority) == "not yet valid"


@pytest.mark.usefixtures("in_1970")
def test_what_ended_before_the_last_known_time_is_over(serve: Serve, authority: Authority) -> None:
    with pytest.raises(Misdated, match="ended before the last time"):
        meet(serve(-OWN_DAYS - 10), authority, time.time())


@pytest.mark.usefixtures("in_1970")
def test_what_begins_long_after_the_last_known_time_is_not_believed(serve: Serve, authority: Authority) -> None:
    with pytest.raises(Misdated, match="begins more than 400 days after"):
        meet(serve(0), authority, time.time() - GRACE_S - 10 * DAY_S)


@pytest.mark.usefixtures("in_1970")
def test_no_clock_makes_a_foreign_authority_good(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(serve(0, Authority(tmp_path / "foreign")), authority)


@pytest.mark.usefixtures("set_clock")
@pytest.mark.parametrize(("days", "why"), [(-OWN_DAYS - 1, "expired"), (2, "not yet valid")])
def test_once_the_clock_is_set_nothing_is_forgiven(serve: Serve, authority: Authority, days: float, why: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        meet(serve(days), authority, 0.0)


@pytest.mark.usefixtures("set_clock")
def test_with_a_set_clock_a_good_certificate_needs_no_forgiveness(serve: Serve, authority: Authority) -> None:
    assert meet(serve(0), authority) == ""


def test_the_rule_by_its_numbers() -> None:
    assert misdated(0, 100, 100) is None
    assert misdated(0, 99, 100) is not None
    assert misdated(100 + GRACE_S, 2 * GRACE_S, 100) is None
    assert misdated(101 + GRACE_S, 2 * GRACE_S, 100) is not None
    assert misdated(1e12, 2e12, 0) is None


def test_the_last_time_is_kept_only_when_somebody_has_set_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = TimeKeeper(tmp_path)
    monkeypatch.setattr(clock, "wall", lambda: (5e9, False))
    assert not keeper.due(0.0)
    monkeypatch.setattr(clock, "wall", lambda: (1.8e9, True))
    assert keeper.due(0.0)
    keeper.keep()
    assert not keeper.due(trust.KEPT_EVERY_S - 1)
    assert keeper.due(trust.KEPT_EVERY_S)
    assert last_time(tmp_path) == 1.8e9


@pytest.mark.parametrize("content", [b"", b"nan", b"-5", b"inf", b"\xff", b"soon", b"1" * 400])
def test_a_damaged_last_time_is_none(tmp_path: Path, content: bytes) -> None:
    memory.replace(tmp_path / trust.LAST_TIME, content)
    assert last_time(tmp_path) in (0.0, float(b"1" * 64))
