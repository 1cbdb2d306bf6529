"""When a station's boots began, so that records of a board without a clock are dated without being rewritten.

A record says its boot and its uptime. What is heard live fixes the beginning of its boot by the centre's own clock; of
a boot that never reached the centre, the station's clock tells it, from the moment at which somebody had set it.
"""

from dataclasses import dataclass, replace

from wire.messages import Stamp

BOOTS_KEPT = 64  # an agent that begins anew each half an hour is dated for more than a day
ANOTHER_CLOCK_S = 60.0  # no message is on its way for longer before it counts as late
EARLIEST_S = 1_735_689_600.0  # 2025: whoever claims to be synchronised before it is not


@dataclass(frozen=True, slots=True)
class Boot:
    """Seconds since 1970 at which its uptime was nought; None where nothing tells it."""

    name: str
    heard_s: float | None = None
    """By the centre's clock: no later than this."""
    told_s: float | None = None
    """By the station's, while it was synchronised."""

    @property
    def began_s(self) -> float | None:
        return self.told_s if self.heard_s is None else self.heard_s


Boots = tuple[Boot, ...]
"""The last ones in the order in which they were first heard of."""


def hear(boots: Boots, stamp: Stamp, now_s: float) -> Boots:
    """It came from the station just now: the fastest message tells best, until a clock has been set or has drifted."""
    boot = _find(boots, stamp.boot)
    began_s = now_s - stamp.uptime_s
    if boot.heard_s is not None and began_s - ANOTHER_CLOCK_S < boot.heard_s < began_s:
        return boots
    return _put(boots, replace(boot, heard_s=began_s))


def learn(boots: Boots, stamp: Stamp, now_s: float) -> Boots:
    """It was written then, and came now or late."""
    boot = _find(boots, stamp.boot)
    began_s = stamp.wall_s - stamp.uptime_s
    if stamp.synced and began_s >= EARLIEST_S and stamp.wall_s <= now_s:
        boot = replace(boot, told_s=began_s)
    return _put(boots, boot)


def happened_s(boots: Boots, stamp: Stamp) -> float | None:
    """When it was so; None where nothing tells."""
    began_s = _find(boots, stamp.boot).began_s
    return None if began_s is None else began_s + stamp.uptime_s


def _find(boots: Boots, name: str) -> Boot:
    return next((boot for boot in boots if boot.name == name), Boot(name))


def _put(boots: Boots, boot: Boot) -> Boots:
    if all(each.name != boot.name for each in boots):
        return (*boots, boot)[-BOOTS_KEPT:]
    return tuple(boot if each.name == boot.name else each for each in boots)
