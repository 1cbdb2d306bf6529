"""Our one nft table: replaced as a whole in one transaction, put back when somebody removes it."""

import asyncio
import logging
from collections.abc import Callable

from agent.core.nft_table import NFT_TABLE
from agent.edge.rawnetlink import NETLINK_NETFILTER, attributes, heard, opened

log = logging.getLogger(__name__)

NFNLGRP_NFTABLES = 7
NFTA_TABLE = 1  # the same number in messages about tables, chains, rules, sets and objects


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

    async def check(self) -> bool:
        """Load it again when it is no longer as it was loaded; whether it was. Raises OSError."""
        if not self._wanted or await _list() == self._listed:
            return False
        log.warning("table inet %s was changed by another program; loading it again", NFT_TABLE)
        text, self._wanted = self._wanted, None
        await self.want(text)
        return True


class Ear:
    """Hears when our table is touched, by whomever. The messages are those of linux/netfilter/nf_tables.h."""

    def __init__(self, touched: Callable[[], None]) -> None:
        """Raises OSError."""
        self._touched = touched
        self._socket = opened(NETLINK_NETFILTER)
        self._socket.bind((0, 1 << NFNLGRP_NFTABLES - 1))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            bodies = [body for _, body in heard(self._socket)]
        except OSError:  # more than the socket holds; something of it may have been ours
            self._touched()
            return
        if any(dict(attributes(body[4:])).get(NFTA_TABLE) == NFT_TABLE.encode() + b"\0" for body in bodies):
            self._touched()


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
