"""The uplink's resolver, asked by this uplink: does it answer, and does it answer what is true.

A name is looked up nowhere else: the system's own resolver follows the system's route, and tests another uplink.
"""

import os
import select
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR, DNSRR

from agent.core.station import Family, Station, family_of
from agent.diagnose.look import HEADERS, Facts, Layer, Look, Outcome, Purse, Subject, left_s, milliseconds

FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
RESOLVERS_AT_MOST = 2
TRIES = 2
COST = 700
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
NXDOMAIN = 3
TYPES = {Family.IPV4: 1, Family.IPV6: 28}


@dataclass(frozen=True, slots=True)
class Answer:
    rcode: int
    addresses: tuple[str, ...]
    took_s: float


@dataclass(frozen=True, slots=True)
class Resolvers:
    addresses: tuple[str, ...]
    are_its_own: bool
    """Else they are the device's, and may answer by another uplink only."""


def look(
    subject: Subject, resolvers: Resolvers, name: str | None, expected: str | None, wait_s: float, purse: Purse
) -> Look:
    """Every name has a random label in front: no cache knows it. `.invalid` never exists (RFC 6761). Raises OSError."""
    if not resolvers.addresses:
        return Look(Layer.DNS, Outcome.NO_RESOLVER)
    asked = f"{os.urandom(4).hex()}.{name or 'invalid'}"
    for resolver in resolvers.addresses:
        if not purse.allows(COST):
            return Look(Layer.DNS, Outcome.NO_BYTES)
        kind = TYPES[subject.family if expected is None else family_of(expected)]
        answer = ask(subject, resolver, asked, kind, wait_s / len(resolvers.addresses), purse)
        if answer is not None:
            return _judged(resolver, asked, answer, name is not None, expected)
    outcome = Outcome.DNS_SILENT if resolvers.are_its_own or subject.only_uplink else Outcome.DNS_PERHAPS
    return Look(Layer.DNS, outcome, {"resolver": resolvers.addresses[0]})


def _judged(resolver: str, name: str, answer: Answer, is_configured: bool, expected: str | None) -> Look:
    facts: Facts = {
        "resolver": resolver,
        "name": name,
        "ms": milliseconds(answer.took_s),
        "rcode": RCODES.get(answer.rcode, str(answer.rcode)),
    }
    if answer.addresses:
        got, wanted = answer.addresses[0], expected or "NXDOMAIN"
        is_right = expected is not None and any(ip_address(each) == ip_address(expected) for each in answer.addresses)
        outcome = Outcome.DNS_RIGHT if is_right else Outcome.DNS_FORGED
        return Look(Layer.DNS, outcome, {**facts, "got": got, "expected": wanted})
    if answer.rcode not in (0, NXDOMAIN):
        return Look(Layer.DNS, Outcome.DNS_REFUSED, facts)
    return Look(Layer.DNS, Outcome.DNS_NO_SUCH_NAME if is_configured else Outcome.DNS_HONEST, facts)


def ask(subject: Subject, resolver: str, name: str, kind: int, wait_s: float, purse: Purse) -> Answer | None:
    """None when nothing came in time. Raises OSError."""
    number = int.from_bytes(os.urandom(2))
    query = bytes(DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype=kind)))
    family = socket.AF_INET if family_of(resolver) is Family.IPV4 else socket.AF_INET6
    header = HEADERS[family_of(resolver)] + 8
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, subject.device.encode())
        asking.connect((resolver, 53))
        for _ in range(TRIES):
            asked_at = time.monotonic()
            try:
                asking.send(query)
                purse.spend(len(query) + header)
                while (rest_s := left_s(asked_at + wait_s / TRIES)) > 0 and select.select([asking], [], [], rest_s)[0]:
                    data = asking.recv(4096)
                    purse.spend(len(data) + header)
                    answer = _read(data, number, kind, time.monotonic() - asked_at)
                    if answer is not None:
                        return answer
            except ConnectionRefusedError:
                return None  # a machine is there, but no resolver on it
    return None


def _read(data: bytes, number: int, kind: int, took_s: float) -> Answer | None:
    try:
        message = DNS(data)
        records = [record for record in message.an if isinstance(record, DNSRR)] if message.ancount else []
        addresses = tuple(str(ip_address(record.rdata)) for record in records if record.type == kind)
    except Exception:  # a peer's mess: scapy raises whatever its parser stumbles over
        return None
    return Answer(message.rcode, addresses, took_s) if message.id == number and message.qr else None


def resolve(subject: Subject, resolvers: Resolvers, host: str, wait_s: float, purse: Purse) -> str | None:
    """An address of the host, by this uplink; a literal is its own. Raises OSError."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    for resolver in resolvers.addresses:
        if purse.allows(COST) and (answer := ask(subject, resolver, host, TYPES[subject.family], wait_s, purse)):
            return answer.addresses[0] if answer.addresses else None
    return None


def resolvers_of(station: Station, subject: Subject) -> Resolvers:
    """The uplink's own as configured; else the device's, without those that belong to another uplink."""
    uplink = station.uplink(subject.uplink)
    own = tuple(each for each in (uplink.resolvers if uplink else ()) if family_of(each) is subject.family)
    if own:
        return Resolvers(own[:RESOLVERS_AT_MOST], True)
    others = {ip_address(resolver) for each in station.uplinks for resolver in each.resolvers}
    for file in FILES:
        found = [each for each in _named_in(file) if ip_address(each) not in others]
        usable = [each for each in found if family_of(each) is subject.family and not ip_address(each).is_loopback]
        if usable:
            return Resolvers(tuple(usable[:RESOLVERS_AT_MOST]), False)
    return Resolvers((), False)


def _named_in(file: Path) -> list[str]:
    try:
        rows = [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return []
    names = [row[1].partition("%")[0] for row in rows if len(row) > 1 and row[0] == "nameserver"]
    return [name for name in names if _is_address(name)]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
