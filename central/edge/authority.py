"""The centre's small certificate authority: its key, and what is signed with it. Only here is cryptography imported.

Whoever holds the key can make stations: it is read by the enrolment process and by commands, never by the pages.
"""

import datetime
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wire.topics import is_station

DAY_S = 86_400.0
AUTHORITY_DAYS = 3650
DEVICE_DAYS = 90
OWN_DAYS = 90  # of the broker's, the listener's and the collector's certificates, which renew themselves
CRL_DAYS = 30  # a new one is written every ten days, and at each revocation
EARLIER_S = 3600.0  # a device whose clock is a little slow must not find its certificate in the future
LARGEST_REQUEST = 8192  # letters of PEM; a P-256 request has some five hundred


class AuthorityError(Exception):
    """The authority's files cannot be used; the sentence says why."""


class BadRequest(Exception):
    """A device asks for what it cannot get; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, and what the store keeps of it."""

    pem: str
    serial: str
    not_before_s: float
    not_after_s: float
    key_id: str


class Authority:
    """Opened, or made where there is none yet. Raises AuthorityError."""

    def __init__(self, folder: Path) -> None:
        self._key_file, self._file = folder / "ca.key", folder / "ca.crt"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._key_file.exists():
                self._make()
            self._key = _private(self._key_file.read_bytes())
            self.pem = self._file.read_text(encoding="ascii")
            self.certificate = x509.load_pem_x509_certificate(self.pem.encode())
        except OSError as why:
            raise AuthorityError(f"{why.filename or folder} cannot be used: {why.strerror}") from None
        except Exception as why:  # cryptography tells bad certificates in a dozen ways
            raise AuthorityError(f"the authority in {folder} is damaged: {_line(why)}; restore a copy") from None
        if self.certificate.public_key() != self._key.public_key():
            raise AuthorityError(f"{self._file} does not belong to {self._key_file}; restore a copy of both")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal: what cards carry."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def not_after_s(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()

    def admit(self, request: str, station: str, now_s: float) -> Issued:
        """A device's certificate: its name is the station's number, whatever the request says. Raises BadRequest."""
        assert is_station(station)
        serial = x509.random_serial_number()
        user = x509.UniformResourceIdentifier(device_name(station, f"{serial:x}"))
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(requested_key(request), serial, station, [user], usage, DEVICE_DAYS, now_s)

    def own(self, key: ec.EllipticCurvePublicKey, name: str, hosts: Sequence[str], now_s: float) -> Issued:
        """A certificate of the centre itself: of a server with these hosts, or of a client without any."""
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        names = [_host(host) for host in hosts] or [x509.UniformResourceIdentifier(own_name(name))]
        return self._sign(key, x509.random_serial_number(), name, names, [usage], OWN_DAYS, now_s)

    def crl(self, revoked: Iterable[tuple[str, float]], now_s: float) -> bytes:
        """The list of revoked certificates, in PEM, from (serial, when)."""
        now = _date(now_s)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now).next_update(now + datetime.timedelta(days=CRL_DAYS))
        for serial, at_s in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(_date(at_s))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _make(self) -> None:
        """The key last: where it is, the certificate is too."""
        key = ec.generate_private_key(ec.SECP256R1())
        name, now = _named("Siaga CA"), _date(_now_s())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
        builder = builder.not_valid_after(now + datetime.timedelta(days=AUTHORITY_DAYS))
        builder = builder.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
        certificate = builder.add_extension(key_id, False).sign(key, hashes.SHA256())
        write(self._file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        write(self._key_file, private_pem(key), 0o600)

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        serial: int,
        name: str,
        names: Sequence[x509.GeneralName],
        usage: Sequence[x509.ObjectIdentifier],
        days: int,
        now_s: float,
    ) -> Issued:
        begins, ends = _date(now_s - EARLIER_S), min(_date(now_s + days * DAY_S), _date(self.not_after_s))
        builder = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(self.certificate.subject)
        builder = builder.public_key(key).serial_number(serial).not_valid_before(begins).not_valid_after(ends)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, False, False, False, False), True
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        of_ca = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(of_ca, False).sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Issued(pem, f"{serial:x}", begins.timestamp(), ends.timestamp(), key_id(key))


def device_name(station: str, serial: str) -> str:
    """How a broker knows one certificate of one station: another certificate of it is another user."""
    return f"siaga:{station}:{serial}"


def own_name(name: str) -> str:
    return f"siaga:centre:{name}"


def requested_key(request: str) -> ec.EllipticCurvePublicKey:
    """The public key of a request that its holder has signed; raises BadRequest."""
    if len(request) > LARGEST_REQUEST:
        raise BadRequest("the request is too long")
    try:
        asked = x509.load_pem_x509_csr(request.encode())
        key = asked.public_key()
        signed = asked.is_signature_valid
    except Exception:  # cryptography tells bad requests in a dozen ways, and whoever comes chooses these bytes
        raise BadRequest("the request is no PKCS#10 in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("the request's key is not on the curve P-256")
    if not signed:
        raise BadRequest("the request is not signed with its own key")
    return key


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The same device is known by it."""
    return x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()


def key_id_of(certificate: bytes) -> str:
    """Of a certificate in DER that was verified before."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key_id(key)


def is_good(file: Path, authority: Authority, hosts: Sequence[str], until: float, now_s: float) -> bool:
    """Whether a certificate of ours is of this authority and these hosts, and not yet beyond this part of its life."""
    try:
        held = x509.load_pem_x509_certificate(file.read_bytes())
        held.verify_directly_issued_by(authority.certificate)
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # none, or one that cannot be used: it is made anew
        return False
    begins_s, ends_s = held.not_valid_before_utc.timestamp(), held.not_valid_after_utc.timestamp()
    is_named = not hosts or list(names) == [_host(host) for host in hosts]
    return is_named and begins_s <= now_s < begins_s + until * (ends_s - begins_s)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def write(file: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, never readable to more than `mode` says; root leaves it to who owns the folder."""
    beside = file.with_name(f"{file.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as new:
        if os.geteuid() == 0:
            owner = file.parent.stat()
            os.fchown(new.fileno(), owner.st_uid, owner.st_gid)
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    beside.replace(file)


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("its key is of another kind")
    return key


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _date(at_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(at_s), datetime.UTC)


def _now_s() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()


def _line(why: Exception) -> str:
    return " ".join(str(why).split())[:120]
