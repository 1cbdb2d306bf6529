"""What is asked of a bandwidth test."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    uplink: str
    device: str
    server: str
    group: str
    bytes: int
    """What it may cost at most, both ways."""
    patience_s: float
    threads: int
    """Of speedtest-cli."""
    loss: float | None = None
    """As the running agent knows it: its thousands of echoes say more than a dozen of ours."""
