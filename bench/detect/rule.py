"""What every rule under test offers, ours and the peers' alike: it watches days and says when its verdict changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bench.detect.weather import Day, Link


@dataclass(frozen=True, slots=True)
class Change:
    """The rule's verdict from this moment on: alarm (it would leave the link) or good again."""

    at_s: float
    is_alarm: bool


@dataclass(slots=True)
class Seen:
    """What a rule made of one day: its changes of verdict in order of time, and what it spent.

    octets: IP bytes both ways, requests and answers.
    """

    changes: list[Change] = field(default_factory=list)
    octets: float = 0.0


class Rule(Protocol):
    """Its four values are plain fields of a frozen dataclass; rules are sent to other processes, so they pickle."""

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str:
        """Where the rule's figures come from."""
        ...

    @property
    def warm_s(self) -> float:
        """How long it watches a link before a trial's failure may come."""
        ...

    @property
    def repaired_after_s(self) -> float:
        """How long the blackhole lasts whose clearing is timed: longer than the rule takes to find it."""
        ...

    def watch(self, link: Link, /, days: Iterable[Day], seed: int) -> Iterator[Seen]:
        """One Seen for each Day, in order. The rule begins good, with a clean past; all chance comes from the seed.

        Days follow each other without a gap, so what the rule knows at midnight it knows in the morning. A change may
        be dated a little after the day's end (a packet sent before it timed out), never before the change before it.
        A rule may know the link's kind and role (`link.weather.kind`, `.role`) and nothing else of its weather. It may
        look at a day's law to step over what cannot matter, never to judge; only the optimum is an oracle.
        """
        ...
