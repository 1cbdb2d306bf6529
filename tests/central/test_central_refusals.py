"""What the centre finds wrong at its start: one sentence, exit code 2, nothing left running."""

import signal
import socket
import sqlite3
from pathlib import Path

import pytest

from central.edge import systemd
from central.edge.broker import BrokerError, configuration, find_program
from tests.central.centre import Centre


@pytest.mark.parametrize("name", ["http", "mqtt"])
def test_a_port_in_use_is_named(centre: Centre, name: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", centre.http_port if name == "http" else centre.mqtt_port))
        other.listen()
        port = other.getsockname()[1]
        assert centre.refusal() == f"siaga-central: {name} 127.0.0.1:{port} cannot be used: Address already in use\n"


def test_systemd_hears_what_was_refused_and_is_kept_from_trying_at_once(tmp_path: Path) -> None:
    settings = tmp_path / "siaga.yaml"
    settings.write_text("http: nowhere\ncolour: red\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        centre = Centre(tmp_path, "--config", str(settings), NOTIFY_SOCKET=str(tmp_path / "notify"))
        centre.launch()
        try:
            heard = manager.recv(4096).decode()
            assert heard.startswith("STATUS=http = 'nowhere': ")
            assert "; colour = 'red': " in heard
            assert centre.process.poll() is None
        finally:
            centre.process.terminate()
        assert centre.process.wait(20) == -signal.SIGTERM


def test_a_systemd_that_is_gone_or_does_not_listen_does_not_stop_the_centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    systemd.notify("WATCHDOG=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        for _ in range(5000):
            systemd.notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


def test_two_centres_do_not_share_a_data_directory(centre: Centre, tmp_path: Path) -> None:
    centre.start()
    (tmp_path / "other").mkdir()
    second = Centre(tmp_path / "other")
    second.data = centre.data
    assert "is in use by another siaga-central" in second.refusal()


def test_a_damaged_database_is_not_taken_for_an_empty_one(centre: Centre) -> None:
    centre.data.mkdir()
    (centre.data / "siaga.sqlite3").write_bytes(b"this is no database" * 100)
    assert "is damaged" in centre.refusal()


def test_a_database_with_a_damaged_page_is_refused(centre: Centre) -> None:
    centre.start()
    centre.stop()
    file = centre.data / "siaga.sqlite3"
    content = bytearray(file.read_bytes())
    content[4096 * 2 : 4096 * 3] = b"\xaa" * 4096
    file.write_bytes(content)
    (centre.data.parent / "stderr").write_text("")
    assert "is damaged" in centre.refusal()


def test_a_database_of_a_newer_version_is_left_alone(centre: Centre) -> None:
    centre.start()
    centre.stop()
    database = sqlite3.connect(centre.data / "siaga.sqlite3")
    with database:
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('siaga', '9999_later', 0)")
    database.close()
    (centre.data.parent / "stderr").write_text("")
    assert "written by a newer version of Siaga (9999_later)" in centre.refusal()


def test_a_configured_broker_that_is_none_is_refused(tmp_path: Path) -> None:
    settings = tmp_path / "siaga.yaml"
    for program, reason in (("/nowhere/nats-server", "cannot be run"), ("/bin/true", "2.10 or newer is needed")):
        settings.write_text(f"broker: {program}\n")
        refused = Centre(tmp_path, "--config", str(settings))
        (tmp_path / "stderr").write_text("")
        assert reason in refused.refusal()


def test_the_broker_is_looked_for_on_path_and_then_in_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_wheel = find_program(None)
    assert in_wheel.name == "nats-server"
    on_path = tmp_path / "nats-server"
    on_path.write_text("#!/bin/sh\necho nats-server: v2.12.1\n")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_program(None) == on_path
    on_path.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")  # Debian 12's does not know sync_interval
    assert find_program(None) == in_wheel
    assert find_program(str(in_wheel)) == in_wheel


def test_no_broker_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("central.edge.broker._program_of_wheel", lambda: None)
    with pytest.raises(BrokerError, match="no broker found: install"):
        find_program(None)


def test_the_broker_opens_one_port_to_others_and_bounds_its_disk() -> None:
    text = configuration(Path("/data"), "0.0.0.0", 1883)
    assert text.count("0.0.0.0") == 1
    assert 'listen: "127.0.0.1:-1"' in text
    assert "max_file_store: 2GB" in text
    assert "http" not in text
