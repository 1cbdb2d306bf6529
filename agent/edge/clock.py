"""What the board's clock says, and whether anybody has set it."""

import ctypes
import struct
import time
from pathlib import Path

from wire.stamp import LARGEST_ERROR_S, Accuracy
from wire.stamp import accuracy as accuracy_of

TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 256  # struct timex has 208; all zero asks without setting


def boot_id() -> str:
    """Another one each time the kernel starts."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def wall() -> tuple[float, bool]:
    """(seconds since 1970, synchronised)."""
    return time.time(), accuracy().synchronised


def accuracy() -> Accuracy:
    """The kernel's own bound of its error; the largest where it may not be asked."""
    asked = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(asked)
    _, _, _, largest_error_us = struct.unpack_from("@I3l", asked)
    return accuracy_of(0 <= state < TIME_ERROR, largest_error_us / 1e6 if state >= 0 else LARGEST_ERROR_S)


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
