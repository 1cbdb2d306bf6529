"""The lab's commands."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from lab import cell, netns, relay, relay_control, scenario
from lab.cell import CannotEnter
from lab.netns import LabError, Station
from lab.reading import Refusal

MISTAKE = 2


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our lines has gone
        sys.stderr.close()
        return 0
    except (Refusal, LabError, CannotEnter) as error:
        print(f"lab: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"lab: the Python package {error.name} is missing: run make setup", file=sys.stderr)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        print(f"lab: {what}{error.strerror or error}", file=sys.stderr)
    return MISTAKE


def enter(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise Refusal("enter", "", "needs a command to run")
    return cell.enter(command)


def up(arguments: argparse.Namespace) -> int:
    story = read_story(arguments.config)
    if not cell.inside():
        return _again_inside(["up", str(arguments.config)])
    with Station.of(story, traces_in=arguments.config.parent) as station:
        print(_welcome(station), flush=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the shell's
        shell = os.environ.get("SHELL", "/bin/sh")
        return subprocess.run([shell], check=False, preexec_fn=_ordinary_interrupt).returncode


def play(arguments: argparse.Namespace) -> int:
    stories = {path: read_story(path) for path in arguments.files}  # all are read before any is played
    if not cell.inside():
        options = ["--jobs", str(arguments.jobs), *(["--logs", str(arguments.logs)] if arguments.logs else [])]
        return _again_inside(["play", *options, *map(str, arguments.files)])
    from lab import playing

    logs = arguments.logs or Path("/run/lab/logs")
    return playing.play_all(stories, logs.absolute(), arguments.jobs)


def demo(arguments: argparse.Namespace) -> int:
    if not cell.inside():
        from lab import publish

        with publish.listen(arguments.http) as listener:  # the host's loopback cannot be reached from inside
            port = listener.getsockname()[1]
            options = ["--seconds", str(arguments.seconds)] if arguments.seconds is not None else []
            told = ["--http", str(port), "--listener", str(listener.fileno())]
            return _again_inside(["demo", *options, *told], pass_fds=(listener.fileno(),))
    from lab import demo as demonstration

    if arguments.listener is None:
        raise LabError("the demo makes its own cell: run it outside of one")
    story = read_story(demonstration.STORY)
    return demonstration.run(story, arguments.listener, arguments.http, arguments.seconds)


def set_weather(arguments: argparse.Namespace) -> int:
    try:
        change = yaml.safe_load(arguments.change)
    except yaml.YAMLError:
        raise Refusal("weather", arguments.change, "is not YAML") from None
    relay_control.change_weather(arguments.uplink, change)
    return 0


def run_relay(arguments: argparse.Namespace) -> int:
    relay.run(arguments.near_tap, arguments.far_tap, arguments.control, arguments.seed)
    return 0


def run_client(arguments: argparse.Namespace) -> int:
    from lab import client

    asyncio.run(client.experience(arguments.server))
    return 0


def run_internet(arguments: argparse.Namespace) -> int:
    from lab import internet

    asyncio.run(internet.serve(arguments.address))
    return 0


def run_publish(arguments: argparse.Namespace) -> int:
    from lab import publish

    asyncio.run(publish.publish(arguments.descriptor, arguments.address, arguments.port))
    return 0


def read_story(path: Path) -> scenario.Scenario:
    try:
        return scenario.read(path.read_text())
    except Refusal as refusal:
        raise LabError(f"{path}: {refusal}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Virtual polling stations in network namespaces.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("enter", help="run a command in private namespaces that end with it")
    one.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    one.set_defaults(run=enter)

    one = commands.add_parser("up", help="build a station and leave you in a shell inside")
    one.add_argument("config", type=Path, help="a scenario file; its uplinks are built")
    one.set_defaults(run=up)

    one = commands.add_parser("set", help="in the lab's shell: change an uplink's weather")
    one.add_argument("uplink")
    one.add_argument("change", help="for instance '{loss: 0.2, up: {blackhole: true}}'")
    one.set_defaults(run=set_weather)

    one = commands.add_parser("play", help="play scenarios with the real programs and judge them")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    one.add_argument("--jobs", type=int, default=1, help="how many stations at once (1)")
    one.add_argument("--logs", type=Path, help="a folder in which the programs' logs and data are kept")
    one.set_defaults(run=play)

    one = commands.add_parser("demo", help="the main story, live in the terminal, with the centre's page")
    one.add_argument("--seconds", type=float, help="end by itself in that time; the exit code tells how it went")
    one.add_argument("--http", type=int, default=0, metavar="PORT", help="of the centre's page here (a free one)")
    one.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    one.set_defaults(run=demo)

    _add_internal(commands)
    return parser


def _add_internal(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("relay", help="(used by the lab) carry one link's frames between two TAPs")
    one.add_argument("near_tap", type=int)
    one.add_argument("far_tap", type=int)
    one.add_argument("control")
    one.add_argument("seed", type=int)
    one.set_defaults(run=run_relay)

    one = commands.add_parser("client", help="(used by the lab) measure what a client on the LAN notices")
    one.add_argument("server")
    one.set_defaults(run=run_client)

    one = commands.add_parser("internet", help="(used by the lab) answer that client")
    one.add_argument("address")
    one.set_defaults(run=run_internet)

    one = commands.add_parser("publish", help="(used by the lab) show a page of the lab on the host's loopback")
    one.add_argument("descriptor", type=int)
    one.add_argument("address")
    one.add_argument("port", type=int)
    one.set_defaults(run=run_publish)


def _again_inside(arguments: Sequence[str], pass_fds: Sequence[int] = ()) -> int:
    return cell.enter([sys.executable, "-m", "lab", *arguments], pass_fds)


def _welcome(station: Station) -> str:
    names = ", ".join(map(station.topology.name, station.topology.namespaces))
    first = station.topology.uplinks[0]
    return (
        f"Namespaces: {names}. Everything here ends with this shell.\n"
        f"  ip netns exec tps ping -c 3 198.51.100.1\n"
        f"  {netns.PYTHON} -m lab set {first} '{{blackhole: true}}'"
    )


def _interrupted(*_: object) -> None:
    """Once: a second Ctrl-C must not stop the tidying up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _ordinary_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
