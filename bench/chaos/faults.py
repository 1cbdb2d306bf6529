"""Every kind of fault: what it breaks, how long, and how it heals; and the deck from which they are drawn."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.chaos.gossip import Gossip
from bench.chaos.places import Centre, Post, cut
from tests.edge.link import ip

YEAR_S = 365.25 * 86_400
Course = Iterator[float | str]
"""Breaks, says what it did if there is more to say than its name, yields how long it lasts, and heals."""


def agent_killed(post: Post, draw: random.Random) -> Course:
    post.kill()
    yield draw.uniform(0, 3)
    post.launch()


def agent_frozen(post: Post, draw: random.Random) -> Course:
    post.signal(signal.SIGSTOP)
    yield draw.uniform(1, 8)
    post.signal(signal.SIGCONT)


def cables_out(post: Post, draw: random.Random) -> Course:
    ends = _some(post, draw)
    yield " ".join(ends)
    for end in ends:
        ip("link", "set", end, "down")
    yield draw.uniform(0.5, 12)
    for end in ends:
        ip("link", "set", end, "up")


def ways_cut(post: Post, draw: random.Random) -> Course:
    ends = _some(post, draw)
    yield " ".join(ends)
    for end in ends:
        cut(end, on=False)
    yield draw.uniform(0.5, 12)
    for end in ends:
        cut(end, on=True)


def card_full(post: Post, draw: random.Random) -> Course:
    post.fill_card()
    yield draw.uniform(1, 15)
    post.free_card()


def card_refuses(post: Post, draw: random.Random) -> Course:
    post.refuse_writes()
    yield draw.uniform(1, 10)
    post.take_writes()


def card_read_only(post: Post, draw: random.Random) -> Course:
    """From the start of an agent on; under one that has it open the kernel does not let us."""
    post.kill()
    post.mount_card("ro")
    post.launch()
    yield draw.uniform(1, 10)
    post.mount_card("rw")


def clock_wrong(post: Post, draw: random.Random) -> Course:
    wrong_s = draw.choice([draw.uniform(-300, 300), draw.uniform(-30, 30) * YEAR_S])
    synced = draw.choice(["synced", "unsynced"])
    yield f"{wrong_s / YEAR_S:+.1f} years, {synced}"
    post.set_clock(wrong_s, synced)
    yield draw.uniform(1, 20)
    post.set_clock(0, "synced")


def centre_killed(centre: Centre, draw: random.Random) -> Course:
    centre.kill()
    yield draw.uniform(0, 3)
    centre.launch()


def broker_killed(centre: Centre, _draw: random.Random) -> Course:
    centre.kill_broker()
    yield 0.0


def centre_frozen(centre: Centre, draw: random.Random) -> Course:
    centre.signal(signal.SIGSTOP)
    yield draw.uniform(1, 8)
    centre.signal(signal.SIGCONT)


def centre_away(centre: Centre, draw: random.Random) -> Course:
    centre.kill(signal.SIGTERM)
    away_s = draw.choice([draw.uniform(5, 30), draw.uniform(60, 120)])
    yield f"{away_s / 60:.1f} hours of summaries"
    yield away_s
    centre.launch()


def told_again(gossip: Gossip, draw: random.Random) -> Course:
    yield f"{gossip.repeat(draw)} messages"
    yield 0.0


def spool_damaged(post: Post, centre: Centre, draw: random.Random) -> Course:
    post.kill()
    post.finish_reading()
    post.ledger.excuse(centre.stored(post.name))
    yield post.damage(draw)
    yield draw.uniform(0, 2)
    post.launch()


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    course: Callable[..., Course]
    holds: tuple[str, ...]
    """While it lasts no other fault begins there that holds one of the same."""
    weight: int


OF_A_POST = (
    Kind("agent killed (−9)", agent_killed, ("agent",), 41),
    Kind("agent stopped for seconds", agent_frozen, ("agent",), 12),
    Kind("spool cut or overwritten at random bytes", spool_damaged, ("agent",), 18),
    Kind("cables of one or both uplinks out", cables_out, ("uplinks",), 40),
    Kind("one or both uplinks dead behind the first hop", ways_cut, ("uplinks",), 40),
    Kind("card full", card_full, ("card",), 22),
    Kind("card takes no writes", card_refuses, ("card",), 12),
    Kind("card read-only when the agent starts", card_read_only, ("agent", "card"), 8),
    Kind("clock wrong, by up to 30 years", clock_wrong, ("clock",), 30),
)
OF_THE_CENTRE = (
    Kind("centre with its collector killed (−9)", centre_killed, ("centre",), 20),
    Kind("broker killed (−9)", broker_killed, ("centre",), 20),
    Kind("centre stopped for seconds", centre_frozen, ("centre",), 10),
    Kind("centre away, by up to two hours of summaries", centre_away, ("centre",), 4),
)
OF_THE_NET = (Kind("old messages again, in random order", told_again, ("net",), 23),)
KINDS = (*OF_A_POST, *OF_THE_CENTRE, *OF_THE_NET)


def deck(count: int, draw: random.Random) -> list[Kind]:
    """So many of each kind as its weight says, shuffled."""
    total = sum(kind.weight for kind in KINDS)
    drawn = [kind for kind in KINDS for _ in range(count * kind.weight // total)]
    drawn += draw.choices(KINDS, [kind.weight for kind in KINDS], k=count - len(drawn))
    draw.shuffle(drawn)
    long = [kind for kind in drawn if kind.course is centre_away]  # all of them in the first half, or they end too soon
    drawn = [kind for kind in drawn if kind.course is not centre_away]
    for kind in long:
        drawn.insert(draw.randrange(count // 2 or 1), kind)
    return drawn


def _some(post: Post, draw: random.Random) -> tuple[str, ...]:
    return draw.choice([post.ends, (post.ends[0],), (post.ends[0],), (post.ends[1],)])
