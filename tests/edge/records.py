"""Records for the tests of spool and courier."""

from itertools import count
from pathlib import Path

from agent.core.report import Line
from agent.core.routes import Route, Rule
from agent.core.station import Family
from agent.edge.spool import Spool
from wire.messages import Active, Evidence, Fact, Gap, Health, Stamp, Summary, UplinkSummary

STAMP = Stamp("5f0c3a9be211", 12345678.125, 1795305600.125, True)
LONGEST_NAME = "a-name-of-as-many-letters-as-may"


def fact(number: int, code: str = "UPLINK_UP", evidence: Evidence | None = None) -> Fact:
    return Fact(code, "fibre", "dead", "up", evidence or {"number": number})


STATION = "6408042001143"
_runs = count()


def begun(path: Path) -> Spool:
    """By a new run of the agent, with a name that no other has."""
    return Spool(path, STATION, f"{next(_runs):012x}")


def fill(spool: Spool, many: int) -> None:
    """Each says the number that it will have."""
    for seq in range(spool.head().seq + 1, spool.head().seq + 1 + many):
        spool.put(fact(seq), STAMP)


def waiting(spool: Spool, behind: int = 0, limit: int = 10_000) -> list[Line | Gap]:
    """What waits to be delivered, of all epochs in their order, with all gaps."""
    found: list[Line | Gap] = []
    while (load := spool.after(behind, limit)) is not None:
        found += [*load.below, *load.found] if behind < load.place(load.oldest) else load.found
        behind = load.place(_last(load.found[-1]))
    return found


def lines(spool: Spool) -> list[Line]:
    return [each for each in waiting(spool) if isinstance(each, Line)]


def gaps(spool: Spool) -> list[Gap]:
    return [each for each in waiting(spool) if isinstance(each, Gap)]


def seqs(spool: Spool) -> list[int]:
    return [each.seq for each in lines(spool)]


def _last(each: Line | Gap) -> int:
    return each.last if isinstance(each, Gap) else each.seq


def largest_summary() -> Summary:
    """Of a station with as many uplinks as possible, and long names."""
    uplinks = tuple(
        UplinkSummary(f"{n:02}{LONGEST_NAME[2:]}", Health.UNKNOWN, *[1_000_000] * 5, *[123456.789] * 5)
        for n in range(16)
    )
    return Summary(60.0, Active(LONGEST_NAME, LONGEST_NAME), uplinks)


def largest_fact() -> Fact:
    """The longest evidence there is: what was repaired, when another program took everything away."""
    rule = Rule(Family.IPV6, 10115, 1016, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "wwan-with-15-by")
    route = Route(Family.IPV6, 1016, "wwan-with-15-by", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
    what = "; ".join([f"add {rule}", f"replace {route}", f"add {rule}", f"add {rule}", f"add {rule}", "and 90 more"])
    return Fact("ROUTES_REPAIRED", evidence={"what": what})
