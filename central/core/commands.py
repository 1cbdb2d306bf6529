"""When a command is sent again, and how it is addressed so that a station without a clock knows when it is too late."""

from dataclasses import dataclass

from central.core.fleet import StationView

FIRST_PAUSE_S, LONGEST_PAUSE_S = 3.0, 60.0
LONGEST_PAUSE_OF_CONFIG_S = 600.0  # the broker keeps it for the station
JITTER = (0.75, 1.25)
LIFE_S = 300.0
LIFE_AT_LEAST_S = 5.0
KNOWN_FOR_S = 150.0  # a state is promised each minute


@dataclass(frozen=True, slots=True)
class Address:
    """One run of an agent, and when it is too late by its own uptime."""

    boot: str
    until_s: float


def address(view: StationView, expires_s: float, now_s: float) -> Address | None:
    """None while nothing is known of the run that is to obey.

    A state that was long on its way makes it too late a little earlier, never later.
    """
    if view.state is None or view.heard_s is None or not 0 <= now_s - view.heard_s <= KNOWN_FOR_S:
        return None
    return Address(view.state.stamp.boot, round(view.state.stamp.uptime_s + (expires_s - view.heard_s), 3))


def pause_s(sent: int, is_config: bool, chance: float) -> float:
    """Before the next repetition, after so many; `chance` is drawn from 0 to 1."""
    longest_s = LONGEST_PAUSE_OF_CONFIG_S if is_config else LONGEST_PAUSE_S
    least, most = JITTER
    return min(FIRST_PAUSE_S * 2.0 ** min(sent - 1, 16), longest_s) * (least + (most - least) * chance)
