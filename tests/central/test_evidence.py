"""One file of evidence: by our own command and by the lines of docs/evidence.md, good and tampered with."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from central.core.evidence import written
from central.core.intake import Delivered, Line
from central.evidence import verify
from tests.central.centre import Centre, eventually
from tests.central.chained import AUTHORITY, EPOCH, Device, certificate, pem
from tests.central.station import stamp, state
from wire import chain
from wire.messages import Delivery, decode_record

NOW_S = 1_800_000_000.0
numbers = (f"6411{n:09d}" for n in count())
DOCUMENT = Path("docs/evidence.md").read_text()
LINES = DOCUMENT.split("```python\n")[1].split("```")[0]


@pytest.fixture
def good(store: Any) -> list[Any]:
    """The lines of a file that was exported of records 5 to 16, between seals."""
    device = Device(next(numbers)).note(3).seal().note(6).seal().note(6).seal(behind=1).note(5).seal().note(3)
    return exported(store, device, 5, 16)


def exported(store: Any, device: Device, first: int, last: int, *later: Device) -> list[Any]:
    """Of the minutes of these records; `later` are the runs that followed."""
    from central.edge import exports

    store.keep([store.Arrival(state(device.station, uptime_s=9000.0), is_retained=False)], NOW_S)
    for run in (device, *later):
        lines = tuple(Line(made.seq, made.data, decode_record(made.data)) for made in run.made)
        store.keep([store.Arrival(Delivered(run.station, run.epoch, 1, lines), is_retained=False)], NOW_S)
    began_s = NOW_S - 9000.0  # record n is made n minutes later
    assert stamp(60.0).uptime_s == 60.0
    taken = exports.evidence(device.station, began_s + 60 * first - 1, began_s + 60 * last + 1, NOW_S)
    assert taken is not None
    return [json.loads(line) for line in written(*taken)]


def checked(lines: list[Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, int, str]:
    """Exit code and words of our command, and of the lines in the document."""
    file, program, ca = folder / "bukti.jsonl", folder / "check.py", folder / "ca.crt"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    program.write_text(LINES)
    ca.write_text(pem(AUTHORITY))
    ours = verify(file, ca)
    plain = subprocess.run([sys.executable, program, file, ca], capture_output=True, text=True, check=False)
    assert "Traceback" not in plain.stderr, plain.stderr
    return ours, capsys.readouterr().out, plain.returncode, plain.stdout


def test_what_is_exported_begins_behind_what_is_sealed_and_ends_with_a_seal(good: list[Any]) -> None:
    (part,) = good[0]["parts"]
    assert (part["first"], part["last"]) == (4, 16)
    assert [line["seq"] for line in good[1:]] == list(range(4, part["end"] + 1))
    assert '"type":"seal"' in good[1]["record"] and '"type":"seal"' in good[-1]["record"]


def test_the_command_writes_what_a_running_centre_has(
    running: Centre, join: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Device("6408042001777").note(3).seal()
    station = join(running, device.station)
    raw = tuple(msgspec.Raw(made.data) for made in device.made)
    station.tell(Delivery(device.station, 1, raw))
    eventually(lambda: station.mark(device.epoch) == 4)
    file, ca = tmp_path / "bukti.jsonl", tmp_path / "ca.crt"
    ca.write_text(pem(AUTHORITY))
    command = [sys.executable, "-m", "central", "export", "--data", str(running.data), "--out", str(file), "--evidence"]

    def export(*span: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, device.station, *span], capture_output=True, text=True, check=False)

    done = export("2020-01-01", "2040-01-01T00:00+08:00")
    assert done.returncode == 0, done.stderr
    assert f"{device.epoch} 1-4" in done.stdout
    assert verify(file, ca) == 1, "the last record, a seal, is not signed yet"
    assert "record 4: not signed by the device" in capsys.readouterr().out
    for span, why in (
        (("yesterday", "2040-01-01"), "is no time"),
        (("2019-01-01", "2020-01-01"), "nothing of station"),
    ):
        refused = export(*span)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert why in refused.stderr


def test_the_document_holds_thirty_lines_that_can_be_read() -> None:
    written_lines = [line for line in LINES.splitlines() if line.strip()]
    assert len(written_lines) <= 30
    assert max(map(len, written_lines)) <= 120
    assert not any(";" in line for line in written_lines), "one thing to a line"


def test_a_good_file_is_proven(good: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, said, plain, said_plain = checked(good, tmp_path, capsys)
    assert (ours, plain) == (0, 0), said + said_plain
    assert said_plain == f"{good[0]['parts'][0]['epoch']}: records 4-16: proven up to 16\n"
    assert "TERBUKTI / PROVEN" in said


def test_a_file_that_was_exported_before_is_still_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(Path("tests/central/golden_evidence.jsonl"), None) == 0
    assert "record 8: dropped by the device" in capsys.readouterr().out


def test_from_the_beginning_of_an_epoch_too(store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = exported(store, Device(next(numbers)).note(3).seal().note(4).seal(), 1, 6)
    assert checked(lines, tmp_path, capsys)[::2] == (0, 0)


@pytest.fixture
def ended(store: Any) -> list[Any]:
    """Of the last records of a run, which the run behind the next signs for."""
    first = Device(next(numbers)).note(3).seal().note(2)
    second = first.next_run("run-2").note(1)
    return exported(store, first, 5, 6, second, second.next_run("run-3").note(2).seal())


def test_the_end_of_a_run_is_proven_by_the_next_that_signs(
    ended: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [(part["first"], part["last"], part["end"]) for part in ended[0]["parts"]] == [
        (4, 6, 6),
        (1, 1, 1),
        (1, 1, 3),
    ]
    ours, said, plain, said_plain = checked(ended, tmp_path, capsys)
    assert (ours, plain) == (0, 0), said + said_plain


def of_epoch(lines: list[Any], epoch: str, seq: int) -> int:
    return next(at for at, line in enumerate(lines) if line.get("epoch") == epoch and line["seq"] == seq)


def change_the_end(lines: list[Any]) -> None:
    at = of_epoch(lines, EPOCH, 6)
    lines[at]["record"] = lines[at]["record"].replace("dead", "deaf")


def drop_the_end(lines: list[Any]) -> None:
    del lines[of_epoch(lines, EPOCH, 6)]


def drop_the_end_and_say_so(lines: list[Any]) -> None:
    """The first line is nobody's: whoever shortens it has a file that promises less, and must not prove more."""
    drop_the_end(lines)
    lines[0]["parts"][0]["end"] = 5


def change_what_the_next_run_says(lines: list[Any]) -> None:
    """So that it fits the altered end."""
    change_the_end(lines)
    written_lines = [line["record"].encode() for line in lines if line.get("epoch") == EPOCH]
    h = chain.binary(json.loads(written_lines[0])["body"]["chain"])
    for data in written_lines:
        h = chain.advance(h, chain.digest(data))
    at = of_epoch(lines, "run-2", 1)
    record = json.loads(lines[at]["record"])
    record["former"]["chain"] = chain.text(h)
    lines[at]["record"] = json.dumps(record, separators=(",", ":"))


def take_the_run_between_away(lines: list[Any]) -> None:
    del lines[of_epoch(lines, "run-2", 1)]


TAMPERED_ENDS = [
    change_the_end,
    drop_the_end,
    drop_the_end_and_say_so,
    change_what_the_next_run_says,
    take_the_run_between_away,
]


@pytest.mark.parametrize("tamper", TAMPERED_ENDS)
def test_a_tampered_end_of_a_run_is_found_by_both(
    tamper: Callable[[list[Any]], None], ended: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(ended)
    ours, said, plain, said_plain = checked(ended, tmp_path, capsys)
    assert (ours, plain) == (1, 1), said + said_plain
    assert f"{EPOCH}: 4-6: TIDAK TERBUKTI" in said, "of that run itself, whatever is said of the others"
    assert f"{EPOCH}: records 4-6: proven up to 6" not in said_plain


def change_a_byte(lines: list[Any]) -> None:
    lines[5]["record"] = lines[5]["record"].replace("dead", "deaf")


def drop(lines: list[Any]) -> None:
    del lines[5]


def swap(lines: list[Any]) -> None:
    lines[5], lines[6] = lines[6], lines[5]


def swap_contents(lines: list[Any]) -> None:
    lines[5]["record"], lines[6]["record"] = lines[6]["record"], lines[5]["record"]


def insert(lines: list[Any]) -> None:
    lines.insert(6, lines[5] | {"record": lines[5]["record"].replace("dead", "deaf")})


def insert_of_another_station(lines: list[Any]) -> None:
    other = Device("6408042001999").note(30)
    lines[5]["record"] = other.made[lines[5]["seq"] - 1].data.decode()


def take_a_seal_away(lines: list[Any]) -> None:
    at = next(n for n, line in enumerate(lines[1:-1], 1) if '"type":"seal"' in line["record"])
    del lines[at]


def cut_off(lines: list[Any]) -> None:
    del lines[-3:]


def mend_the_links(lines: list[Any]) -> None:
    """Whoever alters a record and makes every link behind it fit."""
    link = ""
    for line in lines[5:]:
        record = json.loads(line["record"])
        line["record"] = line["record"].replace("dead", "poor") if not link else line["record"]
        line["record"] = line["record"].replace(record["link"], link) if link else line["record"]
        link = chain.link(chain.digest(line["record"].encode()))


TAMPERED: list[tuple[Callable[[list[Any]], None], int | None]] = [
    (change_a_byte, 5),
    (drop, 5),
    (swap, 5),
    (swap_contents, 5),
    (insert, 5),
    (insert_of_another_station, 5),
    (take_a_seal_away, None),
    (cut_off, None),
    (mend_the_links, None),
]


@pytest.mark.parametrize(("tamper", "at"), TAMPERED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_was_tampered_with_is_found_by_both_and_the_record_named(
    tamper: Callable[[list[Any]], None],
    at: int | None,
    good: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seq = good[at]["seq"] if at else None
    tamper(good)
    ours, said, plain, said_plain = checked(good, tmp_path, capsys)
    assert (ours, plain) == (1, 1), said + said_plain
    assert "TIDAK TERBUKTI / NOT PROVEN" in said
    if seq is not None:
        assert f" {seq}" in said_plain
        assert f"catatan {seq}: " in said


def forge(lines: list[Any], upto: int) -> None:
    """Record 9 says something else, and every link up to the seal at `upto` fits."""
    link = ""
    for line in lines[1:]:
        if not 9 <= line["seq"] <= upto or "gap" in line:
            continue
        record = json.loads(line["record"])
        line["record"] = line["record"].replace("dead", "poor") if not link else line["record"]
        line["record"] = line["record"].replace(record["link"], link) if link else line["record"]
        link = chain.link(chain.digest(line["record"].encode()))


def test_the_beginning_cannot_be_cut_off_to_hide_what_was_changed_behind_it(
    good: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the seal behind which a part begins, nobody knows the chain there, and the next seal tells of nothing."""
    (part,) = good[0]["parts"]
    forge(good, upto=11)
    part |= {"first": 6, "last": 10, "end": 11}
    cut = [good[0], *(line for line in good[1:] if 6 <= line["seq"] <= 11)]
    assert '"type":"seal"' in cut[-1]["record"]
    ours, said, plain, said_plain = checked(cut, tmp_path, capsys)
    assert (ours, plain) == (1, 1), said + said_plain
    assert "records 6-10: not signed by the device" in said
    assert "proven up to 5" in said_plain


def test_a_gap_hides_nothing_that_was_changed_before_it(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chain behind a gap is told and not computed, so it says nothing of what is before."""
    device = Device(next(numbers)).note(3).seal().note(6).seal().note(2).seal()
    lines = exported(store, device, 1, 12)
    lines = [line for line in lines if line.get("seq") != 10]
    forge(lines, upto=9)
    link = chain.link(chain.digest(next(line["record"] for line in lines[1:] if line["seq"] == 9).encode()))
    gap = {"first": 10, "last": 10, "link": link, "chain": device_chain(device, 10)}
    lines.insert(10, {"epoch": device.epoch, "gap": gap})
    ours, said, plain, said_plain = checked(lines, tmp_path, capsys)
    assert (ours, plain) == (1, 1), said + said_plain
    assert "records 4-9: not signed by the device" in said
    assert "proven up to 3" in said_plain


def device_chain(device: Device, seq: int) -> str:
    return chain.text(device.made[seq - 1].chain)


def test_a_gap_right_behind_a_seal_costs_nothing(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Device(next(numbers)).note(4).seal(behind=1).note(6).seal()
    lines = exported(store, device, 1, 11)
    gone = json.loads(lines[4]["record"])["link"]
    lines[4] = {"epoch": device.epoch, "gap": {"first": 4, "last": 4, "link": gone, "chain": device_chain(device, 4)}}
    ours, said, plain, said_plain = checked(lines, tmp_path, capsys)
    assert (ours, plain) == (0, 0), said + said_plain
    assert "record 4: dropped by the device" in said


def test_a_signature_of_another_key_is_found(store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = Device(next(numbers)).note(3).seal().note(2)
    device.key = Device().key
    lines = exported(store, device.seal(), 1, 6)
    ours, said, plain, said_plain = checked(lines, tmp_path, capsys)
    assert (ours, plain) == (1, 1)
    assert "catatan 7: segel dengan tanda tangan yang salah" in said
    assert "records 1-6: proven up to 3" in said_plain


def test_seals_of_a_device_that_another_authority_let_in_prove_nothing(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Device(next(numbers))
    device.certificate = pem(certificate(device.station, device.key, "Siaga CA", Device().key))
    ours, said, plain, said_plain = checked(exported(store, device.note(5).seal(), 1, 5), tmp_path, capsys)
    assert (ours, plain) == (1, 1), said + said_plain


def test_an_authority_of_the_forgers_own_is_not_ours(
    good: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forger = Device().key
    good[0]["ca"] = pem(certificate("Siaga CA", forger, "Siaga CA", forger))
    good[0]["certificates"] = []
    assert checked(good, tmp_path, capsys)[::2] == (0, 1), "the file's own authority does not matter to ours"
    (tmp_path / "other.crt").write_text(good[0]["ca"])
    assert verify(tmp_path / "bukti.jsonl", tmp_path / "other.crt") == 1


@pytest.mark.parametrize("of", ["station", "epoch"])
def test_a_name_that_would_steer_the_terminal_is_not_shown(
    of: str, good: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for named in [good[0]] if of == "station" else [good[0]["parts"][0], *good[1:]]:
        named[of] = "\x1b[2J TERBUKTI / PROVEN"
    file = tmp_path / "bukti.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in good))
    assert verify(file, None) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_a_line_that_was_cut_in_the_middle_is_named(
    good: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bukti.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in good)[:-40])
    assert verify(file, None) == 1
    assert f"line {len(good)} is cut off" in capsys.readouterr().out
    assert verify(tmp_path / "nowhere", None) == 2
