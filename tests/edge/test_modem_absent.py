"""The modem's edge where mmcli is not there, hangs or speaks nonsense: one line, and no harm to anybody."""

import asyncio
import gc
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.events import KernelSeen
from agent.core.routes import Link
from agent.core.station import Station
from agent.edge.modem import Modems
from tests.edge.conftest import become, wait_until
from tests.edge.modem_bus import AT_HOME, HOME, QUICK, STATION, Heard, ModemBus, at_work, lines


def test_without_mmcli_there_is_one_line_and_nothing_else(
    modem_bus: ModemBus, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(os.environ["PATH"].split(":")[0]) / "mmcli").unlink()

    async def story(heard: Heard, modems: Modems) -> None:
        looks: set[float | None] = set()
        await become(lambda: looks.add(modems._looked_at) is None and len(looks) > 3)
        assert heard.events == []
        modem_bus.start_bus()
        modem_bus.start_manager(**AT_HOME)
        assert lines(caplog) == ["the signal of lte is not known: mmcli cannot be started: No such file or directory"]
        modem_bus.install_mmcli()
        await become(lambda: heard.signal == HOME)

    at_work(story)


SHORT = replace(QUICK, answer_s=0.3)
HANGS = "echo $$ >> {pids}; sleep 600 & echo $! >> {pids}; wait"


def test_an_mmcli_that_hangs_is_ended_with_all_that_it_started(
    modem_bus: ModemBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pids = tmp_path / "pids"
    modem_bus.install_mmcli(HANGS.format(pids=pids))

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: modem_bus.times("-L") > 2)
        assert heard.events == []

    at_work(story, SHORT)
    assert lines(caplog) == ["the signal of lte is not known: mmcli did not answer within 0.3 s"]
    assert len(pids.read_text().split()) >= 6
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


def is_running(pid: int) -> bool:
    """A process that was killed may still wait for who reads its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_an_agent_that_ends_leaves_no_mmcli_behind(modem_bus: ModemBus, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    modem_bus.install_mmcli(HANGS.format(pids=pids))

    async def story(_: Heard, __: Modems) -> None:
        await become(lambda: pids.exists() and len(pids.read_text().split()) == 2)

    at_work(story, replace(SHORT, answer_s=2))
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.parametrize("steps", range(3, 8))
def test_it_ends_when_it_is_cancelled_in_the_middle_of_a_start(modem_bus: ModemBus, tmp_path: Path, steps: int) -> None:
    """Where asyncio alone waits for what mmcli has started."""
    pids = tmp_path / "pids"
    modem_bus.install_mmcli(HANGS.format(pids=pids))

    async def run() -> None:
        working = asyncio.create_task(Modems(STATION, lambda _: None, SHORT).run())
        for _ in range(steps):
            await asyncio.sleep(0)
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)  # and the loop stands still meanwhile
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=5)
        for pid in pids.read_text().split() if not done else ():
            os.kill(int(pid), signal.SIGKILL)
        assert done

    asyncio.run(run())
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


def test_an_mmcli_that_is_cut_off_leaves_no_pipe_open(modem_bus: ModemBus) -> None:
    modem_bus.install_mmcli("yes >&2")

    async def story(_: Heard, __: Modems) -> None:
        looks = modem_bus.times("-L")
        await become(lambda: modem_bus.times("-L") > looks + 3)

    gc.collect()
    gc.disable()  # it would close what we forgot
    try:
        at_work(story, SHORT)
        before = len(list(Path("/proc/self/fd").iterdir()))
        at_work(story, SHORT)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("echo no json", "mmcli does not answer in JSON: b'no json\\n'"),
        ("echo", "mmcli does not answer in JSON: b'\\n'"),
        ("printf '\\377\\376'", "mmcli does not answer in JSON: b'\\xff\\xfe'"),
        ("head -c 70000 /dev/zero", "mmcli says more than 65536 bytes"),
        ("head -c 70000 /dev/zero >&2; exit 1", "mmcli says more than 65536 bytes"),
        ("cat /dev/zero", "mmcli says more than 65536 bytes"),
        ("echo 'error: [1mhelp' >&2; exit 3", "mmcli says: [1mhelp"),
        ("kill -9 $$", "mmcli says: "),
        ("echo '[]'", "ModemManager knows no modem of lte"),
        ('echo \'{"modem-list": ["--help", 7, null]}\'', "ModemManager knows no modem of lte"),
    ],
)
def test_nonsense_is_one_line(modem_bus: ModemBus, caplog: pytest.LogCaptureFixture, script: str, line: str) -> None:
    modem_bus.install_mmcli(script)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: modem_bus.times("-L") > 2)
        assert heard.events == []

    at_work(story)
    assert lines(caplog) == [f"the signal of lte is not known: {line}"]
    assert modem_bus.times("--help") == 0


def test_an_mmcli_that_falls_ill_while_a_modem_is_known_takes_the_signal_with_it(modem_bus: ModemBus) -> None:
    modem_bus.start_bus()
    modem_bus.start_manager(**AT_HOME)

    async def story(heard: Heard, _: Modems) -> None:
        await become(lambda: heard.signal == HOME)
        modem_bus.install_mmcli("echo no json")
        await become(lambda: heard.signal is None)
        modem_bus.install_mmcli()
        await become(lambda: heard.signal == HOME)

    at_work(story)


def test_a_fault_of_our_own_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def story(_: Heard, modems: Modems) -> None:
        rounds = 0

        async def fail() -> None:
            nonlocal rounds
            rounds += 1
            raise KeyError("lte")

        modems._round = fail  # type: ignore[method-assign]
        await become(lambda: rounds > 2)

    at_work(story)
    assert "the signal of lte is not known: KeyError('lte')" in lines(caplog)


def test_a_station_without_lte_asks_nobody(modem_bus: ModemBus) -> None:
    station = Station("6408042001143", STATION.uplinks[:1], STATION.targets, STATION.centre)
    modems = Modems(station, lambda _: None, QUICK)
    asyncio.run(asyncio.wait_for(modems.run(), 5))
    modems.see(KernelSeen((Link("wan0", index=1),)))
    assert modem_bus.asked == []
