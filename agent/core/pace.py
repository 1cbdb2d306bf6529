"""How often an uplink is asked: seldom when all is well, densely on the first doubt."""

from dataclasses import dataclass
from enum import IntEnum, auto

from agent.core.station import Family, Kind

ECHO_BYTES = {Family.IPV4: 72, Family.IPV6: 112}  # there and back at the IP layer: header, 8 of ICMP, 8 of payload
STANDBY_EVERY_S = 12.0  # 18 MB in 30 days with its bursts; a standby that dies is known after 8 s on the mean
BURST_EVERY = 20  # calm echoes of a standby; then BURST echoes in a row show how it is when it is awake
BURST = 3
BURST_EVERY_S = 0.5


class Mood(IntEnum):
    """What an uplink is asked for."""

    DOUBT = auto()
    """Something should have been heard, or the traffic may have to move here at once."""
    SUSPICION = auto()
    """Losses or delays on the uplink that carries traffic."""
    CARRYING = auto()
    SPARED = auto()
    """It carries traffic that is answered: as good as echoes, and paid for already."""
    STANDBY = auto()
    BURST = auto()
    PROOF = auto()
    """It answers, and shall show how well."""
    ABSENCE = auto()
    """It is dead; how soon its return is seen."""


PATIENT = frozenset({Mood.CARRYING, Mood.SPARED, Mood.STANDBY, Mood.BURST, Mood.PROOF, Mood.ABSENCE})
"""Moods in which a budget that runs low spreads the echoes."""

Pace = dict[Mood, float]
"""Seconds between echoes."""

_EVERYWHERE: Pace = {Mood.STANDBY: STANDBY_EVERY_S, Mood.BURST: BURST_EVERY_S}
# Two echoes a second at most in calm; narrow and often metered.
_NARROW: Pace = _EVERYWHERE | {
    Mood.DOUBT: 0.2, Mood.SUSPICION: 0.2, Mood.CARRYING: 0.5, Mood.SPARED: 1.0, Mood.PROOF: 0.5, Mood.ABSENCE: 2.0
}  # fmt: skip
PACES: dict[Kind, Pace] = {
    # Ten echoes fit into the shortest silence that is death; a cut is noticed within a quarter of a second.
    Kind.FIBRE: _EVERYWHERE | {
        Mood.DOUBT: 0.1, Mood.SUSPICION: 0.2, Mood.CARRYING: 0.25, Mood.SPARED: 0.25, Mood.PROOF: 0.2, Mood.ABSENCE: 1.0
    },
    Kind.LTE: _NARROW,
    Kind.LEO: _NARROW,
    # Half a round trip between doubts; one echo a second in calm, as the answer takes most of a second anyway.
    Kind.GEO: _EVERYWHERE | {
        Mood.DOUBT: 0.3, Mood.SUSPICION: 0.5, Mood.CARRYING: 1.0, Mood.SPARED: 2.0, Mood.PROOF: 1.0, Mood.ABSENCE: 5.0
    },
}  # fmt: skip

LOST_AFTER_S = {
    Kind.FIBRE: 0.5,
    Kind.LTE: 0.6,  # tails of a second are ordinary, but what comes later is taken back
    Kind.LEO: 0.6,
    Kind.GEO: 1.5,
}


@dataclass(slots=True)
class Rotation:
    """Whose turn it is: the trusted targets one after the other, and one that is set aside each tenth time."""

    targets: tuple[str, ...]
    _turn: int = 0
    _trusted: int = 0

    def next(self, set_aside: frozenset[str]) -> str:
        self._turn += 1
        trusted = [target for target in self.targets if target not in set_aside]
        doubted = [target for target in self.targets if target in set_aside]
        if doubted and (not trusted or self._turn % 10 == 0):
            return doubted[self._turn // 10 % len(doubted)]
        self._trusted += 1
        return trusted[self._trusted % len(trusted)]
