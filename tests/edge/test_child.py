"""The diagnosis as a child process: what it says becomes an event, and nothing that it does can hold up the agent."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from agent.core.events import Diagnose, Diagnosed, Event
from agent.core.station import Centre, Kind, Station, Uplink
from agent.edge import child
from agent.edge.child import Examiner
from tests.edge.conftest import become
from wire.messages import Evidence

STATION = Station(
    "6408042001143", (Uplink("fibre", "wan0", Kind.FIBRE),), ("198.51.100.1",), Centre("mqtt://127.0.0.1")
)
FOUND = {"layer": "internet", "code": "CORE_SILENT", "last_hop": 3, "took_s": 14.2, "bytes": 2500}


def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, limit_s: float = 10) -> Evidence:
    """Of a child that runs this script in the place of Python."""
    program = tmp_path / "python"
    program.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(program))
    monkeypatch.setattr(child, "AFTER_S", 0.0)
    monkeypatch.setattr(child, "LIMIT_S", limit_s)

    async def run() -> Evidence:
        heard: list[Event] = []
        examiner = Examiner(STATION, heard.append)
        working = asyncio.create_task(examiner.run())
        examiner.order(Diagnose("fibre", 20_000))
        await become(lambda: bool(heard), 20)
        working.cancel()
        (event,) = heard
        assert isinstance(event, Diagnosed)
        assert event.uplink == "fibre"
        return event.evidence

    return asyncio.run(run())


@pytest.mark.parametrize("code", [0, 1])
def test_what_the_child_found_is_told(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"uplink": "fibre", "looks": [], "evidence": FOUND, "id": "x", "en": "x"})
    assert report(tmp_path, monkeypatch, f"echo '{text}'; exit {code}") == FOUND


def test_the_child_is_called_as_a_technician_would_and_reads_our_own_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'echo "$@" > {tmp_path}/called; cat /dev/stdin > {tmp_path}/read; nice > {tmp_path}/nice; exit 2'
    report(tmp_path, monkeypatch, f"sleep 0.3; {script}")
    called = (tmp_path / "called").read_text()
    assert called == "-m agent diagnose fibre --json --bytes=20000 --config=/dev/stdin\n"
    assert json.loads((tmp_path / "read").read_text())["targets"] == ["198.51.100.1"]
    assert int((tmp_path / "nice").read_text()) == os.getpriority(os.PRIO_PROCESS, 0) + child.NICE


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 2", "it ended with 2"),
        ("kill -9 $$", "it ended with -9"),
        ("echo nonsense", "it printed what is no report"),
        ("echo '{}'", "it printed what is no report"),
        ("""echo '{"evidence": {"good": true}}'""", "it printed what is no report"),
        ("""echo '{"evidence": {"hops": [1, 2]}}'""", "it printed what is no report"),
        ("printf '\\\\377'", "it printed what is no report"),
        ("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", "it printed too much"),
    ],
    ids=["mistake", "killed", "nonsense", "nothing", "a bool", "nested", "no text", "endless"],
)
def test_a_child_that_fails_is_a_finding_too(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = report(tmp_path, monkeypatch, script)
    assert (told["code"], told["why"]) == ("DIAGNOSIS_FAILED", why)
    assert "bytes" not in told


def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began_at = time.monotonic()
    told = report(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 600", limit_s=0.5)
    assert told["why"] == "it took longer than 0.5 s"
    assert time.monotonic() - began_at < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_program_that_cannot_be_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = report(tmp_path, monkeypatch, "#!/nowhere")
    assert (told["code"], told["why"]) == ("DIAGNOSIS_FAILED", "No such file or directory")


def test_a_child_at_work_ends_with_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, pid = tmp_path / "python", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(program))
    monkeypatch.setattr(child, "AFTER_S", 0.0)

    async def run() -> None:
        examiner = Examiner(STATION, lambda _event: None)
        working = asyncio.create_task(examiner.run())
        examiner.order(Diagnose("fibre", 20_000))
        await become(pid.exists)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(run())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
