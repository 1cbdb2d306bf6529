"""Judges seals by the certificates of devices and the authority that issued them."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from central.core.chain import Verdict
from wire import chain
from wire.messages import Seal


class BadCertificate(ValueError):
    """The sentence says what is wrong with it."""


class Signatures:
    """Of one station. Without an authority nothing can be judged; its dates are not: a board's clock is a label."""

    def __init__(self, station: str, authority: str | None, certificates: Iterable[str] = ()) -> None:
        self._station = station
        self._authority = read(authority) if authority else None
        self._keys: dict[str, ec.EllipticCurvePublicKey] = {}
        self._strange: set[str] = set()
        for certificate in certificates:
            self.learn(certificate)

    def learn(self, certificate: str) -> None:
        """One that is not for this station, or not of this authority, makes every seal of its key a false one."""
        if self._authority is None:
            return
        try:
            told = read(certificate)
            name, key = key_of(told)
        except BadCertificate:
            return
        try:
            told.verify_directly_issued_by(self._authority)
            is_ours = _common_name(told) == self._station
        except Exception:  # as in `read`
            is_ours = False
        if is_ours:
            self._keys[name] = key
        else:
            self._strange.add(name)

    def judge(self, seal: Seal, text: bytes) -> Verdict:
        if seal.certificate is not None:
            self.learn(seal.certificate)
        key = self._keys.get(seal.key)
        if key is None:
            return Verdict.FALSE if seal.key in self._strange else Verdict.UNKNOWN
        try:
            key.verify(chain.binary(seal.signature), text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return Verdict.FALSE
        return Verdict.VALID


def read(certificate: str) -> x509.Certificate:
    """The first in this PEM; raises BadCertificate."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode())
    except Exception as why:  # of its many kinds not all are ValueErrors, and a station chooses these bytes
        raise BadCertificate(f"no certificate in PEM: {' '.join(str(why).split())}") from None


def key_of(certificate: x509.Certificate) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Its key, with the name by which seals call it; raises BadCertificate."""
    try:
        key = certificate.public_key()
    except Exception as why:
        raise BadCertificate(f"its key cannot be read: {why}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadCertificate("its key is not of an elliptic curve")
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return chain.link(chain.digest(public)), key


def fingerprint(certificate: str) -> str:
    """By which people compare it with one that they have on paper."""
    return read(certificate).fingerprint(hashes.SHA256()).hex(":")


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""
