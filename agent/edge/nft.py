"""Our one nft table: replaced as a whole in one transaction, put back when somebody removes it."""

import asyncio
import logging

from agent.core.routes import NFT_TABLE

log = logging.getLogger(__name__)


class Keeper:
    """Remembers what it loaded and how nft lists it, so that a change by others shows."""

    def __init__(self) -> None:
        self._wanted: str | None = None
        self._listed = ""

    async def want(self, text: str) -> None:
        """Load the text, empty for no table; nothing is done when it is loaded already. Raises OSError."""
        if text == self._wanted:
            return
        await (_load(text) if text else remove())
        self._listed = await _list()
        self._wanted = text

    async def check(self) -> None:
        """Load it again when it is no longer as it was loaded."""
        if self._wanted and await _list() != self._listed:
            log.warning("table inet %s was changed by another program; loading it again", NFT_TABLE)
            text, self._wanted = self._wanted, None
            await self.want(text)


async def remove() -> None:
    """Take the table away if it is there. Raises OSError."""
    if await _list():
        await _nft("-f", "-", text=f"delete table inet {NFT_TABLE}\n")


async def _load(text: str) -> None:
    anew = f"table inet {NFT_TABLE}\ndelete table inet {NFT_TABLE}\n"  # the first line, lest the second finds nothing
    await _nft("-f", "-", text=anew + text)


async def _list() -> str:
    """Without what its counters have counted: that changes, and nobody has changed it."""
    try:
        return await _nft("--stateless", "list", "table", "inet", NFT_TABLE)
    except OSError:
        return ""


async def _nft(*arguments: str, text: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        "nft",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(text.encode())
    if process.returncode:
        raise OSError(f"nft {arguments[0]}: {err.decode(errors='replace').strip().splitlines()[:1]}")
    return out.decode()
