"""How far a machine's clock can be trusted, as its kernel says; agent and centre ask in the same way."""

import ctypes
import struct

from wire.stamp import LARGEST_ERROR_S, Accuracy, accuracy

TIME_ERROR = 5  # adjtimex(2): nobody has set the clock
TIMEX_BYTES = 256  # struct timex has 208; all zero asks without setting


def clock_accuracy() -> Accuracy:
    """The kernel's own bound of its error; the largest where it may not be asked."""
    asked = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(asked)
    _, _, _, largest_error_us = struct.unpack_from("@I3l", asked)
    return accuracy(0 <= state < TIME_ERROR, largest_error_us / 1e6 if state >= 0 else LARGEST_ERROR_S)
