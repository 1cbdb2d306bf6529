"""What a diagnosis of an uplink can find: where the fault is, whom to call, and the one sentence that says so.

Each finding is a code of wire/codes.py too. Names in braces are values of the evidence.
"""

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Who owns the place of the fault, from this device outwards."""

    LAN = "lan"
    MODEM = "modem"
    ACCESS = "access"
    CORE = "core"
    DESTINATION = "destination"
    NONE = "none"


class Call(StrEnum):
    """Who can mend it."""

    TECHNICIAN = "technician"
    POWER = "power"
    """Whoever is at the station: the modem's power and its cable."""
    OPERATOR = "operator"
    DESTINATION = "destination"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    layer: str
    side: Side
    call: Call
    where_id: str
    do_id: str
    where_en: str
    do_en: str


_TABLE = (
    Finding(
        "LINK_GONE", "link", Side.LAN, Call.TECHNICIAN,
        "Antarmuka {interface} tidak ada",
        "teknisi: pasang lagi modem atau adaptornya, lalu periksa `interface` dalam konfigurasi",
        "There is no interface {interface}",
        "technician: plug the modem or adapter in again, then check `interface` in the configuration",
    ),
    Finding(
        "LINK_OFF", "link", Side.LAN, Call.TECHNICIAN,
        "Antarmuka {interface} dimatikan di perangkat ini",
        "teknisi: hidupkan dengan `ip link set {interface} up`",
        "Interface {interface} is switched off on this device",
        "technician: switch it on with `ip link set {interface} up`",
    ),
    Finding(
        "LINK_NO_CARRIER", "link", Side.LAN, Call.POWER,
        "Tidak ada sinyal di kabel {interface}",
        "periksa kabelnya dan daya modem",
        "There is no signal on the cable of {interface}",
        "check the cable and the modem's power",
    ),
    Finding(
        "LINK_NO_LEASE", "link", Side.LAN, Call.TECHNICIAN,
        "{interface} belum mengambil alamat atau gerbang yang ditawarkan server DHCP {server}",
        "teknisi: mulai ulang pengatur jaringan perangkat ini",
        "{interface} has not taken the address or gateway that the DHCP server {server} offers",
        "technician: restart this device's network manager",
    ),
    Finding(
        "LINK_NO_OFFER", "link", Side.MODEM, Call.POWER,
        "{interface} tidak punya alamat atau gerbang, dan modem tidak menawarkannya",
        "mulai ulang modem; pada modem seluler periksa kartu SIM dan APN",
        "{interface} has no address or no gateway, and the modem offers none",
        "restart the modem; of a mobile modem check the SIM card and the APN",
    ),
    Finding(
        "GATEWAY_SILENT", "gateway", Side.MODEM, Call.POWER,
        "Modem (gerbang {gateway}) tidak menjawab walau {interface} bersinyal",
        "matikan modem sepuluh detik lalu nyalakan lagi; bila tetap diam, periksa catu dayanya",
        "The modem (gateway {gateway}) does not answer though {interface} has a signal",
        "switch the modem off for ten seconds and on again; if it stays silent, check its power supply",
    ),
    Finding(
        "GATEWAY_DOUBLE", "gateway", Side.LAN, Call.TECHNICIAN,
        "Dua perangkat mengaku sebagai gerbang {gateway}: {mac} dan {other_mac}",
        "teknisi: lepaskan perangkat yang bukan modem",
        "Two devices claim to be the gateway {gateway}: {mac} and {other_mac}",
        "technician: unplug the one that is not the modem",
    ),
    Finding(
        "GATEWAY_MOVED", "gateway", Side.LAN, Call.TECHNICIAN,
        "Perangkat ini memakai gerbang {gateway}, tetapi server DHCP {server} menawarkan {router}",
        "teknisi: mulai ulang pengatur jaringan perangkat ini, atau perbaiki `gateway` dalam konfigurasi",
        "This device uses the gateway {gateway}, but the DHCP server {server} offers {router}",
        "technician: restart this device's network manager, or correct `gateway` in the configuration",
    ),
    Finding(
        "ANSWERS_FILTERED", "internet", Side.LAN, Call.TECHNICIAN,
        "Kernel perangkat ini membuang jawaban yang datang lewat {interface} (rp_filter ketat)",
        "teknisi: jalankan agen, atau `sysctl -w net.ipv4.conf.{interface}.rp_filter=2`, lalu ulangi",
        "This device's own kernel drops the answers that come by {interface} (strict rp_filter)",
        "technician: start the agent, or `sysctl -w net.ipv4.conf.{interface}.rp_filter=2`, and look again",
    ),
    Finding(
        "ACCESS_SILENT", "internet", Side.ACCESS, Call.OPERATOR,
        "Gerbang {gateway} menjawab, tetapi tidak ada apa pun di baliknya",
        "mulai ulang modem sekali; bila tetap, hubungi {operator}",
        "The gateway {gateway} answers, but nothing behind it does",
        "restart the modem once; if that does not help, call {operator}",
    ),
    Finding(
        "NOTHING_ANSWERS", "internet", Side.ACCESS, Call.OPERATOR,
        "Tidak ada apa pun yang menjawab lewat {interface}",
        "mulai ulang modem sekali dan periksa kartu SIM; bila tetap, hubungi {operator}",
        "Nothing at all answers by {interface}",
        "restart the modem once and check the SIM card; if that does not help, call {operator}",
    ),
    Finding(
        "CORE_SILENT", "internet", Side.CORE, Call.OPERATOR,
        "Putus di jaringan operator: yang terakhir menjawab hop {last_hop} ({last_address})",
        "hubungi {operator} dan sebutkan hop itu",
        "It breaks off in the operator's network: the last to answer is hop {last_hop} ({last_address})",
        "call {operator} and name that hop",
    ),
    Finding(
        "DESTINATION_SILENT", "internet", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, hanya {target} yang tidak menjawab",
        "beri tahu pemilik {target}; operator tidak perlu dihubungi",
        "This uplink is good, only {target} does not answer",
        "tell the owner of {target}; the operator need not be called",
    ),
    Finding(
        "ECHO_BLOCKED", "internet", Side.CORE, Call.TECHNICIAN,
        "Internet hidup lewat jalur ini ({works} berhasil), tetapi tidak satu gema (ping) pun dijawab",
        "teknisi: pilih `targets` lain yang menjawab gema, atau minta {operator} membukanya",
        "The Internet is alive by this uplink ({works} works), but not one echo (ping) is answered",
        "technician: choose other `targets` that answer echoes, or ask {operator} to let them pass",
    ),
    Finding(
        "PORTAL_FOUND", "http", Side.ACCESS, Call.TECHNICIAN,
        "Halaman login atau kuota mencegat jalur ini ({status}, {location})",
        "teknisi: masuk atau isi kuota lewat peramban di jalur ini; bila tidak bisa, hubungi {operator}",
        "A login or quota page stands in this uplink's way ({status}, {location})",
        "technician: log in or buy quota with a browser on this uplink; if that fails, call {operator}",
    ),
    Finding(
        "MTU_BLACK_HOLE", "mtu", Side.CORE, Call.OPERATOR,
        "Paket di atas {mtu} byte hilang tanpa kabar",
        "hubungi {operator}; sementara itu teknisi dapat memakai `ip link set {interface} mtu {mtu}`",
        "Packets of more than {mtu} bytes vanish without a word",
        "call {operator}; meanwhile a technician may use `ip link set {interface} mtu {mtu}`",
    ),
    Finding(
        "DNS_SILENT", "dns", Side.CORE, Call.OPERATOR,
        "Internet hidup, tetapi resolver DNS {resolver} tidak menjawab",
        "hubungi {operator}; sementara itu teknisi dapat memakai resolver lain",
        "The Internet is alive, but the DNS resolver {resolver} does not answer",
        "call {operator}; meanwhile a technician may use another resolver",
    ),
    Finding(
        "DNS_REFUSES", "dns", Side.CORE, Call.OPERATOR,
        "Resolver DNS {resolver} menolak pertanyaan ({rcode})",
        "hubungi {operator}; sementara itu teknisi dapat memakai resolver lain",
        "The DNS resolver {resolver} refuses what it is asked ({rcode})",
        "call {operator}; meanwhile a technician may use another resolver",
    ),
    Finding(
        "DNS_HIJACKED", "dns", Side.CORE, Call.OPERATOR,
        "Resolver DNS {resolver} memalsukan jawaban: {name} menjadi {got}, seharusnya {expected}",
        "hubungi {operator}; sementara itu teknisi dapat memakai resolver lain",
        "The DNS resolver {resolver} forges answers: {name} becomes {got} instead of {expected}",
        "call {operator}; meanwhile a technician may use another resolver",
    ),
    Finding(
        "DNS_NAME_MISSING", "dns", Side.DESTINATION, Call.DESTINATION,
        "Resolver DNS {resolver} bekerja, tetapi nama {name} tidak ada ({rcode})",
        "beri tahu pengelola nama itu di pusat",
        "The DNS resolver {resolver} works, but there is no name {name} ({rcode})",
        "tell whoever keeps that name at the centre",
    ),
    Finding(
        "CENTRE_SILENT", "tcp", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, tetapi pusat {centre} tidak menjawab",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "This uplink is good, but the centre {centre} does not answer",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "CENTRE_REFUSES", "tcp", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, tetapi pusat {centre} menolak sambungan",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "This uplink is good, but the centre {centre} refuses the connection",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "BROKER_SILENT", "mqtt", Side.DESTINATION, Call.DESTINATION,
        "Pusat {centre} menerima sambungan, tetapi broker MQTT tidak menjawab",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "The centre {centre} takes connections, but its MQTT broker does not answer",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "BROKER_REFUSES", "mqtt", Side.DESTINATION, Call.DESTINATION,
        "Broker MQTT di {centre} menolak perangkat ini (kode {answer})",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "The MQTT broker at {centre} refuses this device (code {answer})",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "CHECK_PAGE_SILENT", "http", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, tetapi halaman uji di {host} tidak menjawab",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "This uplink is good, but the check page at {host} does not answer",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "CHECK_PAGE_WRONG", "http", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, tetapi halaman uji di {host} menjawab dengan galat {status}",
        "beri tahu petugas pusat; operator tidak perlu dihubungi",
        "This uplink is good, but the check page at {host} answers with error {status}",
        "tell the people of the centre; the operator need not be called",
    ),
    Finding(
        "CLOCK_WRONG", "clock", Side.LAN, Call.TECHNICIAN,
        "Jam perangkat ini salah ({clock}); karena itu sertifikat tampak tidak berlaku",
        "teknisi: setel jam atau hidupkan NTP (`timedatectl`)",
        "This device's clock is wrong ({clock}), which makes certificates look invalid",
        "technician: set the clock or switch NTP on (`timedatectl`)",
    ),
    Finding(
        "TLS_SILENT", "tls", Side.DESTINATION, Call.DESTINATION,
        "Jalur ini baik, tetapi {host} tidak menjawab sambungan aman (TLS)",
        "beri tahu petugas pusat",
        "This uplink is good, but {host} does not answer a secure connection (TLS)",
        "tell the people of the centre",
    ),
    Finding(
        "TLS_BROKEN", "tls", Side.DESTINATION, Call.DESTINATION,
        "Sambungan aman (TLS) dengan {host} gagal: {why}",
        "beri tahu petugas pusat",
        "The secure connection (TLS) with {host} fails: {why}",
        "tell the people of the centre",
    ),
    Finding(
        "TLS_WRONG_NAME", "tls", Side.DESTINATION, Call.DESTINATION,
        "Yang menjawab sebagai {host} menunjukkan sertifikat milik nama lain",
        "jangan kirim hasil lewat jalur ini; beri tahu petugas pusat",
        "Who answers as {host} shows a certificate of another name",
        "do not send results by this uplink; tell the people of the centre",
    ),
    Finding(
        "TLS_UNTRUSTED", "tls", Side.DESTINATION, Call.DESTINATION,
        "Yang menjawab sebagai {host} menunjukkan sertifikat dari penerbit yang tidak dipercaya",
        "jangan kirim hasil lewat jalur ini; beri tahu petugas pusat",
        "Who answers as {host} shows a certificate of an issuer that is not trusted",
        "do not send results by this uplink; tell the people of the centre",
    ),
    Finding(
        "TLS_EXPIRED", "tls", Side.DESTINATION, Call.DESTINATION,
        "Sertifikat {host} di luar masa berlakunya",
        "beri tahu petugas pusat",
        "The certificate of {host} is outside its period of validity",
        "tell the people of the centre",
    ),
    Finding(
        "DIAGNOSIS_FAILED", "none", Side.NONE, Call.TECHNICIAN,
        "Pemeriksaan itu sendiri gagal: {why}",
        "teknisi: jalankan `siaga-agent diagnose {uplink}` dan baca keluarannya",
        "The diagnosis itself failed: {why}",
        "technician: run `siaga-agent diagnose {uplink}` and read what it prints",
    ),
    Finding(
        "NOTHING_FOUND", "none", Side.NONE, Call.NOBODY,
        "Tidak ditemukan gangguan ({good} pemeriksaan baik, {unknown} tidak dapat dinilai)",
        "tidak perlu menghubungi siapa pun",
        "Nothing wrong was found ({good} checks are good, {unknown} could not be judged)",
        "nobody need be called",
    ),
)  # fmt: skip

FINDINGS: dict[str, Finding] = {finding.code: finding for finding in _TABLE}
NAMELESS_ID, NAMELESS_EN = "operator jalur ini", "this uplink's operator"
