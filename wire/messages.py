"""The messages: one frozen type each, and how they become bytes.

A reader ignores fields it does not know, so that an older centre reads a newer agent.
A field is never renamed or given another meaning; golden files in tests/wire/golden hold this.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

from wire.packing import unpack

VERSION = 1
LARGEST_SEQ = 2**53  # where JSON readers everywhere still count exactly
LARGEST_BYTES = 64 * 1024  # a broker drops the connection of who sends more than it takes; all take this


class BadMessage(Exception):
    """A peer's mess: count it, drop it, go on."""


class Health(StrEnum):
    """What is thought of an uplink."""

    UP = "up"
    POOR = "poor"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Stamp(msgspec.Struct, frozen=True):
    """When something was so, by a board that may have no clock."""

    boot: str
    """Changes each time the agent starts."""
    uptime_s: float
    """Seconds since the agent started; the order of things within one boot."""
    wall_s: float
    """What the board's clock said, seconds since 1970. A label, never evidence."""
    synced: bool
    """Whether that clock was synchronised."""


class Active(msgspec.Struct, frozen=True):
    """The uplink that carries traffic, for each family; None when there is none."""

    ipv4: str | None = None
    ipv6: str | None = None


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a modem hears its operator, in its own words: it explains, and decides nothing. The unknown is left out."""

    technology: str | None = None
    """The one that was measured, as ModemManager names it: lte, 5gnr, umts …"""
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    snr_db: float | None = None
    rssi_dbm: float | None = None
    operator: str | None = None
    """Whose network it is registered in."""
    operator_code: str | None = None
    """MCC and MNC."""
    cell_id: str | None = None
    registration: str | None = None
    """home, roaming, searching, denied … as ModemManager names it."""


class Forecast(msgspec.Struct, frozen=True):
    """How long it would take to send something by an uplink, were it begun now."""

    photos_s: float
    """20 MB of photos of result forms."""
    message_s: float
    """A message of 1 kB, until the centre says that it has it."""
    up_mbps: float
    """Free upstream: what was measured last, less what the station sends now."""
    measured_s: float
    """So long ago."""


class Public(msgspec.Struct, frozen=True, omit_defaults=True):
    """An uplink as the centre sees it."""

    address: str
    asn: int | None = None
    """Of the autonomous system that the address belongs to."""
    operator: str | None = None
    """Whose it is, by the centre's table."""


class UplinkState(msgspec.Struct, frozen=True):
    """One uplink as the agent sees it now."""

    name: str
    interface: str
    kind: str
    health: Health
    since_s: float
    """How long it has had this health."""
    carries_traffic: bool
    operator: str | None = None
    rtt_ms: float | None = None
    loss: float | None = None
    """A fraction of the echoes that were really sent lately, of an up uplink since it is; None when none was."""
    signal: Signal | None = None
    """None where no modem of this device is asked, or it does not answer."""
    forecast: Forecast | None = None
    """None for a dead uplink, and where no bandwidth was measured."""
    public: tuple[Public, ...] = ()
    """One of each family by which the centre was asked."""


class State(msgspec.Struct, frozen=True, tag="state"):
    """How the station is now. Retained: birth, each change, each five minutes; a last will has online=False."""

    station: str
    session: str
    """One MQTT connection. A will whose session is not the newest one says nothing."""
    online: bool
    agent: str
    """Version of the agent."""
    stamp: Stamp
    active: Active = Active()
    uplinks: tuple[UplinkState, ...] = ()
    v: int = VERSION


Evidence = dict[str, float | str | None]
"""What a fact rests on: names with units, and plain values."""


class Fact(msgspec.Struct, frozen=True, tag="fact"):
    """Something became true. One value: a log line, a message, a row of history, and what tickets come from."""

    code: str
    """A code of wire/codes.py."""
    uplink: str | None = None
    before: str | None = None
    after: str | None = None
    evidence: Evidence = {}


class EachWay(msgspec.Struct, frozen=True, omit_defaults=True):
    """What test packets to the centre's reflector (STAMP) told of each way by itself, of those whose end became known
    in the span; up is towards the centre. docs/measuring.md defines each.
    """

    up_lost: int = 0
    up_of: int = 0
    down_lost: int = 0
    down_of: int = 0
    """Of those that reached the reflector."""
    lost_unknown: int = 0
    """Lost on a way that nobody can tell any more; in neither of the two above."""
    late: int = 0
    not_sent: int = 0
    duplicates: int = 0
    up_added_ms: float | None = None
    down_added_ms: float | None = None
    """One-way delay above its recent minimum, 95 % quantile of the answers that came in the span."""


class UplinkSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one uplink's echoes did in the span of a summary."""

    name: str
    health: Health
    sent: int
    answered: int
    lost: int
    late: int
    """Answered after it had been counted as lost; not counted in `lost`."""
    not_sent: int
    """Could not be sent; says nothing about loss on the path."""
    rtt_min_ms: float | None = None
    rtt_p50_ms: float | None = None
    rtt_p95_ms: float | None = None
    rtt_p99_ms: float | None = None
    rtt_max_ms: float | None = None
    signal: Signal | None = None
    """As last read within the span, or shortly before."""
    skipped: int = 0
    """Would have been sent, had the uplink's budget allowed it."""
    after_idle_ms: float | None = None
    """Median RTT of echoes that were the first after a pause; the RTTs above are without them."""
    pdv_p95_ms: float | None = None
    """Packet delay variation (RFC 5481), jitter for people: delay less the smallest in the span, 95 % quantile."""
    ipdv_mean_ms: float | None = None
    """Mean absolute difference of consecutive delays (RFC 3393), for comparison with other tools."""
    loss_low: float | None = None
    loss_high: float | None = None
    """Wilson's interval of 95 % around the share of the span's ended echoes that were lost."""
    loss_runs: int = 0
    longest_run_s: float = 0.0
    """From the first lost echo of a run to the first answered one behind it."""
    duplicates: int = 0
    refused: int = 0
    """Of these a router said that it could not deliver them."""
    each_way: EachWay | None = None
    """None where no reflector is asked, or nothing became known."""


class Summary(msgspec.Struct, frozen=True, tag="sum", omit_defaults=True):
    """A span of measurement, usually one minute."""

    span_s: float
    active: Active
    uplinks: tuple[UplinkSummary, ...]
    own_delay_ms: float = 0.0
    """How late the agent itself was at worst; what it measured in such moments is to be read with care."""


class Seal(msgspec.Struct, frozen=True, tag="seal", omit_defaults=True):
    """The device's signature under its records so far; what is signed is in wire/chain.py."""

    upto: int
    """The last record that is covered; one shortly before this one, for signing takes a moment."""
    chain: str
    """The chain after that record, base64."""
    signature: str
    """ECDSA with SHA-256 on P-256, DER, base64."""
    key: str
    """The first nine bytes of the SHA-256 of the public key (SubjectPublicKeyInfo, DER), base64."""
    certificate: str | None = None
    """PEM, with what lies between it and the centre's CA. Only where it is new: after a start, in a new epoch."""


class Former(msgspec.Struct, frozen=True):
    """The run of the agent before this one, as far as its card knows."""

    epoch: str
    seq: int
    """Its last record."""
    chain: str
    """The chain after that record, base64; empty where it is not known any more."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One numbered line of a station's history; (station, epoch, seq) is its identity."""

    epoch: str
    """One run of the agent: whoever numbers has given every number of it himself, and so none of them twice."""
    seq: int
    """1, 2, 3 … within the epoch."""
    stamp: Stamp
    body: Fact | Summary | Seal
    link: str = ""
    """Of the record before it (wire/chain.py); empty from an agent that knew no chain."""
    former: Former | None = None
    """In the first record of an epoch only; None when nothing of another is on the card."""


class Envelope(msgspec.Struct, frozen=True):
    """A record of which only this much is understood: a newer agent's, or one that is spoilt inside."""

    epoch: str
    seq: int
    link: str = ""


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records that the station had and dropped: their content is lost, their place in the chain is not."""

    first: int
    last: int
    link: str = ""
    """What record `first` said of the one before it."""
    chain: str = ""
    """The chain after record `last`, base64."""


class Delivery(msgspec.Struct, frozen=True, tag="delivery"):
    """Records on their way to the centre, oldest first. Kinds `fact` and `sum` carry one, `log` carries many."""

    station: str
    oldest: int
    """The lowest seq of this epoch that the station still holds: what is older will never come."""
    records: tuple[msgspec.Raw, ...]
    """Each a Record, byte for byte as the agent wrote it once: these bytes are chained, stored and signed."""
    gaps: tuple[Gap, ...] = ()
    """Of this epoch: those between these records, and always those right below `oldest`."""
    v: int = VERSION


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """The centre's word: every record of this epoch up to seq is in its store, or will never come."""

    epoch: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEQ)]
    v: int = VERSION


M = TypeVar("M", State, Delivery, Stored)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # msgspec lets the last two through


def encode(message: State | Delivery | Stored | Record) -> bytes:
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Bytes, packed or not, to a message of this kind; raises BadMessage with the reason."""
    if len(data) > LARGEST_BYTES:
        raise BadMessage(f"{len(data)} bytes; at most {LARGEST_BYTES} are taken")
    try:
        return msgspec.json.decode(unpack(data, LARGEST_BYTES), type=kind)
    except (*UNREADABLE, ValueError) as why:
        raise BadMessage(f"not a {kind.__name__}: {why}") from None


def decode_record(data: bytes | msgspec.Raw) -> Record:
    """A record as the spool keeps it; raises BadMessage."""
    try:
        return msgspec.json.decode(data, type=Record)
    except UNREADABLE as why:
        raise BadMessage(f"not a Record: {why}") from None


def decode_envelope(data: bytes | msgspec.Raw) -> Envelope:
    """As much of a record as every version has; raises BadMessage."""
    try:
        return msgspec.json.decode(data, type=Envelope)
    except UNREADABLE as why:
        raise BadMessage(f"not a record: {why}") from None
