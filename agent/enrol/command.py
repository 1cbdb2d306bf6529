"""What `siaga-agent enrol` and `siaga-agent renew` do, and what they say."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from agent import config
from agent.edge import card, control, identity, owner
from agent.edge.identity import NoIdentity
from agent.edge.memory import replace
from agent.enrol import device, exchange
from agent.enrol.device import DeviceError
from agent.enrol.exchange import Unreachable
from wire import enrolment
from wire.enrolment import Admission, Application, Link, Refusal, Renewal
from wire.messages import BadMessage

DEFAULT_STATE_DIR = Path("/var/lib/siaga")


class CannotEnrol(Exception):
    """One sentence for who stands at the device; `again` when the same may succeed later."""

    def __init__(self, sentence: str, again: bool = False) -> None:
        super().__init__(sentence)
        self.again = again


@dataclass(frozen=True, slots=True)
class Wanted:
    """As typed."""

    config: Path
    code: str | None = None
    url: str | None = None
    fingerprint: str | None = None
    request: Path | None = None
    answer: Path | None = None
    state_dir: Path | None = None
    lang: str = "en"


def enrol(wanted: Wanted) -> str:
    """Raises CannotEnrol and config.ConfigError."""
    station, state_dir = _place(wanted)
    try:
        state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        if wanted.request is not None:
            return _write_request(wanted.request, station, state_dir)
        if wanted.answer is not None:
            admission = _read_answer(wanted.answer)
        else:
            link = _link(wanted)
            asked = Application(link.code, device.request(state_dir), station, device.board())
            admission = _let_in(exchange.apply(link, asked), wanted.lang)
        if station and admission.station != station:
            raise CannotEnrol(f"the answer is for station {admission.station}, this device is configured as {station}")
        left = _leave_former(state_dir, admission.station)
        device.install(state_dir, admission)
        return f"{_welcome(admission)}\n{left}{_configured(wanted.config, admission)}"
    except (BadMessage, DeviceError) as why:
        raise CannotEnrol(str(why)) from None
    except Unreachable as why:
        raise CannotEnrol(str(why), again=True) from None
    except OSError as why:
        raise CannotEnrol(f"{why.filename or state_dir} cannot be used: {why.strerror}") from None


def renew(state_dir: Path, lang: str) -> str:
    """Raises CannotEnrol."""
    try:
        told = identity.read(state_dir)
        if not told.renew_at:
            raise CannotEnrol("the centre that enrolled this device renews nothing by network; it needs a new card")
        admission = _let_in(exchange.renew(told.renew_at, state_dir, Renewal(device.request(state_dir))), lang)
        if admission.station != told.station:
            raise CannotEnrol(f"the answer is for station {admission.station}, this device is {told.station}")
        device.install(state_dir, admission)
        return _welcome(admission)
    except (BadMessage, DeviceError, NoIdentity) as why:
        raise CannotEnrol(str(why)) from None
    except Unreachable as why:
        raise CannotEnrol(str(why), again=True) from None
    except OSError as why:
        raise CannotEnrol(f"{why.filename or state_dir} cannot be used: {why.strerror}") from None


def _place(wanted: Wanted) -> tuple[str, Path]:
    """The station and its state directory, as configured; nothing and the default where nobody has written it yet."""
    if not wanted.config.exists():
        return "", wanted.state_dir or DEFAULT_STATE_DIR
    station = config.load(wanted.config)
    return station.station, Path(station.state_dir)


def _link(wanted: Wanted) -> Link:
    """What was typed, and what is asked for when it was not all."""
    code = wanted.code or _asked("QR / kode (code): ")
    if "#" in code:
        return enrolment.read_link(code)
    enrolment.read_code(code)
    url = wanted.url or _asked("Pusat / centre (https://…): ")
    fingerprint = wanted.fingerprint or _asked("Sidik jari CA / CA fingerprint: ")
    return Link(enrolment.read_url(url), enrolment.read_code(code), enrolment.read_fingerprint(fingerprint))


def _asked(what: str) -> str:
    if not sys.stdin.isatty():
        missing = what.rstrip(": ")
        raise CannotEnrol(f"{missing} is missing: give what the QR says, or CODE --url URL --ca-fingerprint HEX")
    return input(what).strip()


def _let_in(answer: Admission | Refusal, lang: str) -> Admission:
    if isinstance(answer, Refusal):
        raise CannotEnrol(answer.why_id if lang == "id" else answer.why_en)
    return answer


def _write_request(file: Path, station: str, state_dir: Path) -> str:
    """On the stick itself before we say so: it is pulled out at once."""
    asked = Application("", device.request(state_dir), station, device.board())
    with file.open("wb") as stick:
        stick.write(enrolment.encode(asked))
        stick.flush()
        os.fsync(stick.fileno())
    return (
        f"{file} is the request; take it and the card to the centre: siaga-central sign {file.name} CODE, with the "
        f"card's code\nthat writes {file.with_suffix('.answer').name}; bring it back: siaga-agent enrol --answer FILE"
    )


def _read_answer(file: Path) -> Admission:
    try:
        with file.open("rb") as given:
            return enrolment.decode(given.read(enrolment.LARGEST_BYTES + 1), Admission)
    except BadMessage:
        raise CannotEnrol(f"{file} is no answer of the centre: siaga-central sign REQUEST CODE writes one") from None


def _leave_former(state_dir: Path, station: str) -> str:
    """A device that has moved leaves behind what is of its former station. Raises CannotEnrol, OSError."""
    formers = [each for each in owner.of(card.current(state_dir)) if each != station]
    if not formers:
        return ""
    try:
        control.hold(state_dir)
    except control.AlreadyRunning:
        why = (
            f"an agent is still running here for station {formers[0]}: systemctl stop siaga-agent, then the same again"
        )
        raise CannotEnrol(why) from None
    if (place := card.settle(state_dir)).why:
        raise CannotEnrol(f"{state_dir} cannot be used: {place.why}")
    aside = owner.set_aside(state_dir, formers[0])
    return f"what was of station {formers[0]} lies in {aside} now, with what the centre had not stored of it\n"


def _welcome(admission: Admission) -> str:
    days = (admission.not_after_s - admission.not_before_s) / 86_400
    return f"this device is station {admission.station} now; its certificate is good for {days:.0f} days"


def _configured(file: Path, admission: Admission) -> str:
    """Put the broker's address where it belongs, if that can be done without a doubt."""
    wanted = f'centre: {{broker: "{admission.broker}"}}'
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else admission.config
        if not text:
            return f"{file} is not written yet: put {wanted} into it"
        pattern = r'(?m)^(\s+)broker:\s*("[^"]*"|\'[^\']*\'|[^\s#]+)'
        changed = re.sub(pattern, rf'\g<1>broker: "{admission.broker}"', text, count=1)
        station = config.parse(changed, str(file))
        if station.centre.broker != admission.broker or station.station != admission.station:
            return f"{file}: put {wanted} into it"
        if file.exists() and changed == text:
            return f"{file} names this centre already"
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, changed.encode())
        file.chmod(0o644)
        return f"{file}: broker is {admission.broker}; now: systemctl restart siaga-agent"
    except config.ConfigError as why:
        return f"{file} is not written: {why.mistakes[0]}; put {wanted} into it by hand"
    except (OSError, UnicodeDecodeError) as why:
        return f"{file} cannot be written ({why}): put {wanted} into it"
