"""Who gets a card, and who is let in by one: judged from plain values, with the reason in two languages."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from wire.topics import is_station

COLUMNS = ("station", "name", "village", "district")
NEEDED = ("station", "name")
LONGEST_NAME = 64
STATIONS_AT_MOST = 20_000  # the largest regency has 15,228
MISTAKES_SHOWN = 20


class BadList(Exception):
    """The CSV cannot be used; one line for each mistake."""


@dataclass(frozen=True, slots=True)
class Place:
    """A polling station as the CSV names it."""

    station: str
    name: str
    village: str = ""
    district: str = ""


@dataclass(frozen=True, slots=True)
class Printed:
    """A card as the store knows it."""

    station: str
    valid_until_s: float
    is_withdrawn: bool
    used_by_key: str
    """Empty: nobody has used it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A device that shows a card's code."""

    station: str
    """What it is configured to be; empty: nothing yet."""
    key_id: str


class Why(Enum):
    """Why somebody is not let in: Indonesian, English."""

    UNKNOWN = (
        "Kode ini tidak dikenal di pusat. Periksa ketikan; bila tetap ditolak, hubungi nomor pada kartu.",
        "The centre does not know this code. Check what you typed; if it is refused again, call the number on the card",
    )
    WITHDRAWN = (
        "Kartu ini sudah diganti dengan yang lebih baru. Pakai kartu terbaru.",
        "This card was replaced by a newer one. Use the newest card",
    )
    EXPIRED = (
        "Masa berlaku kartu ini sudah lewat. Minta kartu baru.",
        "This card is no longer valid. Ask for a new one",
    )
    OTHER_STATION = (
        "Kartu ini milik TPS lain daripada yang tertulis dalam konfigurasi perangkat ini.",
        "This card belongs to another station than the one in this device's configuration",
    )
    USED = (
        "Kartu ini sudah dipakai oleh perangkat lain. Pusat sudah diberi tahu; hubungi nomor pada kartu.",
        "This card was used by another device before. The centre has been alarmed; call the number on the card",
    )
    HELD = (
        "TPS ini ditahan karena kartunya dipakai dua kali. Seorang penyelia di pusat harus melepaskannya.",
        "This station is held because its card was used twice. A supervisor at the centre must release it",
    )
    TOO_MANY = (
        "Terlalu banyak kode salah dari alamat ini. Tunggu satu menit.",
        "Too many wrong codes from this address. Wait a minute",
    )
    BAD_REQUEST = (
        "Permintaan sertifikat ini tidak dapat dibaca.",
        "This request for a certificate cannot be read",
    )
    REVOKED = (
        "Sertifikat perangkat ini sudah dicabut. Perlu kartu baru.",
        "This device's certificate was revoked. It needs a new card",
    )
    TOO_LATE = (
        "Sertifikat perangkat ini terlalu lama kedaluwarsa untuk diperbarui. Perlu kartu baru.",
        "This device's certificate expired too long ago to be renewed. It needs a new card",
    )

    @property
    def id(self) -> str:
        return str(self.value[0])

    @property
    def en(self) -> str:
        return str(self.value[1])


def judge(card: Printed | None, asking: Asking, is_held: bool, now_s: float) -> Why | None:
    """None: let it in. The same device may ask again for the answer that it did not get."""
    if card is None:
        return Why.UNKNOWN
    if asking.station and asking.station != card.station:
        return Why.OTHER_STATION
    if card.used_by_key and card.used_by_key != asking.key_id:
        return Why.USED
    if is_held:
        return Why.HELD
    if card.is_withdrawn:
        return Why.WITHDRAWN
    if now_s > card.valid_until_s and not card.used_by_key:
        return Why.EXPIRED
    return None


def read_list(lines: Iterable[str]) -> list[Place]:
    """The stations of a CSV with named columns; raises BadList with every mistake, by line and reason."""
    try:
        rows = csv.reader(lines, delimiter=",", strict=True)
        header = [column.strip().lower().removeprefix("\ufeff") for column in next(rows, [])]
        mistakes = _header_mistakes(header)
        if mistakes:
            raise BadList("\n".join(mistakes))
        places: dict[str, Place] = {}
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            place = _place(header, row)
            why = place if isinstance(place, str) else _mistake(place, places)
            if why is not None:
                mistakes.append(f"line {rows.line_num}: {why}")
            elif isinstance(place, Place):
                places[place.station] = place
    except csv.Error as why_not:
        raise BadList(f"line {rows.line_num}: not CSV: {why_not}") from None
    if not mistakes and not places:
        mistakes = ["there is no station in it"]
    if mistakes:
        more = [f"and {len(mistakes) - MISTAKES_SHOWN} more"] if len(mistakes) > MISTAKES_SHOWN else []
        raise BadList("\n".join([*mistakes[:MISTAKES_SHOWN], *more]))
    return list(places.values())


def _header_mistakes(header: list[str]) -> list[str]:
    found = [f"line 1: the column {name!r} is missing" for name in NEEDED if name not in header]
    found += [f"line 1: the column {name!r} is there twice" for name in sorted({n for n in header if n in COLUMNS})
              if header.count(name) > 1]  # fmt: skip
    if found and len(header) == 1 and ";" in header[0]:
        found = ["line 1: the columns are separated by semicolons; save it with commas"]
    return found


def _place(header: list[str], row: list[str]) -> Place | str:
    if len(row) != len(header):
        return f"{len(row)} columns, where line 1 names {len(header)}"
    named = dict(zip(header, (" ".join(cell.split()) for cell in row), strict=True))
    return Place(*(named.get(column, "") for column in COLUMNS))


def _mistake(place: Place, before: dict[str, Place]) -> str | None:
    if not is_station(place.station):
        return f"station = {place.station[:20]!r}: must be 13 digits: village code (10) and TPS number (3)"
    if place.station in before:
        return f"station = {place.station!r}: is there twice"
    if len(before) >= STATIONS_AT_MOST:
        return f"more than {STATIONS_AT_MOST} stations"
    for column in COLUMNS[1:]:
        text = getattr(place, column)
        if column in NEEDED and not text:
            return f"{column} is empty"
        if len(text) > LONGEST_NAME:
            return f"{column} has {len(text)} letters; a card has room for {LONGEST_NAME}"
        if not text.isprintable():
            return f"{column} = {text!r}: holds what cannot be printed"
    return None


def shown(station: str) -> str:
    """64.08.04.2001 · TPS 143"""
    return f"{station[:2]}.{station[2:4]}.{station[4:6]}.{station[6:10]} · TPS {station[10:]}"
