"""The local socket through which `siaga-agent status`, `move` and `auto` speak with the running agent."""

import asyncio
import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANSWER_WITHIN_S = 5
REQUEST_BYTES = 4096
ROUTES = Path("/proc/self/ns/net")
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class NotRunning(Exception):
    """No agent answers."""


class AlreadyRunning(Exception):
    """Another agent has this state directory, or the routes of this device."""


def hold(state_dir: Path) -> int:
    """Take the state directory for this process, until it ends; raises AlreadyRunning, OSError."""
    flags = os.O_RDONLY | os.O_CREAT  # one that is there can be locked on a file system that takes no writes
    return _lock(state_dir / "agent.lock", flags, f"another agent is running with state_dir {state_dir}")


def hold_routes() -> int:
    """Take the network namespace for this process, until it ends; raises AlreadyRunning, OSError."""
    return _lock(ROUTES, os.O_RDONLY, "another agent, with another state_dir, keeps the routes of this device")


def _lock(path: Path, flags: int, taken: str) -> int:
    lock = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(taken) from None
    return lock


async def serve(state_dir: Path, answer: Answer) -> asyncio.Server:
    """One JSON line in, one JSON line out. Raises OSError."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                request = json.loads(await reader.readline())
                writer.write(json.dumps(answer(request)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError, RecursionError):
            pass  # whoever asked is gone or speaks nonsense; it loses its answer, nothing else
        finally:
            writer.close()

    path = _path(state_dir)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(talk, path, limit=REQUEST_BYTES)
    path.chmod(0o660)
    return server


def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Put one question to the running agent; raises NotRunning."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(ANSWER_WITHIN_S)
        try:
            asking.connect(str(_path(state_dir)))
            asking.sendall(json.dumps(request).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n") and (piece := asking.recv(65536)):
                data += piece
            return dict(json.loads(data))
        except PermissionError:
            raise NotRunning(f"no permission to speak with the agent in {state_dir}; try as root") from None
        except (OSError, ValueError):
            raise NotRunning(f"no agent is running with state_dir {state_dir}") from None


def _path(state_dir: Path) -> Path:
    return state_dir / "agent.sock"
