"""What the operator may set, and how mistakes are told: one plain sentence each, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from central.config import READERS, ConfigError, Endpoint, load


def written(folder: Path, text: str) -> Path:
    file = folder / "siaga.yaml"
    file.write_text(text)
    return file


def test_without_configuration_everything_has_a_value() -> None:
    settings = load(None, {})
    assert (str(settings.http), str(settings.mqtt)) == ("127.0.0.1:8080", "127.0.0.1:1883")
    assert settings.broker is None


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, 'http: "127.0.0.1:1000"\nmqtt: "[::1]:2000"\nhosts: [siaga.example]\n')
    settings = load(file, {"http": "127.0.0.1:3000"})
    assert (settings.http, settings.mqtt) == (Endpoint("127.0.0.1", 3000), Endpoint("::1", 2000))
    assert str(settings.mqtt) == "[::1]:2000"
    assert settings.hosts == ("siaga.example",)


def test_a_broker_elsewhere_is_an_address_and_one_here_is_a_path(tmp_path: Path) -> None:
    assert load(written(tmp_path, "broker: mqtt://10.0.0.1:1883"), {}).outside_broker == Endpoint("10.0.0.1", 1883)
    assert load(written(tmp_path, "broker: /usr/sbin/nats-server"), {}).outside_broker is None


def test_test_packets_are_answered_only_where_somebody_says_so(tmp_path: Path) -> None:
    assert (load(None, {}).stamp, load(None, {}).stamp_key) == (None, None)
    key = tmp_path / "key"
    key.write_text("00112233445566778899aabbccddeeff\n")
    settings = load(written(tmp_path, f'stamp: "[::]:862"\nstamp_key: {key}\n'), {})
    assert (settings.stamp, settings.stamp_key) == (Endpoint("::", 862), bytes(range(0, 256, 17)))
    assert "aabb" not in repr(settings)
    assert r"\xaa\xbb" not in repr(settings)


@pytest.mark.parametrize(("held", "why"), [("00" * 15, "holds 15 bytes"), ("secret", "hexadecimal"), (None, "cannot")])
def test_what_is_no_key_is_refused_and_not_told(tmp_path: Path, held: str | None, why: str) -> None:
    key = tmp_path / "key"
    if held is not None:
        key.write_text(held)
    with pytest.raises(ConfigError, match=why) as refused:
        load(written(tmp_path, f"stamp_key: {key}\n"), {})
    assert held is None or held not in str(refused.value)


def test_every_mistake_is_told_with_key_value_and_reason(tmp_path: Path) -> None:
    file = written(tmp_path, "http: 8080\nmqtt: ::1:1883\ncolour: red\nbroker: amqp://x\nhosts: one\n7: 8\n")
    with pytest.raises(ConfigError) as refused:
        load(file, {"data": ""})
    lines = str(refused.value).splitlines()
    assert lines[0] == "http = 8080: expected HOST:PORT, as in 127.0.0.1:8080"
    assert lines[1] == "mqtt = '::1:1883': an IPv6 address stands in brackets, as in [::1]:8080"
    assert lines[2] == "colour = 'red': there is no such key; known are " + ", ".join(READERS)
    assert lines[3] == "broker = 'amqp://x': only mqtt:// and mqtts:// are spoken"
    assert [line.split(" = ")[0] for line in lines[4:]] == ["hosts", "7", "--data"]


@pytest.mark.parametrize("value", ["", ":80", "host", "host:", "host:x", "host:0", "host:65536", "host:-1", "h:²"])
def test_what_is_no_endpoint_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        load(None, {"http": value})


@pytest.mark.parametrize("text", ["[1, 2]", "http: [", "\x00", "http: &a *b"])
def test_what_is_no_yaml_of_ours_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, text), {})
    assert "\n" not in str(refused.value)


def said(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "central", *arguments], capture_output=True, text=True, timeout=20, check=False
    )


def test_version_and_help_are_told_everywhere() -> None:
    for arguments in (["--version"], ["run", "--version"]):
        assert said(*arguments).stdout.startswith("siaga-central 0.")
    for arguments in (["--help"], ["run", "--help"]):
        assert "usage: siaga-central" in said(*arguments).stdout


@pytest.mark.parametrize(
    "arguments", [[], ["walk"], ["run", "--colour"], ["run", "--config", "/nowhere.yaml"], ["run", "--http", "8080"]]
)
def test_a_mistake_on_the_command_line_is_one_sentence(arguments: list[str]) -> None:
    answer = said(*arguments)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert answer.stderr.startswith("siaga-central")


def test_what_cannot_be_used_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    answer = said("run", "--data", str(file / "data"))
    assert (answer.returncode, answer.stderr) == (
        2,
        f"siaga-central: the data directory {file / 'data'} cannot be used: Not a directory\n",
    )


def test_a_data_directory_that_cannot_be_made_is_refused() -> None:
    answer = said("run", "--data", "/sys/siaga")  # where not even root may make one
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "/sys/siaga cannot be used" in answer.stderr
