"""Cards, certificates and alarms in the store: what one transaction decides, nobody else decides differently."""

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction

from central.core.cards import Asking, Place, Printed, Why, judge
from central.edge.authority import Authority, BadRequest, Issued, key_id, requested_key
from central.edge.tables.models import Alarm, Card, Certificate, Election
from wire.enrolment import ALPHABET, CODE_LETTERS, hashed
from wire.messages import Fact
from wire.topics import is_station

EXPIRED_FOR_S = 30 * 86_400.0  # a station that was away for so long after its certificate ended may still renew it
ANSWER_LOST_S = 7 * 86_400.0  # who asks again within it is given the same certificate again
LONGEST_WORD = 64

log = logging.getLogger("siaga.register")


@dataclass(frozen=True, slots=True)
class Granted:
    """A certificate for a station."""

    station: str
    serial: str
    pem: str
    not_before_s: float
    not_after_s: float


def print_cards(
    election: str, places: Sequence[Place], valid_until_s: float, now_s: float, keep: Callable[[list[str]], None]
) -> None:
    """A new code for each place, in their order; older cards that nobody has used are withdrawn.

    What `keep` raises leaves everything as it was.
    """
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS)) for _ in places]
    with transaction.atomic():
        chosen, _ = Election.objects.get_or_create(name=election, defaults={"created_s": now_s})
        stations = [place.station for place in places]
        for at in range(0, len(stations), 500):
            old = Card.objects.filter(station__in=stations[at : at + 500], used_s=None, withdrawn_s=None)
            old.update(withdrawn_s=now_s)
        Card.objects.bulk_create(
            Card(
                election=chosen,
                station=place.station,
                code_hash=hashed(code),
                printed_s=now_s,
                valid_until_s=valid_until_s,
            )
            for place, code in zip(places, codes, strict=True)
        )
        keep(codes)


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who shows a code: the request, and what else is known of it."""

    code: str
    request: str
    station: str
    device: str
    address: str


def admit(authority: Authority, applicant: Applicant, now_s: float) -> Granted | Why:
    """Use up the card and sign, both or neither. The station's older certificates end with it."""
    try:
        asking = Asking(applicant.station, key_id(requested_key(applicant.request)))
    except BadRequest:
        return Why.BAD_REQUEST
    with transaction.atomic():
        card = Card.objects.filter(code_hash=hashed(applicant.code)).first()
        is_held = card is not None and Alarm.objects.filter(station=card.station, released_s=None).exists()
        why = judge(_printed(card), asking, is_held, now_s)
        if card is None or why is not None:
            if card is not None and why is Why.USED:
                _alarm(card, applicant, now_s)
            return why or Why.UNKNOWN
        given = Certificate.objects.filter(card=card, revoked_s=None).order_by("-issued_s").first()
        if card.used_by_key and given is not None:
            return _granted(given)
        if card.used_by_key:
            return Why.REVOKED
        card.used_s, card.used_by_key = now_s, asking.key_id
        card.used_from, card.device = applicant.address[:LONGEST_WORD], applicant.device[:LONGEST_WORD]
        card.save()
        Certificate.objects.filter(station=card.station, revoked_s=None).update(revoked_s=now_s)
        return _kept(authority.admit(applicant.request, card.station, now_s), card, now_s)


def renew(authority: Authority, serial: str, request: str, now_s: float) -> Granted | Why:
    """The next certificate for the same key; the older one stays good until it ends, as the answer may be lost."""
    try:
        asked_for = key_id(requested_key(request))
    except BadRequest:
        return Why.BAD_REQUEST
    with transaction.atomic():
        held = Certificate.objects.filter(serial=serial).select_related("card").first()
        if held is None or held.revoked_s is not None:
            return Why.REVOKED
        if held.key_id != asked_for:
            return Why.BAD_REQUEST
        if now_s > held.not_after_s + EXPIRED_FOR_S:
            return Why.TOO_LATE
        if now_s > held.not_after_s:
            days = (now_s - held.not_after_s) / 86_400
            log.warning("%s renews a certificate that ended %.1f days ago", held.station, days)
        newest = Certificate.objects.filter(card=held.card, revoked_s=None).order_by("-not_after_s").first()
        if newest is not None and newest.serial != serial and now_s < newest.issued_s + ANSWER_LOST_S:
            return _granted(newest)  # the answer was lost, or two asked at once
        return _kept(authority.admit(request, held.station, now_s), held.card, now_s)


def revoke(station: str, now_s: float) -> int:
    """End all of a station's certificates and unused cards; gives how many certificates there were."""
    with transaction.atomic():
        Card.objects.filter(station=station, withdrawn_s=None).update(withdrawn_s=now_s)
        return Certificate.objects.filter(station=station, revoked_s=None).update(revoked_s=now_s)


def release(station: str, who: str, now_s: float) -> int:
    """End the station's alarms; gives how many there were."""
    standing = Alarm.objects.filter(station=station, released_s=None)
    return standing.update(released_s=now_s, released_by=who[:LONGEST_WORD])


def _printed(card: Card | None) -> Printed | None:
    if card is None:
        return None
    return Printed(card.station, card.valid_until_s, card.withdrawn_s is not None, card.used_by_key)


def _alarm(card: Card, applicant: Applicant, now_s: float) -> None:
    """Once, however often the card is shown again before somebody has looked."""
    assert is_station(card.station)
    if Alarm.objects.filter(station=card.station, released_s=None).exists():
        return
    evidence: dict[str, float | str | None] = {"first_from": card.used_from, "again_from": applicant.address}
    evidence |= {"first_device": card.device, "again_device": applicant.device[:LONGEST_WORD]}
    fact = Fact("CARD_USED_TWICE", evidence=evidence)
    Alarm.objects.create(station=card.station, code=fact.code, evidence=json.dumps(evidence), raised_s=now_s)
    log.error("%s %s: used from %s, again from %s", fact.code, card.station, card.used_from, applicant.address)


def _kept(issued: Issued, card: Card, now_s: float) -> Granted:
    row = Certificate.objects.create(
        serial=issued.serial,
        station=card.station,
        card=card,
        key_id=issued.key_id,
        pem=issued.pem,
        issued_s=now_s,
        not_before_s=issued.not_before_s,
        not_after_s=issued.not_after_s,
    )
    return _granted(row)


def _granted(row: Certificate) -> Granted:
    return Granted(row.station, row.serial, row.pem, row.not_before_s, row.not_after_s)
