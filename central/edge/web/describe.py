"""A station and its records as plain values: what the pages show is what the JSON says."""

from typing import Any

import msgspec

from central.core import chain, dating, fleet
from central.core.fleet import News, StationView
from central.edge.store import Proof
from central.edge.tables.models import Command, Record
from wire import evidence
from wire.codes import CODES
from wire.messages import Fact, Seal, Stamp, Summary, decode_record


def describe(view: StationView, now_s: float) -> dict[str, Any]:
    state = view.state
    age_s = fleet.age_s(view, now_s)
    return {
        "station": view.station,
        "name": fleet.shown(view.station),
        "word": fleet.word(view, now_s),
        "online": view.online,
        "silent": fleet.is_silent(view, now_s),
        "age_s": age_s,
        "records_age_s": None if view.delivered_s is None else max(0.0, now_s - view.delivered_s),
        "agent": state.agent if state else None,
        "session": state.session if state else None,
        "active": {"ipv4": state.active.ipv4, "ipv6": state.active.ipv6} if state else {"ipv4": None, "ipv6": None},
        "uplinks": [_uplink(uplink, age_s) for uplink in state.uplinks] if state else [],
        "facts": [_news(view, news, now_s) for news in view.news],
    }


def _uplink(uplink: Any, age_s: float | None) -> dict[str, Any]:
    described = msgspec.to_builtins(uplink)
    described["signal_id"] = evidence.heard_id(uplink.signal) if uplink.signal else None
    described["since_s"] = None if age_s is None else uplink.since_s + age_s
    return described


def _news(view: StationView, news: News, now_s: float) -> dict[str, Any]:
    return {
        "epoch": news.epoch,
        "seq": news.seq,
        **_fact(news.fact),
        **_time(view, news.stamp, news.arrived_s, now_s),
    }


def _fact(fact: Fact) -> dict[str, Any]:
    known = CODES.get(fact.code)
    return {
        "code": fact.code,
        "severity": known.severity.value if known else None,
        "meaning_id": known.meaning_id if known else None,
        "meaning_en": known.meaning_en if known else None,
        "uplink": fact.uplink,
        "before": fact.before,
        "after": fact.after,
        "told_id": evidence.told_id(fact),
        "told_en": evidence.told_en(fact),
    }


def _time(view: StationView, stamp: Stamp, arrived_s: float, now_s: float) -> dict[str, float | None]:
    """`age_s` is by the centre's clock; None where nothing tells when that boot began, and only the arrival is sure."""
    happened_s = dating.happened_s(view.boots, stamp)
    return {
        "age_s": None if happened_s is None else max(0.0, now_s - min(happened_s, arrived_s)),
        "arrived_age_s": max(0.0, now_s - arrived_s),
    }


def describe_record(view: StationView, record: Record, now_s: float) -> dict[str, Any]:
    body = _body(record)
    stamp = Stamp(record.boot, record.uptime_s, record.wall_s, record.synced)
    described = {
        "epoch": record.epoch,
        "seq": record.seq,
        "kind": record.kind,
        "late": record.is_late,
        **_time(view, stamp, record.arrived_s, now_s),
    }
    if isinstance(body, Fact):
        return described | _fact(body)
    if isinstance(body, Seal):
        return described | {"upto": body.upto}
    if body is None:
        return described
    return described | {"span_s": body.span_s, "uplinks": [_measured(uplink) for uplink in body.uplinks]}


def _body(record: Record) -> Fact | Summary | Seal | None:
    """None of what was not understood when it came: a newer centre may understand it, but did not judge it."""
    if record.kind == "unread":
        return None
    if record.data is None:
        return msgspec.json.decode(record.body, type=Fact | Summary)
    return decode_record(bytes(record.data)).body


COMMANDED_ID = {
    "waiting": "menunggu jawaban",
    "done": "dilakukan",
    "refused": "ditolak",
    "failed": "gagal",
    "expired": "kedaluwarsa",
}


def describe_command(row: Command, now_s: float) -> dict[str, Any]:
    known = CODES.get(row.code)
    arguments = msgspec.json.decode(row.arguments, type=dict[str, Any])
    return {
        "kind": row.kind,
        "about": f"versi {row.number}" if row.number else " ".join(str(value) for value in arguments.values()),
        "by": row.by,
        "asked_age_s": max(0.0, now_s - row.asked_s),
        "status": row.status,
        "status_id": COMMANDED_ID.get(row.status, row.status),
        "severity": "warning" if row.status in ("refused", "failed") else None,
        "code": row.code,
        "meaning_id": known.meaning_id if known else "",
        "meaning_en": known.meaning_en if known else "",
        "text": row.text,
        "sent": row.sent,
    }


def _measured(uplink: Any) -> dict[str, Any]:
    """Loss is a share of what was really sent; of nothing sent there is none."""
    ways = uplink.each_way
    shares = {
        "up_loss": _share(ways.up_lost, ways.up_of) if ways else None,
        "down_loss": _share(ways.down_lost, ways.down_of) if ways else None,
    }
    return msgspec.structs.asdict(uplink) | shares | {"loss": _share(uplink.lost, uplink.sent)}


def _share(lost: int, of: int) -> float | None:
    return lost / of if of > 0 else None


def describe_proof(proof: Proof) -> dict[str, Any]:
    """How far an epoch is chained and signed, and what is not as it should be."""
    mark = proof.mark
    dropped = [chain.Finding(chain.Kind.DROPPED, gap.first, gap.last) for gap in proof.gaps]
    return {
        "epoch": mark.epoch,
        "stored": mark.stored,
        "sealed": proof.sealed,
        "bad": [{"id": each.told_id(), "en": each.told_en()} for each in proof.findings],
        "more": proof.more,
        "dropped": [{"id": each.told_id(), "en": each.told_en()} for each in dropped],
        "unread": proof.unread,
    }
