"""The local socket on which the commands speak with the agent."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.edge import control


def serving(state_dir: Path, meanwhile: Any) -> Any:
    """What `meanwhile` gives, run in a thread while the socket is served by an agent that repeats the question."""

    async def both() -> Any:
        server = await control.serve(state_dir, lambda request: {"heard": request})
        try:
            return await asyncio.to_thread(meanwhile)
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(both())


def say(state_dir: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as speaking:
        speaking.settimeout(5)
        speaking.connect(str(state_dir / "agent.sock"))
        try:
            speaking.sendall(data)
            speaking.shutdown(socket.SHUT_WR)
            return speaking.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return b""


def test_a_question_is_answered(tmp_path: Path) -> None:
    heard = serving(tmp_path, lambda: control.ask(tmp_path, {"do": "status"}))
    assert heard == {"heard": {"do": "status"}}


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"\n", b"{", b"\xff\n", b"x" * 100_000, b"[" * 4000 + b"\n", b"{}{}\n"],
    ids=lambda data: repr(data[:10]),
)
def test_nonsense_loses_its_answer_and_nothing_else(tmp_path: Path, nonsense: bytes, caplog: Any) -> None:
    def speak() -> tuple[bytes, dict[str, Any]]:
        return say(tmp_path, nonsense), control.ask(tmp_path, {"do": "status"})

    assert serving(tmp_path, speak) == (b"", {"heard": {"do": "status"}})
    assert caplog.text == ""


def test_who_connects_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    def speak() -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(tmp_path / "agent.sock"))
            return control.ask(tmp_path, {"do": "status"})

    assert serving(tmp_path, speak) == {"heard": {"do": "status"}}


def test_who_leaves_before_the_answer_does_no_harm(tmp_path: Path) -> None:
    def speak() -> dict[str, Any]:
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as leaving:
                leaving.connect(str(tmp_path / "agent.sock"))
                leaving.sendall(b'{"do": "status"}\n')
        return control.ask(tmp_path, {"do": "status"})

    assert serving(tmp_path, speak) == {"heard": {"do": "status"}}


def test_the_socket_that_a_killed_agent_left_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "agent.sock"))
    assert serving(tmp_path, lambda: control.ask(tmp_path, {"a": 1})) == {"heard": {"a": 1}}


def test_only_owner_and_group_may_speak(tmp_path: Path) -> None:
    mode = serving(tmp_path, lambda: (tmp_path / "agent.sock").stat().st_mode)
    assert mode & 0o777 == 0o660


def test_without_an_agent_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(control.NotRunning, match=f"no agent is running with state_dir {tmp_path}"):
        control.ask(tmp_path, {"do": "status"})


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[1\n"])
def test_an_answer_that_is_none_is_no_agent(tmp_path: Path, answer: bytes) -> None:
    async def both() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(talk, tmp_path / "agent.sock"):
            await asyncio.to_thread(control.ask, tmp_path, {})

    with pytest.raises(control.NotRunning):
        asyncio.run(both())


def test_a_second_agent_is_refused_the_state_directory(tmp_path: Path) -> None:
    held = control.hold(tmp_path)
    try:
        with pytest.raises(control.AlreadyRunning, match="another agent is running with state_dir"):
            control.hold(tmp_path)
    finally:
        os.close(held)
    os.close(control.hold(tmp_path))


HOLD_ROUTES = "from agent.edge import control; control.hold_routes(); print('held', flush=True); input()"


@pytest.mark.usefixtures("cell")
def test_a_second_agent_is_refused_the_routes_of_the_same_device_only() -> None:
    hold = [sys.executable, "-c", HOLD_ROUTES]
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(control.AlreadyRunning, match="keeps the routes of this device"):
            control.hold_routes()
        elsewhere = subprocess.run(["unshare", "--net", *hold], input=b"\n", capture_output=True, check=True)
        assert elsewhere.stdout == b"held\n"
        first.stdin.close()
    os.close(control.hold_routes())


def test_an_agent_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = "import sys; from agent.edge import control; from pathlib import Path; control.hold(Path(sys.argv[1]))"
    holder = f"{program}; print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holder, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(control.AlreadyRunning):
            control.hold(tmp_path)
        process.kill()
    os.close(control.hold(tmp_path))


def test_an_answer_is_one_line_of_json(tmp_path: Path) -> None:
    said = serving(tmp_path, lambda: say(tmp_path, b'{"do": "auto"}\n'))
    assert said.endswith(b"\n")
    assert json.loads(said) == {"heard": {"do": "auto"}}
