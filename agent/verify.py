"""Says whether a command is the centre's, and whether the configuration in it is good. A child process of the daemon.

`cryptography` is loaded here only: the child takes 33 MiB for an eighth of a second on a desk machine.
"""

import base64
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.config import ConfigError, parse
from agent.core.given import Question, Verdict
from wire.command import CONFIG_BYTES, CONTEXT, SIGNER, Command, Kind, Signed, decode
from wire.messages import BadMessage

CLOCKS_APART = timedelta(days=1)  # what a certificate's dates are worth to a board that has just been set


class Unsure(Exception):
    """Why it cannot be said that the centre has signed this."""


def main() -> int:
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(judge(question)))
    return 0


def judge(question: Question) -> Verdict:
    try:
        signed = decode(question.signed.encode(), Signed)
        check(signed, question.authority, question.wall_s)
        command = decode(signed.body.encode(), Command)
    except (Unsure, BadMessage) as why:
        return Verdict(forged=" ".join(str(why).split()))
    return Verdict(flaws=_flaws(command, question) if command.kind == Kind.CONFIG else ())


def check(signed: Signed, authority: str, wall_s: float | None) -> None:
    """Raises Unsure. Without a clock (None) a certificate's dates say nothing: what is old is told by other means."""
    try:
        root = x509.load_pem_x509_certificate(authority.encode())
        signer = x509.load_pem_x509_certificate(signed.certificate.encode())
        signer.verify_directly_issued_by(root)
        names = [name.value for name in signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        key = signer.public_key()
        signature = base64.b64decode(signed.signature, validate=True)
    except Exception:  # cryptography tells bad certificates in a dozen ways
        raise Unsure("its certificate is not from this device's authority") from None
    if names != [SIGNER]:
        raise Unsure(f"its certificate is for {', '.join(map(str, names)) or 'nobody'}, who may not command")
    if wall_s is not None and not _is_valid(signer, datetime.fromtimestamp(wall_s, UTC)):
        raise Unsure("its certificate is not valid today")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Unsure("its certificate has a key of another kind")
    try:
        key.verify(signature, CONTEXT + signed.body.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Unsure("its signature does not fit what it says") from None


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc - CLOCKS_APART <= now <= certificate.not_valid_after_utc + CLOCKS_APART


def _flaws(command: Command, question: Question) -> tuple[str, ...]:
    """Of the configuration, as `siaga-agent check` names them; and what cannot be changed from afar."""
    version, text, told = (command.arguments.get(key) for key in ("version", "text", "hash"))
    if not isinstance(version, int | float) or not isinstance(text, str) or version < 1 or version != int(version):
        return ("it has no version or no text",)
    if len(text.encode()) > CONFIG_BYTES:
        return (f"it has more than {CONFIG_BYTES} bytes",)
    if sha256(text.encode()).hexdigest() != told:
        return ("its hash does not fit its text",)
    try:
        station = parse(text, f"version {version:g}")
    except ConfigError as why:
        return tuple(why.mistakes)
    flaws = []
    if station.station != question.station:
        flaws.append(f"station = {station.station}: this is {question.station}")
    if Path(station.state_dir) != Path(question.state_dir):
        flaws.append(f"state_dir = {station.state_dir}: cannot be changed from afar; it is {question.state_dir}")
    return tuple(flaws)


if __name__ == "__main__":
    sys.exit(main())
