"""Whether packets of full size pass: if not, whether somebody says so, and how large they may be."""

from agent.diagnose.echo import Back, Echoes, Probe
from agent.diagnose.look import Layer, Look, Outcome, Purse, Subject

SIZES = (1492, 1472, 1460, 1440, 1400, 1380, 1340, 1280, 1000, 576)  # PPPoE, tunnels, IPv6's least, what always passes
LEAST_WAIT_S, MOST_WAIT_S = 0.4, 2.0
TRIPS = 3


def look(subject: Subject, targets: list[str], rtt_ms: float, purse: Purse) -> Look:
    """`targets` answer small echoes. Raises OSError."""
    if not purse.allows(2 * subject.mtu * len(targets)):
        return Look(Layer.MTU, Outcome.NO_BYTES)
    wait_s = min(max(TRIPS * rtt_ms / 1e3, LEAST_WAIT_S), MOST_WAIT_S)
    echoes = Echoes(subject, purse)
    try:
        told = False
        for target in targets:
            for _ in range(2):
                back = _try(echoes, target, subject.mtu, wait_s)
                if back is not None and back.kind == "answer":
                    return Look(Layer.MTU, Outcome.MTU_WHOLE, {"mtu": subject.mtu, "target": target})
                told |= back is not None and back.kind == "too big"
                if told or not purse.allows(subject.mtu):
                    break
        return _smaller(echoes, subject, targets[0], wait_s, told, purse)
    finally:
        echoes.close()


def _smaller(echoes: Echoes, subject: Subject, target: str, wait_s: float, told: bool, purse: Purse) -> Look:
    """The largest of the usual sizes that passes, by halving."""
    sizes = [size for size in SIZES if size < subject.mtu]
    passes: int | None = None
    while sizes and purse.allows(2 * sizes[len(sizes) // 2]):
        middle = len(sizes) // 2
        back = _try(echoes, target, sizes[middle], wait_s)
        if back is not None and back.kind == "answer":
            passes, sizes = sizes[middle], sizes[:middle]
        else:
            told |= back is not None and back.kind == "too big"
            sizes = sizes[middle + 1 :]
    facts: dict[str, float | str | None] = {"mtu": passes, "full": subject.mtu, "target": target}
    if passes is None:
        return Look(Layer.MTU, Outcome.MTU_UNCLEAR, facts)
    return Look(Layer.MTU, Outcome.MTU_TOLD if told else Outcome.MTU_BLACK_HOLE, facts)


def _try(echoes: Echoes, target: str, size: int, wait_s: float) -> Back | None:
    probe = Probe(target, size=size)
    return echoes.ask([probe], wait_s, lambda back: probe in back).get(probe)
