"""Where the state is: on a card that takes it, else in memory, from where it comes back; nothing is lost on the way."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.edge import card, identity, owner
from agent.edge.card import SPOOL, Place
from agent.edge.lasting import LastingSpool
from agent.edge.spool import BYTES_AT_MOST
from tests.edge.records import STAMP, begun
from wire.messages import Fact

STATION = "6408042001143"
READING_FAILS = "/proc/self/mem"  # at its beginning nothing is mapped: EIO


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def used(tmp_path: Path, cell: None) -> Iterator[Path]:  # noqa: ARG001
    """A card with the state of a station that has run and enrolled; a file system of its own."""
    folder = tmp_path / "card"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    owner.claim(folder, STATION)
    (folder / "memory.json").write_text("learnt")
    (folder / "config").mkdir()
    (folder / "config" / "3.yaml").write_text("given")
    (folder / "config.json").write_text("{}")
    (folder / identity.KEY).write_text("secret")
    put(folder, 3)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def read_only(folder: Path, how: str = "ro") -> None:
    mount("-o", f"remount,{how}", folder)


def put(state_dir: Path, many: int) -> None:
    spool = begun(state_dir / SPOOL)
    for _ in range(many):
        spool.put(Fact("NO_UPLINK"), STAMP)
    spool.close()


def held(state_dir: Path) -> int:
    with closing(sqlite3.connect(state_dir / SPOOL)) as database:
        return int(database.execute("SELECT count(*) FROM record").fetchone()[0])


@pytest.mark.usefixtures("runtime")
def test_a_card_that_takes_everything_is_the_place_and_is_left_as_it_was(used: Path) -> None:
    before = sorted(used.iterdir())
    assert card.settle(used) == Place(used, used)
    assert card.current(used) == used
    assert sorted(used.iterdir()) == before


def test_memory_begins_as_a_copy_and_the_key_stays_on_the_card(used: Path, runtime: Path) -> None:
    read_only(used)
    place = card.settle(used)
    assert place.why == "Read-only file system"
    assert place.state_dir.parent == runtime
    assert card.current(used) == place.state_dir
    assert (place.state_dir / "memory.json").read_text() == "learnt"
    assert (place.state_dir / "config" / "3.yaml").read_text() == "given"
    assert held(place.state_dir) == 3
    assert (place.state_dir / identity.KEY).readlink() == used / identity.KEY
    assert (place.state_dir / identity.KEY).read_text() == "secret"
    assert not (place.state_dir / identity.CERTIFICATE).exists()
    assert place.state_dir.stat().st_mode & 0o007 == 0


@pytest.mark.usefixtures("runtime")
def test_a_card_with_so_little_room_that_a_spool_would_soon_fail_counts_as_full(used: Path) -> None:
    fill(used)
    with (used / "photos").open("r+b") as photos:
        photos.truncate((used / "photos").stat().st_size - card.ROOM_BYTES // 2)
    assert card.settle(used).why == "No space left on device"
    with (used / "photos").open("r+b") as photos:
        photos.truncate(0)
    assert card.settle(used).is_back


@pytest.mark.usefixtures("runtime")
def test_what_was_committed_and_not_yet_moved_into_the_database_is_copied_too(used: Path) -> None:
    spool = begun(used / SPOOL)
    spool.put(Fact("NO_UPLINK"), STAMP)
    child = os.fork()  # dies with the database open, as a killed agent does
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert (used / card.JOURNAL).stat().st_size
    with closing(sqlite3.connect(f"file:{used / SPOOL}?immutable=1", uri=True)) as without_journal:
        assert without_journal.execute("SELECT count(*) FROM record").fetchone()[0] == 3
    fill(used)
    assert held(card.settle(used).state_dir) == 4
    spool.close()


def fill(used: Path) -> None:
    """A file system cannot be made read-only while a file is open for writing; it can be full."""
    with (used / "photos").open("wb", buffering=0) as photos:
        try:
            while photos.write(bytes(65_536)):
                pass
        except OSError:
            return


@pytest.mark.usefixtures("runtime")
def test_a_run_that_follows_finds_memory_as_it_was_left(used: Path) -> None:
    read_only(used)
    first = card.settle(used)
    put(first.state_dir, 2)
    assert card.settle(used) == first
    assert held(first.state_dir) == 5


def test_it_all_comes_back_to_the_card_and_memory_is_given_up(used: Path, runtime: Path) -> None:
    read_only(used)
    place = card.settle(used)
    put(place.state_dir, 2)
    (place.state_dir / "memory.json").write_text("learnt more")
    (place.state_dir / "config" / "4.yaml").write_text("newer")
    read_only(used, "rw")
    assert card.settle(used) == Place(used, used, is_back=True)
    assert held(used) == 5
    assert (used / "memory.json").read_text() == "learnt more"
    assert (used / "config" / "4.yaml").read_text() == "newer"
    assert (used / identity.KEY).read_text() == "secret"
    assert not (used / identity.KEY).is_symlink()
    assert not list(runtime.iterdir())
    assert card.settle(used) == Place(used, used)


@pytest.mark.usefixtures("runtime")
def test_a_card_that_is_full_before_all_has_come_back_leaves_it_in_memory(used: Path) -> None:
    read_only(used)
    place = card.settle(used)
    put(place.state_dir, 2000)
    (place.state_dir / "memory.json").write_bytes(bytes(5 << 20))
    read_only(used, "rw")
    (used / "photos").write_bytes(bytes(6 << 20))
    again = card.settle(used)
    assert (again.state_dir, again.why) == (place.state_dir, "No space left on device")
    assert held(place.state_dir) == 2003
    (used / "photos").unlink()
    (place.state_dir / "memory.json").write_text("less")
    assert card.settle(used).is_back
    assert held(used) == 2003


@pytest.mark.usefixtures("runtime")
def test_a_spool_on_the_card_that_was_damaged_meanwhile_is_replaced(used: Path) -> None:
    read_only(used)
    put(card.settle(used).state_dir, 1)
    read_only(used, "rw")
    (used / SPOOL).write_bytes(os.urandom(65_536))
    assert card.settle(used).is_back
    assert held(used) == 4


@pytest.mark.usefixtures("runtime")
def test_a_copy_that_was_cut_off_is_made_anew(used: Path) -> None:
    read_only(used)
    place = card.settle(used)
    for name in (owner.FILE, "memory.json", SPOOL):
        (place.state_dir / name).unlink()
    assert card.current(used) == used
    assert card.settle(used) == place
    assert card.current(used) == place.state_dir
    assert (place.state_dir / "memory.json").read_text() == "learnt"
    assert held(place.state_dir) == 3


@pytest.mark.usefixtures("runtime")
def test_in_the_midst_of_a_run_the_spool_alone_goes_on_in_memory(used: Path) -> None:
    spool = LastingSpool(Place(used, used), STATION, "run")
    spool.put(Fact("NO_UPLINK"), STAMP)
    assert spool.place == Place(used, used)
    fill(used)
    for _ in range(3):
        spool.put(Fact("NO_UPLINK"), STAMP)
    assert spool.place.why == "No space left on device"
    assert (held(used), held(spool.place.state_dir), spool.unsent) == (4, 7, 7)
    assert card.current(used) == used
    spool.close()
    (used / "memory.json").write_text("")
    place = card.settle(used)
    assert place == spool.place
    assert (place.state_dir / identity.KEY).read_text() == "secret"
    (used / "photos").unlink()
    (place.state_dir / "memory.json").write_text("learnt later")
    assert card.settle(used).is_back
    assert held(used) == 7
    assert (used / "memory.json").read_text() == "learnt later"


def test_a_card_that_takes_writes_is_not_left(used: Path, runtime: Path) -> None:
    assert card.leave(used) is None
    assert not runtime.exists()


@pytest.mark.usefixtures("runtime")
def test_a_spool_that_left_comes_back_alone_when_the_card_takes_writes_at_the_next_start(used: Path) -> None:
    spool = LastingSpool(Place(used, used), STATION, "run")
    fill(used)
    for _ in range(2):
        spool.put(Fact("NO_UPLINK"), STAMP)
    spool.close()
    (used / "photos").unlink()
    (used / "memory.json").write_text("learnt on the card meanwhile")
    assert card.settle(used).is_back
    assert held(used) == 5
    assert (used / "memory.json").read_text() == "learnt on the card meanwhile"


def test_a_spool_for_which_memory_has_no_room_holds_its_records_until_the_card_takes_them(
    used: Path, runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.mkdir()
    mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", runtime)
    spool = LastingSpool(Place(used, used), STATION, "run")
    fill(used)
    for _ in range(3):
        spool.put(Fact("NO_UPLINK"), STAMP)
    assert (spool.place, spool.unsent) == (Place(used, used), 6)
    assert caplog.text.count("cannot go on in memory either") == 1
    (used / "photos").unlink()
    spool.put(Fact("NO_UPLINK"), STAMP)
    assert held(used) == 7
    spool.close()
    subprocess.run(["umount", str(runtime)], check=True)


@pytest.mark.usefixtures("runtime")
def test_in_memory_there_is_less_room(used: Path) -> None:
    roomy = LastingSpool(Place(used, used), STATION, "run")
    narrow = LastingSpool(Place(used, used, "why"), STATION, "run")
    assert (roomy._bytes_at_most, narrow._bytes_at_most) == (BYTES_AT_MOST, card.IN_MEMORY_BYTES)
    for each in (roomy, narrow):
        each.close()


@pytest.mark.usefixtures("runtime")
def test_what_the_card_does_not_give_any_more_is_done_without_and_never_overwritten(used: Path) -> None:
    (used / SPOOL).rename(used / "elsewhere")
    (used / SPOOL).symlink_to(READING_FAILS)
    place = card.settle(used)
    assert place.why == "Input/output error"
    assert (place.state_dir / "memory.json").read_text() == "learnt"
    put(place.state_dir, 1)
    (used / SPOOL).unlink()
    (used / "elsewhere").rename(used / SPOOL)
    assert card.settle(used).is_back
    assert held(used) == 1
    (used / f"{SPOOL}.damaged-1").rename(used / "elsewhere.sqlite3")
    with closing(sqlite3.connect(used / "elsewhere.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM record").fetchone() == (3,)


def test_a_spool_too_large_for_memory_stays_on_the_card(used: Path, runtime: Path) -> None:
    runtime.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", runtime)
    put(used, 1000)
    size = (used / SPOOL).stat().st_size
    assert size > 128 << 10
    read_only(used)
    place = card.settle(used)
    assert place.why
    assert not (place.state_dir / SPOOL).exists()
    assert (used / SPOOL).stat().st_size == size
    subprocess.run(["umount", str(runtime)], check=True)


@pytest.mark.usefixtures("runtime")
def test_where_no_agent_has_ever_run_the_card_is_not_replaced(used: Path) -> None:
    (used / owner.FILE).unlink()
    read_only(used)
    with pytest.raises(OSError, match="Read-only file system"):
        card.settle(used)


@pytest.mark.usefixtures("runtime")
def test_another_error_is_no_reason_to_go_on_from_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        card.settle(tmp_path / "file")


def test_who_may_not_look_into_memory_is_sent_to_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / ("x" * 300)))
    assert card.current(tmp_path) == tmp_path
