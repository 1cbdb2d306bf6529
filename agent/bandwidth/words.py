"""A test's result as a person reads it."""

from agent.core.bandwidth import Measured, OneWay

HOW = {
    "train": "packet trains",
    "transfer": "an adaptive transfer",
    "speedtest": "speedtest-cli against the centre",
    "public speedtest": "speedtest-cli against its public servers",
}


def told(tested: Measured) -> str:
    lines = [
        f"{tested.uplink}: by {HOW.get(tested.how, tested.how)}, {_size(tested.spent_bytes)} spent",
        f"{'Mbit/s':<8} {'capacity':>18} {'- own traffic':>14} {'= available':>12}",
        *(_row(name, way) for name, way in (("up", tested.up), ("down", tested.down))),
        f"round trip {_ms(tested.rtt_ms)}, loss {tested.loss:.1%}",
        f"working latency, added at p95: up {_added(tested.up)}, down {_added(tested.down)}",
    ]
    best = "at best " if tested.up.at_least else ""
    photos = "not known" if tested.photos_s is None else f"{best}{_seconds(tested.photos_s)}"
    message = "not known" if tested.message_s is None else f"{_seconds(tested.message_s)}"
    return "\n".join([*lines, f"now: 20 MB of photos in {photos}, a message of 1 kB in {message}"])


def _row(name: str, way: OneWay) -> str:
    if way.capacity_mbps is None:
        return f"{name:<8} {'not told':>18} {_mbps(way.own_mbps):>14} {'-':>12}  {', '.join(_said(way))}".rstrip()
    capacity = _mbps(way.capacity_mbps)
    if way.at_least:
        capacity = f"at least {capacity}"
    elif way.error is not None:
        capacity = f"{capacity} ±{max(way.error, 0.001):.1%}"
    notes = [f"after a burst of {_size(way.burst_bytes)}"] if way.burst_bytes else []
    notes += [f"{way.lost} packets lost"] if way.lost else []
    notes += [f"TCP payload {_mbps(way.goodput_mbps)}"] if way.goodput_mbps is not None else []
    columns = f"{name:<8} {capacity:>18} {_mbps(way.own_mbps):>14} {_mbps(way.available_mbps):>12}"
    notes += _said(way)
    return f"{columns}  {', '.join(notes)}".rstrip()


def _said(way: OneWay) -> list[str]:
    return [f"the sender says {_mbps(way.said_mbps)}, uncounted"] if way.said_mbps is not None else []


def _mbps(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _ms(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def _added(way: OneWay) -> str:
    return "no load seen" if way.added_ms is None else _ms(way.added_ms)


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def _size(value: int) -> str:
    return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.0f} kB"
