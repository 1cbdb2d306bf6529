"""What becomes of the flows on an uplink: they stay on it until they end, or they must leave it for the chosen one."""

from enum import Enum, auto

from wire.messages import Health

METERED_STAY_S = 8.0  # what is nearly done ends by itself; ten seconds after coming home nothing may be left
METERED_LEAVE_S = 60.0  # twice the keepalive of a tunnel that holds on to its old address


class Flows(Enum):
    STAY = auto()
    """Old flows go on here; new ones follow the choice."""
    LEAVE = auto()
    """Nothing may hold on to this uplink: neither a flow nor a socket with its address."""
    DISMISS = auto()
    """The same, and it works: whoever still speaks TCP to its address is refused by it, or he would go on for long."""
    NONE = auto()
    """There are none of old, and who binds to its address may use it."""


def flows(health: Health, metered: bool, left_s: float | None, chosen: Health) -> Flows:
    """Of an uplink that the traffic left `left_s` ago, None while it carries it; `chosen` is how the chosen one is.

    An uplink that is not known yet is given the benefit: an agent that starts anew breaks nothing. And nobody leaves
    for an uplink that is dead itself.
    """
    if left_s is None or chosen is Health.DEAD:
        return Flows.STAY
    if health in (Health.DEAD, Health.POOR):
        return Flows.LEAVE
    if not metered or left_s < METERED_STAY_S:
        return Flows.STAY
    return Flows.DISMISS if left_s < METERED_STAY_S + METERED_LEAVE_S else Flows.NONE


def changes_at(metered: bool, left_at: float | None, now: float) -> float | None:
    """The next moment at which time alone changes the answer."""
    if not metered or left_at is None:
        return None
    moments = (left_at + METERED_STAY_S, left_at + METERED_STAY_S + METERED_LEAVE_S)
    return next((moment for moment in moments if moment > now), None)
