"""The commands of the centre."""

import argparse
import datetime
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from central import ordering
from central.config import ConfigError, Settings, load
from central.edge import systemd

OPERATORS_MISTAKE = 2


def main() -> int:
    options = _parser().parse_args()
    if options.command == "verify":
        return _verify(options)
    flags = {key: value for key in ("http", "mqtt", "data") if (value := getattr(options, key, None)) is not None}
    try:
        settings = load(options.config, flags)
    except ConfigError as why:
        return _refuse(str(why))
    if options.command in ordering.COMMANDS:
        return _order(options, settings)
    return _serve(settings) if options.command == "run" else _do(options, settings)


def _verify(options: argparse.Namespace) -> int:
    from central.evidence import verify

    return verify(options.file, options.ca)


def _serve(settings: Settings) -> int:
    from central.daemon import CannotStart, run  # late, so that --help does not wait for Django

    try:
        run(settings)
    except CannotStart as why:
        return _refuse(str(why))
    return 0


def _do(options: argparse.Namespace, settings: Settings) -> int:
    from central import commands

    try:
        return commands.run(options, settings)
    except commands.Refusal as why:
        return _refuse(str(why))


def _order(options: argparse.Namespace, settings: Settings) -> int:
    try:
        return ordering.run(options, settings)
    except ordering.Refusal as why:
        return _refuse(str(why))


class Parser(argparse.ArgumentParser):
    """A mistake is told in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(OPERATORS_MISTAKE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> Parser:
    parser = Parser(prog="siaga-central", description="Collects what polling stations report, stores it, shows it.")
    parser.add_argument("--version", action="version", version=f"siaga-central {version('siaga')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="start broker, collector, store and pages", description=run_help())
    run.add_argument("--version", action="version", version=f"siaga-central {version('siaga')}")
    run.add_argument("--config", type=Path, metavar="F", help="settings in YAML; without it the defaults hold")
    run.add_argument("--http", metavar="HOST:PORT", help="where the pages are served (127.0.0.1:8080)")
    run.add_argument("--mqtt", metavar="HOST:PORT", help="where stations connect (127.0.0.1:1883)")
    run.add_argument("--data", metavar="DIR", help="where everything is kept (./siaga-data)")
    _add_identity(commands)
    _add_evidence(commands)
    ordering.add_to(commands)
    return parser


def _add_identity(commands: Any) -> None:
    def command(name: str, what: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
        added.add_argument("--config", type=Path, metavar="F", help="settings in YAML, as of `run`")
        added.add_argument("--data", metavar="DIR", help="where everything is kept (./siaga-data)")
        return added

    command("ca", "make the authority if there is none, and show its fingerprint")
    cards = command("cards", "print one Kartu Pasang for each station of a list")
    cards.add_argument("--election", required=True, metavar="NAME")
    cards.add_argument(
        "--csv", required=True, type=Path, metavar="FILE", help="columns station, name, village, district"
    )
    cards.add_argument("--valid-until", type=_day, metavar="DATE", help="2027-02-15; default: in 30 days")
    cards.add_argument("--out", type=Path, metavar="PDF", help="default: kartu-pasang-FILE.pdf")
    sign = command("sign", "answer a request that came as a file, from a device without any uplink")
    sign.add_argument("file", type=Path, metavar="FILE")
    sign.add_argument("code", metavar="CODE", help="of the station's card")
    sign.add_argument("--out", type=Path, metavar="FILE", help="default: the request's name with .answer")
    command("revoke", "end a station's certificates at once").add_argument("station", metavar="STATION")
    command("release", "a supervisor's word that a card that was used twice is settled").add_argument(
        "station", metavar="STATION"
    )


def _add_evidence(commands: Any) -> None:
    what = "write a station's records of a span of time into one file that anybody can check"
    export = commands.add_parser("export", help=what, description=what)
    export.add_argument("--config", type=Path, metavar="F", help="settings in YAML, as of `run`")
    export.add_argument("--data", metavar="DIR", help="where everything is kept (./siaga-data)")
    export.add_argument("--evidence", required=True, nargs=3, metavar=("STATION", "FROM", "TO"))
    export.add_argument("--out", type=Path, metavar="FILE", help="default: bukti-STATION.jsonl")
    what = "check a file of evidence; 0 when all of it is proven, 1 when not"
    verify = commands.add_parser("verify", help=what, description=what)
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--ca", type=Path, metavar="PEM", help="the authority's certificate as you know it")


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write 2027-02-15") from None


def run_help() -> str:
    return "Starts everything and stays in the foreground until Ctrl-C or SIGTERM. Needs no configuration."


def _refuse(lines: str) -> int:
    for line in lines.splitlines():
        print(f"siaga-central: {line}", file=sys.stderr)
    systemd.refused(lines)
    return OPERATORS_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
