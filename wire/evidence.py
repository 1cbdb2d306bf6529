"""What a fact rests on, as one line that is understood at two in the morning, in two languages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from wire.findings import FINDINGS, NAMELESS_EN, NAMELESS_ID
from wire.messages import Fact, Signal


@dataclass(frozen=True, slots=True)
class _Line:
    """Names in braces are keys of the evidence."""

    id: str
    en: str


WITH_VERDICT = ("technology", "rsrp_dbm", "rsrq_db", "snr_db", "cell_id")
"""Of a modem's signal, in the evidence of a verdict on its uplink."""
VERDICTS = ("UPLINK_DEAD", "UPLINK_POOR")

_BY_CAUSE = {
    "silence": _Line(
        "tak terdengar apa pun selama {silence_s} s ({unanswered} gema tak dijawab, no. {first_echo}-{last_echo}); "
        "batas jalur ini {limit_s} s, tanpa gangguan terlampaui {per_month} kali dalam 30 hari",
        "nothing heard for {silence_s} s ({unanswered} echoes unanswered, no. {first_echo}-{last_echo}); "
        "this uplink's limit is {limit_s} s, passed {per_month} times in 30 days without an outage",
    ),
    "nothing could be sent": _Line(
        "perangkat ini tidak dapat mengirim apa pun lewat jalur ini selama {silence_s} s",
        "this device could send nothing by this uplink for {silence_s} s",
    ),
    "loss": _Line(
        "{lost} dari {of} gema hilang sejak no. {first_echo} (skor {score}, batas {limit}); "
        "kebetulan seperti ini {per_month} kali dalam 30 hari",
        "{lost} of {of} echoes lost since no. {first_echo} (score {score}, limit {limit}); "
        "by chance {per_month} times in 30 days",
    ),
    "delay": _Line(
        "{slow} dari {of} jawaban lambat sejak no. {first_echo}, kini {rtt_ms} ms (skor {score}, batas {limit}); "
        "kebetulan seperti ini {per_month} kali dalam 30 hari",
        "{slow} of {of} answers slow since no. {first_echo}, now {rtt_ms} ms (score {score}, limit {limit}); "
        "by chance {per_month} times in 30 days",
    ),
    "proven good": _Line(
        "menjawab dengan baik; jalur buruk lolos ujian ini sekali dalam {odds} kali",
        "it answers well; a bad uplink passes this test once in {odds} tries",
    ),
    "answers again, with loss": _Line("menjawab lagi, tetapi banyak yang hilang", "it answers again, but loses much"),
    "same public address": _Line(
        "{first} dan {second} keluar lewat alamat publik yang sama, {what} ({first_whose}, {family})",
        "{first} and {second} go out by the same public address, {what} ({first_whose}, {family})",
    ),
    "same operator seen": _Line(
        "dilihat dari pusat, {first} ({first_address}) dan {second} ({second_address}) milik {what} ({family})",
        "as the centre sees it, {first} ({first_address}) and {second} ({second_address}) belong to {what} ({family})",
    ),
    "same network": _Line(
        "{first} ({first_address}) dan {second} ({second_address}) ada di jaringan yang sama, {what}",
        "{first} ({first_address}) and {second} ({second_address}) are in the same network, {what}",
    ),
    "same shared fate": _Line(
        "menurut konfigurasi, {first} dan {second} satu kelompok nasib: {what}",
        "as configured, {first} and {second} are in one shared-fate group: {what}",
    ),
    "same operator": _Line(
        "menurut konfigurasi, {first} dan {second} dari operator yang sama: {what}",
        "as configured, {first} and {second} are of the same operator: {what}",
    ),
    "apart": _Line(
        "{first} keluar lewat {first_address} ({first_whose}), {second} lewat {second_address} ({second_whose})",
        "{first} goes out by {first_address} ({first_whose}), {second} by {second_address} ({second_whose})",
    ),
    "no carrier": _Line("kabel lepas atau modem mati", "the cable is out or the modem is off"),
    "no gateway": _Line("tidak ada gerbang (gateway)", "there is no gateway"),
    "no such interface": _Line("antarmukanya tidak ada", "its interface is not there"),
}

_PLAN = _Line(
    "terpakai {used_mb} dari {plan_mb} MB, cadangan {reserve_mb} MB",
    "{used_mb} of {plan_mb} MB used, {reserve_mb} MB kept in reserve",
)

_HEARD = _Line(
    "menurut modem: {registration}; {technology} {operator} ({operator_code}), sel {cell_id}, RSRP {rsrp_dbm} dBm, "
    "RSRQ {rsrq_db} dB, SNR {snr_db} dB",
    "the modem says: {registration}; {technology} {operator} ({operator_code}), cell {cell_id}, RSRP {rsrp_dbm} dBm, "
    "RSRQ {rsrq_db} dB, SNR {snr_db} dB",
)

_BY_CODE = {
    "MODEM_NOT_REGISTERED": _HEARD,
    "MODEM_ROAMING": _HEARD,
    "MODEM_REGISTERED": _HEARD,
    "TARGET_SILENT": _Line(
        "{target} tidak menjawab lagi, alamat lain menjawab", "{target} answers no more, the others do"
    ),
    "TARGET_ANSWERS": _Line("{target} menjawab lagi", "{target} answers again"),
    "FAMILY_SILENT": _Line("tidak ada jawaban lewat {family}", "nothing answers by {family}"),
    "FAMILY_ANSWERS": _Line("{family} menjawab lagi", "{family} answers again"),
    "HANDED_OVER": _Line(
        "{flows} sambungan LAN dan {sockets} soket perangkat ini dilepas; rute dalam {took_ms} ms",
        "{flows} connections of the LAN and {sockets} sockets of this device let go; routes in {took_ms} ms",
    ),
    "FLOWS_LEFT": _Line(
        "{flows} sambungan LAN dan {sockets} soket perangkat ini dilepas",
        "{flows} connections of the LAN and {sockets} sockets of this device let go",
    ),
    "TRAFFIC_ASTRAY": _Line("{target} lewat {by}, yang dipilih {chosen}", "{target} goes by {by}, chosen was {chosen}"),
    "TRAFFIC_TUNNELLED": _Line(
        "{target} lewat {by}, jalur yang dipilih {chosen}", "{target} goes by {by}; the chosen uplink is {chosen}"
    ),
    "STRANGE_DEFAULT": _Line("{family} lewat {interface}", "{family} by {interface}"),
    "PLAN_LOW": _PLAN,
    "PLAN_RESERVE": _PLAN,
    "PLAN_OPEN": _PLAN,
    "QUEUE_REFUSED": _Line("sebabnya: {why}", "because: {why}"),
    "BANDWIDTH_MEASURED": _Line(
        "kirim {up_is} {up_mbps} Mbit/s (bebas {up_available_mbps}), terima {down_is} {down_mbps} Mbit/s (bebas "
        "{down_available_mbps}); kini 20 MB foto perlu {photos_s} s, satu pesan {message_s} s; "
        "biaya {spent_bytes} byte",
        "up {up_is} {up_mbps} Mbit/s ({up_available_mbps} free), down {down_is} {down_mbps} Mbit/s "
        "({down_available_mbps} free); now 20 MB of photos take {photos_s} s, a message {message_s} s; "
        "cost {spent_bytes} bytes",
    ),
    "CARD_UNWRITABLE": _Line(
        "sebabnya: {why}; laporan hanya di memori sampai pusat menyimpannya",
        "because: {why}; records are in memory only until the centre has stored them",
    ),
    "SEAL_FAILED": _Line("sebabnya: {why}", "because: {why}"),
    "NOT_ENROLLED": _Line("sebabnya: {why}", "because: {why}"),
    "CERTIFICATE_REFUSED": _Line("kata broker: {why}", "the broker says: {why}"),
    "CENTRE_UNTRUSTED": _Line("sebabnya: {why}", "because: {why}"),
    "CLOCK_FORGIVEN": _Line("menurut jam sendiri {why}", "by our own clock it is {why}"),
    "CERTIFICATE_RENEWED": _Line("berlaku {days} hari lagi", "good for another {days} days"),
    "CERTIFICATE_NOT_RENEWED": _Line("berlaku {days} hari lagi", "good for another {days} days"),
    "CARD_USED_TWICE": _Line(
        "pertama dari {first_from}, lalu dari {again_from}", "first from {first_from}, then from {again_from}"
    ),
    "BANDWIDTH_SKIPPED": _Line("sebabnya: {why}", "because: {why}"),
    "RECORDS_DROPPED": _Line(
        "{records} catatan antara no. {first_seq} dan {last_seq}; {instead} ringkasan menggantikannya",
        "{records} records between no. {first_seq} and {last_seq}; {instead} summaries took their place",
    ),
    "DIAGNOSIS_SKIPPED": _Line("perlu {needs_bytes} byte", "it needs {needs_bytes} bytes"),
    "COMMAND_DONE": _Line("{kind} oleh {by}: {text}", "{kind} by {by}: {text}"),
    "COMMAND_REFUSED": _Line("{kind} oleh {by}, sebab {why}: {text}", "{kind} by {by}, for {why}: {text}"),
    "COMMAND_FAILED": _Line("{kind} oleh {by}, sebab {why}: {text}", "{kind} by {by}, for {why}: {text}"),
    "COMMAND_EXPIRED": _Line("{kind} oleh {by}, sebab {why}", "{kind} by {by}, for {why}"),
    "COMMAND_IGNORED": _Line("{times} kali; terakhir: {why}", "{times} times; the last one: {why}"),
    "CONFIG_TRIED": _Line("versi {version} oleh {by}", "version {version} by {by}"),
    "CONFIG_APPLIED": _Line("versi {version} oleh {by}", "version {version} by {by}"),
    "CONFIG_REJECTED": _Line("versi {version} oleh {by}: {text}", "version {version} by {by}: {text}"),
    "CONFIG_ROLLED_BACK": _Line("versi {version} oleh {by}: {text}", "version {version} by {by}: {text}"),
    "CONFIG_LOCAL": _Line("versi {version} dari pusat disisihkan", "version {version} of the centre is set aside"),
    "BUDGET_SPENT": _Line(
        "hari ini {day_mb} dari {day_cap_mb} MB, bulan ini {month_mb} dari {month_cap_mb} MB",
        "today {day_mb} of {day_cap_mb} MB, this month {month_mb} of {month_cap_mb} MB",
    ),
}


_WAYS = _Line(
    "; arah kirim hilang {up_lost} dari {up_of}, arah terima {down_lost} dari {down_of}",
    "; on the way up {up_lost} of {up_of} lost, on the way down {down_lost} of {down_of}",
)
_ADDED = _Line(
    "; arah kirim {up_added_ms} ms di atas biasanya, arah terima {down_added_ms} ms",
    "; the way up {up_added_ms} ms above its usual, the way down {down_added_ms} ms",
)
_MOSTLY = {
    "up": _Line(" (terutama arah kirim)", " (mostly up)"),
    "down": _Line(" (terutama arah terima)", " (mostly down)"),
}


def told_id(fact: Fact) -> str:
    """In Indonesian, with its decimal comma; empty where there is nothing to add to the code."""
    line = _line(fact)
    if line is None:
        return ""
    told = line.id + "".join(each.id for each in _ways(fact))
    return told.format_map(_values(fact, ",").or_else(operator=NAMELESS_ID)) + _radio(fact, "sinyal", heard_id)


def told_en(fact: Fact) -> str:
    """In English; what no sentence is known for comes as names and values."""
    line, values = _line(fact), _values(fact, ".")
    if line is None:
        return " ".join(f"{name}={value}" for name, value in values.items())
    told = line.en + "".join(each.en for each in _ways(fact))
    return told.format_map(values.or_else(operator=NAMELESS_EN)) + _radio(fact, "signal", heard_en)


def heard_id(signal: Signal) -> str:
    """How a modem hears its operator; what is not known is left out."""
    return _heard(signal, "sel", ",")


def heard_en(signal: Signal) -> str:
    """lte Telkomsel (51010) · home · RSRP -97 dBm · …"""
    return _heard(signal, "cell", ".")


def _radio(fact: Fact, word: str, heard: Callable[[Signal], str]) -> str:
    """How the modem heard when its uplink failed; empty for what has no modem."""
    found = {name: fact.evidence[name] for name in WITH_VERDICT if name in fact.evidence}
    if fact.code not in VERDICTS or not found:
        return ""
    try:
        return f"; {word} {heard(msgspec.convert(found, Signal))}"
    except msgspec.ValidationError:  # not as an agent of ours writes it
        return ""


def _heard(signal: Signal, cell: str, point: str) -> str:
    code = f"({signal.operator_code})" if signal.operator_code else None
    network = " ".join(word for word in (signal.technology, signal.operator, code) if word)
    figures = (
        ("RSRP", signal.rsrp_dbm, "dBm"),
        ("RSRQ", signal.rsrq_db, "dB"),
        ("SNR", signal.snr_db, "dB"),
        ("RSSI", signal.rssi_dbm, "dBm"),
    )
    told = [f"{name} {figure:g} {unit}".replace(".", point) for name, figure, unit in figures if figure is not None]
    where = f"{cell} {signal.cell_id}" if signal.cell_id else ""
    return " · ".join(part for part in (network, signal.registration, *told, where) if part) or "-"


def _line(fact: Fact) -> _Line | None:
    found = FINDINGS.get(str(fact.evidence.get("code")))
    if found is not None:
        return _Line(f"{found.where_id}; {found.do_id}", f"{found.where_en}; {found.do_en}")
    return _BY_CAUSE.get(str(fact.evidence.get("cause"))) or _BY_CODE.get(fact.code)


def _ways(fact: Fact) -> Iterator[_Line]:
    """On which way it was lost or slow, where the centre's reflector could tell."""
    if "up_of" in fact.evidence:
        yield _WAYS
    if "up_added_ms" in fact.evidence:
        yield _ADDED
    mostly = _MOSTLY.get(str(fact.evidence.get("mostly")))
    if mostly is not None:
        yield mostly


def _values(fact: Fact, point: str) -> "_Values":
    return _Values({name: _plain(value, point) for name, value in fact.evidence.items()})


def _plain(value: float | str | None, point: str) -> str:
    if isinstance(value, float):
        return f"{value:g}".replace(".", point)
    return "-" if value is None else str(value)


class _Values(dict[str, str]):
    """An older or a newer agent may leave a value out."""

    def or_else(self, **values: str) -> "_Values":
        """With these where there are none."""
        return _Values({**values, **self})

    def __missing__(self, name: str) -> str:
        return "-"
