"""Chaos: real agents, broker and centre under random faults; then every record is looked for.

python -m lab enter -- python -m bench.chaos [--faults 300] [--seconds 420] [--seed N] [--keep FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import table
from bench.chaos import oracle
from bench.chaos.gossip import Gossip
from bench.chaos.oracle import Verdict
from bench.chaos.places import START_S, Places, Post, built, wait_until
from bench.chaos.storm import Storm
from central.core.chain import SAYS, Kind

PLACE = "chaos"
DOCS = Path("docs/reporting.md")
STATIONS = 5
DRAIN_S = 100.0
STORE_S = 15.0
AGENT_MIB, CENTRE_MIB = 40.0, 250.0
BY_DAMAGE = tuple(SAYS[kind][1] for kind in (Kind.MISSING, Kind.FORGOTTEN, Kind.DROPPED))
SHOWN = 10  # of each kind of broken promise, on the terminal


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    faults: dict[str, int]
    broken: list[str]
    """What else went against a promise."""
    doubts: list[str]
    """What `siaga-central verify` said of the evidence."""
    repeated: int
    refused_to_start: int
    agent_mib: float
    centre_mib: float
    lasted_s: float

    @property
    def is_good(self) -> bool:
        return self.verdict.is_good and not self.broken and not self.doubts


def run(count: int, seconds: float, seed: int, folder: Path) -> Outcome:
    began = time.monotonic()
    draw = random.Random(seed)
    with built(STATIONS, folder) as places, (folder / "faults.log").open("w") as log:
        for post in places.posts:
            post.launch()
        gossip = Gossip(places, seed)
        storm = Storm(places, gossip, draw, log)
        broken = [] if _settled(places, storm, START_S) else ["the stations did not all start"]
        storm.rage(count, seconds)
        storm.heal()
        if not _settled(places, storm, DRAIN_S):
            unsent = {post.name: post.unsent() for post in places.posts}
            broken.append(f"not within {DRAIN_S:g} s after the last fault: 0 records unsent; {unsent}")
        broken += _stop(places, gossip)
        doubts = [line for post in places.posts for line in _doubts(places, post)]
        verdict = oracle.judge(
            {post.name: post.ledger for post in places.posts},
            places.centre.database,
            {post.name: post.spool for post in places.posts},
        )
    agents = max(storm.weights[post.name].most_mib for post in places.posts)
    centre = storm.weights[places.centre.name].most_mib
    broken += _unordered(places) + _too_large(agents, centre)
    refused = sum(program.refused_to_start for program in places.programs)
    lasted_s = time.monotonic() - began
    return Outcome(verdict, dict(storm.done), broken, doubts, gossip.repeated, refused, agents, centre, lasted_s)


def _settled(places: Places, storm: Storm, patience_s: float) -> bool:
    """Each agent in turn has been seen with nothing unsent."""
    waiting = list(places.posts)

    def is_empty() -> bool:
        storm.pass_time(0.05)
        waiting[:] = [post for post in waiting if post.unsent() != 0 or not post.ledger.durable]
        return not waiting

    return wait_until(is_empty, patience_s)


def _stop(places: Places, gossip: Gossip) -> list[str]:
    """The agents first, then the centre, which has taken their last words by then."""
    gossip.stop()
    for post in places.posts:
        post.kill(signal.SIGTERM)
        post.finish_reading()
    wait_until(lambda: not any(_left(places, post) for post in places.posts), STORE_S)
    places.centre.kill(signal.SIGTERM)
    codes = {program.name: program.process.returncode for program in places.programs if program.process}
    return [f"{name} ended with {code} when told to end" for name, code in codes.items() if code != 0]


def _doubts(places: Places, post: Post) -> list[str]:
    """What a damaged card took with it is named in the evidence: missing, spoilt, or unknown to the next run."""
    found = places.centre.doubts(post.name)
    return [line for line in found if not (post.is_damaged and line.endswith(BY_DAMAGE))]


def _left(places: Places, post: Post) -> set[str]:
    here = {line.digest for line in places.centre.stored(post.name)}
    return post.ledger.durable.keys() - here - post.ledger.excused


def _unordered(places: Places) -> list[str]:
    ends = [end for program in places.programs for end in program.ended_by_itself]
    crashes = [f"{program.name}: {program.crashes()} tracebacks" for program in places.programs if program.crashes()]
    return ends + crashes


def _too_large(agents: float, centre: float) -> list[str]:
    sizes = (("an agent", agents, AGENT_MIB), ("the centre", centre, CENTRE_MIB))
    return [f"{name} took {mib:.0f} MiB, above {most:.0f}" for name, mib, most in sizes if mib > most]


def told(outcome: Outcome, seed: int) -> str:
    verdict = outcome.verdict
    kinds = table.render(["fault", "times"], [[name, str(times)] for name, times in sorted(outcome.faults.items())])
    rows = [
        ["records that the cards had durably", str(verdict.durable)],
        ["records in the centre's store", str(verdict.stored)],
        ["lost with a card that was damaged, before the centre had them", str(verdict.excused)],
        ["still on a card", str(verdict.held)],
        ["**missing**", str(len(verdict.missing))],
        ["**double**", str(len(verdict.double))],
        ["**nobody's** (content or number that no station wrote)", str(len(verdict.foreign))],
        ["high-water marks that say something else than store and card", str(len(verdict.marks))],
        ["records that are not linked to the one before", str(len(verdict.links))],
        ["what `siaga-central verify` finds wrong with the evidence", str(len(outcome.doubts))],
        ["crashes, tracebacks, other broken promises", str(len(outcome.broken))],
        ["old messages that a stranger said again, in random order", str(outcome.repeated)],
        ["starts refused while a fault lasted (broker killed)", str(outcome.refused_to_start)],
        ["most memory of an agent (PSS) / of the centre without its broker (RSS)",
         f"{outcome.agent_mib:.0f} / {outcome.centre_mib:.0f} MiB"],
    ]  # fmt: skip
    total = sum(outcome.faults.values())
    return (
        f"{total} faults in {outcome.lasted_s:.0f} s, seed {seed}:\n\n{kinds}\n\n"
        f"{table.render(['at the end', ''], rows)}\n\n"
        f"`make bench-chaos` on Linux {platform.release()}, {os.cpu_count()} cores."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=420.0, help="in which the faults begin")
    parser.add_argument("--seed", type=int, default=None, help="draws the same faults again")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for logs and data; default: kept when broken")
    parser.add_argument("--write", action="store_true", help=f"the table into {DOCS}")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"bench-chaos: --seed {seed}", file=sys.stderr)
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="siaga-chaos-"))
    folder.mkdir(parents=True, exist_ok=arguments.keep is None)
    outcome = run(arguments.faults, arguments.seconds, seed, folder)
    print(told(outcome, seed))
    if arguments.write:
        table.write(DOCS, PLACE, told(outcome, seed))
    verdict = outcome.verdict
    for what in ("missing", "double", "foreign", "marks", "links"):
        for line in getattr(verdict, what)[:SHOWN]:
            print(f"{what}: {line}", file=sys.stderr)
    for line in outcome.doubts:
        print(f"verify: {line}", file=sys.stderr)
    for line in outcome.broken:
        print(f"broken: {line}", file=sys.stderr)
    if not outcome.is_good:
        print(f"bench-chaos: logs and data are in {folder}", file=sys.stderr)
        return 1
    if arguments.keep is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
