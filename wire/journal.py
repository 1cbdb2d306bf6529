"""Log lines on standard error; where that is the journal, each with its priority in front, as sd-daemon(3) wants it."""

import logging
import os
import sys

PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""From this level on, the priority of syslog(3)."""
DEBUG = 7


def log(form: str) -> None:
    """From now on, all that is logged at INFO and above, in this form of the logging module."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Prioritised(form) if is_read_by_journal() else logging.Formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class Prioritised(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = next((each for level, each in PRIORITIES if record.levelno >= level), DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def is_read_by_journal() -> bool:
    """Whether standard error is still what systemd made of it; in a file or on a terminal nobody wants numbers."""
    try:
        opened = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{opened.st_dev}:{opened.st_ino}"
