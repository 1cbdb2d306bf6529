"""The demonstration: a story played with the real programs, shown live in a terminal, as lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.netns import LabError, Station
from lab.player import Outcome, Player, View
from lab.programs import PAGE_PORT, Programs
from lab.scenario import Scenario, SetWeather
from lab.topology import CENTRE

STORY = Path(__file__).parent / "scenarios" / "demo.yaml"
_SHOW_EVERY_S = 0.2
_LINE_EVERY_S = 5.0
_NEAR_S = 5.0  # a gap that begins so soon after the cut is its doing
_COLOUR = {"up": "green", "poor": "yellow", "dead": "red", "unknown": "bright_black"}


def run(story: Scenario, listener: int, port: int, seconds: float | None) -> int:
    """With `seconds`, ends by itself in that time and says by its exit code whether the story went as expected."""
    if seconds is not None and seconds < story.lasts_s:
        raise LabError(f"--seconds {seconds:g}: the story alone takes {story.lasts_s:g} s")
    began_s = time.monotonic()
    url = f"http://127.0.0.1:{port}/"
    with Station.of(story, traces_in=STORY.parent) as station:
        programs = Programs(station, story, Path("/run/lab/demo"))
        show = _Terminal(story, url) if sys.stdout.isatty() else _Lines(story, url)
        publish = ["publish", str(listener), CENTRE, str(PAGE_PORT)]
        station.start_lab("internet", publish, pass_fds=(listener,))
        with show, closing(Player(story, station, programs, show.show)) as player:
            player.settle()
            while True:
                outcome = player.play()
                show.end(outcome)
                left_s = None if seconds is None else seconds - (time.monotonic() - began_s)
                if left_s is not None and left_s < story.lasts_s:
                    return 0 if outcome.holds else 1


class _Lines:
    """For logs and CI: a line for each thing that happens or changes, and one now and then."""

    def __init__(self, story: Scenario, url: str) -> None:
        self._story, self._url = story, url
        self._last = ("", "", 0)
        self._next_s = 0.0

    def __enter__(self) -> _Lines:
        print(f"{self._story.title}\nThe centre's page: {self._url}", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, view: View) -> None:
        health = " ".join(f"{each.name}={each.health}" for each in view.status.uplinks) if view.status else "no agent"
        now = (view.active, health, len(view.happened))
        for t_s, what in view.happened[self._last[2] :]:
            print(f"{t_s:6.1f} s  >> {what}", flush=True)
        if now != self._last or time.monotonic() > self._next_s:
            when = f"{view.t_s:6.1f} s" if view.t_s is not None else f"{view.phase:>8}"
            print(f"{when}  traffic by {view.active}; {health}; {_client(view)}", flush=True)
            self._next_s = time.monotonic() + _LINE_EVERY_S
        self._last = now

    def end(self, outcome: Outcome) -> None:
        print("\n".join(_summary(self._story, outcome)), flush=True)


class _Terminal:
    """A table that is drawn anew."""

    def __init__(self, story: Scenario, url: str) -> None:
        self._story, self._url = story, url
        self._live = Live(console=Console(), auto_refresh=False)
        self._next_s = 0.0
        self._last_summary: list[str] = []

    def __enter__(self) -> _Terminal:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        print("\n".join(self._last_summary))

    def show(self, view: View) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _SHOW_EVERY_S
            self._live.update(self._drawn(view), refresh=True)

    def end(self, outcome: Outcome) -> None:
        self._last_summary = _summary(self._story, outcome)

    def _drawn(self, view: View) -> Group:
        when = f"{view.t_s:.0f} of {self._story.lasts_s:.0f} s" if view.t_s is not None else view.phase
        table = Table()
        for column in ("uplink", "kind", "health", "RTT ms", "loss", "traffic"):
            table.add_column(column, justify="right" if column in ("RTT ms", "loss") else "left")
        told = {each.name: each for each in view.status.uplinks} if view.status else {}
        for uplink in self._story.uplinks:
            said = told.get(uplink.name)
            health = said.health if said else "unknown"
            table.add_row(
                uplink.name,
                uplink.kind,
                Text(health, style=_COLOUR.get(health, "")),
                f"{said.rtt_ms:.1f}" if said and said.rtt_ms is not None else "-",
                f"{said.loss:.0%}" if said and said.loss is not None else "-",
                Text("<== carries", style="bold") if view.active == uplink.name else "",
            )
        happened = [f"{t_s:5.1f} s  {what}" for t_s, what in view.happened[-5:]]
        lines = [_client(view), f"The centre's page: {self._url}   (Ctrl-C ends and leaves nothing behind)", *happened]
        return Group(
            Text(f"{self._story.title}   [{when}]", style="bold"), table, Text("\n".join([*lines, *self._last_summary]))
        )


def _client(view: View) -> str:
    if not view.client.get("answered"):
        return "LAN client: waits"
    now_ms, longest_ms, download = (view.client[key] for key in ("current_gap_ms", "longest_gap_ms", "download"))
    return (
        f"LAN client: UDP gap now {now_ms:.0f} ms, longest {longest_ms:.0f} ms; "
        f"download {'flows' if download['alive'] else 'stands'}, {download['bytes'] / 1e6:.1f} MB, "
        f"{download['resets']} resets, {download['reconnects']} reconnects"
    )


def _summary(story: Scenario, outcome: Outcome) -> list[str]:
    lines = [str(verdict) for verdict in outcome.verdicts]
    cut = next((each for each in story.timeline if isinstance(each, SetWeather) and each.weather.up.blackhole), None)
    if cut is not None:
        gaps = [gap_s for start_s, gap_s in outcome.gaps if cut.at_s - 0.1 <= start_s <= cut.at_s + _NEAR_S]
        told = f"silent for {max(gaps) * 1e3:.0f} ms" if gaps else "never silent for 100 ms"
        lines.append(f"When {cut.uplink} was cut at {cut.at_s:g} s, the LAN client's UDP stream was {told}.")
    return lines
