"""A card that takes nothing, read-only or full: the station is measured, switched and reported all the same."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.edge import card
from tests.central.centre import Centre
from tests.namespaces.ground import START_S, Ground, ground
from tests.namespaces.packets import wait_until
from wire.codes import CODES
from wire.messages import Fact, decode_record

STATION = "6408042001143"
CARD_BYTES = 6 << 20
SAID = "CARD_UNWRITABLE: because: {why}; records are in memory only until the centre has stored them"


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def turn_read_only(here: Ground) -> None:
    mount("--bind", here.state_dir, here.state_dir)
    mount("-o", "remount,bind,ro", here.state_dir)


def turn_writable(here: Ground) -> None:
    mount("-o", "remount,bind,rw", here.state_dir)


def fill(here: Ground) -> None:
    with (here.folder / "card" / "photos").open("wb", buffering=0) as file:
        for size in (65_536, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def free(here: Ground) -> None:
    (here.folder / "card" / "photos").unlink()


WAYS = [
    pytest.param(turn_read_only, turn_writable, "Read-only file system", id="read-only"),
    pytest.param(fill, free, "No space left on device", id="full"),
]


@contextmanager
def polling_station(folder: Path) -> Iterator[tuple[Ground, Centre]]:
    """Its card is a file system of its own; the centre is not started yet."""
    with ground(folder / "station") as here:
        inside = here.folder / "card"
        inside.mkdir()
        mount("-t", "tmpfs", "-o", f"size={CARD_BYTES}", "tmpfs", inside)
        here.state_dir = inside / "siaga"
        centre = Centre(folder)
        text = here.config.read_text().replace("127.0.0.1:1", f"127.0.0.1:{centre.mqtt_port}")
        here.config.write_text(text.replace(str(here.folder / "state"), str(here.state_dir)))
        try:
            yield here, centre
        finally:
            if hasattr(centre, "process"):
                centre.end()
            here.end(signal.SIGKILL)
            subprocess.run(["umount", "--recursive", "--lazy", str(inside)], check=True)


def leaves_of(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stored(centre: Centre) -> list[Fact]:
    """The facts that the centre has, in the order in which they were numbered."""
    with closing(sqlite3.connect(f"file:{centre.data}/siaga.sqlite3?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT data FROM record ORDER BY id").fetchall()
    bodies = [decode_record(data).body for (data,) in rows]
    return [body for body in bodies if isinstance(body, Fact)]


def codes(centre: Centre) -> list[str]:
    return [fact.code for fact in stored(centre)]


def unsent(here: Ground) -> int:
    status = here.status()
    return -1 if status is None else int(status["centre"]["unsent"])


def is_committed(here: Ground, code: str) -> bool:
    with closing(sqlite3.connect(card.current(here.state_dir) / card.SPOOL)) as database:
        return any(code.encode() in data for (data,) in database.execute("SELECT data FROM record"))


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize(("spoil", "_mend", "why"), WAYS)
def test_a_station_whose_card_takes_nothing_at_start_is_measured_switched_and_reported(
    spoil: Callable[[Ground], None], _mend: object, why: str, tmp_path: Path
) -> None:
    with polling_station(tmp_path) as (here, centre):
        here.start()
        here.ask(do="phase", phase="count", for_s=None)
        wait_until(lambda: "PHASE_SET" in here.told(), START_S)
        here.end()
        assert is_committed(here, "AGENT_STOPPED")
        spoil(here)
        before = leaves_of(here.state_dir)
        centre.start()
        here.start()
        here.settle()
        here.wires[0].way(False)
        wait_until(lambda: here.active() == "lte", START_S)
        wait_until(lambda: {"CARD_UNWRITABLE", "TRAFFIC_MOVED", "AGENT_STOPPED"} <= set(codes(centre)), START_S)
        assert here.told().count(SAID.format(why=why)) == 1
        told = here.run("status")
        assert f"card: cannot be written ({why}); records are kept in memory" in told.stdout, told.stderr
        assert "phase count" in told.stdout
        assert CODES["CARD_UNWRITABLE"].meaning_id in centre.get(f"/stations/{STATION}/")[2]
        assert leaves_of(here.state_dir) == before


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize(("spoil", "mend", "_why"), WAYS)
def test_what_memory_holds_outlives_a_kill_goes_back_to_the_card_and_is_sent(
    spoil: Callable[[Ground], None], mend: Callable[[Ground], None], _why: str, tmp_path: Path
) -> None:
    with polling_station(tmp_path) as (here, centre):
        here.start()
        here.end()
        spoil(here)
        here.start()
        here.ask(do="phase", phase="upload", for_s=None)
        wait_until(lambda: is_committed(here, "PHASE_SET"), START_S)
        held = unsent(here)
        here.end(signal.SIGKILL)
        here.start()
        assert unsent(here) > held
        held = unsent(here)
        here.end(signal.SIGKILL)
        mend(here)
        here.start()
        status = here.status()
        assert status is not None
        assert (status["card"], status["phase"]) == (None, "upload")
        assert unsent(here) > held
        assert card.current(here.state_dir) == here.state_dir
        centre.start()
        wait_until(lambda: codes(centre).count("AGENT_STARTED") == 4, START_S)
        wait_until(lambda: "CARD_WRITABLE" in codes(centre), START_S)
        assert codes(centre).count("CARD_UNWRITABLE") == 2
        assert codes(centre).count("PHASE_SET") == 1


@pytest.mark.usefixtures("cell")
def test_a_card_that_fills_up_while_the_agent_runs_stops_no_report(tmp_path: Path) -> None:
    with polling_station(tmp_path) as (here, centre):
        centre.start()
        here.start()
        wait_until(lambda: "AGENT_STARTED" in codes(centre), START_S)
        fill(here)
        here.ask(do="phase", phase="count", for_s=None)
        wait_until(lambda: {"PHASE_SET", "CARD_UNWRITABLE"} <= set(codes(centre)), START_S)
        assert "card: cannot be written (No space left on device)" in here.run("status").stdout
        centre.kill()
        here.ask(do="phase", phase="upload", for_s=None)
        wait_until(lambda: here.told().count("PHASE_SET") == 2, START_S)
        here.end()
        free(here)
        here.start()
        centre.start()
        wait_until(lambda: "CARD_WRITABLE" in codes(centre), START_S)
        assert (codes(centre).count("PHASE_SET"), codes(centre).count("CARD_UNWRITABLE")) == (2, 1)


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize("spoil", [turn_read_only, fill])
def test_whoever_installs_an_agent_on_a_card_that_takes_nothing_is_told(
    spoil: Callable[[Ground], None], tmp_path: Path
) -> None:
    with polling_station(tmp_path) as (here, _):
        here.state_dir.mkdir()
        spoil(here)
        done = here.run("run")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"state_dir = {here.state_dir}: cannot be used: " in done.stderr


@pytest.mark.usefixtures("cell")
def test_a_directory_that_is_not_there_and_cannot_be_made_is_told(tmp_path: Path) -> None:
    with polling_station(tmp_path) as (here, _):
        here.state_dir.mkdir()
        turn_read_only(here)
        here.config.write_text(here.config.read_text().replace(str(here.state_dir), f"{here.state_dir}/siga"))
        done = here.run("run")
        assert done.returncode == 2
        assert done.stderr == f"siaga-agent: state_dir = {here.state_dir}/siga: cannot be used: Read-only file system\n"
