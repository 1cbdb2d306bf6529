"""The two commands about evidence: `export` writes one file, `verify` checks one, with no store and no network."""

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

from central.core.chain import HARMLESS, Finding, Kind
from central.core.evidence import Bad, Part, examine, read, written
from central.edge.signatures import BadCertificate, Signatures, fingerprint

PROVEN, NOT_PROVEN, CANNOT = 0, 1, 2
NO_FAULT = HARMLESS - {Kind.UNCHAINED}  # what is in no chain is proven by nothing


class CannotExport(Exception):
    """One plain sentence for who typed the command."""


def moment(text: str) -> float:
    """By the clock of this machine, unless it says otherwise."""
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2027-02-14T07:00") from None


def export(station: str, from_s: float, to_s: float, out: Path | None) -> str:
    """With the store open; raises CannotExport."""
    from central.edge import exports  # late: Django's models exist only after its settings

    taken = exports.evidence(station, from_s, to_s, time.time())
    if taken is None:
        raise CannotExport(f"nothing of station {station} is stored in this time")
    file = out or Path(f"bukti-{station}.jsonl")
    try:
        with file.open("wb") as opened:
            opened.writelines(line + b"\n" for line in written(*taken))
    except OSError as why:
        raise CannotExport(f"{file} cannot be written: {why.strerror}") from None
    parts = ", ".join(f"{part.epoch} {part.first}-{part.last}" for part in taken[0].parts)
    return f"{file}: {parts}; check it with siaga-central verify {file}"


def verify(file: Path, authority: Path | None) -> int:
    """One line for each finding; 0 when everything that was asked for is proven."""
    try:
        data, trusted = file.read_bytes(), authority.read_text() if authority else None
    except (OSError, UnicodeDecodeError) as why:
        print(f"siaga-central: {why}", file=sys.stderr)
        return CANNOT
    try:
        header, pieces = read(data)
        by = trusted or header.ca
        told = fingerprint(by) if by else "none"
        signatures = Signatures(header.station, by or None, header.certificates)
    except (Bad, BadCertificate) as why:
        print(f"{file}: TIDAK TERBUKTI / NOT PROVEN: {why}")
        return NOT_PROVEN
    whose = "" if trusted else " (out of the file: compare it with the one that you know)"
    print(f"TPS {header.station}, CA SHA-256 {told}{whose}")
    found = examine(header.station, pieces, signatures.judge)
    return max((_tell(piece.part, of_piece) for piece, of_piece in zip(pieces, found, strict=True)), default=NOT_PROVEN)


def _tell(part: Part, found: list[Finding]) -> int:
    for finding in found:
        print(f"{part.epoch}: {finding.told_id()} / {finding.told_en()}")
    is_proven = all(finding.kind in NO_FAULT for finding in found)
    word = "TERBUKTI / PROVEN" if is_proven else "TIDAK TERBUKTI / NOT PROVEN"
    print(f"{part.epoch}: {part.first}-{part.last}: {word}")
    return PROVEN if is_proven else NOT_PROVEN
