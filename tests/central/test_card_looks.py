"""The card as it comes out of a printer: one page each, with the words that people need, and a QR that cameras read."""

import datetime
import io
import re
import zlib

from central.core.cards import Place
from central.edge.print_cards import Common, cards_pdf
from tests.central.secured import _streams, codes_in

CODE = "4F7K9Q2WZX8M3N5P6R70"
COMMON = Common(
    "Pilkada 2027", "https://siaga.example:8443", "a1b2c3d4e5f6" * 6, datetime.date(2027, 2, 15), "0812-3456"
)


def words(pdf: bytes) -> str:
    texts = []
    for stream in _streams(pdf):
        try:
            texts += re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(texts).decode("latin-1").replace("\\", "")


def test_a_card_says_all_that_a_technician_needs_indonesian_first() -> None:
    told = words(cards_pdf([(Place("6408042001143", "SDN 004", "Sangatta Utara"), CODE)], COMMON))
    for wanted in ("64.08.04.2001 · TPS 143", "SDN 004", "Sangatta Utara", "4F7K-9Q2W", "15 Februari 2027", "0812-3456",
                   "https://siaga.example:8443", "a1b2 c3d4 e5f6 a1b2 c3d4"):  # fmt: skip
        assert wanted in told
    assert told.index("Kode sekali pakai") < told.index("One-time code")


def test_letters_that_the_printer_has_not_lose_their_marks_and_long_names_shrink() -> None:
    place = Place("6408042001143", "Gedung “Ēko’s” – ruang Č " + "panjang " * 5)
    pdf = cards_pdf([(place, CODE)], COMMON)
    assert 'Gedung "Eko\'s" - ruang C' in words(pdf)
    assert codes_in(pdf) == [CODE]


def test_each_station_has_a_page() -> None:
    pdf = cards_pdf([(Place(f"64080420011{n:02}", f"TPS {n}"), CODE) for n in range(7)], COMMON)
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 7
    assert io.BytesIO(pdf).read(5) == b"%PDF-"
