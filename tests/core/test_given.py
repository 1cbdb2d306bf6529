"""Which configuration is in force: a trial ends well or goes back, and the technician's hand has the last word."""

import pytest

from agent.core import given as rules
from agent.core.given import STARTS_AT_MOST, Note, Outcome, Version, begin_trial, in_force, is_news, keep, roll_back
from wire.command import Status, Why

SIX = Version(6, "h6", "file", "Siti")
SEVEN = Version(7, "h7", "file", "Budi")
EIGHT = Version(8, "h8", "file", "Budi")


def kept(version: Version, before: Note | None = None) -> Note:
    return keep(begin_trial(before or Note(), version))


def test_without_a_word_of_the_centre_the_technicians_file_is_in_force() -> None:
    assert in_force(Note(), "file") is None


def test_a_version_is_in_force_as_long_as_the_file_is_the_one_that_it_was_based_on() -> None:
    note = kept(SIX)
    assert in_force(note, "file") == SIX
    assert in_force(note, "edited") is None


def test_a_trial_that_reached_the_centre_stays_and_is_told_once() -> None:
    note = kept(SEVEN, kept(SIX))
    assert (note.current, note.previous, note.on_trial) == (SEVEN, None, False)
    assert (note.outcome, note.untold) == (Outcome(7, Status.DONE, "CONFIG_APPLIED", "", "Budi"), True)
    assert rules.told(note).untold is False


@pytest.mark.parametrize("before", [Note(), kept(SIX)])
def test_a_trial_that_did_not_goes_back_to_what_was_before(before: Note) -> None:
    note = roll_back(begin_trial(before, SEVEN), "the centre was not reached")
    assert (note.current, note.previous, note.on_trial) == (before.current, None, False)
    assert note.outcome == Outcome(7, Status.FAILED, Why.CONFIG_ROLLED_BACK, "the centre was not reached", "Budi")


def test_a_trial_after_a_trial_goes_back_to_what_was_proven() -> None:
    trial = begin_trial(begin_trial(kept(SIX), SEVEN), EIGHT)
    assert (trial.current, trial.previous) == (EIGHT, SIX)


def test_a_configuration_that_ends_the_agent_at_once_is_not_tried_for_ever() -> None:
    note = begin_trial(kept(SIX), SEVEN)
    for starts in range(1, STARTS_AT_MOST + 1):
        note = rules.start(note)
        assert (note.starts, note.current) == (starts, SEVEN)
    assert rules.start(note).current == SIX


def test_a_start_outside_a_trial_changes_nothing_and_writes_nothing() -> None:
    assert rules.start(kept(SIX)) == kept(SIX)


def test_only_a_higher_version_than_any_that_was_heard_of_is_news() -> None:
    assert is_news(Note(), 1)
    assert not is_news(Note(), 0)
    rolled_back = roll_back(begin_trial(kept(SIX), SEVEN), "why")
    assert [is_news(rolled_back, number) for number in (6, 7, 8)] == [False, False, True]
    trial = begin_trial(kept(SIX), SEVEN)
    assert [is_news(trial, number) for number in (6, 7, 8)] == [False, False, True]
    refused = rules.refuse(kept(SIX), Outcome(9, Status.REFUSED, Why.PHASE_FORBIDS))
    assert [is_news(refused, number) for number in (9, 10)] == [False, True]
    assert in_force(refused, "file") == SIX


@pytest.mark.parametrize("how", [keep, lambda note: roll_back(note, "why")])
def test_what_is_not_on_trial_neither_passes_nor_fails(how: object) -> None:
    assert how(kept(SIX)) == kept(SIX)  # type: ignore[operator]
