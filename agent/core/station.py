"""The station as its operator described it: uplinks in order of preference, LAN, targets, centre."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

OPEN_PORT, SECURED_PORT = 1883, 8883  # of MQTT, where none is said


class Family(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


def family_of(address: str) -> Family:
    """The family of a literal address; raises ValueError."""
    return Family.IPV4 if ip_address(address).version == 4 else Family.IPV6


class Kind(StrEnum):
    """What carries the uplink; it sets the first expectation, until the uplink has a history of its own."""

    FIBRE = "fibre"
    LTE = "lte"
    LEO = "leo"
    GEO = "geo"


class Nat(StrEnum):
    MANAGED = "managed"  # we masquerade the LAN
    EXTERNAL = "external"  # somebody else does, or nobody must


class Metered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan of so many bytes; towards its end only the essential may use them."""

    mb_per_month: float
    reserve_mb: float | None = None
    """Kept for the essential; a tenth of the plan unless it is said."""
    from_day: int | None = None
    """The day of the month on which the plan begins anew; without it each 30 days in which the agent ran."""


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What measuring may cost; no byte more, whatever happens."""

    mb_per_day: float | None = None
    mb_per_month: float | None = None


class Guarantee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the contract promises."""

    down_mbps: float | None = None
    up_mbps: float | None = None
    rtt_ms: float | None = None
    loss: float | None = None
    availability: float | None = None


class Uplink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    interface: str
    kind: Kind
    operator: str | None = None
    contract: str | None = None
    shared_fate: str | None = None
    payer: str | None = None
    resolvers: tuple[str, ...] = ()
    """DNS servers that answer by this uplink only, as a provider's own do."""
    gateway: str = "auto"
    """A literal address, or `auto`: what DHCP or the network manager put into the main table."""
    metered: Metered | None = None
    up_kbps: int | None = None
    """What a thin uplink surely carries upstream; with it the essential is never queued behind the rest."""
    prefix6: str | None = None
    """The IPv6 prefix that this uplink gave to the LAN."""
    budget: Spending | None = None
    """Of measuring; without it one twentieth of what a metered plan includes, and plenty on a free line."""
    guarantee: Guarantee | None = None


class Lan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interfaces: tuple[str, ...] = ()
    nat: Nat = Nat.EXTERNAL


class Essential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Traffic that passes whatever is left of a plan, and before the rest; without `to` or without `ports`: any."""

    to: str | None = None
    """An address or a network."""
    ports: tuple[str, ...] = ()
    """tcp/443, udp/5000-5010"""


class Centre(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    broker: str
    """mqtts://host[:port], with the device's certificate; mqtt:// without any, for a laboratory"""
    measure: str | None = None
    """host:port of its bandwidth server; without it no bandwidth is measured."""
    seen: str | None = None
    """http://host/path of the page that tells how it sees who asks; by default beside check.http's `/siaga/check`."""
    stamp: tuple[str, ...] = ()
    """address:port of its reflector, for each family at most one; without it the two ways are not told apart."""
    stamp_key: str | None = None
    """File of the key with which those packets are sealed."""

    @property
    def is_secured(self) -> bool:
        """By TLS, and only with a certificate."""
        return urlsplit(self.broker).scheme == "mqtts"

    @property
    def broker_host(self) -> str:
        return urlsplit(self.broker).hostname or ""

    @property
    def broker_port(self) -> int:
        return urlsplit(self.broker).port or (SECURED_PORT if self.is_secured else OPEN_PORT)


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a diagnosis can compare with, because it is ours: without it those looks say `not configured`."""

    http: str | None = None
    """http://host/path of a page that never changes."""
    body: str | None = None
    """All of that page's text, to the letter."""
    name: str | None = None
    """A zone in which every name has the same address."""
    answer: str | None = None
    """That address."""
    tls: str | None = None
    """host or host:port of a TLS server of ours."""
    tls_ca: str | None = None
    """File of the authority that signed its certificate; without it those that the system trusts."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A literal address and a port."""

    address: str
    port: int

    @classmethod
    def of(cls, text: str) -> "Endpoint":
        """ADDRESS:PORT or [IPv6]:PORT; raises ValueError."""
        host, _, port = text.rpartition(":")
        address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536 and len(port) < 6):
            raise ValueError(text)
        if "%" in address or (":" in address) != host.startswith("["):
            raise ValueError(text)
        return cls(str(ip_address(address)), int(port))

    @property
    def is_loopback(self) -> bool:
        return ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    station: str
    """Thirteen digits: village code (10) and polling station number (3)."""
    uplinks: tuple[Uplink, ...]
    targets: tuple[str, ...]
    """Addresses that answer echoes; several, so that the death of one is not taken for the death of a link."""
    centre: Centre
    lan: Lan = Lan()
    essential: tuple[Essential, ...] = ()
    """Beside the centre's broker, DNS, time, DHCP and ICMP, which always are."""
    check: Check | None = None
    metrics: str | None = None
    """ADDRESS:PORT where Prometheus finds the metrics, on loopback or the LAN; nowhere without it."""
    state_dir: str = "/var/lib/siaga"

    @property
    def seen_at(self) -> str | None:
        """The page that tells how the centre sees who asks."""
        if self.centre.seen is not None or self.check is None or self.check.http is None:
            return self.centre.seen
        beside, check, rest = self.check.http.partition("/siaga/check")
        return f"{beside}/siaga/seen" if check and not rest else None

    def uplink(self, name: str) -> Uplink | None:
        return next((uplink for uplink in self.uplinks if uplink.name == name), None)
