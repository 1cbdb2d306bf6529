"""Facts and measurements as numbered, stamped and chained records of the station's history."""

from dataclasses import dataclass

from agent.core.events import HandedOver
from wire import chain
from wire.messages import Fact, Former, Record, Seal, Stamp, Summary, encode

SUMMARY_EVERY_S = 60


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
