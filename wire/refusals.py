"""Why a station does not do what the centre commands: the words for each name, in two languages.

NOT_ENROLLED is not here: a device that is not enrolled says so by itself, and wire/codes.py has it."""

from dataclasses import dataclass

from wire.command import Why


@dataclass(frozen=True, slots=True)
class Refusal:
    meaning_id: str
    meaning_en: str
    action_id: str
    action_en: str


REFUSALS: dict[Why, Refusal] = {
    Why.BAD_SIGNATURE: Refusal(
        "Tanda tangan perintah tidak sah bagi perangkat ini",
        "The command's signature is not good for this device",
        "Bila pusat benar mengirimnya: perangkat terdaftar pada pusat lain; daftarkan ulang.",
        "If the centre did send it: the device is enrolled at another centre; enrol it again.",
    ),
    Why.BAD_ARGUMENTS: Refusal(
        "Isi perintah tidak lengkap atau di luar batas",
        "Something in the command is missing or beyond its bounds",
        "Baca keterangannya dan ulangi dengan isi yang benar.",
        "Read what it says and give the command again.",
    ),
    Why.UNKNOWN_KIND: Refusal(
        "Agen ini tidak mengenal perintah itu",
        "This agent does not know such a command",
        "Perbarui agen di TPS.",
        "Update the agent at the station.",
    ),
    Why.NO_SUCH_UPLINK: Refusal(
        "TPS ini tidak punya jalur dengan nama itu",
        "The station has no uplink of that name",
        "Lihat nama jalurnya di halaman TPS.",
        "Look for its name on the station's page.",
    ),
    Why.PHASE_FORBIDS: Refusal(
        "Tidak dilakukan selama suara dihitung atau dikirim",
        "It is not done while votes are counted or sent",
        "Tunggu sampai tahap normal.",
        "Wait for the phase normal.",
    ),
    Why.BUDGET_FORBIDS: Refusal(
        "Jatah data jalur itu tidak cukup",
        "What may be spent on that uplink is not enough",
        "Tunggu sampai besok, atau naikkan `budget` jalur itu.",
        "Wait until tomorrow, or raise that uplink's `budget`.",
    ),
    Why.UPLINK_NOT_UP: Refusal(
        "Jalur itu sedang tidak baik",
        "That uplink is not up",
        "Periksa jalurnya dengan `diagnose`.",
        "Look at it with `diagnose`.",
    ),
    Why.UPLINK_IN_USE: Refusal(
        "Orang di TPS sedang memakai jalur itu",
        "The people at the station need that uplink now",
        "Coba lagi nanti.",
        "Try again later.",
    ),
    Why.NO_STANDBY: Refusal(
        "Tidak ada jalur cadangan yang hidup untuk dilatih",
        "There is no living standby to rehearse with",
        "Pulihkan jalur cadangan dahulu.",
        "Repair the standby first.",
    ),
    Why.OPERATOR_DECIDES: Refusal(
        "Petugas telah memilih jalur sendiri dan belum mengembalikannya",
        "An operator has chosen the uplink by hand and has not given it back",
        "Perintahkan `auto` dahulu bila pilihan itu tidak diperlukan lagi.",
        "Command `auto` first if that choice is not needed any more.",
    ),
    Why.BUSY: Refusal(
        "Perintah lain sedang dikerjakan",
        "Another command is being done",
        "Ulangi sesudah yang lain selesai.",
        "Give it again when the other is done.",
    ),
    Why.CARD_REFUSES: Refusal(
        "Kartu SD tidak dapat ditulis, jadi perintah bisa terulang; tidak dilakukan",
        "The SD card cannot be written, so the command might be done twice; it is not done",
        "Ganti kartu SD.",
        "Replace the SD card.",
    ),
    Why.TOO_LATE: Refusal(
        "Perintah tiba sesudah waktunya",
        "The command came after its time",
        "Ulangi bila masih perlu.",
        "Give it again if it is still wanted.",
    ),
    Why.INTERRUPTED: Refusal(
        "Agen dimulai ulang selagi perintah dikerjakan",
        "The agent was restarted while it did the command",
        "Lihat catatan TPS, lalu ulangi bila perlu.",
        "Read the station's records, then give it again if need be.",
    ),
    Why.NO_RESULT: Refusal(
        "Pengukuran tidak memberi hasil",
        "What was begun gave no result",
        "Baca keterangannya; ulangi nanti.",
        "Read what it says; try again later.",
    ),
    Why.DRILL_FAILED: Refusal(
        "Latihan pindah jalur tidak berhasil",
        "The rehearsed move to the standby did not go well",
        "Periksa jalur cadangan dengan `diagnose` sebelum hari pemungutan suara.",
        "Look at the standby with `diagnose` before election day.",
    ),
    Why.CONFIG_REJECTED: Refusal(
        "Konfigurasi dari pusat ditolak; yang lama tetap berlaku",
        "The centre's configuration was rejected; the one before stays in force",
        "Perbaiki kalimat yang disebut dan kirim versi baru.",
        "Correct what the sentence names and give a new version.",
    ),
    Why.CONFIG_ROLLED_BACK: Refusal(
        "Dengan konfigurasi baru pusat tidak tercapai; yang lama berlaku kembali",
        "With the new configuration the centre was not reached; the one before is in force again",
        "Periksa jalur dan alamat pusat dalam versi itu, lalu kirim versi baru.",
        "Look at the uplinks and the centre's address in that version, then give a new one.",
    ),
}
