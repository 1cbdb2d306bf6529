"""A day of a standby costs what its packets cost, and no more."""

from agent.core.pace import ECHO_BYTES, STANDBY_EVERY_S
from agent.core.station import Family
from bench.measure.day import ACTIVE, STAMP_BYTES, spent

HOUR_S = 3600.0


def test_every_packet_is_counted_there_and_back_and_a_lost_one_only_there() -> None:
    both = ECHO_BYTES[Family.IPV4]
    for name, (echoes, stamps, octets) in spent(0.0, HOUR_S).items():
        assert name == ACTIVE or octets == both * echoes + STAMP_BYTES * stamps
        assert echoes > HOUR_S / STANDBY_EVERY_S
        assert stamps > 0
    for name, (echoes, stamps, octets) in spent(1.0, HOUR_S).items():
        assert name == ACTIVE or octets == (both * echoes + STAMP_BYTES * stamps) // 2


def test_the_link_that_carries_the_traffic_is_asked_more_often_than_a_standby() -> None:
    found = spent(0.0, HOUR_S)
    assert found[ACTIVE][0] > 2 * HOUR_S
    assert found["lte"][0] < found[ACTIVE][0] / 10
