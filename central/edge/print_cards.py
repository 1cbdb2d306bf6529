"""Kartu Pasang as PDF: one A6 page for each station, with all that a device needs to enrol, for eyes and cameras."""

import datetime
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import segno
from fpdf import FPDF
from fpdf.enums import Align, XPos, YPos

from central.core.cards import Place, shown
from wire.enrolment import FINGERPRINT_AT_LEAST, Link, grouped

WIDTH_MM, HEIGHT_MM, MARGIN_MM = 105, 148, 8
QR_MM = 42
GREY = 90
PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
MONTHS = (
    *("Januari", "Februari", "Maret", "April", "Mei", "Juni"),
    *("Juli", "Agustus", "September", "Oktober", "November", "Desember"),
)
STEPS = (
    ("Colokkan kabel internet dan daya. Tunggu dua menit.", "Plug in the uplinks and the power. Wait two minutes."),
    (
        "Di perangkat: sudo siaga-agent enrol, lalu pindai atau ketik kode ini.",
        "On the device: sudo siaga-agent enrol, then scan or type this code.",
    ),
    (
        "Tunggu kata SIAP. Simpan kartu ini; kodenya hanya sekali.",
        "Wait for SIAP. Keep this card; the code works once.",
    ),
)


@dataclass(frozen=True, slots=True)
class Common:
    """What stands on every card."""

    election: str
    url: str
    fingerprint: str
    valid_until: datetime.date
    support: str


def cards_pdf(places: Iterable[tuple[Place, str]], common: Common) -> bytes:
    """From stations and their codes."""
    pdf = FPDF(format=(WIDTH_MM, HEIGHT_MM))
    pdf.set_margins(MARGIN_MM, MARGIN_MM)
    pdf.set_auto_page_break(False)
    pdf.set_title(f"Kartu Pasang {_plain(common.election)}")
    for place, code in places:
        pdf.add_page()
        _card(pdf, place, Link(common.url, code, common.fingerprint), common)
    return bytes(pdf.output())


def _card(pdf: FPDF, place: Place, link: Link, common: Common) -> None:
    _heading(pdf, common)
    _line(pdf, shown(place.station), 22, "B", 10)
    _line(pdf, place.name, 13, "B", 6)
    _line(pdf, ", ".join(part for part in (place.village, place.district) if part), 10, "", 5)
    top = pdf.get_y() + 3
    _qr(pdf, str(link), MARGIN_MM, top)
    _beside_qr(pdf, link, common, MARGIN_MM + QR_MM + 4, top)
    pdf.set_xy(MARGIN_MM, top + QR_MM + 3)
    for n, (indonesian, english) in enumerate(STEPS, 1):
        _line(pdf, f"{n}. {indonesian}", 8.5, "B", 4)
        _line(pdf, f"    {english}", 8, "I", 5)
    _footer(pdf, common)


def _heading(pdf: FPDF, common: Common) -> None:
    pdf.set_fill_color(0)
    pdf.rect(0, 0, WIDTH_MM, 13, style="F")
    pdf.set_text_color(255)
    pdf.set_xy(MARGIN_MM, 2)
    _line(pdf, "KARTU PASANG  Siaga", 14, "B", 6)
    _line(pdf, f"Installation card  ·  {common.election}", 8, "", 4)
    pdf.set_text_color(0)
    pdf.set_xy(MARGIN_MM, 17)


def _beside_qr(pdf: FPDF, link: Link, common: Common, left: float, top: float) -> None:
    pdf.set_xy(left, top)
    pdf.set_left_margin(left)
    _line(pdf, "Kode sekali pakai", 9, "B", 4)
    _line(pdf, "One-time code", 8, "I", 4.5)
    groups = grouped(link.code).split("-")
    for line in (groups[:2], groups[2:4], groups[4:]):
        pdf.set_font("Courier", "B", 17)
        pdf.cell(0, 7, "-".join(line), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    date = common.valid_until
    _line(pdf, "Berlaku sampai / valid until", 8, "", 5)
    _line(pdf, f"{date.day} {MONTHS[date.month - 1]} {date.year}", 11, "B", 5)
    pdf.set_left_margin(MARGIN_MM)


def _footer(pdf: FPDF, common: Common) -> None:
    pdf.set_draw_color(GREY)
    pdf.line(MARGIN_MM, HEIGHT_MM - 24, WIDTH_MM - MARGIN_MM, HEIGHT_MM - 24)
    pdf.set_xy(MARGIN_MM, HEIGHT_MM - 23)
    if common.support:
        _line(pdf, f"Bantuan / help: {common.support}", 10, "B", 5)
    pdf.set_text_color(GREY)
    _line(pdf, f"Pusat / centre: {common.url}", 7.5, "", 4)
    short = common.fingerprint[:FINGERPRINT_AT_LEAST]
    parts = " ".join(short[at : at + 4] for at in range(0, len(short), 4))
    _line(pdf, f"Sidik jari CA / CA fingerprint: {parts}", 7.5, "", 4)
    _line(pdf, "Rahasia sampai dipakai / secret until it is used", 7.5, "I", 4)
    pdf.set_text_color(0)


def _qr(pdf: FPDF, text: str, left: float, top: float) -> None:
    picture = io.BytesIO()
    segno.make_qr(text, error="m").save(picture, kind="png", scale=4, border=2)
    pdf.image(picture, left, top, QR_MM, QR_MM)


def _line(pdf: FPDF, text: str, size_pt: float, style: str, height_mm: float) -> None:
    """On one line; what is too long is set smaller, not cut."""
    text = _plain(text)
    pdf.set_font("Helvetica", style, size_pt)
    room_mm = WIDTH_MM - MARGIN_MM - pdf.l_margin
    if (needs_mm := pdf.get_string_width(text)) > room_mm - 2:
        pdf.set_font_size(size_pt * (room_mm - 2) / needs_mm)
    pdf.cell(0, height_mm, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _plain(text: str) -> str:
    """The letters that the printer's own fonts have; others lose their marks."""
    text = text.translate(PLAIN)
    if text.isascii():
        return text
    parts = (letter if ord(letter) < 256 else unicodedata.normalize("NFKD", letter) for letter in text)
    return "".join(parts).encode("latin-1", "ignore").decode("latin-1")
