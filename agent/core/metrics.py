"""What the agent knows, as Prometheus reads it: names by its conventions, base units, what is not known left out.

docs/metrics.md has this table, and config/grafana-agent.json asks for nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.core.budget import MB
from agent.core.decide import Phase
from agent.core.events import ShowState, TrafficCounted
from agent.core.line import Line
from agent.core.plan import Policy
from agent.core.station import Family
from agent.core.tally import Tally
from wire.messages import Health, UplinkState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UP = "uplink"
BYTES_PER_MBIT = 125_000

Sample = tuple[str, tuple[str | None, ...], float | None]
"""Name, values of its labels, value; without a value it is not shown."""


@dataclass(frozen=True, slots=True)
class Own:
    """What the daemon knows of itself and the core does not."""

    station: str
    version: str
    started_wall_s: float
    clock_synced: bool
    connected: bool
    unsent: int


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "counter" if self.name.endswith("_total") else "gauge"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("siaga_build_info", "1; the version of the agent.", ("version",)),
        Metric("siaga_station_info", "1; the station's number.", ("station",)),
        Metric("siaga_start_time_seconds", "When the agent started, since 1970, by the clock of now."),
        Metric("siaga_clock_synchronised", "1 when somebody has set this device's clock."),
        Metric("siaga_phase", "1 for the phase of the day that holds, 0 for the others.", ("phase",)),
        Metric("siaga_own_delay_seconds", "How late the agent itself was at worst, in the last minute."),
        Metric("siaga_centre_connected", "1 when the centre's broker is connected."),
        Metric("siaga_spool_unsent_records", "Records that the centre has not yet said to have stored."),
        Metric("siaga_facts_total", "Facts told since the agent started, by their codes.", ("code",)),
        Metric("siaga_switches_total", "Times that traffic was moved, since the agent started.", ("family",)),
        Metric("siaga_uplink_info", "1; what is configured.", (UP, "interface", "kind", "operator")),
        Metric("siaga_uplink_up", "1 when it is good or poor, 0 when it is dead, none before that is known.", (UP,)),
        Metric("siaga_uplink_health", "1 for the health that it has, 0 for the others.", (UP, "health")),
        Metric("siaga_uplink_health_age_seconds", "How long it has had this health.", (UP,)),
        Metric("siaga_uplink_active", "1 when it carries the traffic of this family.", (UP, "family")),
        Metric("siaga_uplink_rtt_seconds", "Round trip, median of the last 30 s.", (UP,)),
        Metric("siaga_uplink_rtt_p95_seconds", "Round trip, 95 % quantile of the last minute.", (UP,)),
        Metric("siaga_uplink_pdv_seconds", "Delay variation (RFC 5481), 95 % quantile of the last minute.", (UP,)),
        Metric("siaga_uplink_loss_ratio", "Share of echoes lost in the last 30 s, of those that were sent.", (UP,)),
        Metric("siaga_uplink_echoes_sent_total", "Echoes sent, up to the last minute.", (UP,)),
        Metric("siaga_uplink_echoes_answered_total", "Echoes answered, late ones too, up to the last minute.", (UP,)),
        Metric("siaga_uplink_echoes_lost_total", "Echoes lost, up to the last minute.", (UP,)),
        Metric("siaga_uplink_receive_bytes_total", "Received by its interface; may begin again from 0.", (UP,)),
        Metric("siaga_uplink_transmit_bytes_total", "Sent by its interface; may begin again from 0.", (UP,)),
        Metric("siaga_uplink_budget_used_bytes", "Spent on measuring in this day or month.", (UP, "period")),
        Metric("siaga_uplink_budget_limit_bytes", "What measuring may spend in a day or month.", (UP, "period")),
        Metric("siaga_uplink_plan_bytes", "The data plan of a metered uplink.", (UP,)),
        Metric("siaga_uplink_plan_used_bytes", "Used of the data plan.", (UP,)),
        Metric("siaga_uplink_plan_left_bytes", "Left of the data plan, its reserve included.", (UP,)),
        Metric("siaga_uplink_plan_policy", "1 for the policy that holds, 0 for the others.", (UP, "policy")),
        Metric("siaga_uplink_capacity_bytes_per_second", "IP packets, as last measured.", (UP, "direction")),
        Metric("siaga_uplink_available_bytes_per_second", "Capacity less own traffic then.", (UP, "direction")),
        Metric("siaga_uplink_photos_seconds", "Predicted for 20 MB of photos, as last measured.", (UP,)),
        Metric("siaga_uplink_message_seconds", "Predicted for a message of 1 kB, as last measured.", (UP,)),
        Metric("siaga_uplink_bandwidth_age_seconds", "How long ago its bandwidth was last measured.", (UP,)),
        Metric("siaga_uplink_signal_info", "1; the network that its modem hears.", (UP, "technology", "network")),
        Metric("siaga_uplink_signal_rsrp_dbm", "Reference signal received power.", (UP,)),
        Metric("siaga_uplink_signal_rsrq_db", "Reference signal received quality.", (UP,)),
        Metric("siaga_uplink_signal_snr_db", "Signal to noise.", (UP,)),
        Metric("siaga_uplink_signal_rssi_dbm", "Received signal strength.", (UP,)),
    )
}


def exposition(
    own: Own,
    state: ShowState,
    lines: Mapping[str, Line],
    carried: Mapping[str, TrafficCounted],
    tally: Tally,
    now: float,
) -> str:
    """Prometheus' text format 0.0.4."""
    samples = [*_own(own, state, tally), *_told(tally)]
    for uplink in state.uplinks:
        samples += _uplink(uplink, state)
        samples += _spending(uplink.name, lines[uplink.name])
        samples += _carried(uplink.name, carried.get(uplink.name))
        samples += _counted(uplink.name, tally)
        samples += _bandwidth(uplink.name, tally, now)
    return text(samples)


def text(samples: Iterable[Sample]) -> str:
    """All samples of a name stand together, below what the name means."""
    by_name: dict[str, list[str]] = {name: [] for name in METRICS}
    for name, values, value in samples:
        if value is None:
            continue
        labels = zip(METRICS[name].labels, values, strict=True)
        pairs = ",".join(f'{label}="{_escaped(said or "")}"' for label, said in labels)
        by_name[name].append(f"{name}{{{pairs}}} {float(value)!r}" if pairs else f"{name} {float(value)!r}")
    written = []
    for name, sampled in by_name.items():
        if sampled:
            metric = METRICS[name]
            written += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}", *sampled]
    return "\n".join([*written, ""])


def _escaped(said: str) -> str:
    return said.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _own(own: Own, state: ShowState, tally: Tally) -> Iterator[Sample]:
    yield "siaga_build_info", (own.version,), 1
    yield "siaga_station_info", (own.station,), 1
    yield "siaga_start_time_seconds", (), own.started_wall_s
    yield "siaga_clock_synchronised", (), own.clock_synced
    yield "siaga_own_delay_seconds", (), tally.own_delay_s
    yield "siaga_centre_connected", (), own.connected
    yield "siaga_spool_unsent_records", (), own.unsent
    for phase in Phase:
        yield "siaga_phase", (phase,), phase == state.phase


def _told(tally: Tally) -> Iterator[Sample]:
    for code, times in sorted(tally.facts.items()):
        yield "siaga_facts_total", (code,), times
    for family, times in tally.switches.items():
        yield "siaga_switches_total", (family,), times


def _uplink(uplink: UplinkState, state: ShowState) -> Iterator[Sample]:
    name, signal = uplink.name, uplink.signal
    yield "siaga_uplink_info", (name, uplink.interface, uplink.kind, uplink.operator), 1
    if uplink.health is not Health.UNKNOWN:
        yield "siaga_uplink_up", (name,), uplink.health is not Health.DEAD
    for health in Health:
        yield "siaga_uplink_health", (name, health), health is uplink.health
    yield "siaga_uplink_health_age_seconds", (name,), uplink.since_s
    for family in Family:
        yield "siaga_uplink_active", (name, family), getattr(state.active, family) == name
    yield "siaga_uplink_rtt_seconds", (name,), _seconds(uplink.rtt_ms)
    yield "siaga_uplink_loss_ratio", (name,), uplink.loss
    if signal is not None:
        yield "siaga_uplink_signal_info", (name, signal.technology, signal.operator), 1
        for figure in ("rsrp_dbm", "rsrq_db", "snr_db", "rssi_dbm"):
            yield f"siaga_uplink_signal_{figure}", (name,), getattr(signal, figure)


def _spending(name: str, line: Line) -> Iterator[Sample]:
    spent, limits, plan = line.watch.budget.spent, line.watch.budget.limits, line.plan
    yield "siaga_uplink_budget_used_bytes", (name, "day"), spent.day_bytes
    yield "siaga_uplink_budget_used_bytes", (name, "month"), spent.month_bytes
    yield "siaga_uplink_budget_limit_bytes", (name, "day"), limits.day_bytes
    yield "siaga_uplink_budget_limit_bytes", (name, "month"), limits.month_bytes
    if plan is not None:
        whole = plan.metered.mb_per_month * MB
        yield "siaga_uplink_plan_bytes", (name,), whole
        yield "siaga_uplink_plan_used_bytes", (name,), plan.used.bytes
        yield "siaga_uplink_plan_left_bytes", (name,), max(0.0, whole - plan.used.bytes)
        for policy in Policy:
            yield "siaga_uplink_plan_policy", (name, policy), policy is plan.policy


def _carried(name: str, carried: TrafficCounted | None) -> Iterator[Sample]:
    if carried is not None:
        yield "siaga_uplink_receive_bytes_total", (name,), carried.rx_bytes
        yield "siaga_uplink_transmit_bytes_total", (name,), carried.tx_bytes


def _counted(name: str, tally: Tally) -> Iterator[Sample]:
    if name not in tally.minutes:
        return
    minute, echoed = tally.minutes[name], tally.echoed[name]
    yield "siaga_uplink_rtt_p95_seconds", (name,), _seconds(minute.rtt_p95_ms)
    yield "siaga_uplink_pdv_seconds", (name,), _seconds(minute.pdv_p95_ms)
    yield "siaga_uplink_echoes_sent_total", (name,), echoed.sent
    yield "siaga_uplink_echoes_answered_total", (name,), echoed.answered
    yield "siaga_uplink_echoes_lost_total", (name,), echoed.lost_shown


def _bandwidth(name: str, tally: Tally, now: float) -> Iterator[Sample]:
    if name not in tally.bandwidths:
        return
    measured_at, found = tally.bandwidths[name]
    for way in ("up", "down"):
        yield "siaga_uplink_capacity_bytes_per_second", (name, way), _bytes(found.get(f"{way}_mbps"))
        yield "siaga_uplink_available_bytes_per_second", (name, way), _bytes(found.get(f"{way}_available_mbps"))
    yield "siaga_uplink_photos_seconds", (name,), _figure(found.get("photos_s"))
    yield "siaga_uplink_message_seconds", (name,), _figure(found.get("message_s"))
    yield "siaga_uplink_bandwidth_age_seconds", (name,), now - measured_at


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1e3


def _bytes(mbps: float | str | None) -> float | None:
    return None if (figure := _figure(mbps)) is None else figure * BYTES_PER_MBIT


def _figure(value: float | str | None) -> float | None:
    return value if isinstance(value, int | float) else None


def as_markdown() -> str:
    """The table as docs/metrics.md must have it."""
    lines = ["| name | labels | what |", "| --- | --- | --- |"]
    lines += [f"| `{m.name}` | {', '.join(m.labels) or '–'} | {m.help} |" for m in METRICS.values()]
    return "\n".join(lines) + "\n"
