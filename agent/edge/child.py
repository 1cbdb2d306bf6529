"""Runs children of low priority, bounded in time and in words: the diagnosis of an uplink, one at a time."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable

import msgspec

from agent.core.events import Diagnose, Diagnosed, Event
from agent.core.station import Station
from wire.messages import Evidence

AFTER_S = 3.0  # the hand-over has the processor to itself
LIMIT_S = 30.0
NICE = 10
OUTPUT_BYTES = 65_536
WHY_LETTERS = 64
SAID = (0, 1)  # exit codes: nothing wrong, a fault


class _Report(msgspec.Struct):
    """What we need of what `siaga-agent diagnose --json` prints."""

    evidence: Evidence


class Examiner:
    """`order` is called from the loop and does not wait; what was found is emitted."""

    def __init__(self, station: Station, emit: Callable[[Event], None]) -> None:
        self._station, self._emit = station, emit
        self._ordered: asyncio.Queue[Diagnose] = asyncio.Queue()

    def order(self, wanted: Diagnose) -> None:
        """Bounded by the core: one for each uplink in ten minutes."""
        self._ordered.put_nowait(wanted)

    async def run(self) -> None:
        """Until it is cancelled; a child that is at work is ended then."""
        while True:
            wanted = await self._ordered.get()
            await asyncio.sleep(AFTER_S)
            self._emit(Diagnosed(wanted.uplink, await self._examine(wanted)))

    async def _examine(self, wanted: Diagnose) -> Evidence:
        command = [sys.executable, "-m", "agent", "diagnose", wanted.uplink, "--json", f"--bytes={wanted.cap_bytes}"]
        try:
            code, printed = await run([*command, "--config=/dev/stdin"], msgspec.json.encode(self._station))
        except TimeoutError:
            return _failure(f"it took longer than {LIMIT_S:g} s")
        except OSError as why:
            return _failure(why.strerror or str(why))
        if code not in SAID:
            return _failure(f"it ended with {code}")
        try:
            return msgspec.json.decode(printed, type=_Report).evidence
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _failure("it printed what is no report")


async def run(command: list[str], text: bytes) -> tuple[int, bytes]:
    """The exit code and what was printed. Its errors go where ours go. Raises OSError, TimeoutError."""
    file = os.memfd_create("siaga-station")  # the very configuration that we run with; JSON is YAML
    try:
        os.write(file, text)
        os.lseek(file, 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(*command, stdin=file, stdout=asyncio.subprocess.PIPE)
    finally:
        os.close(file)
    try:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        async with asyncio.timeout(LIMIT_S):
            assert process.stdout is not None
            printed = b""
            while len(printed) <= OUTPUT_BYTES and (piece := await process.stdout.read(OUTPUT_BYTES)):
                printed += piece
            if len(printed) > OUTPUT_BYTES:
                raise OSError("it printed too much")
            return await process.wait(), printed
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _failure(why: str) -> Evidence:
    failed: Evidence = {"layer": "none", "code": "DIAGNOSIS_FAILED", "side": "none", "call": "technician"}
    return {**failed, "why": why[:WHY_LETTERS]}
