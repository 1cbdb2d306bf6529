"""Signs what the centre commands, with a key of its own that the centre's authority vouches for.

python -m central.edge.seal DATA: one command a line in, one signed command a line out; an empty line for one that is
too long. A process of its own: who serves the pages must not even have loaded what reads the keys.
"""

import base64
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from central.edge.authority import Authority, AuthorityError, private_pem, write
from central.edge.papers import RENEWED_AT, Papers
from wire.command import CONTEXT, SIGNER, Command, Signed, decode, encode
from wire.messages import LARGEST_BYTES, BadMessage

REFUSED = 2


class SealError(Exception):
    """Nothing can be signed; the sentence says why."""


class TooLong(SealError):
    """This command cannot be sent; others can."""


class Seal:
    """Whoever holds this key can move the traffic of every station: it is kept beside the authority's."""

    def __init__(self, data: Path) -> None:
        """Raises SealError."""
        self._papers = Papers(data)
        self._file = self._papers.authority / "command.crt"
        try:
            authority = Authority(self._papers.authority)  # made where there is none yet
            self._key = _key(self._papers.authority / "command.key")
            self._renew(authority)
        except (OSError, AuthorityError) as why:
            raise SealError(_sentence(why)) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SealError(f"the signing key in {self._file.parent} is damaged; restore a copy") from None

    def sign(self, command: Command) -> bytes:
        """Ready to be sent; raises SealError, also when it would be too long."""
        if time.time() > self._renewed_at_s:
            try:
                self._renew(Authority(self._papers.authority))
            except (OSError, AuthorityError) as why:
                raise SealError(_sentence(why)) from None
        body = encode(command).decode()
        signature = self._key.sign(CONTEXT + body.encode(), ec.ECDSA(hashes.SHA256()))
        sealed = encode(Signed(body, base64.b64encode(signature).decode(), self._certificate))
        if len(sealed) > LARGEST_BYTES:
            raise TooLong(f"signed it would have {len(sealed)} bytes; at most {LARGEST_BYTES} are sent")
        return sealed

    def _renew(self, authority: Authority) -> None:
        """Unless the certificate that is there is this key's and this authority's, and lasts."""
        if not self._file.exists() or not self._is_good(authority):
            issued = authority.own(self._key.public_key(), SIGNER, (), time.time())
            write(self._file, issued.pem.encode(), 0o600)
        self._certificate = self._file.read_text(encoding="ascii")
        found = x509.load_pem_x509_certificate(self._certificate.encode())
        begins_s, ends_s = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
        self._renewed_at_s = begins_s + RENEWED_AT * (ends_s - begins_s)

    def _is_good(self, authority: Authority) -> bool:
        try:
            found = x509.load_pem_x509_certificate(self._file.read_bytes())
            found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))
        except Exception:  # one that cannot be used is made anew
            return False
        begins_s, ends_s = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
        is_ours = found.public_key() == self._key.public_key()
        return is_ours and begins_s <= time.time() <= begins_s + RENEWED_AT * (ends_s - begins_s)


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    if not file.exists():
        write(file, private_pem(ec.generate_private_key(ec.SECP256R1())), 0o600)
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a key of another kind")
    return key


def _sentence(why: OSError | AuthorityError) -> str:
    return f"{why.filename} cannot be used: {why.strerror}" if isinstance(why, OSError) else str(why)


def main() -> int:
    try:
        seal = Seal(Path(sys.argv[1]))
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(_line(seal, line) + b"\n")
    except SealError as why:
        print(why, file=sys.stderr)
        return REFUSED
    return 0


def _line(seal: Seal, line: bytes) -> bytes:
    try:
        return seal.sign(decode(line, Command))
    except (TooLong, BadMessage):
        return b""


if __name__ == "__main__":
    sys.exit(main())
