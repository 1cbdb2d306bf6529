"""What people at the centre command by hand: `siaga-central command` and `config`. The centre that runs sends it."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from central.config import Settings
from central.core.commands import LIFE_AT_LEAST_S, LIFE_S
from central.core.fleet import shown
from central.edge.web import settings as web_settings
from wire.codes import CODES
from wire.command import CONFIG_BYTES, LIFE_AT_MOST_S, NAME_LETTERS, Arguments, Kind, Status, config_id
from wire.topics import is_station

COMMANDS = ("command", "config")
DONE, NOT_DONE = 0, 3
ASK_EVERY_S = 0.2
CONFIG_WAIT_S = 600.0
NEEDS_UPLINK = (Kind.MEASURE, Kind.DIAGNOSE, Kind.MOVE)
TAKES_UPLINK = (*NEEDS_UPLINK, Kind.DRILL)
TAKES_FOR = (Kind.MOVE, Kind.DRILL)
MOVE_FOR_S = 1800.0
SECONDS = {"s": 1, "m": 60, "h": 3600}


class Refusal(Exception):
    """One plain sentence for who typed the command."""


def add_to(commands: Any) -> None:
    """Our two commands, in the parser of all."""
    what = "command a station: measure, diagnose, move, auto, drill; the centre that runs sends it"
    command = commands.add_parser("command", help=what, description=what)
    command.add_argument("station", metavar="STATION", help="its thirteen digits")
    command.add_argument("kind", choices=[str(kind) for kind in Kind if kind is not Kind.CONFIG], metavar="KIND")
    command.add_argument("uplink", nargs="?", metavar="UPLINK", help="for measure, diagnose, move; drill chooses one")
    command.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="move: 30m; drill: the stay, 20s")
    command.add_argument("--within", type=_duration, default=LIFE_S, metavar="TIME", help="too late after it; 5m")
    what = "give a station another configuration; it is tried, and rolled back when the centre is not reached with it"
    config = commands.add_parser("config", help=what, description=what)
    config.add_argument("station", metavar="STATION", help="its thirteen digits")
    config.add_argument("file", type=Path, metavar="FILE", help="all of it, as in /etc/siaga/agent.yaml")
    for added in (command, config):
        added.add_argument("--by", required=True, metavar="NAME", help="who gives it; stands in the history")
        added.add_argument("--wait", action="store_true", help="until it is answered; exit 3 when it was not done")
        added.add_argument("--config", type=Path, metavar="F", help="settings in YAML, as of `run`")
        added.add_argument("--data", metavar="DIR", help="where everything is kept (./siaga-data)")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Store it, and wait if asked to; raises Refusal."""
    if not is_station(options.station):
        raise Refusal(f"{options.station!r} is no station: thirteen digits, village code (10) and TPS number (3)")
    if not (0 < len(options.by) <= NAME_LETTERS and options.by.isprintable()):
        raise Refusal(f"--by takes a name of at most {NAME_LETTERS} letters")
    given = _arguments(options) if options.command == "command" else _text(options)
    _open(settings)
    from central.edge import commands

    if not commands.is_known(options.station):
        raise Refusal(f"{shown(options.station)} was never heard of here; is --data that of the centre that runs?")
    now_s = time.time()
    if isinstance(given, str):
        number = commands.give_config(options.station, given, options.by, now_s)
        name, patience_s = config_id(number), CONFIG_WAIT_S
        print(f"version {number} is given to {shown(options.station)}; the centre that runs sends it")
    else:
        name = commands.give(options.station, options.kind, given, options.by, options.within, now_s)
        patience_s = options.within + 5
        print(f"{options.kind} is given to {shown(options.station)} as {name}; the centre that runs sends it")
    sys.stdout.flush()
    return _wait(options.station, name, patience_s) if options.wait else DONE


def _arguments(options: argparse.Namespace) -> Arguments:
    kind, uplink, for_s = options.kind, options.uplink, options.for_s
    if kind in NEEDS_UPLINK and uplink is None:
        raise Refusal(f"{kind} needs the name of an uplink")
    if uplink is not None and kind not in TAKES_UPLINK:
        raise Refusal(f"{kind} takes no uplink")
    if for_s is not None and kind not in TAKES_FOR:
        raise Refusal(f"{kind} takes no --for")
    if not LIFE_AT_LEAST_S <= options.within <= LIFE_AT_MOST_S:
        raise Refusal(f"--within is from {LIFE_AT_LEAST_S:g} s to {LIFE_AT_MOST_S:g} s")
    for_s = MOVE_FOR_S if kind == Kind.MOVE and for_s is None else for_s
    wanted: Arguments = {"uplink": uplink, "for_s": for_s}
    return {key: value for key, value in wanted.items() if value is not None}


def _text(options: argparse.Namespace) -> str:
    """The agent judges it; here only what would surely be the wrong file."""
    try:
        text: str = options.file.read_bytes().decode()
        told = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as why:
        raise Refusal(f"{options.file} cannot be read: {getattr(why, 'strerror', why)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as why:
        raise Refusal(f"{options.file} is not YAML: {' '.join(str(why).split())}") from None
    if len(text.encode()) > CONFIG_BYTES:
        raise Refusal(f"{options.file} has more than {CONFIG_BYTES} bytes")
    if not isinstance(told, dict) or told.get("station") != options.station:
        raise Refusal(f'{options.file} is not for this station: it must say station: "{options.station}"')
    return text


def _open(settings: Settings) -> None:
    if not (settings.data / "siaga.sqlite3").exists():
        raise Refusal(f"there is no centre in {settings.data}; name its --data or --config")
    web_settings.configure(settings.data, [], settings.networks)
    from central.edge.store import StoreError, open_store

    try:
        open_store(settings.data / "siaga.sqlite3")
    except StoreError as why:
        raise Refusal(str(why)) from None


def _wait(station: str, name: str, patience_s: float) -> int:
    from central.edge import commands

    until_s = time.monotonic() + patience_s
    while (row := commands.one(station, name)).status == commands.WAITING and time.monotonic() < until_s:
        time.sleep(ASK_EVERY_S)
    if row.status == commands.WAITING:
        print(f"not answered within {patience_s:g} s" + ("; it was never sent" if not row.sent else ""))
        return NOT_DONE
    known = CODES.get(row.code)
    print(f"{row.status}: {': '.join(part for part in (known.meaning_en if known else row.code, row.text) if part)}")
    for key, value in commands.evidence_of(row).items():
        print(f"  {key}: {'-' if value is None else value}")
    return DONE if row.status == Status.DONE else NOT_DONE


def _duration(text: str) -> float:
    """90s, 30m, 2h."""
    try:
        seconds = float(text[:-1]) * SECONDS[text[-1:]]
    except (KeyError, ValueError):
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 30m or 2h")
    return seconds
