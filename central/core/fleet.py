"""What each station looks like now, as far as the centre can know: a fold over what arrived, asked with a `now`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from msgspec import structs

from central.core import dating
from central.core.intake import Delivered
from wire.messages import Fact, Health, Record, Stamp, State, Summary, UplinkState, UplinkSummary

SILENT_AFTER_S = 150.0  # a summary or a state is promised each minute: two may be late before it is called silence
FIGURES_FROM = 20  # echoes at least: a state's own figures rest on no fewer, and those of three would jump
CLOCK_SLACK_S = 5.0  # the centre's own clock may be set back a little without making news from the future
NEWS_KEPT = 3
ROUTINE = frozenset({"HANDED_OVER", "FLOWS_LEFT"})  # belongs to a move that is told already; the station's page has it
EPOCHS_KEPT = 16  # runs of the agent, to put its facts in order: what waited in the spool may be of several


class Word(StrEnum):
    """The one big word about a station."""

    READY = "SIAP"
    BACKUP = "CADANGAN"
    DOWN = "GANGGUAN"
    UNKNOWN = "TIDAK DIKETAHUI"


@dataclass(frozen=True, slots=True)
class News:
    """A fact, and when it came."""

    epoch: str
    seq: int
    stamp: Stamp
    fact: Fact
    arrived_s: float


@dataclass(frozen=True, slots=True)
class StationView:
    """One station; all times are the centre's clock, seconds since 1970."""

    station: str
    state: State | None = None
    """The newest; None when only records came so far."""
    online: bool = False
    heard_s: float | None = None
    """When the state was heard from the station itself, or what brought it up to date; None when the broker only
    remembered one.
    """
    silent_at_s: float | None = None
    """From then on the station counts as silent, unless it is heard before."""
    delivered_s: float | None = None
    """When its newest records came."""
    epochs: tuple[str, ...] = ()
    """In the order in which they were first seen, newest last."""
    boots: dating.Boots = ()
    """Of this station, to date what it says."""
    news: tuple[News, ...] = ()
    """Its latest facts, newest first."""


def hear(view: StationView, state: State, now_s: float) -> StationView:
    """The view after a station's state, or its last will, arrived."""
    if not state.online:
        return _part(view, state)
    if _is_no_news(view, state):
        return view
    boots = dating.hear(view.boots, state.stamp, now_s)
    return replace(view, state=state, online=True, heard_s=now_s, silent_at_s=now_s + SILENT_AFTER_S, boots=boots)


def recall(view: StationView, state: State) -> StationView:
    """The view after the broker repeated a state that it had kept, which says how the station was but not when."""
    if view.state is None:
        return replace(view, state=state, online=state.online)
    if not state.online:
        return _part(view, state)
    if state.stamp.boot != view.state.stamp.boot or _is_no_news(view, state):
        return view  # two boots have no order by themselves; the station's next state, within minutes, settles it
    return replace(view, state=state, online=True)


def _part(view: StationView, will: State) -> StationView:
    if view.state is None:
        return replace(view, state=will, online=False)
    if will.session != view.state.session:
        return view  # the will of a connection that a newer one has replaced
    return replace(view, online=False)


def _is_no_news(view: StationView, state: State) -> bool:
    known = view.state
    return known is not None and known.stamp.boot == state.stamp.boot and state.stamp.uptime_s <= known.stamp.uptime_s


def take_in(view: StationView, delivered: Delivered, now_s: float) -> StationView:
    """The view after records arrived, late or doubled ones included."""
    epoch = delivered.epoch
    epochs = view.epochs if epoch in view.epochs else (*view.epochs, epoch)[-EPOCHS_KEPT:]
    found = {(news.epoch, news.seq): news for news in view.news if news.epoch in epochs}
    boots = view.boots
    for record in filter(None, (line.record for line in delivered.lines)):
        boots = dating.learn(boots, record.stamp, now_s)
        if isinstance(record.body, Fact) and record.body.code not in ROUTINE:
            fresh = News(epoch, record.seq, record.stamp, record.body, now_s)
            found.setdefault((epoch, record.seq), fresh)
        view = _bring_up_to_date(replace(view, boots=boots), record, now_s)
    newest_first = sorted(found.values(), key=lambda news: (epochs.index(news.epoch), news.seq), reverse=True)
    return replace(view, delivered_s=now_s, epochs=epochs, boots=boots, news=tuple(newest_first[:NEWS_KEPT]))


def _bring_up_to_date(view: StationView, record: Record, now_s: float) -> StationView:
    """A record written after the newest state is a sign of life; one that comes at once may have newer figures.

    One that is late is no sign that the station is silent: the broker kept it, or the clocks have drifted apart.
    """
    known, stamp = view.state, record.stamp
    if known is None or not view.online or stamp.boot != known.stamp.boot or stamp.uptime_s <= known.stamp.uptime_s:
        return view
    view = replace(view, silent_at_s=now_s + SILENT_AFTER_S)
    happened_s = dating.happened_s(view.boots, stamp)
    if happened_s is None or now_s - happened_s > dating.ANOTHER_CLOCK_S:
        return view
    passed_s = stamp.uptime_s - known.stamp.uptime_s
    told = {each.name: each for each in record.body.uplinks} if isinstance(record.body, Summary) else {}
    uplinks = tuple(_newer(uplink, told.get(uplink.name), passed_s) for uplink in known.uplinks)
    state = structs.replace(known, stamp=stamp, uplinks=uplinks)
    return replace(view, state=state, heard_s=now_s)


def _newer(uplink: UplinkState, told: UplinkSummary | None, passed_s: float) -> UplinkState:
    """The uplink so much later; what a summary cannot tell of it stays as it was."""
    forecast = uplink.forecast and structs.replace(uplink.forecast, measured_s=uplink.forecast.measured_s + passed_s)
    uplink = structs.replace(uplink, since_s=uplink.since_s + passed_s, forecast=forecast)
    if told is None:
        return uplink
    uplink = structs.replace(uplink, signal=told.signal)
    ended = told.answered + told.lost
    if uplink.health is Health.DEAD or told.rtt_p50_ms is None or ended < FIGURES_FROM:
        return uplink
    return structs.replace(uplink, rtt_ms=told.rtt_p50_ms, loss=max(0, told.lost) / ended)


def advance(mark: int, oldest: int, later: Iterable[tuple[int, int]]) -> int:
    """The high-water mark: the largest n such that every seq <= n is stored, or will never come.

    `later` are the stored records and the gaps told above the mark, each from its first to its last seq, ascending; it
    is read up to the first hole only. What is below `oldest` will not come either.
    """
    mark = max(mark, oldest - 1)
    for first, last in later:
        if first > mark + 1:
            break
        mark = max(mark, last)
    return mark


def word(view: StationView, now_s: float) -> Word:
    """SIAP, CADANGAN, GANGGUAN, or that nothing is known. The first uplink listed is the preferred one."""
    if view.state is None or not view.online or is_silent(view, now_s):
        return Word.UNKNOWN
    carrying = {view.state.active.ipv4, view.state.active.ipv6}
    live = [uplink for uplink in view.state.uplinks if uplink.name in carrying and uplink.health is not Health.DEAD]
    if not live:
        return Word.DOWN
    if all(uplink.health is Health.UNKNOWN for uplink in live):
        return Word.UNKNOWN
    return Word.READY if live == [view.state.uplinks[0]] else Word.BACKUP


def is_silent(view: StationView, now_s: float) -> bool:
    if view.heard_s is None or view.silent_at_s is None:
        return True
    return not view.heard_s - CLOCK_SLACK_S <= now_s < view.silent_at_s


def age_s(view: StationView, now_s: float) -> float | None:
    """How old the state is; None when it was never heard from the station itself."""
    return None if view.heard_s is None else max(0.0, now_s - view.heard_s)


def shown(station: str) -> str:
    """6408042001143 as people read it: 64.08.04.2001 · TPS 143."""
    return f"{station[:2]}.{station[2:4]}.{station[4:6]}.{station[6:10]} · TPS {station[10:]}"
