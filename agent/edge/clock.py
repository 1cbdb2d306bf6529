"""What the board's clock says, and whether anybody has set it."""

import ctypes
import time

TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 256  # struct timex has 208; all zero asks without setting


def wall() -> tuple[float, bool]:
    """(seconds since 1970, synchronised)."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return time.time(), 0 <= state < TIME_ERROR


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
