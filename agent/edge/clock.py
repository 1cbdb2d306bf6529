"""What the board's clock says, and whether anybody has set it."""

import time
from pathlib import Path

from wire.clock import clock_accuracy


def boot_id() -> str:
    """Another one each time the kernel starts."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def wall() -> tuple[float, bool]:
    """(seconds since 1970, synchronised)."""
    return time.time(), clock_accuracy().synchronised


class Calendar:
    """Tells each date once, and only when somebody has set the clock."""

    def __init__(self) -> None:
        self._told: tuple[int, int, int] | None = None

    def new_date(self) -> tuple[int, int, int] | None:
        """(year, month, day) here, if it is another than the last time."""
        wall_s, synced = wall()
        here = time.localtime(wall_s)
        date = here.tm_year, here.tm_mon, here.tm_mday
        if not synced or date == self._told:
            return None
        self._told = date
        return date
