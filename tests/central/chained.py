"""A station's chained and sealed history, with real keys, for the tests of chain, store and evidence."""

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.core.report import Line as Made
from agent.core.report import Numbering
from tests.central.station import SANGATTA, stamp
from wire import chain
from wire.messages import Fact, Former, Seal

NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
EPOCH = "0a1b2c3d4e5f6071"


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, by_name: str, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, by_name))
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW)
    return builder.not_valid_after(NOW + datetime.timedelta(days=90)).sign(by, hashes.SHA256())


def pem(of: x509.Certificate) -> str:
    return of.public_bytes(Encoding.PEM).decode()


AUTHORITY_KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = certificate("Siaga CA", AUTHORITY_KEY, "Siaga CA", AUTHORITY_KEY)


@dataclass
class Device:
    station: str = SANGATTA
    epoch: str = EPOCH
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    made: list[Made] = field(default_factory=list)
    former: Former | None = None

    def __post_init__(self) -> None:
        self.numbering = Numbering.begin(self.station, self.epoch, self.former)
        self.certificate = pem(certificate(self.station, self.key, "Siaga CA", AUTHORITY_KEY))
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_name = chain.link(chain.digest(public))

    def next_run(self, epoch: str, known: int | None = None) -> "Device":
        """Whose card knows all of this one's records, or only so many."""
        upto = self.numbering.last_seq if known is None else known
        former = Former(self.epoch, upto, chain.text(self.made[upto - 1].chain))
        return Device(self.station, epoch, self.key, former=former)

    def note(self, count: int = 1) -> "Device":
        """Facts, each with its number."""
        for _ in range(count):
            body = Fact("UPLINK_DEAD", "fibre", "up", "dead", {"number": self.numbering.last_seq + 1})
            self.made.append(self.numbering.record(body, stamp(60.0 * (self.numbering.last_seq + 1))))
        return self

    def seal(self, behind: int = 0, with_certificate: bool = True) -> "Device":
        """Of the newest record, or of one as far behind it."""
        upto = self.numbering.last_seq - behind
        after = next(line.chain for line in self.made if line.seq == upto)
        signature = self.key.sign(chain.sealed(self.station, self.epoch, upto, after), ec.ECDSA(hashes.SHA256()))
        sent = self.certificate if with_certificate else None
        body = Seal(upto, chain.text(after), chain.text(signature), self.key_name, sent)
        self.made.append(self.numbering.record(body, stamp(60.0 * (self.numbering.last_seq + 1))))
        return self
