"""Recordings become the link that they recorded; what is no recording is refused in one sentence."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.detect import __main__ as program
from bench.detect import recording
from bench.detect.weather import DAY_S, Link


def written(folder: Path, text: str, name: str = "trace") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_pauses_of_a_capacity_trace_are_stalls_again_in_each_period(tmp_path: Path) -> None:
    steady = [*range(0, 1000, 50), *range(3000, 4001, 50)]  # nothing between 0.95 and 3 s; 4 s long
    weather = recording.read(written(tmp_path, "\n".join(map(str, steady))))
    day = Link(weather).day(1)
    assert len(day.stalls) == DAY_S / 4
    assert (day.stalls[:2] - DAY_S).tolist() == [[pytest.approx(0.95), 3], [pytest.approx(4.95), 7]]
    assert len(day.outages) == 0 and weather.loss == 0


def test_a_trace_that_does_not_divide_the_day_goes_on_over_midnight(tmp_path: Path) -> None:
    link = Link(recording.read(written(tmp_path, "0\n700\n7000\n")))
    both = np.concatenate([link.day(0).stalls, link.day(1).stalls])
    held_s = float(np.diff(both, axis=1).sum())
    assert held_s == pytest.approx(2 * DAY_S, abs=14)  # it pauses from end to end


def pings(rtts_ms: list[str]) -> str:
    return "t_s,rtt_ms\n" + "\n".join(f"{1000 + t},{rtt_ms}" for t, rtt_ms in enumerate(rtts_ms))


def test_pings_give_base_jitter_loss_outages_and_stalls(tmp_path: Path) -> None:
    jitter_ms = np.random.default_rng(1).exponential(15, 2000)
    rtts_ms = [f"{60 + each:.2f}" for each in jitter_ms]
    for lost, how in [(100, ""), (500, "lost"), (501, "-1"), (502, "lost"), (900, "lost")]:
        rtts_ms[lost] = how
    rtts_ms[700], rtts_ms[701] = "5060", "4060"
    weather = recording.read(written(tmp_path, pings(rtts_ms)))
    day = Link(weather).day(0)
    assert day.outages[:2].tolist() == [[500, 503], [2500, 2503]]
    assert len(day.stalls) == 43  # the two are one, again each 2000 s
    assert day.stalls[0].tolist() == pytest.approx([700, 705], abs=0.02)
    assert weather.loss == pytest.approx(2 / 2000)
    assert (weather.rtt_s, weather.jitter_s) == (pytest.approx(0.06, abs=0.003), pytest.approx(0.015, rel=0.1))
    assert weather.kind == "lte"


def test_slow_pings_are_a_satellite_and_tabs_will_do(tmp_path: Path) -> None:
    text = "\n".join(f"{0.5 * t}\t{620 + t % 7}" for t in range(40))
    weather = recording.read(written(tmp_path, text))
    assert weather.kind == "geo"
    assert weather.outages(np.random.default_rng(1), 0, DAY_S).shape == (0, 2)
    assert weather.source.startswith("40 pings in 20 s")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("0\n10\nten\n", "line 3: 'ten' is not a whole number of milliseconds"),
        ("0\n-5\n", "line 2: '-5' is not a whole number of milliseconds"),
        ("0\n900\n300\n2000\n", "line 3: goes back in time"),
        ("0\n5\n", "lasts less than one second"),
        ("t_s,rtt_ms\n", "holds fewer than 20 pings, or hardly an answer"),
        ("1,30\n2,x\n", "line 2: '2,x' is not `t_s,rtt_ms`"),
        ("2,30\n1,30\n", "line 2: '1,30' is no moment after the line before"),
        ("1,30\nnan,30\n", "line 2: 'nan,30' is no moment after the line before"),
        ("\n".join(f"{t},lost" for t in range(50)), "holds fewer than 20 pings, or hardly an answer"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError) as refusal:
        recording.read(path)
    assert str(refusal.value) in (f"{path}: {why}", f"{path}, {why}")


def test_files_that_are_not_there_or_not_text_are_refused_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    for name, why in [("missing", "cannot be read: No such file or directory"), ("binary", "is not text")]:
        monkeypatch.setattr(sys, "argv", ["bench.detect", "--trace", str(tmp_path / name)])
        with pytest.raises(SystemExit) as end:
            program.main()
        assert end.value.code == f"{tmp_path / name}: {why}"


def test_a_recorded_outage_is_met_by_a_rule_at_its_moment(tmp_path: Path) -> None:
    rtts_ms = ["30"] * 600
    rtts_ms[300:310] = ["lost"] * 10
    day = Link(recording.read(written(tmp_path, pings(rtts_ms)))).day(0)
    rtt_s = day.rtts(np.arange(0.5, 600), np.random.default_rng(1))
    assert np.flatnonzero(rtt_s == math.inf).tolist() == list(range(300, 310))
