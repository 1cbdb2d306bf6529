"""Tables of measured figures: rendered as Markdown, and put between their markers in a page of the docs."""

import math
from collections.abc import Sequence
from pathlib import Path

NEVER = math.inf  # in seconds


def p95(ordered: Sequence[float]) -> float:
    return ordered[math.ceil(0.95 * len(ordered)) - 1]  # nearest rank


def seconds(time_s: float) -> str:
    return f"{time_s:.2f}" if time_s < NEVER else "never"


def render(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(page: Path, place: str, text: str) -> None:
    """Replace what stands between `<!-- place -->` and `<!-- end of place -->`; raises ValueError without them."""
    begin, end = f"<!-- {place} -->", f"<!-- end of {place} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
