"""Whose an address is: a table of prefixes, searched for the longest one that has the address in it."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

HEADING = ["prefix", "asn", "operator"]
LARGEST_ASN = 2**32 - 1
LONGEST_NAME = 64  # no station keeps a longer one


class BadLine(ValueError):
    """One sentence that names the line."""


@dataclass(frozen=True, slots=True)
class Owner:
    asn: int | None = None
    operator: str | None = None


class Networks:
    def __init__(self, owners: Iterable[tuple[str, Owner]] = ()) -> None:
        """Prefixes without bits behind their length; raises ValueError."""
        self._by_length: dict[tuple[int, int], dict[int, Owner]] = {}
        """Version of IP and length of the prefix -> its bits -> whose."""
        for prefix, owner in owners:
            network = ip_network(prefix)
            bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._by_length.setdefault((network.version, network.prefixlen), {})[bits] = owner
        self._longest_first = sorted(self._by_length, reverse=True)

    def find(self, address: str) -> Owner:
        """Nobody's when no prefix has it; raises ValueError when it is no address."""
        asked = ip_address(address)
        for version, length in self._longest_first:
            if version == asked.version:
                owner = self._by_length[version, length].get(int(asked) >> (asked.max_prefixlen - length))
                if owner is not None:
                    return owner
        return Owner()


def parse(text: str) -> Networks:
    """Lines of `prefix,asn,operator`, or `address length asn` by tabs as RouteViews writes them; raises BadLine."""
    owners: list[tuple[str, Owner]] = []
    same: dict[Owner, Owner] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("\t") if "\t" in line else next(csv.reader([line]), [])
        words = [word.strip() for word in words]
        if not any(words) or words[0].startswith("#") or (number == 1 and [word.lower() for word in words] == HEADING):
            continue
        try:
            prefix, owner = _routed(words) if "\t" in line else _listed(words)
            ip_network(prefix)
        except ValueError as why:
            raise BadLine(f"line {number}: {why}") from None
        owners.append((prefix, same.setdefault(owner, owner)))
    return Networks(owners)


def _listed(words: list[str]) -> tuple[str, Owner]:
    if len(words) != len(HEADING):
        raise ValueError(f"has {len(words)} values; expected {','.join(HEADING)}, as in 203.0.113.0/24,64500,Telkom")
    prefix, asn, operator = words
    if len(operator) > LONGEST_NAME or not operator.isprintable():
        raise ValueError(f"an operator's name has at most {LONGEST_NAME} printable characters")
    return prefix, Owner(_asn(asn), operator or None)


def _routed(words: list[str]) -> tuple[str, Owner]:
    """Where several announce a prefix (`64500_64501`, `64500,64501`), nobody can tell whose it is."""
    if len(words) != 3:
        raise ValueError(f"has {len(words)} values between tabs; expected address, length and AS")
    address, length, asn = words
    is_shared = "_" in asn or "," in asn
    return f"{address}/{length}", Owner() if is_shared else Owner(_asn(asn))


def _asn(word: str) -> int | None:
    digits = word.upper().removeprefix("AS")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and 0 < int(digits) <= LARGEST_ASN):
        raise ValueError(f"{word[:20]!r} is no AS number")
    return int(digits)


def source_of(address: str) -> object:
    """On whose account a question counts: whoever has an IPv6 address has a network of 64 bits full of them."""
    if ":" not in address:
        return address
    try:
        read = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return int(read) >> 64 if read.ipv4_mapped is None else str(read.ipv4_mapped)
