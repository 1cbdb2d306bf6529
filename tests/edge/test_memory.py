"""What is remembered on the card: read back as it was, set aside when it cannot be understood, whole after a kill."""

import os
import signal
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import msgspec
import pytest

from agent.core.memory import VERSION, Memory, Watched
from agent.edge.memory import BYTES_AT_MOST, Writer, read

LEARNT = Memory(phase="count", phase_left_s=3600.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.json"


def summed(text: bytes) -> bytes:
    """As the file has it: a line with the checksum, then the text."""
    return b"%08x\n" % zlib.crc32(text) + text


def write(path: Path, memory: Memory) -> None:
    writer = Writer(path)
    assert writer.hold(memory)
    writer.write()


def test_what_was_written_is_read_by_the_next_run(path: Path) -> None:
    write(path, LEARNT)
    assert read(path) == (LEARNT, None)
    write(path, Memory())
    assert read(path) == (Memory(), None)


def test_the_first_run_remembers_nothing_and_that_is_no_trouble(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(path) == (None, None)
    assert caplog.text == ""


def test_only_its_owner_may_read_it_and_nothing_else_is_left_beside_it(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o644)
    write(path, LEARNT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 4096,
        b"nonsense",
        msgspec.json.encode(LEARNT),
        summed(msgspec.json.encode(LEARNT))[:-3],
        summed(msgspec.json.encode(LEARNT)).replace(b"3600.5", b"3600.4"),
        summed(b'{"of a newer agent": ' + b"[" * 60_000),
        summed(b'{"phase": "' + b"\xff" * 10 + b'"}'),
        summed(b'{"uplinks": 7}'),
        summed(b'{"phase": 7}'),
        summed(b"null"),
        summed(msgspec.json.encode(LEARNT) + b" " * BYTES_AT_MOST),
        summed(msgspec.json.encode({"v": VERSION + 1})),
    ],
    ids=lambda data: repr(data[:16]),
)
def test_what_cannot_be_understood_is_set_aside_and_not_lost(path: Path, data: bytes) -> None:
    for number in (1, 2):
        path.write_bytes(data)
        aside = path.with_name(f"memory.json.damaged-{number}")
        assert read(path) == (None, aside)
        assert aside.read_bytes() == data
        assert not path.exists()
    write(path, LEARNT)
    assert read(path) == (LEARNT, None)


def test_what_is_no_file_is_set_aside_too(path: Path) -> None:
    path.mkdir()
    assert read(path) == (None, path.with_name("memory.json.damaged-1"))


def test_what_a_power_cut_left_half_written_is_in_nobodys_way(path: Path) -> None:
    half = path.with_name("memory.json.new")
    half.write_text('{"phase": "co')
    half.chmod(0o644)
    write(path, LEARNT)
    assert read(path) == (LEARNT, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_older_version_is_read_as_far_as_it_goes(path: Path) -> None:
    path.write_bytes(summed(b'{"v": 0, "phase": "upload", "something": "else"}'))
    assert read(path) == (Memory(phase="upload", v=0), None)


def test_a_slow_card_writes_the_latest_only(path: Path) -> None:
    writer = Writer(path)
    assert writer.hold(Memory(phase="count"))
    assert [writer.hold(Memory(phase_left_s=n)) for n in range(100)] == [False] * 100
    writer.write()
    assert read(path) == (Memory(phase_left_s=99), None)
    path.unlink()
    writer.write()  # nothing new
    assert not path.exists()
    assert writer.hold(LEARNT)


def test_what_is_learnt_after_it_was_held_belongs_to_the_next_write(path: Path) -> None:
    """The loop goes on learning while the card's thread writes."""
    uplinks: dict[str, Watched] = {}
    writer = Writer(path)
    writer.hold(Memory(uplinks))
    uplinks["lte"] = Watched()
    writer.write()
    assert read(path) == (Memory(), None)


def test_a_card_that_takes_nothing_is_told_of_once_until_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "away" / "memory.json"
    writer = Writer(path)

    def attempt() -> None:
        assert writer.hold(LEARNT)
        writer.write()

    for _ in range(3):
        attempt()
    assert caplog.text.count("cannot be written") == 1
    path.parent.mkdir()
    attempt()
    assert read(path) == (LEARNT, None)
    path.unlink()
    path.parent.rmdir()
    for _ in range(3):
        attempt()
    assert caplog.text.count("cannot be written") == 2


def test_what_is_too_large_to_be_read_again_is_not_written(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, LEARNT)
    write(path, Memory(phase="x" * BYTES_AT_MOST))
    assert read(path) == (LEARNT, None)
    assert caplog.text.count("cannot be written") == 1


def test_what_a_killed_agent_left_is_whole(path: Path) -> None:
    program = """
import sys; from pathlib import Path; from agent.core.memory import Memory; from agent.edge.memory import Writer
writer = Writer(Path(sys.argv[1]))
for n in range(10**9):
    writer.hold(Memory(phase=str(n) * 3000)); writer.write()
    if n == 3: print("at it", flush=True)
"""
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
        memory, aside = read(path)
        assert aside is None
        assert memory is not None
        assert len(memory.phase) % 3000 == 0
