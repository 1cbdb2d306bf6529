"""Every rule in every weather: how often it switches for nothing, how soon it finds a failure, what it costs."""

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from bench import table
from bench.detect import measure, promises, recording
from bench.detect.measure import FAILURES, Cell, Watched
from bench.detect.rule import Rule
from bench.detect.rules import BESIDES, EVEN, OPTIMUM, RULES
from bench.detect.weather import DAY_S, WEATHERS, Link, Weather

PLACE, PROMISES = "detection", "promises"
DOCS = Path("docs/failover.md")
SHARE_TOLD = 0.01  # time in alarm that is worth a word
Task = tuple[Rule, Weather, int, int]


def main() -> int:
    arguments = _arguments()
    try:
        weathers = tuple(map(recording.read, arguments.trace)) or WEATHERS
        tasks = _tasks(weathers, arguments)
        began_s = time.monotonic()
        with multiprocessing.Pool(arguments.jobs) as pool:
            cells = pool.imap(_cell, tasks)
            found = list(zip(tasks, cells, strict=True))
        rows = [_row(*task[:2], cell) for task, cell in found]
        told = table.render(_head(), rows) + "\n\n" + _footer(arguments, len(tasks), time.monotonic() - began_s)
        print(told)
        for weather in weathers if arguments.trace else ():
            print(f"{weather.name}: {weather.source}")
        if not arguments.trace and not arguments.only:
            table.write(DOCS, PLACE, told)
            kept = _promises(found)
            print(kept)
            table.write(DOCS, PROMISES, kept)
    except ValueError as why:
        raise SystemExit(str(why)) from None
    return 0


def _promises(found: list[tuple[Task, Cell]]) -> str:
    cells = {(rule.name, weather.name): cell for (rule, weather, *_), cell in found}
    rows = [promise.row for promise in promises.kept(cells, WEATHERS, EVEN.name, OPTIMUM.name)]
    return table.render(["promise", "measured", "at most", "kept"], rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.detect", description=__doc__)
    parser.add_argument("--days", type=_some, default=300, help="link-days without a failure, for each cell")
    parser.add_argument("--trials", type=_some, default=200, help="failures of each kind, for each cell")
    parser.add_argument("--jobs", type=_some, default=2, help="processes at once")
    parser.add_argument("--trace", type=Path, nargs="+", default=[], help="recordings instead of the weathers")
    parser.add_argument("--only", default="", help="weathers or rules with this in their name; writes nothing")
    return parser.parse_args()


def _some(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _tasks(weathers: Iterable[Weather], arguments: argparse.Namespace) -> list[Task]:
    wanted = arguments.only.lower()
    tasks = [
        (rule, weather, arguments.days, arguments.trials)
        for weather in weathers
        for rule in (*RULES, *BESIDES.get(weather.name, ()))
        if wanted in weather.name.lower() or wanted in rule.name.lower()
    ]
    if not tasks:
        raise ValueError(f"--only {arguments.only}: no weather and no rule has this in its name")
    return tasks


def _cell(task: Task) -> Cell:
    rule, weather, days, trials = task
    return measure.cell(rule, Link(weather), days, trials)


def _head() -> list[str]:
    failures = [f"+{loss:.0%} s".replace("%", " %") for loss in FAILURES[1:]]
    return ["weather", "rule", "between false switches", "blackhole s", *failures, "clears s", "MB / 30 d"]


def _row(rule: Rule, weather: Weather, cell: Cell) -> list[str]:
    delays = [_quantiles(cell.delays[loss]) or "in alarm" for loss in FAILURES]
    cost = f"{cell.watched.megabytes_per_30_d:.0f}"
    return [weather.name, rule.name, _between(cell.watched), *delays, _quantiles(cell.clears) or "no alarm", cost]


def _between(watched: Watched) -> str:
    if watched.alarm_share > 1 - SHARE_TOLD:
        return "always in alarm"
    if not watched.false_switches:
        return f"> {watched.days} d"
    told = _duration(watched.days * DAY_S / watched.false_switches)
    return told if watched.alarm_share < SHARE_TOLD else f"{told}, {watched.alarm_share:.0%} in alarm"


def _duration(seconds: float) -> str:
    for unit, unit_s in (("d", DAY_S), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.{0 if seconds >= 10 * unit_s else 1}f} {unit}"
    return f"{seconds:.0f} s"


def _quantiles(found_s: list[float | None]) -> str:
    """p50 / p95 by nearest rank; nothing of nothing."""
    if not found_s:
        return ""
    ranked_s = sorted(math.inf if each is None else each for each in found_s)
    p50_s, p95_s = (ranked_s[math.ceil(share * len(ranked_s)) - 1] for share in (0.5, 0.95))
    if p50_s == math.inf:
        return "—"
    return f"{p50_s:.1f} / " + (f"{p95_s:.1f}" if p95_s < math.inf else f"> {measure.WITHIN_S:.0f}")


def _footer(arguments: argparse.Namespace, cells: int, wall_s: float) -> str:
    longer = ", ".join(f"{rule.name} {rule.repaired_after_s:.0f} s" for rule in RULES if rule.repaired_after_s != 60)
    return (
        f"Simulated, {arguments.days} link-days and {arguments.trials} failures of each kind a row. Seconds are p50 / "
        f"p95; “—”: more than half were not found within {measure.WITHIN_S:.0f} s. Loss is added to the weather's own. "
        f"A failure that meets a rule already in alarm is drawn again; “in alarm”: it always was. Clears: after a "
        f"blackhole of 60 s ({longer}), where the rule was in alarm at its end. MB: IP bytes both ways.\n"
        f"{wall_s:.0f} s with {arguments.jobs} processes: {1000 * wall_s / (cells * arguments.days):.0f} ms for each "
        f"link-day, trials included."
    )


if __name__ == "__main__":
    sys.exit(main())
