"""A cable that was pulled or plugged in: asked for, the kernel says so at once, whatever it tells by itself."""

import socket

import pytest

from agent.edge.carrier import Carriers
from tests.edge.conftest import wait_until
from tests.edge.link import far, ip, wire


@pytest.mark.usefixtures("cell")
def test_a_carrier_that_comes_or_goes_is_seen_once_each_time() -> None:
    with wire("wan0") as name:
        index, carriers = socket.if_nametoindex(name), Carriers()
        wait_until(lambda: not (carriers.have_changed([index]) or carriers.have_changed([index])))
        for end in ("down", "up", "down"):
            ip("-n", far(name), "link", "set", "end", end)
            assert carriers.have_changed([index])
            assert not carriers.have_changed([index])
        carriers.close()


@pytest.mark.usefixtures("cell")
def test_an_interface_that_vanishes_is_a_change_and_no_fault() -> None:
    carriers = Carriers()
    with wire("wan0") as name:
        index = socket.if_nametoindex(name)
        carriers.have_changed([index])
    assert carriers.have_changed([index])
    assert not carriers.have_changed([index])
    carriers.close()


@pytest.mark.usefixtures("cell")
def test_one_that_is_asked_for_the_first_time_has_not_changed() -> None:
    carriers = Carriers()
    with wire("wan0") as name:
        assert not carriers.have_changed([socket.if_nametoindex(name)])
    carriers.close()
