"""Which uplink carries, which standby is woken: so many that none better than who answers is asleep."""

from collections.abc import Mapping

from agent.core.line import Line
from agent.core.station import Family
from agent.core.watch import Role
from wire.messages import Health


def assign(
    lines: Mapping[str, Line], active: Mapping[Family, str | None], comes_home: frozenset[str], now: float
) -> None:
    """Each line in order of preference gets its role. `comes_home` are those to which the traffic may come home now."""
    carrying = set(active.values())
    wanted = any(
        line.watch.health is Health.DEAD or line.watch.doubtful(now) for name, line in lines.items() if name in carrying
    )
    in_need = any(lines[name].watch.health is not Health.UP for name in carrying if name is not None)
    before = True  # as long as no uplink that carries traffic has come: these are preferred to it
    for name, line in lines.items():
        watch = line.watch
        if name in carrying:
            watch.wake(Role.CARRYING, now)
            before = False
        elif wanted and watch.health is not Health.DEAD:
            watch.wake(Role.WOKEN, now)
            wanted = watch.silent(now) or watch.health is not Health.UP or now < line.home_at
        elif before and not in_need and name in comes_home:
            watch.wake(Role.WOKEN, now)
        else:
            watch.wake(Role.STANDBY, now)


def sought(lines: Mapping[str, Line], active: Mapping[Family, str | None]) -> frozenset[Family]:
    """Families that the uplink which carries them answers no more, though it answers the other one."""
    return frozenset(
        family
        for family, name in active.items()
        if name is not None and family in lines[name].watch.judge.silent_families
    )
