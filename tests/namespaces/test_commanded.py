"""The centre commands a real station: what is done, what is refused, what never happens twice, and what goes back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.core.routes import ACTIVE_TABLE
from agent.edge.inbox import AUTHORITY
from tests.central.centre import Centre
from tests.central.test_central_commands import siaga
from tests.edge.link import ip
from tests.namespaces.ground import SOON_S, START_S, Ground, ground
from tests.namespaces.packets import wait_until
from wire.topics import Address, Down

STATION = "6408042001143"
BY = "Siti Rahma"
HASTY = (sys.executable, "-m", "tests.namespaces.hasty", "run")
LONG_S = 60.0


class Both:
    """A station and its centre, and somebody who listens at the broker."""

    def __init__(self, here: Ground, centre: Centre) -> None:
        self.here, self.centre = here, centre
        self.heard: list[bytes] = []
        self._listening = threading.Event()
        self.ear = mqtt.Client(CallbackAPIVersion.VERSION2, "ear", protocol=mqtt.MQTTv311)
        self.ear.on_connect = lambda client, *_: client.subscribe(self.topic, qos=0)
        self.ear.on_subscribe = lambda *_: self._listening.set()
        self.ear.on_message = lambda *arguments: self.heard.append(bytes(arguments[2].payload))
        self.ear.connect("127.0.0.1", centre.mqtt_port)
        self.ear.loop_start()
        assert self._listening.wait(10)

    topic = Address(STATION, Down.COMMAND).topic

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return siaga(self.centre, "command", STATION, *arguments, "--by", BY, "--wait")

    def configure(self, text: str) -> subprocess.CompletedProcess[str]:
        file = self.here.folder / "new.yaml"
        file.write_text(text)
        return siaga(self.centre, "config", STATION, file, "--by", BY, "--wait")

    def count(self, what: str) -> int:
        return self.here.told().count(what)

    def page(self) -> str:
        return self.centre.get(f"/stations/{STATION}/")[2]

    def version(self) -> int | None:
        status = self.here.status()
        return None if status is None else status["configuration"]["version"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("commanded")
    with ground(folder / "station") as here:
        centre = Centre(folder).start()
        try:
            here.config.write_text(here.config.read_text().replace("127.0.0.1:1", f"127.0.0.1:{centre.mqtt_port}"))
            here.state_dir.mkdir(parents=True, exist_ok=True)
            (here.state_dir / AUTHORITY).write_bytes((centre.data / "ca" / "ca.crt").read_bytes())
            here.start(HASTY)
            here.settle()
            wait_until(lambda: centre.station(STATION).get("online", False), START_S)
            made = Both(here, centre)
            yield made
            made.ear.loop_stop()
        finally:
            centre.end()


def test_traffic_is_moved_and_given_back_and_the_history_says_by_whom(both: Both) -> None:
    done = both.command("move", "lte", "--for", "10m")
    assert done.returncode == 0, done.stdout + both.here.told()
    assert "done: A command of the centre was done: traffic goes by lte for 600 s" in done.stdout
    wait_until(lambda: both.here.active() == "lte", SOON_S)
    wait_until(lambda: f"move oleh {BY}" in both.page(), SOON_S * 2)
    assert both.command("auto").returncode == 0
    wait_until(lambda: both.here.active() == "fibre", START_S)


def test_a_drill_goes_there_and_comes_back(both: Both) -> None:
    both.here.settle()
    done = both.command("drill", "--for", "5s")
    assert done.returncode == 0, done.stdout + both.here.told()
    assert "lte carried the traffic and fibre took it back" in done.stdout
    assert "away_s: " in done.stdout and "back_s: " in done.stdout
    assert both.here.active() == "fibre"


def test_an_uplink_is_looked_at_from_afar(both: Both) -> None:
    done = both.command("diagnose", "lte")
    assert done.returncode == 0, done.stdout + both.here.told()
    assert "layer: " in done.stdout


def test_while_votes_are_counted_it_is_refused_by_name(both: Both) -> None:
    both.here.ask(do="phase", phase="count", for_s=None)
    for arguments in (("drill",), ("move", "lte"), ("measure", "lte")):
        done = both.command(*arguments)
        assert done.returncode == 3
        assert "refused: It is not done while votes are counted or sent: phase count" in done.stdout
    both.here.ask(do="phase", phase="normal", for_s=None)


def test_delivered_ten_times_it_is_done_once_and_after_a_restart_never_again(both: Both) -> None:
    assert both.command("move", "lte", "--for", "1m").returncode == 0
    wait_until(lambda: bool(both.heard), SOON_S)
    moved, replayed = both.count("OVERRIDE_SET"), both.heard[-1]
    for _ in range(10):
        both.ear.publish(both.topic, replayed, qos=1).wait_for_publish(5)
    assert both.command("auto").returncode == 0  # which came behind them, and was heard after them
    assert both.count("OVERRIDE_SET") == moved
    both.here.end(signal.SIGKILL)
    both.here.start(HASTY)
    both.here.settle()
    wait_until(lambda: bool(both.here.status()["centre"]["connected"]), START_S)  # type: ignore[index]
    for _ in range(10):
        both.ear.publish(both.topic, replayed, qos=1).wait_for_publish(5)
    assert both.command("auto").returncode == 0
    assert both.count("OVERRIDE_SET") == moved


def test_a_retained_command_is_ignored_when_the_session_begins(both: Both) -> None:
    both.ear.publish(both.topic, both.heard[-1], qos=1, retain=True).wait_for_publish(5)
    both.here.end()
    both.here.start(HASTY)
    wait_until(lambda: "it was retained, and a command never is" in both.here.told(), START_S)
    both.ear.publish(both.topic, b"", qos=1, retain=True).wait_for_publish(5)


def test_the_daemon_itself_has_not_loaded_what_verifies(both: Both) -> None:
    assert both.here.agent is not None
    maps = Path(f"/proc/{both.here.agent.pid}/maps").read_text()
    assert "sqlite" in maps
    assert "cryptography" not in maps


# configurations


def changed(both: Both, *changes: tuple[str, str]) -> str:
    text = both.here.config.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def routes() -> str:
    return ip("route", "show", "table", str(ACTIVE_TABLE))


def test_a_good_configuration_is_tried_and_stays_in_the_same_process_with_the_same_routes(both: Both) -> None:
    both.here.settle()
    before, pid = routes(), both.here.agent.pid  # type: ignore[union-attr]
    done = both.configure(changed(both, ("- 198.51.100.1\n", "")))
    assert done.returncode == 0, done.stdout + both.here.told()
    assert "done: The centre's configuration is in force" in done.stdout
    wait_until(lambda: both.version() == 1, START_S)
    assert both.here.agent.poll() is None  # type: ignore[union-attr]
    assert Path(f"/proc/{pid}").exists()
    both.here.settle()
    assert routes() == before
    assert "CONFIG_TRIED" in both.here.told() and "CONFIG_APPLIED" in both.here.told()
    wait_until(lambda: "Konfigurasi dari pusat berlaku" in both.page(), START_S)
    assert "version 1 of the centre is in force instead" in both.here.run("check").stdout
    assert "configuration: version 1 of the centre, in force" in both.here.run("status").stdout


def test_a_bad_one_is_rejected_with_its_sentence_and_nothing_changes(both: Both) -> None:
    before = both.version()
    done = both.configure(changed(both, ("kind: lte", "kind: 5g")))
    assert done.returncode == 3
    assert "refused: The centre's configuration was rejected" in done.stdout
    assert "uplinks[1].kind" in done.stdout
    assert both.version() == before


def test_one_that_loses_the_centre_is_rolled_back(both: Both) -> None:
    before, port = both.version(), both.centre.mqtt_port
    done = both.configure(changed(both, (f"127.0.0.1:{port}", "127.0.0.1:1")))
    assert done.returncode == 3, both.here.told()
    assert "failed: With the new configuration the centre was not reached" in done.stdout
    assert both.version() == before
    assert "CONFIG_ROLLED_BACK" in both.here.told()


def test_one_with_which_the_agent_cannot_start_is_rolled_back_at_once(both: Both) -> None:
    before = both.version()
    done = both.configure(
        changed(both, ("centre:\n", 'centre:\n  stamp: ["127.0.0.1:8620"]\n  stamp_key: /nowhere/stamp.key\n'))
    )
    assert done.returncode == 3, both.here.told()
    assert "failed: With the new configuration" in done.stdout and "stamp_key" in done.stdout
    assert both.version() == before


def test_the_technicians_edit_wins_and_is_told(both: Both) -> None:
    assert both.version() is not None
    both.here.config.write_text(both.here.config.read_text() + "# edited\n")
    both.here.end()
    both.here.start(HASTY)
    assert both.version() is None
    assert "CONFIG_LOCAL" in both.here.told()
    assert "this file was edited after version 1 of the centre" in both.here.run("check").stdout
    told = both.count("CONFIG_LOCAL")
    both.here.end()
    both.here.start(HASTY)
    assert both.count("CONFIG_LOCAL") == told


def test_the_centres_key_is_nobodys_but_the_centres(both: Both) -> None:
    texts = [file.read_bytes() for file in both.here.state_dir.rglob("*") if file.is_file()]
    assert not any(b"PRIVATE KEY" in text and b"command" in text for text in texts)
