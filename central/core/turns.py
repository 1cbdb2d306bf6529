"""Who may test his bandwidth now: one at a time of those who share a beam or a cell, few at a time of all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    at_once: int = 8
    """Of all groups: else the centre's own line is what they measure."""
    turn_bytes: int = 32_000_000
    hour_bytes: int = 20_000_000_000
    """Granted to all; 1,185 stations of three uplinks that send a train each way every 15 minutes need 2.4 GB."""
    turn_s: float = 60.0
    typical_s: float = 5.0
    """Apart are those who are told to come again."""
    groups: int = 10_000
    """With somebody waiting; those of whom nobody has asked for longest are forgotten."""


@dataclass(slots=True)
class Turn:
    token: bytes
    group: str
    ends_at: float
    left_bytes: int


@dataclass(frozen=True, slots=True)
class Later:
    again_s: float


class Turns:
    """Told the time and given the token of a possible turn; reads no clock and draws no lots."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns: dict[bytes, Turn] = {}
        self._promised: dict[str, float] = {}
        """Group -> until when the next ones have been told to come."""
        self._hour_from, self._hour_bytes = 0.0, 0

    def ask(self, group: str, size_bytes: int, lasts_s: float, token: bytes, now: float) -> Turn | Later:
        self._expire(now)
        limits = self._limits
        size_bytes = max(0, min(size_bytes, limits.turn_bytes))
        if now - self._hour_from >= 3600:
            self._hour_from, self._hour_bytes = now, 0
        if self._hour_bytes + size_bytes > limits.hour_bytes:
            return Later(self._hour_from + 3600 - now)
        mine = [turn.ends_at for turn in self._turns.values() if turn.group == group]
        everybody = [turn.ends_at for turn in self._turns.values()]
        if mine or len(everybody) >= limits.at_once:
            return self._later(group, min(mine or everybody), now)
        self._hour_bytes += size_bytes
        turn = Turn(token, group, now + max(1.0, min(lasts_s, limits.turn_s)), size_bytes)
        self._turns[token] = turn
        return turn

    def of(self, token: bytes, now: float) -> Turn | None:
        turn = self._turns.get(token)
        return turn if turn is not None and now < turn.ends_at else None

    def end(self, token: bytes) -> None:
        """The next of the group may come; who has been told a moment comes at that."""
        self._turns.pop(token, None)

    def _later(self, group: str, free_at: float, now: float) -> Later:
        """Each who waits is told another moment, or all would come at once again and again."""
        promised = self._promised.pop(group, 0.0)
        at = max(free_at, promised)
        while len(self._promised) >= self._limits.groups:
            del self._promised[next(iter(self._promised))]
        self._promised[group] = at + self._limits.typical_s
        return Later(at - now)

    def _expire(self, now: float) -> None:
        for token in [token for token, turn in self._turns.items() if now >= turn.ends_at]:
            del self._turns[token]
