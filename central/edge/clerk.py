"""What the enrolment desk answers: cards become certificates, certificates become newer ones; no network here."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from central.core.cards import Why
from central.edge import papers, register, rolls
from central.edge.authority import Authority
from central.edge.papers import Papers
from central.edge.register import Applicant, Granted
from wire.enrolment import Admission, Application, Refusal, Renewal, read_code
from wire.messages import BadMessage


@dataclass(frozen=True, slots=True)
class Offer:
    """What a station is told besides its certificate."""

    broker: str
    renew_at: str
    config_file: Path | None = None
    """The configuration that a new station begins with."""


class Clerk:
    """Holds the authority's key; used by one thread."""

    def __init__(self, data: Path, authority: Authority, offer: Offer) -> None:
        self._papers, self._authority, self._offer = Papers(data), authority, offer

    @property
    def authority_pem(self) -> str:
        return self._authority.pem

    def apply(self, asked: Application, address: str) -> Admission | Why:
        try:
            code = read_code(asked.code)
        except BadMessage:
            return Why.UNKNOWN
        applicant = Applicant(code, asked.request, asked.station, asked.device, address)
        return self._told(register.admit(self._authority, applicant, time.time()))

    def renew(self, asked: Renewal, serial: str) -> Admission | Why:
        return self._told(register.renew(self._authority, serial, asked.request, time.time()))

    def renew_own(self, hosts: Sequence[str]) -> bool:
        return papers.renew_own(self._papers, self._authority, hosts, time.time())

    def revoked(self) -> list[tuple[str, float]]:
        return rolls.revoked(time.time())

    def write_crl(self, revoked: Sequence[tuple[str, float]]) -> None:
        papers.write_crl(self._papers, self._authority, revoked, time.time())

    def _told(self, granted: Granted | Why) -> Admission | Why:
        if isinstance(granted, Why):
            return granted
        return Admission(
            granted.station,
            granted.pem,
            self._authority.pem,
            granted.serial,
            granted.not_before_s,
            granted.not_after_s,
            self._offer.broker,
            self._offer.renew_at,
            station_config(self._offer.config_file, granted.station, self._offer.broker),
        )


def refusal(why: Why) -> Refusal:
    return Refusal(why.id, why.en)


def station_config(file: Path | None, station: str, broker: str) -> str:
    """The example for all stations with this one's number and the broker's address; empty when there is none."""
    try:
        text = file.read_text(encoding="utf-8") if file is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""
    text = re.sub(r'(?m)^station:\s*("[^"]*"|[^\s#]+)', f'station: "{station}"', text, count=1)
    return re.sub(r'(?m)^(\s+)broker:\s*("[^"]*"|[^\s#]+)', rf'\g<1>broker: "{broker}"', text, count=1)
