"""The commands: run, check, status, diagnose, move, auto, phase, measure, enrol, renew, cleanup."""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from agent import in_force
from agent.config import DEFAULT_PATH, ConfigError, load
from agent.core.decide import Phase
from agent.core.given import roll_back
from agent.core.station import Family, Station
from agent.edge import card, control, key, owner, privileges, systemd
from agent.table import table
from wire import journal

GOOD, MISTAKE, NOT_RUNNING, NOT_MEASURED, NOT_NOW = 0, 2, 3, 4, 5
PHASES = "while votes are counted (count) and sent (upload), traffic stays where it is unless its uplink fails"
SECONDS = {"s": 1, "m": 60, "h": 3600}


class Refusal(Exception):
    """One plain sentence for the operator, and the exit code that goes with it."""

    def __init__(self, sentence: str, code: int = MISTAKE) -> None:
        super().__init__(sentence)
        self.code = code


def main(arguments: list[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        result: int = parsed.command(parsed)
        sys.stdout.flush()
    except (ConfigError, Refusal) as why:
        sentence, code = (str(why), MISTAKE) if isinstance(why, ConfigError) else (f"siaga-agent: {why}", why.code)
        print(sentence, file=sys.stderr)
        if parsed.command is _run:
            systemd.Notify().refused(sentence)
        return code
    except control.NotRunning as why:
        print(f"siaga-agent: {why}", file=sys.stderr)
        return NOT_RUNNING
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if parsed.command is _run:
            raise
        sys.stderr.close()  # whoever read our lines has gone; Python would complain once more at its end
        return GOOD
    return result


def _run(parsed: argparse.Namespace) -> int:
    start = _Start()
    found = in_force.load(parsed.config, start.settle)
    station = found.station
    _claim(start.place, station.station)
    try:
        stamp_key = _stamp_key(station)
        _look_for_tools(station)
    except Refusal as why:
        if not _goes_back(found, str(why)):
            raise
        return _again()
    if found.start():
        return _again()
    journal.log("%(levelname)s %(message)s")
    from agent.daemon import Daemon  # the other commands need none of its imports, and start in a tenth of a second

    async def live() -> bool:
        try:
            daemon = Daemon(station, version("siaga"), stamp_key, found.given, found.local, start.place)
        except (OSError, sqlite3.Error) as why:
            raise Refusal(f"state_dir = {station.state_dir}: cannot be used: {why}") from None
        await daemon.run()
        return daemon.wants_restart

    return _again() if asyncio.run(live()) else GOOD


def _goes_back(found: in_force.InForce, why: str) -> bool:
    """From a configuration on trial with which the agent cannot even start."""
    if not found.given.note.on_trial or found.version is None:
        return False
    try:
        found.given.change(lambda note: roll_back(note, why))
    except OSError:
        return False
    return True


def _again() -> NoReturn:
    """The same command from the start, as the same process: for systemd nothing has ended."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class _Start:
    """What a process must have before it touches routes. Bad news at start refuses to start."""

    def __init__(self) -> None:
        self.place = card.Place(Path(), Path())

    def settle(self, station: Station) -> Path:
        """Takes the state directory and the routes for this process, until it ends; where the state is."""
        if not privileges.held():
            raise Refusal("sending echoes and setting routes needs CAP_NET_RAW and CAP_NET_ADMIN; run as root")
        state_dir = Path(station.state_dir)
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            control.hold(state_dir)
            control.hold_routes()
            self.place = card.settle(state_dir)
            return self.place.state_dir
        except OSError as why:
            raise Refusal(f"state_dir = {state_dir}: cannot be used: {why.strerror}") from None
        except control.AlreadyRunning as why:
            raise Refusal(str(why)) from None


def _claim(place: card.Place, station: str) -> None:
    """What one station has measured is never sent as another's."""
    others = [each for each in owner.of(place.state_dir) if each != station]
    if others:
        raise Refusal(
            f"state_dir = {place.card}: holds records and certificates of station {others[0]}, and the configuration "
            f"says station {station}: if that number is wrong, correct it; if this device has moved, put them aside by "
            f"siaga-agent enrol CODE with the new station's card, or by mv {place.card} {place.card}.{others[0]}"
        )
    try:
        owner.claim(place.state_dir, station)
    except OSError as why:
        raise Refusal(f"state_dir = {place.card}: cannot be used: {why.strerror}") from None


def _look_for_tools(station: Station) -> None:
    limited = any(uplink.metered or uplink.up_kbps for uplink in station.uplinks)
    if (station.lan.interfaces or limited) and shutil.which("nft") is None:
        what = "lan.interfaces: flows are marked" if station.lan.interfaces else "metered, up_kbps: traffic is limited"
        raise Refusal(f"{what} by the command nft, which is not installed; apt-get install nftables")


def _stamp_key(station: Station) -> bytes | None:
    file = station.centre.stamp_key
    try:
        return key.read(Path(file)) if file else None
    except ValueError as why:
        raise Refusal(f"centre.stamp_key = {file}: {why}") from None


def _check(parsed: argparse.Namespace) -> int:
    station = load(parsed.config)
    _stamp_key(station)
    print(f"{parsed.config}: good; station {station.station} with {len(station.uplinks)} uplinks")
    with suppress(ConfigError):  # who may not look into the state directory is not told
        if (told := in_force.load(parsed.config).told) is not None:
            print(told)
    return GOOD


def _status(parsed: argparse.Namespace) -> int:
    status = _ask(parsed, {"do": "status"})
    print(json.dumps(status, indent=2) if parsed.json else table(status))
    return GOOD


def _diagnose(parsed: argparse.Namespace) -> int:
    began_at = time.monotonic()
    station = in_force.load(parsed.config).station
    uplink = station.uplink(parsed.uplink)
    if uplink is None:
        known = ", ".join(each.name for each in station.uplinks)
        raise Refusal(f"there is no uplink {parsed.uplink}; there are {known}")
    if not privileges.held():
        raise Refusal("looking at an uplink sends raw packets, which needs CAP_NET_RAW and CAP_NET_ADMIN; run as root")
    from agent.diagnose.command import diagnose  # scapy alone is 40 MB; no other command needs it

    return diagnose(station, uplink, began_at, parsed.bytes, parsed.lang, parsed.family, parsed.json)


def _move(parsed: argparse.Namespace) -> int:
    _ask(parsed, {"do": "move", "uplink": parsed.uplink, "for_s": parsed.for_s})
    until = f"for {parsed.for_s:g} s" if parsed.for_s else "until `siaga-agent auto`"
    print(f"traffic goes by {parsed.uplink} {until}")
    return GOOD


def _auto(parsed: argparse.Namespace) -> int:
    _ask(parsed, {"do": "auto"})
    print("the agent decides")
    return GOOD


def _phase(parsed: argparse.Namespace) -> int:
    if parsed.phase == Phase.NORMAL and parsed.for_s is not None:
        raise Refusal("phase normal takes no --for: it lasts until another phase begins")
    _ask(parsed, {"do": "phase", "phase": parsed.phase, "for_s": parsed.for_s})
    if parsed.phase == Phase.NORMAL:
        print("phase normal: traffic comes home by itself")
    else:
        until = f"for {parsed.for_s:g} s" if parsed.for_s else "until `siaga-agent phase normal`"
        print(f"phase {parsed.phase} {until}: traffic does not come home by itself")
    return GOOD


def _measure(parsed: argparse.Namespace) -> int:
    from agent.bandwidth.bound import CannotMeasure  # late: the other commands need none of it
    from agent.bandwidth.command import measure

    station = in_force.load(parsed.config).station
    uplink = station.uplink(parsed.uplink)
    if uplink is None:
        known = ", ".join(each.name for each in station.uplinks)
        raise Refusal(f"there is no uplink {parsed.uplink}; there are {known}")
    try:
        print(measure(station, uplink, parsed))
    except CannotMeasure as why:
        raise Refusal(str(why), NOT_MEASURED) from None
    return GOOD


def _enrol(parsed: argparse.Namespace) -> int:
    from agent.enrol.command import CannotEnrol, Wanted, enrol  # cryptography is 12 MB; no other command needs it

    asked = (parsed.code, parsed.url, parsed.fingerprint, parsed.request, parsed.answer, parsed.state_dir)
    try:
        print(enrol(Wanted(parsed.config, *asked, lang=_language())))
    except CannotEnrol as why:
        raise Refusal(str(why), NOT_NOW if why.again else MISTAKE) from None
    return GOOD


def _renew(parsed: argparse.Namespace) -> int:
    from agent.enrol.command import CannotEnrol, renew

    try:
        print(renew(card.current(Path(load(parsed.config).state_dir)), _language()))
    except CannotEnrol as why:
        raise Refusal(str(why), NOT_NOW if why.again else MISTAKE) from None
    return GOOD


def _cleanup(parsed: argparse.Namespace) -> int:
    from agent.edge.kernel import clean_up

    station = in_force.load(parsed.config, _Start().settle).station
    _look_for_tools(station)
    try:
        asyncio.run(clean_up(station))
    except OSError as why:
        raise Refusal(f"not everything could be removed: {why}") from None
    print("rules, routes, nft table and queues of Siaga are gone")
    return GOOD


def _ask(parsed: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    answer = control.ask(card.current(Path(load(parsed.config).state_dir)), request)
    if "error" in answer:
        raise Refusal(answer["error"])
    return answer


def _duration(text: str) -> float:
    """90s, 30m, 2h."""
    try:
        seconds = float(text[:-1]) * SECONDS[text[-1:]]
    except (KeyError, ValueError):
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 30m or 2h")
    return seconds


def _bytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; write 20000")
    return int(text)


def _language() -> str:
    said = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "id" if said.startswith("id") else "en"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("siaga-agent", description="Keeps a polling station online.")
    parser.add_argument("--version", action="version", version=f"siaga-agent {version('siaga')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int], what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default {DEFAULT_PATH}")
        added.set_defaults(command=function)
        return added

    command("run", _run, "measure, decide and route until stopped")
    command("check", _check, "read the configuration and name every mistake in it")
    command("status", _status, "show how the running agent sees its uplinks").add_argument(
        "--json", action="store_true", help="for programs"
    )
    look = command("diagnose", _diagnose, "look closely at one uplink, and say where its fault is and whom to call")
    look.add_argument("uplink", metavar="UPLINK")
    look.add_argument("--json", action="store_true", help="for programs")
    look.add_argument("--bytes", type=_bytes, default=40_000, metavar="N", help="spend no more; default 40000")
    look.add_argument("--family", type=Family, choices=list(Family), help="default: ipv4 if the uplink has it")
    look.add_argument("--lang", choices=("id", "en"), default=_language(), help="of the lines; default: as LANG says")
    move = command("move", _move, "send traffic by this uplink, whatever the agent thinks of it")
    move.add_argument("uplink", metavar="UPLINK")
    move.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="90s, 30m, 2h; default: until auto")
    command("auto", _auto, "let the agent decide again")
    phase = command("phase", _phase, PHASES)
    phase.add_argument("phase", choices=list(Phase), help="normal ends the others")
    phase.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="6h; default: until normal")
    _add_measure(command("measure", _measure, "measure what an uplink can carry now, within its budget"))
    _add_enrol(command("enrol", _enrol, "become a station by the code on its card, or by what its QR says"))
    command("renew", _renew, "ask for the next certificate now; the running agent does so by itself")
    command("cleanup", _cleanup, "remove every rule, route, nft table and queue of ours; no agent may be running")
    return parser


def _add_enrol(enrol: argparse.ArgumentParser) -> None:
    enrol.add_argument("code", nargs="?", metavar="CODE", help="without it, it is asked for")
    enrol.add_argument("--url", metavar="URL", help="of the centre, as on the card; the QR has it")
    enrol.add_argument("--ca-fingerprint", dest="fingerprint", metavar="HEX", help="as on the card; the QR has it")
    enrol.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where there is no configuration yet; default /var/lib/siaga"
    )
    by_file = enrol.add_mutually_exclusive_group()
    by_file.add_argument("--request", type=Path, metavar="FILE", help="without any uplink: write what the centre signs")
    by_file.add_argument("--answer", type=Path, metavar="FILE", help="take what the centre has answered")


def _add_measure(measure: argparse.ArgumentParser) -> None:
    measure.add_argument("uplink", metavar="UPLINK")
    how = measure.add_mutually_exclusive_group()
    for name, what in (
        ("train", "by short trains of packets, 0.2 MB (the default)"),
        ("transfer", "by an adaptive transfer, up to 12 MB, metered 3; with working latency"),
        ("speedtest", "by speedtest-cli, up to 12 MB"),
    ):
        how.add_argument(f"--{name}", dest="how", action="store_const", const=name, help=what)
    measure.add_argument("--public", action="store_true", help="speedtest-cli's public servers, not the centre's")
    measure.add_argument("--bytes", type=int, metavar="N", help="spend no more than about so many, both ways")
    measure.add_argument("--wait", type=_duration, default=60.0, metavar="TIME", help="for our turn; default 60s")
    measure.add_argument("--json", action="store_true", help="for programs")
    measure.set_defaults(how="train")


if __name__ == "__main__":
    sys.exit(main())
