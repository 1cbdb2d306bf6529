"""A device that has moved to another station: nothing of the former one is sent or shown as the new one's."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.edge import identity, owner
from tests.central.secured import A, B, SecuredCentre
from tests.namespaces.ground import START_S, Ground, ground
from tests.namespaces.packets import wait_until


@contextmanager
def enrolled(folder: Path) -> Iterator[tuple[Ground, SecuredCentre]]:
    """A device that has run as station A; what it said last is not sent yet."""
    with ground(folder / "station") as here:
        centre = SecuredCentre(folder / "centre").start()
        try:
            assert here.run("enrol", str(centre.cards(A)[0])).returncode == 0
            here.start()
            wait_until(lambda: bool(centre.station(A)), START_S)
            centre.kill()
            here.ask(do="phase", phase="count", for_s=None)
            wait_until(lambda: "PHASE_SET" in here.told(), START_S)
            here.end()
            yield here, centre
        finally:
            centre.end()
            here.end(signal.SIGKILL)


def move(here: Ground) -> None:
    here.config.write_text(here.config.read_text().replace(A, B))


def records(database: Path, station: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        return int(opened.execute("SELECT count(*) FROM record WHERE station = ?", (station,)).fetchone()[0])


@pytest.mark.usefixtures("cell")
def test_it_does_not_start_as_another_station_and_says_what_to_do(tmp_path: Path) -> None:
    with enrolled(tmp_path) as (here, _):
        before = {file: file.read_bytes() for file in here.state_dir.iterdir() if file.is_file()}
        move(here)
        done = here.run("run")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        for told in (
            f"state_dir = {here.state_dir}: ",
            f"of station {A}",
            f"says station {B}",
            "siaga-agent enrol CODE",
        ):
            assert told in done.stderr
        assert f"mv {here.state_dir} {here.state_dir}.{A}" in done.stderr
        assert {file: file.read_bytes() for file in here.state_dir.iterdir() if file.is_file()} == before
        here.config.write_text(here.config.read_text().replace(B, A))
        here.start()


@pytest.mark.usefixtures("cell")
def test_the_certificate_alone_tells_whose_it_is(tmp_path: Path) -> None:
    with enrolled(tmp_path) as (here, _):
        (here.state_dir / owner.FILE).unlink()
        move(here)
        assert f"of station {A}" in here.run("run").stderr


@pytest.mark.usefixtures("cell")
def test_enrolling_with_the_new_card_leaves_all_behind_but_the_key(tmp_path: Path) -> None:
    with enrolled(tmp_path) as (here, centre):
        centre.start()
        was_stored = records(centre.data / "siaga.sqlite3", A)
        key, certificate = ((here.state_dir / name).read_bytes() for name in (identity.KEY, identity.CERTIFICATE))
        move(here)
        done = here.run("enrol", str(centre.cards(B)[0]))
        aside = here.state_dir / f"of-{A}"
        assert f"what was of station {A} lies in {aside} now" in done.stdout, done.stderr
        assert (aside / identity.CERTIFICATE).read_bytes() == certificate
        assert (here.state_dir / identity.KEY).read_bytes() == key
        with closing(sqlite3.connect(aside / "spool.sqlite3")) as left:
            assert left.execute("SELECT count(*) FROM record").fetchone()[0] > 0
        told = len(here.told())
        here.start()
        wait_until(lambda: records(centre.data / "siaga.sqlite3", B) > 0, START_S)
        status = here.status()
        assert status is not None
        assert (status["station"], status["phase"]) == (B, "normal")
        assert "CERTIFICATE_REFUSED" not in here.told()[told:]
        assert records(centre.data / "siaga.sqlite3", A) == was_stored


@pytest.mark.usefixtures("cell")
def test_nothing_is_left_behind_under_a_running_agent(tmp_path: Path) -> None:
    with enrolled(tmp_path) as (here, centre):
        centre.start()
        here.start()
        move(here)
        link = str(centre.cards(B)[0])
        done = here.run("enrol", link)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"an agent is still running here for station {A}" in done.stderr
        assert identity.read(here.state_dir).station == A
        here.end()
        assert here.run("enrol", link).returncode == 0
        assert identity.read(here.state_dir).station == B


def test_who_comes_back_and_leaves_again_leaves_twice(tmp_path: Path) -> None:
    for expected in (f"of-{A}", f"of-{A}-2"):
        (tmp_path / "memory.json").write_text(expected)
        owner.claim(tmp_path, A)
        assert owner.of(tmp_path) == (A,)
        aside = owner.set_aside(tmp_path, A)
        assert aside == tmp_path / expected
        assert (aside / "memory.json").read_text() == expected
        assert owner.of(tmp_path) == ()


def test_what_is_no_station_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / owner.FILE).write_bytes(b"\xff\x00")
    assert owner.of(tmp_path) == ()
    owner.claim(tmp_path, A)
    assert owner.of(tmp_path) == (A,)
