"""Facts and measurements as numbered, stamped and chained records of the station's history."""

from dataclasses import dataclass

from msgspec import structs

from agent.core.events import HandedOver, ShowState
from wire import chain
from wire.messages import Fact, Former, Record, Seal, Stamp, Summary, UplinkState, encode

SUMMARY_EVERY_S = 60
ANOTHER_RTT = 1.5  # so many times as long, or as short: half of it is what LTE does by itself
ANOTHER_FORECAST = 1.25  # people see it as "about so long"
ANOTHER_LOSS = 0.1  # of 20 echoes at least, so that no single one makes news


@dataclass(frozen=True, slots=True)
class Boot:
    """One run of the agent."""

    name: str
    started_at: float

    def stamp(self, now: float, wall_s: float, synced: bool) -> Stamp:
        return Stamp(self.name, round(now - self.started_at, 3), round(wall_s, 3), synced)


@dataclass(frozen=True, slots=True)
class Line:
    """A record as bytes, never made again: these are what is sent, stored and signed."""

    seq: int
    data: bytes
    chain: bytes
    """After this record."""


@dataclass(slots=True)
class Numbering:
    """Where the history of this run stands, and so the next record's number and link."""

    epoch: str
    chain: bytes
    link: str
    former: Former | None
    last_seq: int = 0

    @classmethod
    def begin(cls, station: str, epoch: str, former: Former | None = None) -> "Numbering":
        origin = chain.origin(station, epoch)
        return cls(epoch, origin, chain.link(origin), former)

    def record(self, body: Fact | Summary | Seal, stamp: Stamp) -> Line:
        former = None if self.last_seq else self.former
        self.last_seq += 1
        data = encode(Record(self.epoch, self.last_seq, stamp, body, self.link, former))
        digest = chain.digest(data)
        self.chain, self.link = chain.advance(self.chain, digest), chain.link(digest)
        return Line(self.last_seq, data, self.chain)


def handed_over(done: HandedOver) -> Fact:
    code = "HANDED_OVER" if done.moved else "FLOWS_LEFT"
    return Fact(code, evidence={"took_ms": done.took_ms, "flows": done.flows, "sockets": done.sockets})


def is_news(shown: ShowState, state: ShowState) -> bool:
    """Whether somebody who was shown the former should see the latter at once."""
    return shown.active != state.active or [*map(_lasting, shown.uplinks)] != [*map(_lasting, state.uplinks)]


def has_drifted(shown: ShowState, state: ShowState) -> bool:
    """Whether figures, of the same uplinks, are others than those that people still see, though that can wait."""
    return any(_is_elsewhere(before, after) for before, after in zip(shown.uplinks, state.uplinks, strict=False))


def _is_elsewhere(before: UplinkState, after: UplinkState) -> bool:
    photos_s = [each.forecast.photos_s if each.forecast else None for each in (before, after)]
    return (
        _is_another(before.rtt_ms, after.rtt_ms, ANOTHER_RTT)
        or _is_another(photos_s[0], photos_s[1], ANOTHER_FORECAST)
        or (before.loss is None) != (after.loss is None)
        or abs((before.loss or 0.0) - (after.loss or 0.0)) >= ANOTHER_LOSS
    )


def _lasting(uplink: UplinkState) -> UplinkState:
    return structs.replace(uplink, since_s=0.0, rtt_ms=None, loss=None, signal=None, forecast=None)


def _is_another(before: float | None, after: float | None, times: float) -> bool:
    if before is None or after is None:
        return before is not after
    return not before / times < after < before * times
