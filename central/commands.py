"""What people do at the centre by hand: print cards, sign by file, revoke, release; whether it runs or not."""

import argparse
import datetime
import os
import time
from collections.abc import Callable
from pathlib import Path

from central.config import Settings
from central.core.cards import BadList, Place, Why, read_list, shown
from central.daemon import CannotStart, offer
from central.edge import papers
from central.edge.authority import Authority, AuthorityError, write
from central.edge.papers import Papers
from central.edge.web import settings as web_settings
from central.evidence import CannotExport, export, moment
from wire import enrolment
from wire.enrolment import Application, decode, read_code
from wire.messages import BadMessage
from wire.topics import is_station

LARGEST_LIST = 8_000_000  # bytes: twenty thousand stations with long names have three
CARD_DAYS = 30
ELECTION_LETTERS = 64


class Refusal(Exception):
    """One plain sentence for who typed the command."""


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Do it and say so; raises Refusal."""
    commands: dict[str, Callable[[argparse.Namespace, Settings], str]] = {
        "ca": _ca,
        "cards": _cards,
        "sign": _sign,
        "revoke": _revoke,
        "release": _release,
        "export": _export,
    }
    try:
        _open(settings)
        print(commands[options.command](options, settings))
    except (AuthorityError, CannotStart, CannotExport, argparse.ArgumentTypeError) as why:
        raise Refusal(str(why)) from None
    return 0


def _open(settings: Settings) -> None:
    """The store; made where there is none yet."""
    try:
        settings.data.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as why:
        raise Refusal(f"the data directory {settings.data} cannot be used: {why.strerror}") from None
    web_settings.configure(settings.data, [], settings.networks)
    from central.edge.store import StoreError, open_store

    try:
        open_store(settings.data / "siaga.sqlite3")
    except StoreError as why:
        raise Refusal(str(why)) from None


def _ca(_options: argparse.Namespace, settings: Settings) -> str:
    authority = _authority(settings)
    hosts = offer(settings).hosts if settings.names else ()
    if hosts:
        papers.renew_own(Papers(settings.data), authority, hosts, time.time())
    until = datetime.datetime.fromtimestamp(authority.not_after_s, datetime.UTC).date()
    file = Papers(settings.data).authority_file
    return f"fingerprint  {authority.fingerprint}\ncertificate  {file}\nvalid until  {until}"


def _cards(options: argparse.Namespace, settings: Settings) -> str:
    from central.edge import register
    from central.edge.print_cards import Common, cards_pdf

    if not settings.names or not settings.enrol_url:
        raise Refusal("cards need to say where devices enrol: set `enrol` and `names` in the configuration")
    election = options.election.strip()
    if not 0 < len(election) <= ELECTION_LETTERS or not election.isprintable():
        raise Refusal(f"--election takes a name of at most {ELECTION_LETTERS} letters")
    today = datetime.date.today()
    until = options.valid_until or today + datetime.timedelta(days=CARD_DAYS)
    if until < today:
        raise Refusal(f"--valid-until {until} is over")
    places = _places(options.csv)
    authority = _authority(settings)
    out = options.out or Path(f"kartu-pasang-{options.csv.stem}.pdf")
    ends_s = datetime.datetime.combine(until + datetime.timedelta(days=1), datetime.time()).timestamp()
    common = Common(election, settings.enrol_url, authority.fingerprint, until, settings.support)

    def keep(codes: list[str]) -> None:
        """In the transaction: when the file cannot be written, no code is good."""
        try:
            write(out, cards_pdf(zip(places, codes, strict=True), common), 0o600)
        except OSError as why:
            raise Refusal(f"{out} cannot be written: {why.strerror}") from None

    register.print_cards(election, places, ends_s, time.time(), keep)
    count = "1 card" if len(places) == 1 else f"{len(places)} cards"
    return f"{count} in {out}, valid until {until}; older cards of these stations that were not used are void"


def _places(file: Path) -> list[Place]:
    try:
        content = file.read_bytes()
        if len(content) > LARGEST_LIST:
            raise Refusal(f"{file} has more than {LARGEST_LIST} bytes")
        return read_list(content.decode("utf-8-sig").splitlines())
    except OSError as why:
        raise Refusal(f"{file} cannot be read: {why.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file} is not UTF-8 text; save it as `CSV UTF-8`") from None
    except BadList as why:
        raise Refusal("\n".join(f"{file}: {line}" for line in str(why).splitlines())) from None


def _sign(options: argparse.Namespace, settings: Settings) -> str:
    from central.edge.clerk import Clerk, Offer

    if not settings.names:
        raise Refusal("the answer needs to say where the broker is: set `names` in the configuration")
    try:
        code = read_code(options.code)
    except BadMessage as why:
        raise Refusal(str(why)) from None
    application = _request(options.file)
    made = offer(settings)
    clerk = Clerk(settings.data, _authority(settings), Offer(made.broker, made.renew_at, made.config_file))
    application = Application(code, application.request, application.station, application.device)
    answer = clerk.apply(application, "a file")
    if isinstance(answer, Why):
        raise Refusal(answer.en)
    out = options.out or options.file.with_suffix(".answer")
    try:
        write(out, enrolment.encode(answer), 0o644)
    except OSError as why:
        raise Refusal(
            f"{out} cannot be written: {why.strerror}; the code is used, try again with another --out"
        ) from None
    return f"{shown(answer.station)}: the answer is {out}; on the device: siaga-agent enrol --answer …/{out.name}"


def _request(file: Path) -> Application:
    try:
        with file.open("rb") as asked:
            return decode(asked.read(enrolment.LARGEST_BYTES + 1), Application)
    except OSError as why:
        raise Refusal(f"{file} cannot be read: {why.strerror}") from None
    except BadMessage:
        raise Refusal(f"{file} is no request of a device: siaga-agent enrol --request FILE writes one") from None


def _revoke(options: argparse.Namespace, _settings: Settings) -> str:
    from central.edge import register

    count = register.revoke(_station(options.station), time.time())
    return f"{shown(options.station)}: {count} certificates revoked, unused cards void; the broker drops it in seconds"


def _release(options: argparse.Namespace, _settings: Settings) -> str:
    from central.edge import register

    who = os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"
    count = register.release(_station(options.station), who, time.time())
    if not count:
        raise Refusal(f"{shown(options.station)} is not held")
    return f"{shown(options.station)}: released by {who}; a card of it may be used again"


def _station(text: str) -> str:
    if not is_station(text):
        raise Refusal(f"{text!r} is no station: 13 digits, village code (10) and TPS number (3)")
    return text


def _authority(settings: Settings) -> Authority:
    return Authority(Papers(settings.data).authority)


def _export(options: argparse.Namespace, settings: Settings) -> str:
    station, from_text, to_text = options.evidence
    from central.edge import following  # late: Django's models exist only after its settings

    following.judge_by(settings.data / "ca" / "ca.crt")
    return export(station, moment(from_text), moment(to_text), options.out)
