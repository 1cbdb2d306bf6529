"""Reads the key that the centre and its stations share, and refuses one that others could have read."""

from pathlib import Path

from wire.stamp import read_key


def read(file: Path) -> bytes:
    """Raises ValueError with what is wrong."""
    try:
        if file.stat().st_mode & 0o077:
            raise ValueError(f"can be read by others than its owner; chmod 600 {file}")
        return read_key(file.read_bytes().decode("ascii", "replace"))
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
