"""What is believed of an uplink's interface: a gateway that vanishes is missed a moment before it is believed gone.

A DHCP renew may delete the default route and add it again; traffic must not move for that.
"""

from dataclasses import dataclass, replace

from agent.core.routes import Link
from agent.core.station import Family

GRACE_S = 0.5  # a network manager needs milliseconds from the deletion to the addition


@dataclass(slots=True)
class LinkWatch:
    believed: Link
    _had: Link | None = None
    _seen: Link | None = None
    """The newest picture, while it lacks a gateway that is still believed in."""
    _until: float | None = None

    def see(self, link: Link, now: float) -> None:
        self._had = _filled(self.believed, self.remembered)
        missing = self._missing(link)
        if not missing:
            self.believed, self._seen, self._until = link, None, None
            return
        if self._until is None:
            self._until = now + GRACE_S
        gateways = sorted((*link.gateways, *missing), key=lambda each: list(Family).index(each[0]))
        self.believed, self._seen = replace(link, gateways=tuple(gateways)), link

    @property
    def remembered(self) -> Link:
        """What is believed now, and of each family that has nothing now, what it had last."""
        return _filled(self.believed, self._had or self.believed)

    def expire(self, now: float) -> None:
        if self._seen is not None and self._until is not None and now >= self._until:
            self.believed, self._seen, self._until = self._seen, None, None

    def wake_at(self) -> float | None:
        return self._until

    def _missing(self, link: Link) -> list[tuple[Family, str | None]]:
        """Gateways that were there before; without carrier or address, or on another device, they are truly gone."""
        if not link.carrier or link.index != self.believed.index:
            return []
        gone = [each for each in self.believed.gateways if not link.has(each[0])]
        return [(family, gateway) for family, gateway in gone if link.addresses_of(family)]


def _filled(link: Link, before: Link) -> Link:
    """A new address or gateway may take the old one's place at once, or a moment after it."""
    addresses = [each for each in before.addresses if not link.addresses_of(each[0])]
    gateways = [each for each in before.gateways if not link.has(each[0])]
    return replace(link, addresses=(*link.addresses, *addresses), gateways=(*link.gateways, *gateways))
