"""Runs the sections one after another; each puts its table into docs/measuring.md, with what missed its target."""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import table
from bench.measure import adaptive, cost, day, hourly, rtt, split, trains, upload
from lab.netns import LabError

DOCS = Path("docs/measuring.md")


@dataclass(frozen=True, slots=True)
class Section:
    place: str
    """Where its table stands, between markers of this name."""
    measure: Callable[[], str]


SECTIONS = (
    Section("measure-rtt", rtt.measure),
    Section("measure-split", split.measure),
    Section("measure-day", day.measure),
    Section("measure-cost", cost.measure),
    Section("measure-trains", trains.measure),
    Section("measure-hourly", hourly.measure),
    Section("measure-upload", upload.measure),
    Section("measure-adaptive", adaptive.measure),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    places = [section.place for section in SECTIONS]
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(places)}; default: all")
    wanted = parser.parse_args().sections or places
    if unknown := [place for place in wanted if place not in places]:
        parser.error(f"no such section: {', '.join(unknown)}")
    where = f"`make bench-measure` on Linux {platform.release()}, {os.cpu_count()} cores"
    for section in SECTIONS:
        if section.place in wanted:
            try:
                told = section.measure()
            except LabError as why:
                print(f"bench-measure: {section.place}: {why}", file=sys.stderr)
                return 1
            told = f"{told}\n\n{where}, load {os.getloadavg()[0]:.1f}."
            print(told, end="\n\n", flush=True)
            table.write(DOCS, section.place, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
