"""A gateway that is gone for a moment is not a dead link; one that stays away is."""

from agent.core.links import GRACE_S, LinkWatch
from agent.core.routes import Link
from agent.core.station import Family

WITH = Link("wan0", True, ((Family.IPV4, "198.18.0.2"),), ((Family.IPV4, "198.18.0.1"),), 3)
WITHOUT = Link("wan0", True, ((Family.IPV4, "198.18.0.2"),), (), 3)


def watch() -> LinkWatch:
    watched = LinkWatch(Link("wan0"))
    watched.see(WITH, 0)
    return watched


def test_a_gateway_that_comes_back_in_time_was_never_gone() -> None:
    watched = watch()
    watched.see(WITHOUT, 10)
    assert watched.believed.gateways == WITH.gateways
    watched.see(WITH, 10.1)
    watched.expire(11)
    assert (watched.believed, watched.wake_at()) == (WITH, None)


def test_a_gateway_that_stays_away_is_believed_gone() -> None:
    watched = watch()
    watched.see(WITHOUT, 10)
    watched.see(WITHOUT, 10.4)  # a second look does not begin the wait anew
    assert watched.wake_at() == 10 + GRACE_S
    watched.expire(10 + GRACE_S)
    assert (watched.believed, watched.wake_at()) == (WITHOUT, None)


def test_without_carrier_or_address_there_is_nothing_to_wait_for() -> None:
    for gone in (Link("wan0", False, WITH.addresses, (), 3), Link("wan0", True, (), (), 3), Link("wan0")):
        watched = watch()
        watched.see(gone, 10)
        assert watched.believed == gone


def test_what_an_interface_had_last_is_remembered_until_it_has_another() -> None:
    watched = watch()
    watched.see(Link("wan0", True, (), (), 3), 10)
    watched.see(Link("wan0", True, ((Family.IPV6, "2001:db8::2"),), (), 3), 11)
    assert watched.remembered.addresses_of(Family.IPV4) == ("198.18.0.2",)
    assert watched.remembered.addresses_of(Family.IPV6) == ("2001:db8::2",)
    assert watched.remembered.gateways == WITH.gateways
    other = Link("wan0", True, ((Family.IPV4, "198.18.0.9"),), ((Family.IPV4, "198.18.0.254"),), 4)
    watched.see(other, 12)
    assert watched.remembered.addresses_of(Family.IPV4) == ("198.18.0.9",)
    assert watched.remembered.gateways == other.gateways


def test_the_other_family_is_followed_at_once() -> None:
    watched = watch()
    both = (*WITH.addresses, (Family.IPV6, "2001:db8::2"))
    watched.see(Link("wan0", True, both, ((Family.IPV6, "fe80::1"),), 3), 10)
    assert watched.believed.gateways == ((Family.IPV4, "198.18.0.1"), (Family.IPV6, "fe80::1"))
