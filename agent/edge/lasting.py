"""A spool that goes on in memory when its card takes nothing any more, so that what happens is still reported."""

import logging
import sqlite3

from agent.edge import card
from agent.edge.card import IN_MEMORY_BYTES, SPOOL, Place
from agent.edge.spool import BYTES_AT_MOST, Dropped, Spool
from agent.edge.spool_file import open_database
from wire.messages import Fact, Seal, Stamp, Summary

log = logging.getLogger(__name__)


class LastingSpool(Spool):
    """`place` says where it is now."""

    def __init__(self, place: Place, station: str, epoch: str) -> None:
        """Raises OSError or sqlite3.OperationalError when the directory takes no file."""
        super().__init__(place.state_dir / SPOOL, station, epoch, IN_MEMORY_BYTES if place.why else BYTES_AT_MOST)
        self.place = place
        self._failed = False

    def put(self, body: Fact | Summary | Seal, stamp: Stamp) -> Dropped | None:
        """As a spool does; what it holds because the card took nothing is written with the next one."""
        dropped = super().put(body, stamp)
        if self._held and not self.place.why:
            self._leave()
        return dropped

    def _leave(self) -> None:
        with self._lock:
            try:
                place = card.leave(self.place.card)
                if place is None:
                    return
                opened = open_database(place.state_dir / SPOOL)
            except (OSError, sqlite3.Error) as why:
                if not self._failed:
                    log.error("the spool cannot go on in memory either: %s", why)
                self._failed = True
                return
            self._database.close()
            self._database, self.place, self._bytes_at_most = opened, place, IN_MEMORY_BYTES
