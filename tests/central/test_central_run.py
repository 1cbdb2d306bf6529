"""The whole centre over real MQTT and a real database: nothing lost, nothing twice, order kept, whatever dies."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from central.edge.broker import Broker, find_program
from tests.central.centre import Centre, eventually
from tests.central.station import SANGATTA, Station, delivery, fact, state, summary, will

Join = Callable[..., Station]


def test_what_is_stored_is_said_back(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.tell(delivery([fact(1), summary(2)]))
    eventually(lambda: station.mark() == 2)
    station.tell(delivery([fact(4)]))
    eventually(lambda: len(station.marks) == 2)
    assert station.mark() == 2
    station.tell(delivery([fact(3)]))
    eventually(lambda: station.mark() == 4)
    assert centre.epochs(SANGATTA) == [{"epoch": "epoch-1", "stored": 4, "first": 1, "count": 4, "out_of_order": 1}]


def test_a_lone_record_is_not_kept_waiting(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.tell(delivery([fact(1)]))
    eventually(lambda: station.mark() == 1)
    station.tell(delivery([fact(2)]))
    eventually(lambda: station.mark() == 2, deadline_s=1.0)


@contextmanager
def stream(station: Station) -> Iterator[Callable[[], int]]:
    """Say one record after the other in the background, while the block runs; gives how many were said."""
    said, enough = [0], threading.Event()

    def say_all() -> None:
        while not enough.is_set():
            station.tell(delivery([fact(said[0] + 1)]))
            said[0] += 1

    thread = threading.Thread(target=say_all)
    thread.start()
    try:
        yield lambda: said[0]
    finally:
        enough.set()
        thread.join()


def wait_for_more(station: Station) -> None:
    before = station.mark()
    eventually(lambda: station.mark() > before + 100)


def whole(last: int) -> list[dict[str, object]]:
    return [{"epoch": "epoch-1", "stored": last, "first": 1, "count": last, "out_of_order": 0}]


def test_a_centre_killed_in_mid_stream_loses_nothing_and_keeps_the_order(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    with stream(station) as said:
        for _ in range(2):
            wait_for_more(station)
            centre.kill()
            centre.start()
        wait_for_more(station)
    eventually(lambda: station.mark() == said())
    assert centre.epochs(SANGATTA) == whole(said())


def test_a_broker_that_was_killed_comes_back_and_nothing_is_lost(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    with stream(station) as said:
        eventually(lambda: station.mark() > 100)
        killed = centre.broker_pid()
        assert killed
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: {centre.broker_pid()} - {killed, None})
        wait_for_more(station)
    eventually(lambda: station.mark() == said())
    assert centre.epochs(SANGATTA) == whole(said())
    assert "the broker has died" in centre.errors


def test_the_broker_dies_with_a_killed_centre(centre: Centre) -> None:
    centre.start()
    broker = centre.broker_pid()
    centre.kill()
    eventually(lambda: not Path(f"/proc/{broker}").exists())


def test_the_same_data_directory_is_taken_up_again(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.say(state(uptime_s=60))
    station.tell(delivery([fact(1), fact(2)]))
    eventually(lambda: station.mark() == 2)
    eventually(lambda: centre.station(SANGATTA)["word"] == "SIAP")
    heard_s = told_at(centre)
    assert centre.stop() == 0
    centre.start()
    station.tell(delivery([fact(2), fact(3)]))
    eventually(lambda: station.mark() == 3)
    assert centre.epochs(SANGATTA) == whole(3)
    assert abs(told_at(centre) - heard_s) < 0.5, "the retained state that the broker repeats is no news"


def told_at(centre: Centre) -> float:
    return time.time() - centre.station(SANGATTA)["age_s"]


def test_a_state_that_only_the_broker_remembers_is_not_green(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.tell(state())
    eventually(lambda: centre.station(SANGATTA).get("word") == "SIAP")
    station.leave()
    centre.stop()
    for file in centre.data.glob("siaga.sqlite3*"):
        file.unlink()
    centre.start()
    remembered = eventually(lambda: centre.station(SANGATTA))
    assert (remembered["word"], remembered["age_s"]) == ("TIDAK DIKETAHUI", None)


def test_only_the_will_of_the_newest_session_counts(centre: Centre, join: Join) -> None:
    centre.start()
    station = join(centre)
    station.tell(state(uptime_s=60, session="old"))
    station.tell(state(uptime_s=70, session="new"))
    station.tell(will(session="old"))
    station.tell(delivery([fact(1)]))
    eventually(lambda: station.mark() == 1)
    assert centre.station(SANGATTA)["word"] == "SIAP"
    station.tell(will(session="new"))
    eventually(lambda: centre.station(SANGATTA)["word"] == "TIDAK DIKETAHUI")


def test_it_stops_cleanly_and_says_where_it_was(centre: Centre) -> None:
    centre.start()
    assert centre.output.splitlines() == [
        f"page    http://{centre.http}/",
        f"broker  mqtt://127.0.0.1:{centre.mqtt_port}",
        f"data    {centre.data}",
    ]
    broker = centre.broker_pid()
    assert centre.stop() == 0
    assert not Path(f"/proc/{broker}").exists()
    assert "Traceback" not in centre.errors


def test_systemd_hears_that_it_is_ready_and_alive(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        centre = Centre(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")).start()
        try:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            centre.stop()
        finally:
            centre.end()


def test_a_broker_elsewhere_will_do_even_one_that_comes_later(tmp_path: Path, join: Join) -> None:
    with_broker, without = tmp_path / "with", tmp_path / "without"
    with_broker.mkdir(), without.mkdir()
    elsewhere = Centre(with_broker)
    settings = tmp_path / "siaga.yaml"
    settings.write_text(f'broker: "mqtt://127.0.0.1:{elsewhere.mqtt_port}"\n')
    centre = Centre(without, "--config", str(settings))
    try:
        centre.launch()
        eventually(lambda: "cannot be reached" in centre.errors)
        program = find_program(None)
        broker = Broker(program, with_broker, "127.0.0.1", elsewhere.mqtt_port)
        broker.prepare()
        broker.start()
        eventually(lambda: "hearing the stations" in centre.errors)
        station = join(elsewhere)
        station.tell(delivery([fact(1)]))
        eventually(lambda: station.mark() == 1)
        eventually(lambda: "(not ours)" in centre.output)
        assert centre.broker_pid() is None
        assert centre.stop() == 0
    finally:
        centre.end()
        broker.stop()
