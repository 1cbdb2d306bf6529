"""The codes of trouble and of news: what each means, how bad it is, and what to do, in two languages.

Stable: a code is never given another meaning. docs/operating.md is generated from this table (make docs).
"""

from dataclasses import dataclass
from enum import StrEnum

from wire.command import Why
from wire.findings import FINDINGS, Call, Finding
from wire.refusals import REFUSALS


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    severity: Severity
    meaning_id: str
    meaning_en: str
    action_id: str
    action_en: str


_TABLE = (
    Code(
        "UPLINK_UP",
        Severity.INFO,
        "Jalur terbukti baik",
        "The uplink has proven good",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "UPLINK_POOR",
        Severity.WARNING,
        "Jalur terganggu: banyak paket hilang atau jauh lebih lambat dari biasanya",
        "The uplink is poor: it loses many packets or is far slower than usual",
        "Beri tahu operator bila lebih dari sepuluh menit.",
        "Tell the operator if it lasts more than ten minutes.",
    ),
    Code(
        "UPLINK_DEAD",
        Severity.CRITICAL,
        "Jalur mati: tidak ada jawaban di balik perangkat pertama, atau kabel lepas",
        "The uplink is dead: nothing answers behind the first hop, or the cable is out",
        "Periksa kabel dan daya modem; bila baik, hubungi operator jalur ini.",
        "Check the cable and the modem's power; if they are good, call this uplink's operator.",
    ),
    Code(
        "TARGET_SILENT",
        Severity.INFO,
        "Satu alamat uji tidak menjawab dan tidak dihitung lagi; jalurnya baik",
        "One of the addresses that are asked does not answer and is no longer counted; the uplink is good",
        "Tidak perlu tindakan di TPS; bila lama, ganti alamat itu dalam konfigurasi.",
        "Nothing to do at the station; if it lasts, put another address into the configuration.",
    ),
    Code(
        "TARGET_ANSWERS",
        Severity.INFO,
        "Alamat uji menjawab lagi dan dihitung kembali",
        "An address that is asked answers again and is counted again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "FAMILY_SILENT",
        Severity.WARNING,
        "Jalur ini baik untuk satu versi IP saja; untuk yang lain tak ada alamat uji yang menjawab",
        "The uplink is good for one version of IP only; none of the addresses of the other one answers",
        "Laporkan ke operator jalur ini dengan menyebut IPv4 atau IPv6; lalu lintasnya lewat jalur lain bila ada.",
        "Tell this uplink's operator, naming IPv4 or IPv6; its traffic goes by another uplink if there is one.",
    ),
    Code(
        "FAMILY_ANSWERS",
        Severity.INFO,
        "Jalur ini baik kembali untuk kedua versi IP",
        "The uplink is good for both versions of IP again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "MODEM_NOT_REGISTERED",
        Severity.WARNING,
        "Modem tidak terdaftar di jaringan mana pun: ditolak, atau masih mencari",
        "The modem is registered in no network: it is denied, or still searching",
        "Periksa antena, kartu SIM dan masa aktifnya; bila ditolak, hubungi operator jalur ini.",
        "Check the antenna, the SIM card and whether it is still valid; if it is denied, call this uplink's operator.",
    ),
    Code(
        "MODEM_ROAMING",
        Severity.WARNING,
        "Modem terdaftar di jaringan operator lain (roaming): bisa mahal, lambat, atau ditutup",
        "The modem is registered in another operator's network (roaming): that may be dear, slow, or shut off",
        "Dekat perbatasan, pindahkan antena atau kunci modem ke operator sendiri; bila tak bisa, tanyakan biayanya.",
        "Near a border, move the antenna or lock the modem to its own operator; if that fails, ask what it costs.",
    ),
    Code(
        "MODEM_REGISTERED",
        Severity.INFO,
        "Modem terdaftar kembali di jaringan operatornya",
        "The modem is registered in its operator's network again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "BANDWIDTH_MEASURED",
        Severity.INFO,
        "Kecepatan jalur diukur, dihitung oleh penerima",
        "What the uplink can carry was measured, counted by who receives",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "BANDWIDTH_SKIPPED",
        Severity.INFO,
        "Pengukuran kecepatan jalur ditunda",
        "The uplink's bandwidth was not measured when its time had come",
        "Tidak perlu tindakan; bila lama, periksa anggaran data jalur ini.",
        "Nothing to do; if it lasts, look at this uplink's budget.",
    ),
    Code(
        "DIAGNOSIS_SKIPPED",
        Severity.INFO,
        "Jalur yang mati tidak diperiksa: jatah data untuk pengukurannya tidak cukup",
        "The dead uplink was not looked at: what may be spent on measuring it is not enough",
        "Periksa dari perangkat bila perlu: `siaga-agent diagnose JALUR`.",
        "Look from the device if you need to: `siaga-agent diagnose UPLINK`.",
    ),
    Code(
        "BUDGET_SPENT",
        Severity.WARNING,
        "Jatah data untuk pengukuran jalur ini habis; jalur tidak diukur lagi",
        "What may be spent on measuring this uplink is spent; it is not measured any more",
        "Naikkan `budget` jalur ini dalam konfigurasi bila kuotanya cukup.",
        "Raise this uplink's `budget` in the configuration if its plan allows it.",
    ),
    Code(
        "PLAN_LOW",
        Severity.WARNING,
        "Kuota data jalur ini menipis; lalu lintas yang tidak penting diperlambat",
        "This uplink's data plan is low; traffic that is not essential is slowed down",
        "Tambah kuota, atau minta orang di TPS menunda unduhan dan video.",
        "Buy more data, or ask the people at the station to put off downloads and videos.",
    ),
    Code(
        "PLAN_RESERVE",
        Severity.CRITICAL,
        "Kuota jalur ini tinggal cadangan; hanya lalu lintas penting yang lewat",
        "Only the reserve of this uplink's data plan is left; only essential traffic passes",
        "Tambah kuota segera; hasil, pusat, DNS dan waktu tetap lewat sampai cadangan habis.",
        "Buy more data now; results, centre, DNS and time still pass for as long as the reserve lasts.",
    ),
    Code(
        "PLAN_OPEN",
        Severity.INFO,
        "Bulan kuota jalur ini mulai baru; semua lalu lintas lewat lagi",
        "This uplink's data plan began anew; all traffic passes again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "QUEUE_REFUSED",
        Severity.WARNING,
        "Antrean jalur lambat ini tak dapat dipasang; gantinya, lalu lintas yang tidak penting dibatasi separuhnya",
        "The queues for this thin uplink cannot be set; instead, traffic that is not essential is held to half of it",
        "Bila program lain mengatur qdisc antarmuka ini, matikan; bila kernel tanpa HTB, tidak perlu tindakan.",
        "If another program sets this interface's qdisc, turn that off; if the kernel has no HTB, nothing to do.",
    ),
    Code(
        "QUEUE_SET",
        Severity.INFO,
        "Antrean untuk jalur lambat ini terpasang kembali",
        "The queues for this thin uplink are set again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "TRAFFIC_MOVED",
        Severity.WARNING,
        "Lalu lintas dipindahkan ke jalur lain",
        "Traffic was moved to another uplink",
        "Tidak perlu tindakan di TPS; lihat sebabnya pada fakta sebelumnya.",
        "Nothing to do at the station; the fact before this one has the reason.",
    ),
    Code(
        "HANDED_OVER",
        Severity.INFO,
        "Perpindahan selesai: rute terpasang, sambungan lama di jalur yang ditinggalkan dilepas",
        "The hand-over is done: the routes are set, old connections on the uplink that was left are let go",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "FLOWS_LEFT",
        Severity.INFO,
        "Sambungan lama dilepas dari jalur yang sudah ditinggalkan",
        "Old connections were let go from an uplink that had been left before",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "TRAFFIC_ASTRAY",
        Severity.WARNING,
        "Lalu lintas lewat jalur lain daripada yang dipilih: aturan program lain mendahului",
        "Traffic leaves by another uplink than was chosen: another program's rule stands before ours",
        "Cari aturan itu dengan `ip rule` dan program yang memasangnya.",
        "Look for that rule with `ip rule`, and for the program that has set it.",
    ),
    Code(
        "TRAFFIC_TUNNELLED",
        Severity.INFO,
        "Lalu lintas lewat antarmuka lain di atas jalur kami, seperti VPN",
        "Traffic goes by another interface on top of our uplinks, as a VPN does",
        "Tidak perlu tindakan bila perangkat ini memakai VPN.",
        "Nothing to do if this device uses a VPN.",
    ),
    Code(
        "STRANGE_DEFAULT",
        Severity.WARNING,
        "Ada rute bawaan (default) lewat antarmuka yang bukan jalur kami; tidak dipakai selama satu jalur ada",
        "There is a default route by an interface that is no uplink of ours; it is not used while an uplink is there",
        "Bila itu jalur baru, tambahkan ke konfigurasi; bila bukan, cabut perangkatnya.",
        "If it is a new uplink, add it to the configuration; if not, unplug it.",
    ),
    Code(
        "ONE_FATE",
        Severity.WARNING,
        "Dua jalur, satu nasib: keduanya dapat putus bersama",
        "Two links, one fate: both can fail at the same time",
        "Minta jalur cadangan dari operator lain sebelum hari pemungutan suara; bila alamatnya sama, periksa apakah "
        "keduanya tersambung ke perangkat yang sama.",
        "Ask for a backup from another operator before election day; if the address is the same, check whether both "
        "are plugged into the same device.",
    ),
    Code(
        "FATES_APART",
        Severity.INFO,
        "Kedua jalur tidak lagi satu nasib",
        "The two links do not share one fate any more",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "NO_UPLINK",
        Severity.CRITICAL,
        "Semua jalur mati; rute dibiarkan seperti semula",
        "Every uplink is dead; the routes are left as they were",
        "Kirim hasil dari tempat lain bila mendesak; hubungi operator.",
        "Send the results from another place if it is urgent; call the operators.",
    ),
    Code(
        "GATEWAY_CHANGED",
        Severity.INFO,
        "Gerbang (gateway) jalur berubah dan diikuti",
        "The uplink's gateway changed and was followed",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "ADDRESS_CHANGED",
        Severity.INFO,
        "Alamat jalur berubah dan diikuti",
        "The uplink's address changed and was followed",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "INTERFACE_RENAMED",
        Severity.WARNING,
        "Antarmuka jalur berganti nama dan diikuti, tetapi konfigurasi masih memakai nama lama",
        "The uplink's interface was renamed and followed, but the configuration still has its old name",
        "Tulis nama baru dalam konfigurasi sebelum agen dimulai ulang.",
        "Put the new name into the configuration before the agent is restarted.",
    ),
    Code(
        "ROUTES_REPAIRED",
        Severity.WARNING,
        "Program lain mengubah rute kami; sudah diperbaiki",
        "Another program changed our routes; they were repaired",
        "Cari program yang mengatur jaringan di perangkat ini.",
        "Look for the program that manages the network on this device.",
    ),
    Code(
        "ROUTES_REFUSED",
        Severity.CRITICAL,
        "Kernel menolak rute kami",
        "The kernel refused our routes",
        "Periksa log agen; mulai ulang perangkat bila tidak pulih.",
        "Read the agent's log; restart the device if it does not recover.",
    ),
    Code(
        "OVERRIDE_SET",
        Severity.INFO,
        "Petugas memilih jalur sendiri",
        "An operator chose the uplink by hand",
        "Kembalikan dengan `siaga-agent auto` bila selesai.",
        "Give it back with `siaga-agent auto` when done.",
    ),
    Code(
        "OVERRIDE_ENDED",
        Severity.INFO,
        "Pilihan petugas berakhir; agen memutuskan kembali",
        "The operator's choice ended; the agent decides again",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "PHASE_SET",
        Severity.INFO,
        "Tahap hari pemungutan suara berganti",
        "The phase of election day changed",
        "Tidak perlu tindakan; `siaga-agent phase normal` mengakhirinya.",
        "Nothing to do; `siaga-agent phase normal` ends it.",
    ),
    Code(
        "AGENT_STARTED",
        Severity.INFO,
        "Agen mulai bekerja",
        "The agent started",
        "Tidak perlu tindakan; bila sering berulang, periksa daya.",
        "Nothing to do; if it repeats often, check the power.",
    ),
    Code(
        "AGENT_STOPPED",
        Severity.WARNING,
        "Agen dihentikan dengan sengaja",
        "The agent was stopped on purpose",
        "Jalankan kembali: `systemctl start siaga-agent`.",
        "Start it again: `systemctl start siaga-agent`.",
    ),
    Code(
        "CARD_UNWRITABLE",
        Severity.CRITICAL,
        "Kartu SD tak dapat ditulis; agen bekerja dari memori, dan laporan yang belum terkirim hilang bila daya putus",
        "The SD card cannot be written; the agent works from memory, and reports not yet sent are lost if power goes",
        "Jangan matikan perangkat sampai laporannya terkirim; lalu kosongkan atau ganti kartu SD dan mulai ulang agen.",
        "Leave the device on until its reports are sent; then free or replace the SD card and restart the agent.",
    ),
    Code(
        "CARD_WRITABLE",
        Severity.INFO,
        "Kartu SD dapat ditulis lagi; yang disimpan di memori sudah ada di kartu",
        "The SD card can be written again; what was kept in memory is on the card",
        "Ganti kartu SD sebelum hari pemungutan suara bila ini berulang.",
        "Replace the SD card before election day if this repeats.",
    ),
    Code(
        "SPOOL_RESET",
        Severity.WARNING,
        "Catatan di kartu rusak dan disisihkan; penomoran dimulai baru",
        "The records on the card were damaged and set aside; numbering began anew",
        "Ganti kartu SD sebelum hari pemungutan suara.",
        "Replace the SD card before election day.",
    ),
    Code(
        "MEMORY_RESET",
        Severity.WARNING,
        "Ingatan agen tentang jalur rusak dan disisihkan; mulai belajar dari awal",
        "What the agent remembered of its uplinks was damaged and set aside; it learns anew",
        "Ganti kartu SD sebelum hari pemungutan suara; sampai agen belajar lagi, gangguan kecil lebih lambat terlihat.",
        "Replace the SD card before election day; until it has learnt again, small troubles are seen later.",
    ),
    Code(
        "RECORDS_DROPPED",
        Severity.WARNING,
        "Catatan lama diringkas atau dibuang karena tempat penuh",
        "Old records were condensed or dropped because the space was full",
        "Pulihkan sambungan ke pusat.",
        "Restore the connection to the centre.",
    ),
    Code(
        "SEAL_FAILED",
        Severity.WARNING,
        "Catatan tidak dapat ditandatangani dengan kunci perangkat; dicoba lagi",
        "The records could not be signed with the device's key; it is tried again",
        "Bila berulang, daftarkan perangkat ini lagi.",
        "If it repeats, enrol this device again.",
    ),
    Code(
        "NOT_ENROLLED",
        Severity.WARNING,
        "Perangkat ini belum punya sertifikat; ia mengukur dan menyimpan, tetapi tak dapat melapor",
        "This device has no certificate yet; it measures and stores, but cannot report",
        "Jalankan `siaga-agent enrol` dengan kode pada Kartu Pasang.",
        "Run `siaga-agent enrol` with the code on the station's card.",
    ),
    Code(
        "CERTIFICATE_REFUSED",
        Severity.CRITICAL,
        "Pusat menolak sertifikat perangkat ini: dicabut, kedaluwarsa atau dari pusat lain",
        "The centre refuses this device's certificate: it was revoked, has expired, or is another centre's",
        "Bila perangkat ini memang milik TPS itu, minta kartu baru dan daftarkan lagi.",
        "If this device does belong to the station, ask for a new card and enrol again.",
    ),
    Code(
        "CENTRE_UNTRUSTED",
        Severity.CRITICAL,
        "Yang menjawab bukan pusat kami, atau sertifikatnya tidak berlaku; tidak ada yang dikirim kepadanya",
        "What answers is not our centre, or its certificate is not valid; nothing is sent to it",
        "Periksa waktu perangkat dan alamat pusat; bila keduanya benar, laporkan: mungkin ada yang menyadap.",
        "Check the device's time and the centre's address; if both are right, report it: somebody may be listening.",
    ),
    Code(
        "CLOCK_FORGIVEN",
        Severity.INFO,
        "Jam perangkat belum disetel; masa berlaku sertifikat pusat dinilai dari waktu terakhir yang diketahui",
        "The device's clock is not set; the centre's certificate was judged by the last time that was known",
        "Bila lama, periksa apakah NTP (UDP 123) lewat di jalur ini.",
        "If it lasts, check that NTP (UDP 123) passes by this uplink.",
    ),
    Code(
        "CERTIFICATE_RENEWED",
        Severity.INFO,
        "Sertifikat perangkat diperbarui",
        "The device's certificate was renewed",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "CERTIFICATE_NOT_RENEWED",
        Severity.WARNING,
        "Sertifikat perangkat belum dapat diperbarui; dicoba lagi setiap jam",
        "The device's certificate could not be renewed; it is tried again each hour",
        "Jalankan `siaga-agent renew` untuk melihat sebabnya.",
        "Run `siaga-agent renew` to see why.",
    ),
    Code(
        "CARD_USED_TWICE",
        Severity.CRITICAL,
        "Kartu Pasang TPS ini dipakai oleh dua perangkat; yang kedua ditolak, TPS ditahan",
        "This station's card was used by two devices; the second was refused, and the station is held",
        "Cari mana yang sah; bila yang pertama bukan: `siaga-central revoke`. Lalu `siaga-central release`.",
        "Find out which is the right one; if not the first: `siaga-central revoke`. Then `siaga-central release`.",
    ),
    Code(
        "UPLINK_DIAGNOSED",
        Severity.INFO,
        "Jalur yang mati diperiksa lebih dekat",
        "An uplink that had died was looked at more closely",
        "Ikuti kalimat pada fakta ini; ulangi dengan `siaga-agent diagnose`.",
        "Do what this fact's sentence says; look again with `siaga-agent diagnose`.",
    ),
    Code(
        "COMMAND_DONE",
        Severity.INFO,
        "Perintah pusat dilakukan",
        "A command of the centre was done",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "COMMAND_REFUSED",
        Severity.WARNING,
        "Perintah pusat ditolak",
        "A command of the centre was refused",
        "Baca sebabnya pada fakta ini.",
        "Read why in this fact.",
    ),
    Code(
        "COMMAND_FAILED",
        Severity.WARNING,
        "Perintah pusat dicoba dan gagal",
        "A command of the centre was tried and failed",
        "Baca sebabnya pada fakta ini.",
        "Read why in this fact.",
    ),
    Code(
        "COMMAND_EXPIRED",
        Severity.INFO,
        "Perintah pusat tiba sesudah waktunya dan tidak dilakukan",
        "A command of the centre came after its time and was not done",
        "Ulangi bila masih perlu.",
        "Give it again if it is still wanted.",
    ),
    Code(
        "COMMAND_IGNORED",
        Severity.WARNING,
        "Sesuatu yang menyerupai perintah diabaikan: bukan dari pusat, atau tidak boleh begitu",
        "What looked like a command was ignored: it is not the centre's, or not as a command may be",
        "Bila sering: periksa siapa yang dapat menulis ke broker pusat.",
        "If it is frequent: find out who can write to the centre's broker.",
    ),
    Code(
        "CONFIG_TRIED",
        Severity.INFO,
        "Konfigurasi baru dari pusat dicoba",
        "A new configuration of the centre is on trial",
        "Tidak perlu tindakan; bila pusat tidak tercapai, yang lama berlaku kembali.",
        "Nothing to do; if the centre is not reached, the one before comes back.",
    ),
    Code(
        "CONFIG_APPLIED",
        Severity.INFO,
        "Konfigurasi dari pusat berlaku: pusat tercapai dengannya",
        "The centre's configuration is in force: the centre was reached with it",
        "Tidak perlu tindakan.",
        "Nothing to do.",
    ),
    Code(
        "CONFIG_LOCAL",
        Severity.WARNING,
        "Berkas konfigurasi di perangkat diubah, jadi versi dari pusat tidak berlaku lagi",
        "The device's own configuration file was edited, so the centre's version is no longer in force",
        "Bila tidak sengaja, kirim versi baru dari pusat.",
        "If that was not meant, give a new version from the centre.",
    ),
)


def _code(found: Finding) -> Code:
    """What a diagnosis can find, with its values left open."""
    severity = Severity.INFO if found.call is Call.NOBODY else Severity.WARNING
    texts = (found.where_id, found.where_en, found.do_id, found.do_en)
    return Code(found.code, severity, *(text.replace("{", "‹").replace("}", "›") for text in texts))


def _refusal(why: Why) -> Code:
    said = REFUSALS[why]
    return Code(why, Severity.WARNING, said.meaning_id, said.meaning_en, said.action_id, said.action_en)


CODES: dict[str, Code] = {
    code.code: code for code in (*_TABLE, *map(_code, FINDINGS.values()), *map(_refusal, REFUSALS))
}


def as_markdown() -> str:
    """The table as docs/operating.md shows it."""
    lines = [
        "# Operating: what each code means, and what to do",
        "",
        "Generated from `wire/codes.py` by `make docs`; change it there. / Dibuat dari `wire/codes.py`.",
        "",
        "What becomes of reports when agents, brokers, cards and the centre fail at random, and how that is tried: "
        "[reporting.md](reporting.md#under-random-faults).",
        "",
        "| kode / code | berat / severity | arti / meaning | tindakan / what to do |",
        "| --- | --- | --- | --- |",
    ]
    for code in CODES.values():
        meaning, action = f"{code.meaning_id}<br>*{code.meaning_en}*", f"{code.action_id}<br>*{code.action_en}*"
        lines.append(f"| `{code.code}` | {code.severity} | {meaning} | {action} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
