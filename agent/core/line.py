"""One uplink at work: its interface, who measures and judges it, how often it fell, and what its old flows do."""

from collections.abc import Iterator

from agent.core.decide import Relapses
from agent.core.flows import Flows, changes_at, flows
from agent.core.links import LinkWatch
from agent.core.memory import Watched
from agent.core.routes import Link
from agent.core.station import Family, Uplink
from agent.core.watch import Watch
from wire.messages import Fact, Health


class Line:
    def __init__(self, uplink: Uplink, targets: tuple[str, ...], known: Watched, now: float) -> None:
        self.uplink = uplink
        self.interface = LinkWatch(Link(uplink.interface))
        self.watch = Watch(uplink, targets, now, known)
        self.relapses = Relapses()
        self.home_at = now
        """Before this moment the traffic does not come home to it."""
        self.left_at: dict[Family, float | None] = dict.fromkeys(Family, now)
        """When the traffic of a family left it, at our start if it did before; None while it carries it."""

    @property
    def link(self) -> Link:
        return self.interface.believed

    @property
    def trouble(self) -> str | None:
        """What makes it unusable whatever its echoes do."""
        if not self.link.carrier:
            return "no carrier" if self.link.index else "no such interface"
        return None if self.link.gateways else "no gateway"

    @property
    def is_metered(self) -> bool:
        return self.uplink.metered is not None

    def flows(self, family: Family, chosen: Health, now: float) -> Flows:
        left_at = self.left_at[family]
        left_s = None if left_at is None else now - left_at
        return flows(self.watch.health_of(family), self.is_metered, left_s, chosen)

    def flows_change_at(self, now: float) -> float | None:
        moments = [changes_at(self.is_metered, left_at, now) for left_at in self.left_at.values()]
        return min((moment for moment in moments if moment is not None), default=None)


def changes(uplink: str, before: Link, after: Link) -> Iterator[Fact]:
    """What an interface changed that is still there; an address or a gateway that comes or goes is no change."""
    if before.interface != after.interface:
        yield Fact("INTERFACE_RENAMED", uplink, before.interface, after.interface)
    for family in Family:
        old, new = before.gateway_of(family), after.gateway_of(family)
        if old and new and old != new:
            yield Fact("GATEWAY_CHANGED", uplink, old, new)
        had, has = before.addresses_of(family), after.addresses_of(family)
        if had and has and not set(had) & set(has):
            yield Fact("ADDRESS_CHANGED", uplink, had[0], has[0])
