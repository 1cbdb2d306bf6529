"""The centre's own certificates, which renew themselves, and the list of the revoked. Who only reads needs no key.

ca/       the authority: ca.key, ca.crt, crl.pem
tls/      server.crt and server.key of broker and enrolment desk, collector.crt and collector.key, session-name
"""

import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from central.edge.authority import Authority

RENEWED_AT = 2 / 3  # of its life


@dataclass(frozen=True, slots=True)
class Papers:
    """Where everything is."""

    data: Path

    @property
    def authority(self) -> Path:
        return self.data / "ca"

    @property
    def authority_file(self) -> Path:
        return self.authority / "ca.crt"

    @property
    def crl(self) -> Path:
        return self.authority / "crl.pem"

    def certificate(self, name: str) -> Path:
        return self.data / "tls" / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.data / "tls" / f"{name}.key"


def client_context(papers: Papers) -> ssl.SSLContext:
    """For the collector at the broker; raises OSError when the files are not there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(papers.authority_file)
    show_certificate(context, papers)
    return context


def show_certificate(context: ssl.SSLContext, papers: Papers) -> None:
    """The newest one, from the next connection on. Raises OSError."""
    context.load_cert_chain(papers.certificate("collector"), papers.key("collector"))


def session_name(papers: Papers) -> str:
    """Nobody can guess it: whoever connects under it throws the collector out and gets its place, if not its mail."""
    file = papers.data / "tls" / "session-name"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(f"siaga-central-{secrets.token_hex(16)}")
    return file.read_text()


def renew_own(papers: Papers, authority: "Authority", hosts: Sequence[str], now_s: float) -> bool:
    """Make what is missing, nearly over or of other hosts; whether anything was made."""
    papers.certificate("server").parent.mkdir(mode=0o700, exist_ok=True)
    made = [_renew(papers, authority, name, named, now_s) for name, named in (("server", hosts), ("collector", ()))]
    return any(made)


def write_crl(papers: Papers, authority: "Authority", revoked: Sequence[tuple[str, float]], now_s: float) -> None:
    from central.edge.authority import write

    write(papers.crl, authority.crl(revoked, now_s), 0o644)


def _renew(papers: Papers, authority: "Authority", name: str, hosts: Sequence[str], now_s: float) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec

    from central.edge.authority import is_good, private_pem, write

    file = papers.certificate(name)
    if papers.key(name).exists() and is_good(file, authority, hosts, RENEWED_AT, now_s):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.own(key.public_key(), name, hosts, now_s)
    write(papers.key(name), private_pem(key), 0o600)
    write(file, issued.pem.encode(), 0o644)
    return True
