"""Records for the tests of spool and courier."""

from agent.core.routes import Route, Rule
from agent.core.station import Family
from agent.edge.spool import Spool
from wire.messages import Active, Evidence, Fact, Health, Stamp, Summary, UplinkSummary

STAMP = Stamp("5f0c3a9be211", 12345678.125, 1795305600.125, True)
LONGEST_NAME = "a-name-of-as-many-letters-as-may"


def fact(number: int, code: str = "UPLINK_UP", evidence: Evidence | None = None) -> Fact:
    return Fact(code, "fibre", "dead", "up", evidence or {"number": number})


def fill(spool: Spool, count: int) -> None:
    """Each says the number that it will have."""
    for seq in range(spool.last_seq + 1, spool.last_seq + 1 + count):
        spool.put(fact(seq), STAMP)


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
