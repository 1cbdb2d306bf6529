"""Waiting for a state, and never longer than it takes."""

import asyncio
import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Fails when it does not become so in time."""
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not so within {patience_s} s"
        time.sleep(0.005)


async def become(is_so: Callable[[], bool], patience_s: float = 10.0) -> None:
    """The same, while a loop of asyncio goes on."""
    async with asyncio.timeout(patience_s):
        while not is_so():
            await asyncio.sleep(0.005)
