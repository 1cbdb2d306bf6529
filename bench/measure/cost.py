"""What the agent costs with three uplinks and all that it measures, beside fping that sends the same echoes."""

import subprocess
import time
from typing import Any

from agent.core.pace import PACES, STANDBY_EVERY_S, Mood
from agent.core.station import Kind
from bench import table
from bench.daemon_cost import MOST_CPU, MOST_MIB, AtWork, at_work, used_s, watched
from bench.measure import debian
from bench.usage import cpu_s, pss_mib
from lab.scenario import TARGETS

WATCH_S = 40.0
EVERY_S = {"fibre": PACES[Kind.FIBRE][Mood.CARRYING], "lte": STANDBY_EVERY_S, "geo": STANDBY_EVERY_S}
STARTS = 40
TIMEOUT_MS = 2000  # fping would else wait for GEO no longer than until its next echo


def measure() -> str:
    with at_work() as found:
        cost = watched(found, WATCH_S)
        theirs, missing = _by_fping(found)
    reached = cost.pss_mib <= MOST_MIB and cost.cpu <= MOST_CPU
    ours = [f"{cost.pss_mib:.1f}", f"{cost.cpu:.2%}", "yes" if reached else "no"]
    head = ["three uplinks, by whom", "PSS MiB", "CPU of a core", f"≤ {MOST_MIB} MiB, ≤ {MOST_CPU:.0%}"]
    rows = [["Siaga: measured, judged, routed and reported", *ours], *theirs]
    note = (
        f"Over {WATCH_S:g} s each, in the same station: {1 / EVERY_S['fibre']:g} echoes a second by fibre, which "
        f"carries the traffic, one in {STANDBY_EVERY_S:g} s and their bursts by LTE and GEO, STAMP, trains (children, "
        f"{cost.trains_cpu:.2%} of a core) and what goes to the centre and to Prometheus; no modem. fping sends "
        f"echoes alone; whoever reads what it prints, and everything else, comes on top.{missing}"
    )
    return f"{table.render(head, rows)}\n\n{note}"


def _by_fping(found: AtWork) -> tuple[list[list[str]], str]:
    try:
        command = debian.FPING.fetch()
    except debian.CannotFetch as why:
        return [], f" fping is not to be had here ({why})."
    lasting = [_lasting(found, command, uplink) for uplink in EVERY_S]
    before_s = sum(cpu_s(process.pid) for process in lasting)
    time.sleep(WATCH_S)
    cpu = (sum(cpu_s(process.pid) for process in lasting) - before_s) / WATCH_S
    pss = sum(pss_mib(process.pid) for process in lasting)
    for process in lasting:
        process.kill()
    anew = used_s(_often(found, command)) / STARTS * sum(1 / every_s for every_s in EVERY_S.values())
    return [
        ["fping -l, one for each uplink", f"{pss:.1f}", f"{cpu:.2%}", "–"],
        ["fping -c 1, started for each echo as telegraf does it", "–", f"{anew:.2%}", "–"],
    ], ""


def _lasting(found: AtWork, command: list[str], uplink: str) -> subprocess.Popen[Any]:
    how = ["-l", "-p", f"{1e3 * EVERY_S[uplink]:g}", "-t", str(TIMEOUT_MS), "-I", _device(found, uplink), TARGETS[0]]
    return found.station.start("tps", [*command, *how])


def _often(found: AtWork, command: list[str]) -> subprocess.Popen[Any]:
    once = f"{command[-1]} -q -c 1 -I {_device(found, 'fibre')} {TARGETS[0]} 2>/dev/null"
    return found.station.start("tps", [*command[:-1], "sh", "-c", f"for n in $(seq {STARTS}); do {once}; done"])


def _device(found: AtWork, uplink: str) -> str:
    return found.station.topology.line(uplink).device
