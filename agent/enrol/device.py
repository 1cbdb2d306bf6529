"""The device's key and what it asks to have certified; the only file of the agent that imports cryptography."""

import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.edge import identity, memory
from wire.enrolment import Admission
from wire.messages import BadMessage

SERIALS = (Path("/proc/device-tree/serial-number"), Path("/sys/class/dmi/id/product_serial"))
SERIAL_LETTERS = 64


class DeviceError(Exception):
    """The key on the card cannot be used; the sentence says why."""


def request(state_dir: Path) -> str:
    """PKCS#10 in PEM, signed with the device's key, which is made if there is none. Raises DeviceError, OSError."""
    key = _key(state_dir / identity.KEY)
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return asked.public_bytes(serialization.Encoding.PEM).decode()


def board() -> str:
    """The board's serial number; empty when nobody tells."""
    for file in SERIALS:
        try:
            told = file.read_text(errors="replace").strip("\0 \n")
        except OSError:
            continue
        if told.isascii() and told.isprintable():
            return told[:SERIAL_LETTERS]
    return ""


def install(state_dir: Path, admission: Admission) -> None:
    """Keep what the centre answered, if it fits our key. Raises BadMessage, DeviceError, OSError."""
    key = _key(state_dir / identity.KEY)
    try:
        certificate = x509.load_pem_x509_certificate(admission.certificate.encode())
        authority = x509.load_pem_x509_certificate(admission.authority.encode())
        certificate.verify_directly_issued_by(authority)
    except Exception as why:  # cryptography tells bad certificates in a dozen ways
        raise BadMessage(f"the answer's certificate cannot be used: {type(why).__name__}") from None
    if certificate.public_key() != key.public_key():
        raise BadMessage("the answer is for another device: its certificate does not fit our key")
    told = identity.Told(
        admission.station, admission.serial, admission.not_before_s, admission.not_after_s, admission.renew_at
    )
    identity.install(state_dir, told, admission.certificate, admission.authority)


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    if not file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        memory.replace(file, made.private_bytes(encoding, form, serialization.NoEncryption()))
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DeviceError(f"{file} is damaged; move it away and enrol with a new card") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DeviceError(f"{file} is no P-256 key; move it away and enrol with a new card")
    if file.stat().st_mode & 0o077 and file.stat().st_uid == os.geteuid():
        file.chmod(0o600)
    return key
