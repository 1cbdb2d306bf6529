"""Configurations on the card: wherever the power is cut, one whole good configuration is in force."""

import json
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from agent import in_force
from agent.core import given as rules
from agent.core.given import Version
from agent.edge.given import Given
from tests.edge.sealed import BY

TEXT = """
station: "6408042001143"
uplinks: [{{name: {name}, interface: wan0, kind: fibre}}]
targets: [198.51.100.1]
centre: {{broker: "mqtt://127.0.0.1"}}
state_dir: {state_dir}
"""
AFTER = {"begin": {"first", "new"}, "start": {"new"}, "keep": {"new"}, "roll_back": {"first", "new"}, "refuse": {"new"}}


class Card:
    """A state directory, and the technician's file that names it."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self.state_dir.mkdir(parents=True)
        self.file = folder / "agent.yaml"
        self.file.write_text(self.text("local"))

    def text(self, name: str) -> str:
        return TEXT.format(name=name, state_dir=self.state_dir)

    @property
    def local(self) -> str:
        return sha256(self.file.read_bytes()).hexdigest()

    def version(self, number: int, name: str) -> Version:
        return Version(number, sha256(self.text(name).encode()).hexdigest(), self.local, BY)

    def begin(self, number: int, name: str) -> None:
        given, version = Given(self.state_dir), self.version(number, name)
        given.put(version, self.text(name))
        given.change(lambda note: rules.begin_trial(note, version))

    def keep(self) -> None:
        Given(self.state_dir).change(rules.keep)

    @property
    def found(self) -> in_force.InForce:
        return in_force.load(self.file)

    @property
    def name(self) -> str:
        return self.found.station.uplinks[0].name


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def die(card: Card, step: str, changes: int) -> bool:
    """Whether it was over before so many changes."""
    command = [sys.executable, "-m", "tests.edge.dying_config", changes, card.state_dir, card.local, step]
    done = subprocess.run(list(map(str, command)), input=card.text("new"), text=True, capture_output=True, timeout=30)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("step", AFTER)
def test_killed_at_each_step_one_whole_good_configuration_is_in_force(step: str, tmp_path: Path) -> None:
    seen = set()
    for changes in range(30):
        card = Card(tmp_path / str(changes))
        card.begin(6, "first")
        card.keep()
        if step != "begin":
            card.begin(7, "new")
        is_over = die(card, step, changes)
        found = card.found
        assert found.version is not None, "neither the old version nor the new one can be read"
        seen.add(found.station.uplinks[0].name)
        assert (found.told is None, found.is_edited) == (False, False)
        if is_over:
            break
        die(card, step, 99)  # after the power cut it is done again, and ends as it should
        assert card.name == ("new" if step != "roll_back" else "first")
    else:
        pytest.fail("it changes the card more often than it may")
    assert changes > 1
    assert seen <= AFTER[step]
    assert step not in ("begin", "roll_back") or seen == AFTER[step], "it was never cut off on both sides"


def test_what_is_not_in_force_any_more_is_removed(card: Card) -> None:
    for number in (5, 6, 7):
        card.begin(number, f"v{number}")
        card.keep()
    assert [file.name for file in (card.state_dir / "config").iterdir()] == ["7.yaml"]


def test_an_edit_of_the_technicians_file_wins_and_a_newer_version_wins_over_that(card: Card) -> None:
    card.begin(7, "seven")
    card.keep()
    assert card.name == "seven"
    card.file.write_text(card.text("edited"))
    assert (card.name, card.found.is_edited) == ("edited", True)
    assert card.found.told == "this file was edited after version 7 of the centre, so the file is in force"
    card.begin(8, "eight")
    assert card.name == "eight"
    assert card.found.told == f"version 8 of the centre is in force instead, by {BY}, on trial"


def test_a_version_that_the_card_has_spoilt_is_not_used(card: Card, caplog: pytest.LogCaptureFixture) -> None:
    card.begin(7, "seven")
    card.keep()
    (card.state_dir / "config" / "7.yaml").write_text("station: broken")
    assert card.name == "local"
    assert "7.yaml is damaged" in caplog.text


def test_a_spoilt_version_on_trial_is_rolled_back_at_the_start(card: Card) -> None:
    card.begin(6, "six")
    card.keep()
    card.begin(7, "seven")
    (card.state_dir / "config" / "7.yaml").write_text("station: broken")
    found = card.found
    assert (found.station.uplinks[0].name, found.start()) == ("local", True)
    assert (card.name, card.found.given.note.outcome.text) == ("six", "it cannot be read")  # type: ignore[union-attr]
    assert card.found.start() is False


def test_a_trial_on_a_file_that_was_edited_meanwhile_is_over(card: Card) -> None:
    card.begin(7, "seven")
    card.file.write_text(card.text("edited"))
    found = card.found
    assert (found.station.uplinks[0].name, found.start()) == ("edited", False)
    assert found.given.note.on_trial is False


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b'{"current": 7}', b"x" * 100_000])
def test_a_note_that_cannot_be_read_is_set_aside(data: bytes, card: Card) -> None:
    (card.state_dir / "config.json").write_bytes(data)
    assert card.name == "local"
    assert (card.state_dir / "config.json.damaged-1").exists()
    assert card.found.told is None


def test_the_starts_of_a_trial_are_counted_on_the_card(card: Card) -> None:
    card.begin(7, "seven")
    assert [card.found.start() for _ in range(4)] == [False, False, False, True]
    assert card.name == "local"
    note = json.loads((card.state_dir / "config.json").read_text())
    assert (note["outcome"]["code"], note["untold"]) == ("CONFIG_ROLLED_BACK", True)
