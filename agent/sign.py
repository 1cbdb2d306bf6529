"""Signs what comes on standard input with the device's key, once; started by the daemon, which must stay small.

Measured: cryptography costs 13 MiB and 40 ms of a processor, in this child and for the tenth of a second that it lives.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from wire import chain

MOST_CERTIFICATE_BYTES = 8192  # so that the record that carries it stays far below what a message may be


def main(state_dir: Path) -> int:
    """Prints the signature, the key's name and the certificate; what went wrong in one line, and 1."""
    try:
        key = load_pem_private_key((state_dir / "device.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("device.key is no key of an elliptic curve")
        certificate = _certificate(state_dir / "device.crt")
    except (OSError, ValueError, TypeError) as why:
        print(f"device.key: {why}".replace("\n", " "))
        return 1
    signature = key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256()))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = chain.link(hashlib.sha256(public).digest())
    print(json.dumps({"signature": chain.text(signature), "key": name, "certificate": certificate}), flush=True)
    return 0


def _certificate(path: Path) -> str | None:
    if not path.exists():
        return None
    text = path.read_text()
    if len(text) > MOST_CERTIFICATE_BYTES:
        raise ValueError(f"{path.name} has {len(text)} letters; at most {MOST_CERTIFICATE_BYTES} are sent")
    return text


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except BrokenPipeError:  # the agent that wanted it was killed
        sys.stderr.close()
