"""The way to the targets: who answers, and when one does not, the last hop that did and whose it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from agent.core.station import Family, family_of
from agent.diagnose.echo import Back, Echoes, Probe
from agent.diagnose.look import Facts, Layer, Look, Outcome, Purse, Subject, milliseconds
from wire.findings import Side

WAIT_S = 2.0  # a GEO link needs 0.7 s, an LTE radio that slept up to 1 s
NEAR_HOPS, HOPS = 10, 20  # most ways end within the first: what lies behind is asked only when they did not
TARGETS_AT_MOST = 3
WHOLE = 64  # hops, for an echo that shall arrive
COST = 2 * (TARGETS_AT_MOST * 2 * 36 + HOPS * (36 + 96))
NEAR = {4: 24, 6: 48}  # bits: a router in the target's own network belongs to the target's owner


@dataclass(frozen=True, slots=True)
class Way:
    """What the walk found; hops that were silent are left out."""

    hops: tuple[tuple[int, str], ...]
    target: str
    reached_at: int | None


def look(subject: Subject, targets: Sequence[str], purse: Purse) -> Look:
    """Raises OSError."""
    mine = [str(ip_address(target)) for target in targets if family_of(target) is subject.family][:TARGETS_AT_MOST]
    if not mine:
        return Look(Layer.INTERNET, Outcome.NOT_CONFIGURED)
    if not purse.allows(COST):
        return Look(Layer.INTERNET, Outcome.NO_BYTES)
    echoes = Echoes(subject, purse)
    try:
        heard = _ask(echoes, mine)
    finally:
        echoes.close()
    answers = {probe.target: each for probe, each in heard.items() if probe.ttl == WHOLE and each.kind == "answer"}
    target = next((target for target in mine if target not in answers), mine[0])
    walked = ((probe.ttl, each.source, each.kind) for probe, each in heard.items() if probe.target == target)
    return _look(subject, mine, answers, way_of(target, walked))


def _look(subject: Subject, targets: Sequence[str], answers: dict[str, Back], way: Way) -> Look:
    silent = [target for target in targets if target not in answers]
    last = way.hops[-1] if way.hops else None
    facts: Facts = {
        "answered": len(answers),
        "of": len(targets),
        "first": targets[0],
        "target": silent[0] if silent else None,
        "answering": next(iter(answers), None),
        "ms": milliseconds(min(each.took_s for each in answers.values())) if answers else None,
        "last_hop": last[0] if last else 0,
        "last_address": last[1] if last else None,
        "reached_at": way.reached_at,
        "way": written(way),
    }
    if not silent:
        return Look(Layer.INTERNET, Outcome.ANSWERED, facts)
    if answers:
        return Look(Layer.INTERNET, Outcome.PARTLY_ANSWERED, facts)
    side = fault_side(way.hops, subject.gateway, way.target)
    return Look(Layer.INTERNET, Outcome.SILENT, {**facts, "side": side})


def _ask(echoes: Echoes, targets: list[str]) -> dict[Probe, Back]:
    """The targets; then the way to the first silent one, and who was silent once more: a lost packet is no dead end."""
    whole = [Probe(target, WHOLE) for target in targets]
    heard = echoes.ask(whole, WAIT_S, lambda back: len(back) == len(whole))
    silent = [probe for probe in whole if probe not in heard]
    walk = [Probe((silent or whole)[0].target, ttl) for ttl in range(1, HOPS + 1)]
    for reach in (NEAR_HOPS, HOPS):
        known = dict(heard)
        end = min(_end(walk, known), reach)
        missing = [probe for probe in silent if probe not in known]
        probes = missing + [probe for probe in walk if probe not in known and probe.ttl <= end]
        if not probes:
            break
        heard |= echoes.ask(probes, WAIT_S, lambda back, known=known, missing=missing: (  # type: ignore[misc]
            _complete(walk, {**known, **back}) and all(probe in back for probe in missing)
        ))  # fmt: skip
    return heard


def _complete(walk: list[Probe], heard: dict[Probe, Back]) -> bool:
    end = _end(walk, heard)
    return end < HOPS and all(probe in heard for probe in walk if probe.ttl <= end)


def _end(walk: list[Probe], heard: dict[Probe, Back]) -> int:
    """The first hop at which somebody said that it goes no further."""
    ends = (probe.ttl for probe in walk if probe in heard and heard[probe].kind != "passed")
    return min(ends, default=HOPS)


def way_of(target: str, heard: Iterable[tuple[int, str, str]]) -> Way:
    """From (hop, who, what), in any order. Who says twice that it goes no further stands at its first hop."""
    hops: list[tuple[int, str]] = []
    for ttl, source, kind in sorted(heard):
        if not hops or hops[-1][1] != source:
            hops.append((ttl, source))
        if kind != "passed":
            break
    reached_at = hops[-1][0] if hops and hops[-1][1] == target else None
    return Way(tuple(hops), target, reached_at)


def fault_side(hops: Sequence[tuple[int, str]], gateway: str | None, target: str) -> Side:
    """Who owns what lies behind the last hop that answered. Inferred: nobody writes ownership on a packet."""
    if not hops or hops[-1][1] == gateway:
        bridged = gateway is not None and not _is_home(gateway)
        return Side.CORE if hops and bridged else Side.ACCESS
    owner = owner_of(*hops[-1], gateway, target)
    return Side.CORE if owner is Side.ACCESS else Side.ACCESS if owner is Side.MODEM else owner


def owner_of(hop: int, address: str, gateway: str | None, target: str) -> Side:
    if address == target or _near(address, target):
        return Side.DESTINATION
    is_first = hop == 1 or address == gateway
    if is_first:
        return Side.MODEM if ":" in address or _is_home(address) else Side.ACCESS  # IPv6: mostly a modem that routes
    return Side.ACCESS if hop == 2 else Side.CORE


def _is_home(address: str) -> bool:
    """Of the kind that modems give out; a gateway of another kind is the operator's own."""
    parsed = ip_address(address)
    if parsed.version == 6:
        return parsed.is_link_local or parsed in ip_network("fc00::/7")
    return any(parsed in ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def _near(address: str, target: str) -> bool:
    parsed = ip_address(address)
    if parsed.version != ip_address(target).version:
        return False
    return parsed in ip_network(f"{target}/{NEAR[parsed.version]}", strict=False)


def written(way: Way) -> str:
    """1 192.168.8.1 · 2 100.64.1.1 · 3-20 ?"""
    known = dict(way.hops)
    end = way.reached_at or HOPS
    parts: list[str] = []
    ttl = 1
    while ttl <= end:
        if ttl in known:
            parts.append(f"{ttl} {known[ttl]}")
        else:
            first = ttl
            while ttl < end and ttl + 1 not in known:
                ttl += 1
            parts.append(f"{first}-{ttl} ?" if ttl > first else f"{ttl} ?")
        ttl += 1
    return " · ".join(parts)


def first_of(family: Family, targets: Sequence[str]) -> str:
    return next((target for target in targets if family_of(target) is family), targets[0])
