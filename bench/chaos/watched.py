"""The agent in hours that pass in minutes, who tells every record before and after it is on the card.

python -m bench.chaos.watched PIPE CLOCK run --config FILE

PIPE is a descriptor: `intent RECORD` before a commit, `durable` after it, `found RECORD` for what a new run reads on
its card. CLOCK is a file that holds how many seconds the wall clock is wrong, and whether it counts as synchronised.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import agent.core.failover
import agent.edge.broker
import agent.edge.sealer
import agent.edge.spool_file
from agent.__main__ import main
from agent.edge import clock

MINUTE_S = 1.0  # of summaries and seals
PATIENCE_SCALE = 10.0  # of the courier; what the centre and the processor need is not scaled
TRIGGER = """
CREATE TEMP TRIGGER told_put AFTER INSERT ON main.record BEGIN SELECT tell_intent(new.data); END;
"""
FOUND = "SELECT data FROM main.record"


class Witness:
    """Tells what happens to the spool's table, in whatever words the spool says it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.is_open = False

    def tell(self, what: bytes, record: bytes = b"") -> None:
        line = what + b" " + record + b"\n" if record else what + b"\n"
        while line:
            line = line[os.write(self._pipe, line) :]

    def watch(self, database: sqlite3.Connection) -> None:
        """What cannot be read here, the spool finds damaged by itself in its next step."""
        database.create_function("tell_intent", 1, self._intent)
        with contextlib.suppress(sqlite3.Error):
            sqlite3.Connection.executescript(database, TRIGGER)
            for (data,) in sqlite3.Connection.execute(database, FOUND):
                if isinstance(data, bytes):  # on a damaged card it may be anything
                    self.tell(b"found", data.replace(b"\n", b" "))

    def committed(self) -> None:
        if self.is_open:
            self.tell(b"durable")
            self.is_open = False

    def undone(self) -> None:
        if self.is_open:
            self.tell(b"undone")
            self.is_open = False

    def _intent(self, data: bytes) -> None:
        self.is_open = True
        self.tell(b"intent", data)


def watched_connection(witness: Witness) -> type[sqlite3.Connection]:
    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            done = super().execute(sql, *arguments)
            if "user_version" in sql:  # the tables are there by then
                witness.watch(self)
            return done

        def commit(self) -> None:
            super().commit()
            witness.committed()

        def rollback(self) -> None:
            super().rollback()
            witness.undone()

        def __exit__(self, *why: Any) -> Any:
            try:
                passed_on = super().__exit__(*why)
            except BaseException:
                witness.undone()
                raise
            (witness.committed if why[0] is None else witness.undone)()
            return passed_on

    return Watched


def plant(pipe: int, clock_file: Path) -> None:
    os.set_inheritable(pipe, False)
    agent.core.failover.SUMMARY_EVERY_S = MINUTE_S  # type: ignore[assignment]
    broker: Any = agent.edge.broker
    broker.RESEND_S /= PATIENCE_SCALE
    broker.KEEPALIVE_S, broker.ALIVE_EVERY_S, broker.ANSWER_S = 3, 2, 4
    broker.BACKOFF_S = tuple(each / PATIENCE_SCALE for each in broker.BACKOFF_S)
    sealer: Any = agent.edge.sealer
    sealer.FIRST_S, sealer.EVERY_S = (each * MINUTE_S / 60 for each in (sealer.FIRST_S, sealer.EVERY_S))
    kind = watched_connection(Witness(pipe))

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **named, factory=kind)

    agent.edge.spool_file.sqlite3 = SimpleNamespace(**vars(sqlite3) | {"connect": connect})  # type: ignore[assignment]
    right = clock.wall

    def wall() -> tuple[float, bool]:
        wrong_s, is_synced = clock_file.read_text().split()
        return right()[0] + float(wrong_s), is_synced == "synced"

    clock.wall = wall


if __name__ == "__main__":
    plant(int(sys.argv[1]), Path(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
