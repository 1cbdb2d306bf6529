"""Two links, one fate: whether two uplinks can fail together, by what is configured and by how the centre sees them.

What is not known is not claimed: two uplinks are apart only when both were seen and whose they are is known to differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import combinations

from agent.core.station import Family, Uplink, family_of
from wire.messages import Evidence, Fact, Public

NETWORK_BITS = {Family.IPV4: 24, Family.IPV6: 48}  # what one access network hands out to neighbours
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
APART = "apart"

Sights = Mapping[str, Mapping[Family, Public]]
"""Uplink -> family -> how the centre sees it; only what is known."""


@dataclass(frozen=True, slots=True)
class Bond:
    """Why two uplinks have one fate."""

    cause: str
    what: str
    """The address, the network, the operator or the group that they share."""


class Fates:
    """Asked with what is seen now, gives what is news."""

    def __init__(self, uplinks: tuple[Uplink, ...]) -> None:
        self._pairs = tuple(combinations(uplinks, 2))
        self._told: dict[tuple[str, str, Family | None], Bond | None] = {}

    def compare(self, sights: Sights) -> list[Fact]:
        facts: list[Fact] = []
        for one, other in self._pairs:
            bond = of_configuration(one, other)
            facts += self._news(one, other, None, bond, {})
            for family in Family:
                seen = sights.get(one.name, {}).get(family), sights.get(other.name, {}).get(family)
                if seen[0] is None or seen[1] is None:
                    continue
                found = of_sight(seen[0], seen[1])
                if found is not None and bond is not None and found.cause != "same public address":
                    continue  # the configuration says so already, and says more
                if found is None and not are_apart(one, other, seen[0], seen[1]):
                    continue
                facts += self._news(one, other, family, found, _evidence(family, seen[0], seen[1]))
        return facts

    def _news(self, one: Uplink, other: Uplink, family: Family | None, bond: Bond | None, seen: Evidence) -> list[Fact]:
        key = one.name, other.name, family
        before = self._told.get(key)
        if bond == before:
            return []
        self._told[key] = bond
        pair: Evidence = {"first": one.name, "second": other.name}
        if bond is None:
            return [Fact("FATES_APART", other.name, evidence={"cause": APART, **pair, **seen})]
        return [Fact("ONE_FATE", other.name, evidence={"cause": bond.cause, "what": bond.what, **pair, **seen})]


def of_configuration(one: Uplink, other: Uplink) -> Bond | None:
    if one.shared_fate is not None and one.shared_fate == other.shared_fate:
        return Bond("same shared fate", one.shared_fate)
    if one.operator is not None and _is_same(one.operator, other.operator):
        return Bond("same operator", one.operator)
    return None


def of_sight(one: Public, other: Public) -> Bond | None:
    """The strongest first. Behind carrier NAT one operator shows many addresses, and two operators never the same."""
    if one.address == other.address:
        return Bond("same public address", one.address)
    if one.asn is not None and one.asn == other.asn:
        return Bond("same operator seen", whose(one))
    if one.operator is not None and _is_same(one.operator, other.operator):
        return Bond("same operator seen", one.operator)
    network = _network(one.address)
    if network is not None and network == _network(other.address):
        return Bond("same network", network)
    return None


def are_apart(one: Uplink, other: Uplink, seen: Public, other_seen: Public) -> bool:
    """Where no bond was found: whether enough is known to say that there is none."""
    if of_configuration(one, other) is not None:
        return False
    if seen.asn is not None and other_seen.asn is not None:
        return True
    return (seen.operator or one.operator) is not None and (other_seen.operator or other.operator) is not None


def whose(public: Public) -> str:
    """AS64500 Telkom; a dash where nobody knows."""
    known = (f"AS{public.asn}" if public.asn is not None else None, public.operator)
    return " ".join(word for word in known if word) or "-"


def _evidence(family: Family, one: Public, other: Public) -> Evidence:
    return {
        "family": family,
        "first_address": one.address,
        "second_address": other.address,
        "first_whose": whose(one),
        "second_whose": whose(other),
    }


def _network(address: str) -> str | None:
    """None where neighbours by number are no neighbours: behind a NAT of somebody's own."""
    if any(ip_address(address) in network for network in PRIVATE):
        return None
    return str(ip_network((address, NETWORK_BITS[family_of(address)]), strict=False))


def _is_same(one: str, other: str | None) -> bool:
    return other is not None and one.strip().casefold() == other.strip().casefold()
