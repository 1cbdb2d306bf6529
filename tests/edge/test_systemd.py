"""What systemd hears of us, on a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.edge.systemd import Notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in systemd's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_systemd_hears_that_we_are_ready_alive_how_we_are_and_that_we_stop(manager: socket.socket) -> None:
    notify = Notify()
    notify.ready()
    notify.alive()
    notify.status("traffic by fibre; fibre up, lte dead")
    notify.stopping()
    heard = [manager.recv(1000).decode() for _ in range(4)]
    assert heard == ["READY=1", "WATCHDOG=1", "STATUS=traffic by fibre; fibre up, lte dead", "STOPPING=1"]


def test_an_abstract_address_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"siaga-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Notify().ready()
        assert listening.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notify().ready()


def test_a_systemd_that_is_gone_does_not_stop_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    Notify().ready()


def test_a_systemd_that_does_not_listen_does_not_make_us_wait(manager: socket.socket) -> None:
    notify = Notify()
    for _ in range(5000):
        notify.alive()
    assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(("said", "understood"), [("30000000", 30.0), ("", None), ("soon", None), ("-1", None)])
def test_how_often_systemd_wants_to_hear_of_us(
    said: str, understood: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", said)
    assert Notify().watchdog_s == understood
