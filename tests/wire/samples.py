"""The values that the golden files hold, written out once more by hand."""

import msgspec

from wire.messages import (
    Active,
    Delivery,
    EachWay,
    Fact,
    Forecast,
    Former,
    Gap,
    Health,
    Public,
    Record,
    Seal,
    Signal,
    Stamp,
    State,
    Stored,
    Summary,
    UplinkState,
    UplinkSummary,
    encode,
)

STATION = "6408042001143"
STAMP = Stamp(boot="5f0c3a9be211", uptime_s=86461.25, wall_s=1795305600.125, synced=False)

SIGNAL = Signal(
    technology="lte",
    rsrp_dbm=-97.0,
    rsrq_db=-11.5,
    snr_db=9.2,
    rssi_dbm=-67.0,
    operator="Telkomsel",
    operator_code="51010",
    cell_id="0A1B2C3D",
    registration="home",
)

STATE = State(
    station=STATION,
    session="5f0c3a9be211-3",
    online=True,
    agent="0.1.0",
    stamp=STAMP,
    active=Active(ipv4="lte", ipv6=None),
    uplinks=(
        UplinkState(
            name="fibre",
            interface="eth0",
            kind="fibre",
            health=Health.DEAD,
            since_s=12.5,
            carries_traffic=False,
            operator="Telkom",
            rtt_ms=8.125,
            loss=0.25,
        ),
        UplinkState(
            name="lte",
            interface="wwan0",
            kind="lte",
            health=Health.UP,
            since_s=86400.0,
            carries_traffic=True,
            operator="Telkomsel · Kalimantan",
            rtt_ms=61.0,
            loss=0.0,
            signal=SIGNAL,
            forecast=Forecast(photos_s=41.7, message_s=0.124, up_mbps=4.25, measured_s=312.0),
            public=(Public("203.0.113.7", 23693, "Telkomsel"), Public("2001:db8:5::7")),
        ),
        UplinkState(
            name="geo", interface="eth2", kind="geo", health=Health.UNKNOWN, since_s=3.0, carries_traffic=False
        ),
    ),
)

WILL = State(
    station=STATION,
    session="5f0c3a9be211-3",
    online=False,
    agent="0.1.0",
    stamp=STAMP,
)

FACT = Record(
    epoch="0a1b2c3d4e5f6071",
    seq=41,
    stamp=STAMP,
    body=Fact(
        code="UPLINK_DEAD",
        uplink="fibre",
        before="up",
        after="dead",
        evidence={"cause": "silence", "silence_s": 1.31, "limit_s": 1.3, "rtt_ms": None},
    ),
    link="9BP9WUmo1O/0",
)

SUMMARY = Record(
    epoch="0a1b2c3d4e5f6071",
    seq=42,
    stamp=STAMP,
    body=Summary(
        span_s=60.0,
        active=Active(ipv4="fibre", ipv6="fibre"),
        uplinks=(
            UplinkSummary(
                name="fibre",
                health=Health.UP,
                sent=480,
                answered=478,
                lost=2,
                late=1,
                not_sent=0,
                rtt_min_ms=7.9,
                rtt_p50_ms=8.125,
                rtt_p95_ms=9.5,
                rtt_p99_ms=31.0,
                rtt_max_ms=1203.5,
                skipped=3,
                after_idle_ms=912.5,
                each_way=EachWay(
                    up_lost=4,
                    up_of=36,
                    down_lost=1,
                    down_of=32,
                    lost_unknown=2,
                    late=1,
                    not_sent=1,
                    duplicates=1,
                    up_added_ms=81.25,
                    down_added_ms=0.5,
                ),
            ),
            UplinkSummary(
                name="lte",
                health=Health.UP,
                sent=120,
                answered=117,
                lost=3,
                late=0,
                not_sent=0,
                rtt_p50_ms=58.4,
                pdv_p95_ms=21.7,
                ipdv_mean_ms=6.05,
                loss_low=0.00854,
                loss_high=0.07086,
                loss_runs=2,
                longest_run_s=0.812,
                duplicates=1,
                refused=1,
            ),
            UplinkSummary(name="geo", health=Health.POOR, sent=0, answered=0, lost=0, late=0, not_sent=120),
            UplinkSummary(
                name="lte",
                health=Health.UP,
                sent=60,
                answered=60,
                lost=0,
                late=0,
                not_sent=0,
                signal=Signal(rsrp_dbm=-121.0, registration="searching"),
            ),
        ),
    ),
)

SEAL = Record(
    epoch="0a1b2c3d4e5f6071",
    seq=43,
    stamp=STAMP,
    body=Seal(
        upto=41,
        chain="LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564=",
        signature="MAYCAQECAQI=",
        key="wv+xE1Gl/l0p",
        certificate="-----BEGIN CERTIFICATE-----\n",
    ),
    link="Fx1WzlBr8fdd",
)


FIRST = Record(
    epoch="5f0c3a9be211",
    seq=1,
    stamp=STAMP,
    body=Fact("AGENT_STARTED", evidence={"boot": "5f0c3a9be211"}),
    link="1sGfPKCbQqCT",
    former=Former("0a1b2c3d4e5f6071", 43, "LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564="),
)


def raw(*records: Record) -> tuple[msgspec.Raw, ...]:
    return tuple(msgspec.Raw(encode(record)) for record in records)


SAMPLES: dict[str, State | Delivery | Stored] = {
    "state": STATE,
    "will": WILL,
    "delivery_fact": Delivery(station=STATION, oldest=41, records=raw(FACT)),
    "delivery_summary": Delivery(station=STATION, oldest=42, records=raw(SUMMARY)),
    "delivery_log": Delivery(station=STATION, oldest=7, records=raw(FACT, SUMMARY)),
    "delivery_seal": Delivery(
        station=STATION,
        oldest=43,
        records=raw(SEAL),
        gaps=(Gap(first=7, last=41, link="1sGfPKCbQqCT", chain="LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564="),),
    ),
    "delivery_first": Delivery(station=STATION, oldest=1, records=raw(FIRST)),
    "stored": Stored(epoch="0a1b2c3d4e5f6071", seq=42),
}
