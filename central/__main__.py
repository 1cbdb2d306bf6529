"""The commands of the centre."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from central.config import ConfigError, load
from central.edge import systemd

OPERATORS_MISTAKE = 2


def main() -> int:
    options = _parser().parse_args()
    flags = {key: value for key in ("http", "mqtt", "data") if (value := getattr(options, key)) is not None}
    try:
        settings = load(options.config, flags)
    except ConfigError as why:
        return _refuse(str(why))
    from central.daemon import CannotStart, run  # late, so that --help does not wait for Django

    try:
        run(settings)
    except CannotStart as why:
        return _refuse(str(why))
    return 0


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
    return parser


def run_help() -> str:
    return "Starts everything and stays in the foreground until Ctrl-C or SIGTERM. Needs no configuration."


def _refuse(lines: str) -> int:
    for line in lines.splitlines():
        print(f"siaga-central: {line}", file=sys.stderr)
    systemd.refused(lines)
    return OPERATORS_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
