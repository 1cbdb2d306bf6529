"""The lab itself, with real packets: what it promises to those who test with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.lookup import Lookup, Way
from lab.netns import LabError
from lab.topology import CENTRE, LAN_CLIENT, SERVER
from tests.namespaces.packets import MakeStation, answers, make_static_router, median_rtt_ms, ping, send_by, wait_until

TARGET, OTHER_TARGET, TARGET6 = "198.51.100.1", "198.51.100.2", "2001:db8:ffff::1"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("address", [TARGET, TARGET6])
def test_an_echo_takes_the_delay_of_both_ways(station: MakeStation, address: str) -> None:
    here = station(fibre={"up": {"delay_ms": 20}, "down": {"delay_ms": 40}})
    assert median_rtt_ms(here, "tps", address) == pytest.approx(60, abs=5)


def test_each_uplink_has_its_own_weather(station: MakeStation) -> None:
    here = station(fibre={"delay_ms": 5}, geo={"delay_ms": 150})
    make_static_router(here, "geo")
    assert median_rtt_ms(here, "lan", TARGET) == pytest.approx(300, abs=10)
    send_by(here, "fibre")
    assert median_rtt_ms(here, "lan", TARGET) == pytest.approx(10, abs=5)


def test_a_blackhole_leaves_carrier_and_gateway(station: MakeStation) -> None:
    here = station(fibre={})
    here.set_weather("fibre", {"blackhole": True})
    assert answers(here, "tps", TARGET) == 0
    assert answers(here, "tps", "198.18.1.1") == 3
    assert here.run("tps", ["cat", "/sys/class/net/wan0/carrier"]).strip() == "1"
    here.set_weather("fibre", {"blackhole": False})
    assert answers(here, "tps", TARGET) == 3


def test_one_direction_alone_can_lose(station: MakeStation) -> None:
    here = station(fibre={"down": {"loss": 1}})
    assert answers(here, "tps", TARGET) == 0
    counts = here.statistics("fibre")
    assert counts["up"]["lost"] == 0
    assert counts["down"]["lost"] >= 3


def test_loss_is_about_as_told(station: MakeStation) -> None:
    here = station(fibre={"up": {"loss": 0.3}})
    seen = ping(here, "tps", TARGET, count=150, every_s=0.001, timeout_s=0.03)
    assert 75 < int(str(seen["answered"])) < 135


def test_a_pulled_cable_takes_the_carrier_and_a_plugged_one_brings_both_families_back(station: MakeStation) -> None:
    here = station(fibre={})
    carrier = ["cat", "/sys/class/net/wan0/carrier"]
    here.cable("fibre", on=False)
    wait_until(lambda: here.run("tps", carrier).strip() == "0")
    here.cable("fibre", on=True)
    wait_until(lambda: here.run("tps", carrier).strip() == "1")
    wait_until(lambda: answers(here, "tps", TARGET) == 3)
    wait_until(lambda: answers(here, "tps", TARGET6) == 3)


def test_a_moved_gateway_is_in_main_and_works(station: MakeStation) -> None:
    here = station(fibre={})
    for to, gateway, gateway6 in (("moved", "198.18.1.254", "fe80::fe"), ("home", "198.18.1.1", "fe80::1")):
        here.gateway("fibre", to)
        assert f"via {gateway} " in here.run("tps", ["ip", "-4", "route", "show", "default"])
        assert f"via {gateway6} " in here.run("tps", ["ip", "-6", "route", "show", "default"])
        assert answers(here, "tps", TARGET) == answers(here, "tps", TARGET6) == 3
        old = "198.18.1.1" if to == "moved" else "198.18.1.254"
        assert answers(here, "tps", old) == 0


def test_a_silent_target_is_silent_alone(station: MakeStation) -> None:
    here = station(fibre={})
    here.target(TARGET, answers=False)
    assert (answers(here, "tps", TARGET), answers(here, "tps", TARGET6)) == (0, 0)
    assert answers(here, "tps", OTHER_TARGET) == 3
    here.target(TARGET, answers=True)
    assert answers(here, "tps", TARGET) == answers(here, "tps", TARGET6) == 3


@pytest.mark.parametrize(("target", "wrong"), [(TARGET, "198.18.2.2"), (TARGET6, "2001:db8:2::2")])
def test_a_provider_drops_a_source_address_that_is_not_its_customers(
    station: MakeStation, target: str, wrong: str
) -> None:
    here = station(fibre={}, lte={})
    assert answers(here, "tps", target) == 3
    assert answers(here, "tps", target, source=wrong) == 0


def test_a_new_station_forwards_nothing_and_knows_a_default_by_each_uplink(station: MakeStation) -> None:
    here = station(fibre={}, lte={})
    assert answers(here, "lan", TARGET) == 0
    for family in ("-4", "-6"):
        assert here.run("tps", ["ip", family, "route", "show", "default"]).count("\n") == 2


def test_the_lookup_sees_which_way_the_lan_goes(station: MakeStation) -> None:
    here = station(fibre={}, lte={})
    lookup = Lookup(here.topology.name("tps"))
    assert lookup.forwarded(LAN_CLIENT, "lan0", CENTRE) is None  # nothing forwards yet
    make_static_router(here, "lte")
    assert lookup.forwarded(LAN_CLIENT, "lan0", CENTRE) == Way("wan1", "198.18.2.1")
    assert lookup.bound("wan0", CENTRE) == Way("wan0", "198.18.1.1")
    assert lookup.bound("wan0", TARGET6) == Way("wan0", "fe80::1")
    lookup.close()


def test_a_rate_limits_what_gets_through(station: MakeStation) -> None:
    here = station(fibre={"up": {"rate_mbps": 1, "buffer_kb": 20}})
    flood = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for n in range(400): s.sendto(bytes(1000), ('198.51.100.1', 9))\n"
    )
    here.run("tps", [sys.executable, "-c", flood])
    counts = here.statistics("fibre")["up"]
    assert counts["packets"] >= 400
    assert counts["overflowed"] > 300


def test_a_trace_is_replayed_from_a_file_beside_the_scenario(station: MakeStation, tmp_path: Path) -> None:
    (tmp_path / "slow.up").write_text("200\n")  # one packet each 200 ms
    here = station(traces_in=tmp_path, lte={"up": {"trace": "slow.up"}})
    for pause_s in (0.05, 0.15):  # each echo leaves so long after the last opportunity, and waits for the next
        rtts = ping(here, "tps", TARGET, count=6, every_s=pause_s)["rtt_ms"]
        assert isinstance(rtts, list)
        assert rtts[3] == pytest.approx(200 - pause_s * 1e3, abs=15)


def test_two_stations_live_side_by_side(station: MakeStation) -> None:
    first, second = station(fibre={}), station(fibre={})
    first.set_weather("fibre", {"blackhole": True})
    assert (answers(first, "tps", TARGET), answers(second, "tps", TARGET)) == (0, 3)


def test_a_station_that_is_down_leaves_nothing(station: MakeStation) -> None:
    here = station(fibre={}, lte={})
    program = here.start("lan", ["sleep", "1000"])
    here.down()
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert here.topology.prefix not in left
    assert program.returncode is not None
    assert not list(Path("/run/lab").glob(f"{here.topology.prefix}*"))


def test_a_program_is_its_own_process(station: MakeStation) -> None:
    here = station(fibre={})
    program = here.start("tps", ["sleep", "1000"])
    wait_until(lambda: Path(f"/proc/{program.pid}/comm").read_text() == "sleep\n")


def test_what_fails_says_so_in_one_line(station: MakeStation) -> None:
    here = station(fibre={})
    with pytest.raises(LabError, match=r"^tps: false ended with 1"):
        here.run("tps", ["false"])
    with pytest.raises(LabError, match=r"No such file"):
        here.set_weather("fibre", {"trace": "nowhere.up"})


def test_the_lan_client_tells_its_gap(station: MakeStation) -> None:
    here = station(fibre={"delay_ms": 5}, lte={"delay_ms": 20})
    make_static_router(here, "fibre")
    here.start_lab("internet", ["internet", SERVER])
    client = here.start_lab("lan", ["client", SERVER], stdout=subprocess.PIPE, text=True)

    def report() -> dict:
        return dict(json.loads(client.stdout.readline()))

    wait_until(lambda: (now := report())["answered"] and now["download"]["alive"])
    here.set_weather("fibre", {"blackhole": True})
    wait_until(lambda: report()["current_gap_ms"] > 400)
    here.set_weather("fibre", {"blackhole": False})
    wait_until(lambda: len(report()["gaps"]) > 0)
    told = report()
    assert told["gaps"][-1]["ms"] > 400
    assert told["longest_gap_ms"] >= told["gaps"][-1]["ms"]


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize("signal_name", ["TERM", "INT", "KILL"])
def test_a_cell_ends_with_its_command_however_it_ends(signal_name: str, tmp_path: Path) -> None:
    """Even what detached itself from everything."""
    marker = tmp_path / "pids"
    script = f"setsid sleep 1000 & echo $! > {marker}.new; mv {marker}.new {marker}; exec sleep 1000"
    environment = {key: value for key, value in os.environ.items() if key != "SIAGA_LAB_CELL"}
    before = sleepers()
    command = [sys.executable, "-m", "lab", "enter", "--", "sh", "-c", script]
    entered = subprocess.Popen(command, cwd=ROOT, env=environment)
    wait_until(marker.exists, 10)
    assert len(sleepers()) > len(before)
    os.kill(entered.pid, signal.Signals[f"SIG{signal_name}"])
    entered.wait(10)
    wait_until(lambda: sleepers() == before)


@pytest.mark.usefixtures("cell")
def test_a_cells_exit_code_is_its_commands() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SIAGA_LAB_CELL"}
    command = [sys.executable, "-m", "lab", "enter", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 7


def test_a_station_is_up_quickly(station: MakeStation) -> None:
    began_s = time.monotonic()
    station(fibre={}, lte={}, geo={})
    assert time.monotonic() - began_s < 3  # 0.15 s on a quiet machine


def sleepers() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_alive = (process / "stat").read_text().split()[2] != "Z"
            if is_alive and (process / "cmdline").read_bytes() == b"sleep\x001000\x00":
                found.add(process.name)
        except OSError:
            continue
    return found
