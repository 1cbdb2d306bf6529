"""Facts and measurements as numbered, stamped records of the station's history."""

from dataclasses import dataclass

from agent.core.events import HandedOver
from wire.messages import Fact, Record, Stamp, Summary

SUMMARY_EVERY_S = 60


@dataclass(slots=True)
class Numbering:
    """The next record's identity; `epoch` and `last_seq` come from the spool, once, at start."""

    epoch: str
    last_seq: int
    boot: str
    started_at: float

    def record(self, body: Fact | Summary, stamp: Stamp) -> Record:
        self.last_seq += 1
        return Record(self.epoch, self.last_seq, stamp, body)

    def stamp(self, now: float, wall_s: float, synced: bool) -> Stamp:
        return Stamp(self.boot, round(now - self.started_at, 3), round(wall_s, 3), synced)


def handed_over(done: HandedOver) -> Fact:
    code = "HANDED_OVER" if done.moved else "FLOWS_LEFT"
    return Fact(code, evidence={"took_ms": done.took_ms, "flows": done.flows, "sockets": done.sockets})
