"""The whole centre over real MQTT and a real database: nothing lost, nothing twice, order kept, whatever dies."""

import os
import signal
from collections.abc import Callable

from tests.central.centre import Centre, eventually
from tests.central.station import SANGATTA, Station, delivery, fact, state, summary, will

Join = Callable[..., Station]


def test_what_is_stored_is_said_back(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.say(delivery([fact(1), summary(2)]))
    eventually(lambda: station.mark() == 2)
    station.say(delivery([fact(4)]))
    station.say(delivery([fact(3)]))
    eventually(lambda: station.mark() == 4)
    assert centre.epochs(SANGATTA) == [{"epoch": "epoch-1", "stored": 4, "first": 1, "count": 4, "out_of_order": 1}]


def test_a_lone_record_is_not_kept_waiting(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.say(delivery([fact(1)]))
    eventually(lambda: station.mark() == 1)
    station.say(delivery([fact(2)]))
    eventually(lambda: station.mark() == 2, deadline_s=1.0)


def test_a_centre_killed_in_mid_stream_loses_nothing_and_keeps_the_order(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    for seq in range(1, 2001):
        station.say(delivery([fact(seq)]))
        if seq in (700, 1400):
            eventually(lambda: station.mark() > 0)
            centre.kill()
            centre.start()
    eventually(lambda: station.mark() == 2000, deadline_s=40)
    assert centre.epochs(SANGATTA) == [
        {"epoch": "epoch-1", "stored": 2000, "first": 1, "count": 2000, "out_of_order": 0}
    ]
