"""What time of day it is where the centre is."""

import time


def day_s() -> float:
    """Seconds since midnight, here."""
    here = time.localtime()
    return 3600.0 * here.tm_hour + 60 * here.tm_min + here.tm_sec
