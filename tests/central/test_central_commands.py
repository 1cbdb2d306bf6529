"""What people command at the centre: signed, addressed, repeated until answered or too late, and seen by everybody."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.verify import check
from central.core.commands import JITTER, LONGEST_PAUSE_OF_CONFIG_S, LONGEST_PAUSE_S, address, pause_s
from central.core.fleet import StationView, hear
from central.core.intake import Refused, read
from central.edge.seal import Seal, SealError
from tests.central.centre import Centre, eventually
from tests.central.station import SANGATTA, Station, state, will
from wire.command import CONFIG_BYTES, Command, Kind, Result, Signed, Status, decode, encode
from wire.topics import Address, Up

Join = Callable[..., Station]
BY = "Siti Rahma"


def siaga(centre: Centre, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "central", *map(str, arguments), "--data", str(centre.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def give(centre: Centre, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = siaga(centre, "command", SANGATTA, *arguments, "--by", BY)
    assert done.returncode == 0, done.stderr
    return done


def heard(station: Station, kind: str = "command") -> list[Command]:
    return [decode(decode(data, Signed).body.encode(), Command) for each, data, _ in station.ordered if each == kind]


def ready(centre: Centre, join: Join, uptime_s: float = 60.0, boot: str = "boot-1") -> Station:
    centre.start()
    station = join(centre)
    station.tell(state(uptime_s=uptime_s, boot=boot))
    eventually(lambda: centre.station(SANGATTA))
    return station


def answer(station: Station, command: Command, status: Status = Status.DONE, code: str = "COMMAND_DONE") -> None:
    told = Result(SANGATTA, command.id, status, code, "so it is", {"rtt_ms": 61.5})
    station.send(encode(told), Up.RESULT)


def test_a_command_is_signed_and_addressed_and_repeated_until_it_is_answered(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    give(centre, "move", "lte", "--for", "10m")
    eventually(lambda: len(station.ordered) >= 2)
    first, second, *_ = heard(station)
    assert first == second
    assert (first.station, first.kind, first.by, first.boot) == (SANGATTA, Kind.MOVE, BY, "boot-1")
    assert first.arguments == {"uplink": "lte", "for_s": 600.0}
    assert 60 + 300 < first.until_s < 60 + 300 + 30  # of its uptime, which went on since that state
    assert {retained for _, _, retained in station.ordered} == {False}
    check(decode(station.ordered[0][1], Signed), (centre.data / "ca" / "ca.crt").read_text(), first.issued_s)
    answer(station, first)
    eventually(lambda: "dilakukan" in centre.get(f"/stations/{SANGATTA}/")[2])
    count = len(station.ordered)
    station.tell(state(uptime_s=61.0))
    eventually(lambda: centre.station(SANGATTA)["age_s"] > 5, 20)
    assert len(station.ordered) == count


def test_who_comes_later_finds_no_command_on_the_broker(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    give(centre, "auto")
    eventually(lambda: station.ordered)
    answer(station, heard(station)[0])
    eventually(lambda: "dilakukan" in centre.get(f"/stations/{SANGATTA}/")[2])
    station.leave()
    another = join(centre)
    another.tell(state(uptime_s=62.0))
    eventually(lambda: centre.station(SANGATTA)["age_s"] > 1)
    assert another.ordered == []


def test_the_answer_is_waited_for_and_told(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    command = [sys.executable, "-m", "central", "command", SANGATTA, "drill", "--by", BY, "--wait"]
    waiting = subprocess.Popen([*command, "--data", str(centre.data)], stdout=subprocess.PIPE, text=True)
    eventually(lambda: station.ordered)
    answer(station, heard(station)[0], Status.REFUSED, "PHASE_FORBIDS")
    told, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 3
    assert "refused: It is not done while votes are counted or sent: so it is\n  rtt_ms: 61.5\n" in told


def test_the_first_answer_stays(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    give(centre, "auto")
    eventually(lambda: station.ordered)
    answer(station, heard(station)[0], Status.REFUSED, "BUSY")
    eventually(lambda: "ditolak" in centre.get(f"/stations/{SANGATTA}/")[2])
    answer(station, heard(station)[0])
    station.tell(state(uptime_s=70.0))
    eventually(lambda: centre.station(SANGATTA)["age_s"] < 1)
    assert "ditolak" in centre.get(f"/stations/{SANGATTA}/")[2]


def test_nothing_is_sent_to_a_run_that_nobody_has_heard_and_it_expires(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    centre.kill()
    centre.start()
    give(centre, "auto", "--within", "5s")
    eventually(lambda: "kedaluwarsa" in centre.get(f"/stations/{SANGATTA}/")[2], 20)
    assert all(command.boot == "boot-1" for command in heard(station))


def test_another_run_of_the_agent_is_addressed_at_once(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    give(centre, "auto")
    eventually(lambda: station.ordered)
    station.tell(state(uptime_s=1.0, boot="boot-2", session="session-2"))
    eventually(lambda: heard(station)[-1].boot == "boot-2", 3)
    last = heard(station)[-1]
    assert last.id == heard(station)[0].id
    assert last.until_s < 302


def test_a_centre_killed_goes_on_repeating(centre: Centre, join: Join) -> None:
    station = ready(centre, join)
    give(centre, "auto")
    eventually(lambda: station.ordered)
    centre.kill()
    centre.start()
    before = len(station.ordered)
    station.tell(state(uptime_s=80.0))
    eventually(lambda: len(station.ordered) > before, 60)


# configurations


def config(folder: Path, station: str = SANGATTA) -> Path:
    file = folder / "new.yaml"
    file.write_text(f'station: "{station}"\nuplinks: []\n')
    return file


def test_a_configuration_is_retained_with_version_and_hash_and_the_newest_counts(
    centre: Centre, join: Join, tmp_path: Path
) -> None:
    station = ready(centre, join)
    for number in (1, 2):
        done = siaga(centre, "config", SANGATTA, config(tmp_path), "--by", BY)
        assert (done.returncode, f"version {number} is given" in done.stdout) == (0, True), done.stderr
        eventually(lambda number=number: any(c.arguments["version"] == number for c in heard(station, "config")))
    station.leave()
    later = join(centre)
    eventually(lambda: later.ordered)
    assert later.ordered[0][2] is True
    (kept,) = heard(later, "config")
    assert (kept.arguments["version"], kept.id, kept.expires_s) == (2, "config-2", None)
    answer(later, kept, Status.DONE, "CONFIG_APPLIED")
    page = eventually(lambda: (p := centre.get(f"/stations/{SANGATTA}/")[2]) and "CONFIG_APPLIED" in p and p)
    assert "versi 2" in page
    assert "a newer version was given" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("command", "12", "auto"), "is no station"),
        (("command", SANGATTA, "dance"), "invalid choice"),
        (("command", SANGATTA, "config"), "invalid choice"),
        (("command", SANGATTA, "move"), "needs the name of an uplink"),
        (("command", SANGATTA, "auto", "lte"), "auto takes no uplink"),
        (("command", SANGATTA, "measure", "lte", "--for", "5m"), "measure takes no --for"),
        (("command", SANGATTA, "auto", "--within", "2h"), "--within is from 5 s to 3600 s"),
        (("command", SANGATTA, "auto", "--by", ""), "--by takes a name"),
        (("command", SANGATTA, "auto", "--by", "a\nb"), "--by takes a name"),
        (("command", SANGATTA, "auto"), "there is no centre in"),
        (("config", SANGATTA, "/nowhere.yaml"), "cannot be read"),
        (("config", SANGATTA, "/etc/hostname"), "is not for this station"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, centre: Centre) -> None:
    by = () if "--by" in arguments else ("--by", BY)
    done = siaga(centre, *arguments, *by)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_station_that_was_never_heard_of_is_not_commanded(centre: Centre) -> None:
    centre.start()
    done = siaga(centre, "command", SANGATTA, "auto", "--by", BY)
    assert done.returncode == 2
    assert "was never heard of here" in done.stderr


# pure


def test_an_address_counts_the_stations_own_uptime() -> None:
    view = hear(StationView(SANGATTA), state(uptime_s=100.0), 5000.0)
    found = address(view, 5300.0, 5020.0)
    assert found is not None
    assert (found.boot, found.until_s) == ("boot-1", 400.0)


@pytest.mark.parametrize("now_s", [4999.0, 5151.0])
def test_without_a_fresh_state_there_is_no_address(now_s: float) -> None:
    view = hear(StationView(SANGATTA), state(uptime_s=100.0), 5000.0)
    assert address(view, 5300.0, now_s) is None
    assert address(StationView(SANGATTA), 5300.0, now_s) is None
    assert address(hear(StationView(SANGATTA), will(), 5000.0), 5300.0, 5001.0) is None


def test_repetitions_come_less_and_less_often_and_never_all_at_once() -> None:
    pauses = [pause_s(sent, False, 0.5) for sent in range(1, 12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (3.0, LONGEST_PAUSE_S)
    assert pause_s(10**6, True, 0.5) == LONGEST_PAUSE_OF_CONFIG_S
    assert (pause_s(1, False, 0.0), pause_s(1, False, 1.0)) == (3 * JITTER[0], 3 * JITTER[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"station": "6408042001144"},
        {"id": "x" * 65},
        {"code": "X" * 65},
        {"text": "x" * 241},
        {"evidence": {"x" * 241: 1}},
        {"evidence": {"why": "x" * 241}},
        {"evidence": {f"n{n}": n for n in range(201)}},
        {"evidence": {"n": 1e300}},
        {"status": "dancing"},
    ],
)
def test_an_answer_beyond_bounds_is_refused(changed: dict[str, object]) -> None:
    good = msgspec.to_builtins(Result(SANGATTA, "x", Status.DONE, "COMMAND_DONE"))
    topic = Address(SANGATTA, Up.RESULT).topic
    assert isinstance(read(topic, msgspec.json.encode(good)), Result)
    with pytest.raises(Refused):
        read(topic, msgspec.json.encode(good | changed))


def test_the_seal_keeps_its_key_and_refuses_what_is_too_long(tmp_path: Path) -> None:
    signed = decode(Seal(tmp_path).sign(Command(SANGATTA, "x", "auto", BY, 0.0, 1.0)), Signed)
    again = decode(Seal(tmp_path).sign(Command(SANGATTA, "x", "auto", BY, 0.0, 1.0)), Signed)
    assert signed.certificate == again.certificate
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "ca").glob("*.key")} == {0}
    with pytest.raises(SealError, match="at most 65536 are sent"):
        Seal(tmp_path).sign(Command(SANGATTA, "x", "config", BY, 0.0, 1.0, arguments={"text": '"' * CONFIG_BYTES * 2}))


def test_who_signs_is_a_process_that_ends_and_one_command_that_is_too_long_holds_up_no_other(tmp_path: Path) -> None:
    short = Command(SANGATTA, "x", "auto", BY, 0.0, 1.0)
    too_long = msgspec.structs.replace(short, arguments={"text": '"' * CONFIG_BYTES * 2})
    lines = b"".join(encode(each) + b"\n" for each in (short, too_long, short))
    command = [sys.executable, "-m", "central.edge.seal", str(tmp_path)]
    done = subprocess.run(command, input=lines, capture_output=True, timeout=60, check=True)
    first, second, third = done.stdout.splitlines()
    assert second == b""
    for line in (first, third):
        check(decode(line, Signed), (tmp_path / "ca" / "ca.crt").read_text(), None)
    (tmp_path / "ca" / "command.key").write_text("no key")
    refused = subprocess.run(command, input=lines, capture_output=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.decode().count("\n") == 1


def test_a_damaged_key_is_said_in_one_sentence(tmp_path: Path) -> None:
    Seal(tmp_path)
    (tmp_path / "ca" / "command.key").write_text("no key")
    with pytest.raises(SealError, match="is damaged; restore a copy"):
        Seal(tmp_path)
