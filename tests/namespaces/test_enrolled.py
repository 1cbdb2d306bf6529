"""From a printed card to a command that was obeyed: the real programs, TLS, and what the people at both ends see."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.central.secured import SecuredCentre
from tests.central.test_central_commands import siaga
from tests.namespaces.ground import SOON_S, START_S, Ground, ground
from tests.namespaces.packets import wait_until

STATION = "6408042001143"
BY = "Siti Rahma"


@dataclass
class Enrolled:
    """A station that has become one by its card, running, and the centre that printed it."""

    here: Ground
    centre: SecuredCentre

    def order(self, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return siaga(self.centre, what, STATION, *arguments, "--by", BY, "--wait")

    def page(self) -> str:
        return self.centre.get(f"/stations/{STATION}/")[2]


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    folder = tmp_path_factory.mktemp("enrolled")
    with ground(folder / "station") as here:
        centre = SecuredCentre(folder / "centre")
        centre.start()
        try:
            [link] = centre.cards(STATION)
            done = here.run("enrol", str(link))
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            here.start()
            here.settle()
            wait_until(lambda: centre.station(STATION).get("online", False), START_S)
            yield Enrolled(here, centre)
            here.end()
        finally:
            centre.end()


def test_it_reports_by_tls_under_its_own_certificate(enrolled: Enrolled) -> None:
    assert f"mqtts://127.0.0.1:{enrolled.centre.mqtts_port}" in enrolled.here.config.read_text()
    wait_until(lambda: bool(enrolled.centre.epochs(STATION)), START_S)
    assert "NOT_ENROLLED" not in enrolled.here.told()


def test_a_command_is_obeyed_once_and_its_answer_is_seen_at_the_centre(enrolled: Enrolled) -> None:
    before = enrolled.here.told().count("OVERRIDE_SET")
    done = enrolled.order("command", "move", "lte", "--for", "10m")
    assert done.returncode == 0, done.stdout + enrolled.here.told()
    assert "done: A command of the centre was done: traffic goes by lte for 600 s" in done.stdout
    wait_until(lambda: enrolled.here.active() == "lte", SOON_S)
    wait_until(lambda: f"move oleh {BY}" in enrolled.page(), 2 * SOON_S)
    assert enrolled.order("command", "auto").returncode == 0
    assert enrolled.here.told().count("OVERRIDE_SET") == before + 1
    wait_until(lambda: enrolled.here.active() == "fibre", START_S)


def test_a_configuration_is_tried_and_kept(enrolled: Enrolled, tmp_path: Path) -> None:
    text = enrolled.here.config.read_text()
    new = tmp_path / "new.yaml"
    new.write_text(text.replace("- 198.51.100.1\n", ""))
    assert new.read_text() != text
    done = enrolled.order("config", str(new))
    assert done.returncode == 0, done.stdout + enrolled.here.told()
    assert "done: The centre's configuration is in force" in done.stdout
    wait_until(lambda: "Konfigurasi dari pusat berlaku" in enrolled.page(), START_S)
    assert "configuration: version 1 of the centre, in force" in enrolled.here.run("status").stdout
