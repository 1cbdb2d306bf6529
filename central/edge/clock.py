"""How far this machine's clock can be trusted."""

import ctypes
import struct
import time

from wire.stamp import LARGEST_ERROR_S, Accuracy, accuracy

TIME_ERROR = 5  # adjtimex(2): nobody has set the clock
TIMEX_BYTES = 256  # struct timex has 208; all zero asks without setting


def day_s() -> float:
    """Seconds since midnight, here."""
    here = time.localtime()
    return 3600.0 * here.tm_hour + 60 * here.tm_min + here.tm_sec


def clock_accuracy() -> Accuracy:
    """The kernel's own bound of its error; the largest where it may not be asked."""
    asked = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(asked)
    _, _, _, largest_error_us = struct.unpack_from("@I3l", asked)
    return accuracy(0 <= state < TIME_ERROR, largest_error_us / 1e6 if state >= 0 else LARGEST_ERROR_S)
