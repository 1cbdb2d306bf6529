"""The installed command, as its operator types it: exit codes, and one plain sentence for each mistake."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from agent.edge import control

COMMAND = str(Path(sys.executable).with_name("siaga-agent"))
COMMANDS = ("run", "check", "status", "diagnose", "move", "auto", "phase", "cleanup")
CONFIG = """
station: "6408042001143"
uplinks: [{{name: fibre, interface: wan0, kind: fibre}}, {{name: lte, interface: wan1, kind: lte}}]
targets: [198.51.100.1]
centre: {{broker: "mqtt://127.0.0.1"}}
state_dir: {state_dir}
"""


def siaga(*arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG.format(state_dir=tmp_path / "state"))
    return path


def test_the_version_is_told() -> None:
    done = siaga("--version")
    assert (done.returncode, done.stdout) == (0, f"siaga-agent {version('siaga')}\n")


@pytest.mark.parametrize("buffered", ["", "1"])
def test_who_does_not_wait_for_an_answer_gets_no_traceback(config: Path, buffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        command, environment = [COMMAND, "check", "--config", str(config)], os.environ | {"PYTHONUNBUFFERED": buffered}
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, env=environment, timeout=30, check=False)
    assert done.stderr == b""


def test_help_names_every_command() -> None:
    done = siaga("--help")
    assert done.returncode == 0
    assert all(f"    {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = siaga(command, "--help")
    assert done.returncode == 0
    assert "--config FILE" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("dance",), ("check", "--loud"), ("move",), ("phase",), ("phase", "dinner")])
def test_a_command_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    done = siaga(*arguments)
    assert done.returncode == 2
    assert "usage: siaga-agent" in done.stderr


def test_a_good_configuration_is_called_good(config: Path) -> None:
    done = siaga("check", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{config}: good; station 6408042001143 with 2 uplinks\n"


def test_each_mistake_in_a_configuration_is_one_line_and_no_traceback(config: Path) -> None:
    text = config.read_text().replace("198.51.100.1", "dns").replace("kind: lte", "kind: 5g").replace("mqtt:", "http:")
    config.write_text(text.replace("kind: 5g", "kind: lte").replace("name: lte", "name: fibre"))
    done = siaga("check", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{config}: ") for line in lines)


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("run",),
        ("status",),
        ("diagnose", "lte"),
        ("move", "lte"),
        ("auto",),
        ("phase", "count"),
        ("cleanup",),
    ],
)
def test_without_a_configuration_every_command_says_so(command: tuple[str, ...], tmp_path: Path) -> None:
    done = siaga(*command, "--config", tmp_path / "none.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    "command",
    [("status",), ("status", "--json"), ("move", "lte", "--for", "30m"), ("auto",), ("phase", "count", "--for", "6h")],
)
def test_without_an_agent_there_is_one_sentence_and_code_three(command: tuple[str, ...], config: Path) -> None:
    done = siaga(*command, "--config", config)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"siaga-agent: no agent is running with state_dir {config.parent}/state\n"


def test_an_uplink_that_is_none_is_not_diagnosed(config: Path) -> None:
    done = siaga("diagnose", "geo", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "siaga-agent: there is no uplink geo; there are fibre, lte\n"


@pytest.mark.parametrize("size", ["", "-1", "many", "1e4", "1" * 10, "²"])
def test_a_number_of_bytes_that_is_none_is_refused(size: str, config: Path) -> None:
    done = siaga("diagnose", "lte", f"--bytes={size}", "--config", config)
    assert done.returncode == 2
    assert f"{size!r} is no number of bytes; write 20000" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to come so far")
def test_a_diagnosis_needs_neither_agent_nor_interface(config: Path) -> None:
    config.write_text(config.read_text().replace("wan1", "no-such-wan"))
    done = siaga("diagnose", "lte", "--config", config)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("There is no interface no-such-wan; technician: ")


@pytest.mark.parametrize("duration", ["", "soon", "30", "m", "-5m", "0s", "nans", "infh", "5d", "1e400s"])
def test_a_duration_that_is_none_is_refused(duration: str, config: Path) -> None:
    done = siaga("move", "lte", f"--for={duration}", "--config", config)
    assert done.returncode == 2
    assert f"{duration!r} is no duration; write 90s, 30m or 2h" in done.stderr


def test_the_help_says_what_a_phase_is_for() -> None:
    said = " ".join(siaga("phase", "--help").stdout.split())
    assert (
        "while votes are counted (count) and sent (upload), traffic stays where it is unless its uplink fails" in said
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("count", "--for", "6h"), "phase count for 21600 s: traffic does not come home by itself"),
        (("upload",), "phase upload until `siaga-agent phase normal`: traffic does not come home by itself"),
        (("normal",), "phase normal: traffic comes home by itself"),
    ],
)
def test_a_phase_is_set_and_said(arguments: tuple[str, ...], said: str, config: Path) -> None:
    with an_agent_that_answers({"done": True}, config.parent / "state") as heard:
        done = siaga("phase", *arguments, "--config", config)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", said + "\n")
    for_s = 21600.0 if "--for" in arguments else None
    assert heard == [{"do": "phase", "phase": arguments[0], "for_s": for_s}]


def test_the_normal_phase_has_no_end(config: Path) -> None:
    done = siaga("phase", "normal", "--for", "6h", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "siaga-agent: phase normal takes no --for: it lasts until another phase begins\n"


def test_what_the_agent_refuses_is_one_sentence_and_code_two(config: Path) -> None:
    with an_agent_that_answers({"error": "not now"}, config.parent / "state"):
        done = siaga("phase", "count", "--config", config)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "siaga-agent: not now\n")


def test_the_status_shows_what_is_used_of_a_plan(config: Path) -> None:
    uplink = {"interface": "wan0", "health": "up", "since_s": 5.0, "rtt_ms": 8.0, "loss": 0.0, "carries_traffic": True}
    plan = {"policy": "low", "used_mb": 2412.3, "plan_mb": 3000.0, "reserve_mb": 300.0}
    status = {
        "station": "6408042001143",
        "phase": "normal",
        "active": {"ipv4": "lte", "ipv6": None},
        "uplinks": [uplink | {"name": "fibre", "plan": None}, uplink | {"name": "lte", "plan": plan}],
        "centre": {"connected": True, "unsent": 0},
    }
    with an_agent_that_answers(status, config.parent / "state"):
        lines = siaga("status", "--config", config).stdout.splitlines()
    assert [line for line in lines if "plan" in line] == [
        "plan of lte: 2412 of 3000 MB used (80%), 300 MB in reserve; low: what is not essential is slowed down"
    ]


@contextmanager
def an_agent_that_answers(answer: dict[str, Any], state_dir: Path) -> Iterator[list[dict[str, Any]]]:
    """Its socket, served in a thread as the agent does; gives what was asked."""
    heard: list[dict[str, Any]] = []
    state_dir.mkdir()
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with await control.serve(state_dir, lambda request: heard.append(request) or answer):
            ready.set()
            await asyncio.to_thread(over.wait)

    with ThreadPoolExecutor(1) as serving:
        served = serving.submit(asyncio.run, serve())
        assert ready.wait(10)
        try:
            yield heard
        finally:
            over.set()
        served.result()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give up privileges")
@pytest.mark.parametrize("command", ["run", "cleanup"])
def test_without_privileges_it_is_said_in_one_sentence(command: str) -> None:
    """As a user of the station would: nobody, with nothing but what everybody may do."""
    without = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    readable = subprocess.run([*without, COMMAND, "--version"], capture_output=True, check=False).returncode == 0
    if not readable:
        pytest.skip("nobody may read this virtual environment")
    path = Path("/tmp") / f"siaga-test-{os.getpid()}.yaml"
    path.write_text(CONFIG.format(state_dir="/var/lib/siaga-of-nobody"))
    try:
        done = siaga(command, "--config", path, before=without)
    finally:
        path.unlink()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "siaga-agent: sending echoes and setting routes needs CAP_NET_RAW and CAP_NET_ADMIN; run as root\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to come so far")
def test_a_state_directory_that_cannot_be_is_named(config: Path) -> None:
    (config.parent / "state").write_text("a file")
    done = siaga("run", "--config", config)
    assert done.returncode == 2
    assert done.stderr == f"siaga-agent: state_dir = {config.parent}/state: cannot be used: File exists\n"


def test_systemd_hears_what_was_refused_and_is_kept_from_trying_at_once(config: Path) -> None:
    config.write_text(config.read_text().replace("kind: fibre", "kind: copper").replace("6408042001143", "x"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind(str(config.parent / "notify"))
        environment = os.environ | {"NOTIFY_SOCKET": str(config.parent / "notify")}
        refused = subprocess.Popen([COMMAND, "run", "--config", config], env=environment, stderr=subprocess.DEVNULL)
        try:
            heard = manager.recv(4096).decode()
            assert heard.startswith(f"STATUS={config}: ")
            assert "\n" not in heard
            assert refused.poll() is None
        finally:
            refused.terminate()
        assert refused.wait(20) == -signal.SIGTERM, "who mends the configuration and restarts it need not wait"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to come so far")
def test_a_second_agent_is_refused(config: Path) -> None:
    (config.parent / "state").mkdir()
    held = control.hold(config.parent / "state")
    try:
        done = siaga("run", "--config", config)
    finally:
        os.close(held)
    assert done.returncode == 2
    assert done.stderr == f"siaga-agent: another agent is running with state_dir {config.parent}/state\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to come so far")
def test_without_nft_a_station_that_is_to_be_limited_is_refused(config: Path) -> None:
    config.write_text(config.read_text().replace("kind: lte", "kind: lte, up_kbps: 1000"))
    done = siaga("run", "--config", config, before=("/usr/bin/env", "PATH=/nowhere"))
    assert done.returncode == 2
    assert done.stderr == (
        "siaga-agent: metered, up_kbps: traffic is limited by the command nft, which is not installed; "
        "apt-get install nftables\n"
    )


def test_a_state_directory_with_too_long_a_name_is_refused_before_anything_is_done(config: Path) -> None:
    """A socket's address has 108 bytes."""
    config.write_text(CONFIG.format(state_dir=config.parent / ("x" * 100)))
    done = siaga("check", "--config", config)
    assert done.returncode == 2
    assert "state_dir" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("held", "mode", "why"),
    [
        (None, 0, "cannot be read: No such file or directory"),
        ("00" * 15, 0o600, "holds 15 bytes; a key has at least 16"),
        ("secret", 0o600, "does not hold hexadecimal digits alone, as `openssl rand -hex 32` prints them"),
        ("é", 0o600, "does not hold hexadecimal digits alone, as `openssl rand -hex 32` prints them"),
        ("00" * 32, 0o640, "can be read by others than its owner; chmod 600 {file}"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_key_that_is_none_is_refused_in_one_sentence_and_not_told(
    config: Path, tmp_path: Path, command: str, held: str | None, mode: int, why: str
) -> None:
    file = tmp_path / "stamp.key"
    if held is not None:
        file.write_text(held)
        file.chmod(mode)
    stamp = f'{{broker: "mqtt://127.0.0.1", stamp: ["198.51.100.10:862"], stamp_key: {file}}}'
    config.write_text(config.read_text().replace('{broker: "mqtt://127.0.0.1"}', stamp))
    done = siaga(command, "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"siaga-agent: centre.stamp_key = {file}: {why.format(file=file)}\n"


def test_a_good_key_is_taken(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "stamp.key"
    file.write_text("00" * 32 + "\n")
    file.chmod(0o400)
    stamp = f'{{broker: "mqtt://127.0.0.1", stamp: ["198.51.100.10:862"], stamp_key: {file}}}'
    config.write_text(config.read_text().replace('{broker: "mqtt://127.0.0.1"}', stamp))
    assert siaga("check", "--config", config).returncode == 0
