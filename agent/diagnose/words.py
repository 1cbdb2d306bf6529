"""Each look in one line, in Indonesian and in English. Names in braces are facts of the look."""

from dataclasses import dataclass
from typing import Literal

from agent.diagnose.look import Facts, Look, Outcome, State

Language = Literal["id", "en"]
WIDTHS = {"id": 15, "en": 9}
STATES: dict[Language, dict[State, str]] = {
    "id": {State.OK: "baik", State.FAILED: "GAGAL", State.UNKNOWN: "tidak diketahui"},
    "en": {State.OK: "ok", State.FAILED: "FAILED", State.UNKNOWN: "not known"},
}


IN_INDONESIAN = {"timed out": "tidak ada jawaban", "another page": "halaman lain"}
"""Values that are words."""


@dataclass(frozen=True, slots=True)
class _Words:
    id: str
    en: str


WORDS: dict[Outcome, _Words] = {
    Outcome.NOT_CONFIGURED: _Words(
        "tidak dikonfigurasi (lihat `check:` dalam konfigurasi)", "not configured (see `check:` in the configuration)"
    ),
    Outcome.BELOW: _Words("tidak diperiksa: lapisan di bawahnya gagal", "not looked at: a layer below it has failed"),
    Outcome.NO_BYTES: _Words("tidak diperiksa: jatah byte habis", "not looked at: the bytes allowed are spent"),
    Outcome.NO_TIME: _Words("tidak selesai: waktu habis", "not finished: the time is over"),
    Outcome.CANNOT: _Words("tidak dapat diperiksa: {why}", "cannot be looked at: {why}"),
    Outcome.KEPT: _Words(
        "tidak diperiksa: sisa kuota jalur ini hanya untuk yang penting",
        "not looked at: what is left of this uplink's plan is kept for the essential",
    ),
    Outcome.NO_NAME: _Words(
        "alamat {name} tidak didapat lewat jalur ini", "no address of {name} could be had by this uplink"
    ),
    Outcome.LINK_READY: _Words(
        "{interface} hidup, alamat {address}, gerbang {gateway}, MTU {mtu}",
        "{interface} is up, address {address}, gateway {gateway}, MTU {mtu}",
    ),
    Outcome.LINK_GONE: _Words("{interface} tidak ada", "there is no {interface}"),
    Outcome.LINK_OFF: _Words("{interface} dimatikan", "{interface} is switched off"),
    Outcome.LINK_NO_CARRIER: _Words("{interface} tanpa sinyal kabel", "{interface} has no signal on its cable"),
    Outcome.LINK_NO_ADDRESS: _Words("{interface} tanpa alamat", "{interface} has no address"),
    Outcome.LINK_NO_GATEWAY: _Words(
        "{interface} punya alamat {address}, tetapi tanpa rute bawaan",
        "{interface} has address {address}, but no default route",
    ),
    Outcome.GATEWAY_ANSWERS: _Words(
        "{gateway} menjawab dalam {ms} ms, MAC {mac}", "{gateway} answers in {ms} ms, MAC {mac}"
    ),
    Outcome.GATEWAY_SILENT: _Words(
        "{gateway} tidak menjawab ARP (ditanya {asked} kali)", "{gateway} does not answer ARP (asked {asked} times)"
    ),
    Outcome.GATEWAY_DOUBLE: _Words(
        "{gateway} dijawab dua perangkat: {mac} dan {other_mac}", "two devices answer as {gateway}: {mac}, {other_mac}"
    ),
    Outcome.NO_NEIGHBOURS: _Words("tidak berlaku untuk jalur seperti ini", "does not apply to an uplink of this kind"),
    Outcome.OFFERED: _Words(
        "server {server} menawarkan {offered}, gerbang yang sama; tidak ada sewa diambil",
        "server {server} offers {offered} and the same gateway; no lease was taken",
    ),
    Outcome.OFFERED_OTHER: _Words(
        "server {server} menawarkan gerbang {router}, yang dipakai {gateway}; tidak ada sewa diambil",
        "server {server} offers gateway {router}, in use is {gateway}; no lease was taken",
    ),
    Outcome.OFFERED_NEW: _Words(
        "server {server} menawarkan {offered}, gerbang {router}; tidak ada sewa diambil",
        "server {server} offers {offered}, gateway {router}; no lease was taken",
    ),
    Outcome.NO_OFFER: _Words(
        "tidak ada tawaran; wajar bila alamatnya tetap", "nobody offers; to be expected where the address is fixed"
    ),
    Outcome.ANSWERED: _Words(
        "{answered} dari {of} alamat uji menjawab, {ms} ms; jalan: {way}",
        "{answered} of {of} targets answer, {ms} ms; way: {way}",
    ),
    Outcome.PARTLY_ANSWERED: _Words(
        "{answered} dari {of} alamat uji menjawab, {target} tidak; jalan: {way}",
        "{answered} of {of} targets answer, {target} does not; way: {way}",
    ),
    Outcome.SILENT: _Words(
        "tidak satu pun dari {of} alamat uji menjawab; jalan: {way}", "none of {of} targets answers; way: {way}"
    ),
    Outcome.MTU_WHOLE: _Words("paket {mtu} byte lewat utuh", "packets of {mtu} bytes pass whole"),
    Outcome.MTU_TOLD: _Words(
        "paling besar {mtu} byte, dan router memberitahukannya", "at most {mtu} bytes, and a router says so"
    ),
    Outcome.MTU_BLACK_HOLE: _Words(
        "paket {full} byte hilang tanpa kabar, {mtu} byte lewat",
        "packets of {full} bytes vanish without a word, {mtu} bytes pass",
    ),
    Outcome.MTU_UNCLEAR: _Words(
        "{target} tidak menjawab gema besar; tidak dapat dinilai", "{target} answers no large echoes; cannot be judged"
    ),
    Outcome.DNS_RIGHT: _Words(
        "{resolver} menjawab benar dalam {ms} ms: {got}", "{resolver} answers right in {ms} ms: {got}"
    ),
    Outcome.DNS_HONEST: _Words(
        "{resolver} menjawab dalam {ms} ms; nama uji tidak dikonfigurasi",
        "{resolver} answers in {ms} ms; no check name is configured",
    ),
    Outcome.DNS_SILENT: _Words("{resolver} tidak menjawab", "{resolver} does not answer"),
    Outcome.DNS_PERHAPS: _Words(
        "{resolver} dari resolv.conf tidak menjawab; mungkin milik jalur lain",
        "{resolver} from resolv.conf does not answer; perhaps it belongs to another uplink",
    ),
    Outcome.DNS_FORGED: _Words(
        "{resolver} menjawab {name} dengan {got}, seharusnya {expected}",
        "{resolver} answers {name} with {got} instead of {expected}",
    ),
    Outcome.DNS_REFUSED: _Words("{resolver} menolak: {rcode}", "{resolver} refuses: {rcode}"),
    Outcome.DNS_NO_SUCH_NAME: _Words(
        "{resolver} menjawab, tetapi {name} tidak ada ({rcode})", "{resolver} answers, but there is no {name} ({rcode})"
    ),
    Outcome.NO_RESOLVER: _Words("tidak ada resolver untuk jalur ini", "there is no resolver for this uplink"),
    Outcome.CONNECTED: _Words("{centre} menerima sambungan dalam {ms} ms", "{centre} takes the connection in {ms} ms"),
    Outcome.REFUSED: _Words("{centre} menolak sambungan", "{centre} refuses the connection"),
    Outcome.UNCONNECTED: _Words("{centre} tidak tersambung: {why}", "{centre} is not reached: {why}"),
    Outcome.ACKNOWLEDGED: _Words(
        "broker di {centre} menjawab dalam {ms} ms", "the broker at {centre} answers in {ms} ms"
    ),
    Outcome.UNACKNOWLEDGED: _Words(
        "{centre} tersambung, tetapi broker tidak menjawab", "{centre} is connected, but the broker does not answer"
    ),
    Outcome.DECLINED: _Words("broker menolak perangkat ini, kode {answer}", "the broker refuses us, code {answer}"),
    Outcome.PAGE_RIGHT: _Words("halaman uji di {host} benar, {ms} ms", "the check page at {host} is right, {ms} ms"),
    Outcome.PAGE_OTHER: _Words(
        "bukan halaman uji yang datang: {status}, {location}", "not the check page came: {status}, {location}"
    ),
    Outcome.PAGE_ERROR: _Words("halaman uji menjawab galat {status}", "the check page answers with error {status}"),
    Outcome.PAGE_SILENT: _Words("halaman uji tidak datang: {why}", "the check page does not come: {why}"),
    Outcome.CLOCK_RIGHT: _Words("{clock}", "{clock}"),
    Outcome.CLOCK_WRONG: _Words("jam menunjukkan {clock}, itu salah", "the clock says {clock}, which is wrong"),
    Outcome.CLOCK_UNSURE: _Words("{clock}, belum disinkronkan", "{clock}, not synchronised"),
    Outcome.TLS_RIGHT: _Words(
        "{host}: sertifikat benar, berlaku {days_left} hari lagi, {version}, {ms} ms",
        "{host}: the certificate is right, valid for {days_left} days, {version}, {ms} ms",
    ),
    Outcome.TLS_SILENT: _Words("{host} tidak menjawab: {why}", "{host} does not answer: {why}"),
    Outcome.TLS_BROKEN: _Words("{host}: sambungan aman gagal: {why}", "{host}: the handshake fails: {why}"),
    Outcome.TLS_WRONG_NAME: _Words("{host}: sertifikat milik nama lain", "{host}: the certificate is of another name"),
    Outcome.TLS_UNTRUSTED: _Words("{host}: penerbit tidak dipercaya: {why}", "{host}: issuer not trusted: {why}"),
    Outcome.TLS_NOT_NOW: _Words("{host}: sertifikat tidak berlaku: {why}", "{host}: certificate not valid: {why}"),
}


def line(look: Look, language: Language) -> str:
    """gateway    ok         192.168.8.1 answers in 0.3 ms, MAC …"""
    words = WORDS[look.outcome]
    text = words.id if language == "id" else words.en
    state = STATES[language][look.state]
    return f"{look.layer:<9} {state:<{WIDTHS[language]}}  {text.format_map(_plain(look.facts, language))}"


def cost(spent: int, cap: int, took_s: float, limit_s: float, language: Language) -> str:
    took = _word(round(took_s, 1), language)
    if language == "id":
        return f"{spent} byte dari paling banyak {cap}, {took} detik dari paling lama {limit_s:.0f}"
    return f"{spent} bytes of at most {cap}, {took} s of at most {limit_s:.0f}"


def _plain(facts: Facts, language: Language) -> dict[str, str]:
    return {name: _word(value, language) for name, value in facts.items()}


def _word(value: float | str | None, language: Language) -> str:
    if isinstance(value, float):
        return f"{value:g}".replace(".", "," if language == "id" else ".")
    return "-" if value is None else IN_INDONESIAN.get(str(value), str(value)) if language == "id" else str(value)
