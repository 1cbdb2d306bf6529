"""The pages: true, readable without JavaScript, and deaf to what a station writes into its names."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.central.centre import Centre, eventually
from tests.central.station import Station, delivery, fact, stamp, state, summary, uplink, will
from wire.messages import Active, Delivery, EachWay, Forecast, Health, Public, Record, Signal, Summary, UplinkSummary

READY, BACKUP, DOWN, GONE, NASTY, WAYS = (f"64080420011{n:02d}" for n in range(6))
HEARD = replace(
    uplink("lte", operator="Telkomsel"),
    signal=Signal("lte", -97.0, snr_db=9.2, operator="TSEL <b>"),
    forecast=Forecast(41.7, 0.124, 4.25, 312.0),
    public=(Public("203.0.113.7", 64501, "Telkomsel <i>"), Public("2001:db8::7")),
)
NASTY_NAME = '<script src="//x">&'


@pytest.fixture(scope="module", autouse=True)
def reported(running: Centre) -> None:
    """Six stations, each in a different condition."""
    dead = (uplink("fibre", Health.DEAD), uplink("lte", Health.DEAD, "Telkomsel"))
    said = {
        READY: [state(READY), delivery([fact(1, "AGENT_STARTED"), summary(2)], station=READY)],
        BACKUP: [
            state(BACKUP, carries="lte", uplinks=(uplink("fibre"), HEARD)),
            delivery([fact(1, "TRAFFIC_MOVED")], station=BACKUP),
        ],
        DOWN: [state(DOWN, carries=None, uplinks=dead), delivery([fact(1, "NO_UPLINK")], station=DOWN)],
        GONE: [state(GONE), will(GONE), delivery([fact(1)], station=GONE)],
        NASTY: [
            state(NASTY, carries=NASTY_NAME, uplinks=(uplink(NASTY_NAME, operator=NASTY_NAME),)),
            delivery([fact(1, NASTY_NAME)], station=NASTY),
        ],
        WAYS: [state(WAYS), delivery([each_way(1)], station=WAYS)],
    }
    for number, messages in said.items():
        station = Station(running.mqtt_port, number)
        for message in messages:
            station.tell(message)
        last = len(messages[-1].records) if isinstance(messages[-1], Delivery) else 0
        eventually(lambda station=station, last=last: station.mark() == last)
        station.leave()


def each_way(seq: int) -> Record:
    """An uplink that loses up, one of which nothing is known, one whose delay is not known yet."""
    split = EachWay(up_lost=12, up_of=100, down_of=88, up_added_ms=81.25, down_added_ms=0.5)
    uplinks = (
        UplinkSummary("fibre", Health.POOR, 60, 53, 7, 0, 0, 7.9, 8.4, 9.9, 12.0, 14.2, each_way=split),
        UplinkSummary("lte", Health.DEAD, 60, 0, 60, 0, 0),
        UplinkSummary("geo", Health.UP, 5, 5, 0, 0, 0, each_way=EachWay(down_of=3)),
    )
    return Record("epoch-1", seq, stamp(float(seq)), Summary(60.0, Active("fibre", None), uplinks))


def test_the_list_says_the_word_the_uplinks_and_the_age(running: Centre) -> None:
    status, _, page = running.get("/")
    assert status == 200
    for wanted in ("64.08.04.2001 · TPS 101", "SIAP", "CADANGAN", "GANGGUAN", "TIDAK DIKETAHUI", "detik lalu"):
        assert wanted in page.replace("baru saja", "0 detik lalu")
    assert "Lalu lintas dipindahkan ke jalur lain" in page
    assert "Traffic was moved to another uplink" in page
    assert "Telkomsel" in page
    assert "8,4 ms" in page
    assert page.index(f"/stations/{DOWN}/") < page.index(f"/stations/{BACKUP}/") < page.index(f"/stations/{READY}/")


def test_the_api_says_the_same(running: Centre) -> None:
    words = {number: running.station(number)["word"] for number in (READY, BACKUP, DOWN, GONE)}
    assert words == {READY: "SIAP", BACKUP: "CADANGAN", DOWN: "GANGGUAN", GONE: "TIDAK DIKETAHUI"}
    backup = running.station(BACKUP)
    assert backup["active"] == {"ipv4": "lte", "ipv6": None}
    assert backup["facts"][0]["code"] == "TRAFFIC_MOVED"
    assert backup["age_s"] >= 0
    assert [uplink["name"] for uplink in backup["uplinks"]] == ["fibre", "lte"]


def test_a_station_has_its_own_page_with_its_records(running: Centre) -> None:
    status, _, page = running.get(f"/stations/{READY}/")
    assert status == 200
    for wanted in ("64.08.04.2001 · TPS 100", "Agen mulai bekerja", "AGENT_STARTED", "59/60", "1,7 %", "9,9 ms"):
        assert wanted in page


def test_a_record_says_what_it_rests_on(running: Centre) -> None:
    assert "tak terdengar apa pun" in running.get(f"/stations/{GONE}/")[2]


def test_how_long_the_photos_would_take_is_shown_where_it_is_known(running: Centre) -> None:
    for path in ("/", f"/stations/{BACKUP}/"):
        assert running.get(path)[2].count("Foto hasil 20 MB</span> ± 42 detik") == 1


def test_each_way_is_shown_by_itself_where_it_is_known(running: Centre) -> None:
    status, _, page = running.get(f"/stations/{WAYS}/")
    assert status == 200
    assert "kirim hilang 12 %, +81,2 ms</span>" in page
    assert "terima hilang 0 %, +0,5 ms</span>" in page
    assert "kirim hilang –</span>" in page
    assert "terima hilang 0 %</span>" in page
    assert page.count("kirim hilang") == 2


def test_the_signal_is_shown_with_the_uplink_that_has_one(running: Centre) -> None:
    shown = "Sinyal</span> lte TSEL &lt;b&gt; · RSRP -97 dBm · SNR 9,2 dB"
    for path in ("/", f"/stations/{BACKUP}/"):
        assert running.get(path)[2].count(shown) == 1
    assert running.station(BACKUP)["uplinks"][1]["signal"]["rsrp_dbm"] == -97.0


def test_names_from_outside_are_text(running: Centre) -> None:
    for path in ("/", f"/stations/{NASTY}/"):
        page = running.get(path)[2]
        assert NASTY_NAME not in page
        assert "&lt;script src=&quot;//x&quot;&gt;&amp;" in page


def test_every_answer_is_guarded(running: Centre) -> None:
    for path in ("/", f"/stations/{READY}/", "/api/stations", "/static/siaga.css", "/nowhere"):
        _, headers, _ = running.get(path)
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(running: Centre) -> None:
    for path in ("/", f"/stations/{READY}/", "/nowhere"):
        page = running.get(path)[2]
        assert "http://" not in page
        assert "https://" not in page
        assert "style=" not in page
        assert "<style" not in page
    assert '<meta http-equiv="refresh"' in running.get("/")[2]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/stations/6408042009999/",
        "/stations/123/",
        "/api/stations/6408042009999/records",
        "/static/x",
        "/static/..%2fsettings.py",
    ],
)
def test_what_is_not_there_is_404_in_plain_words(running: Centre, path: str) -> None:
    status, _, page = running.get(path)
    assert (status, "Tidak ada" in page) == (404, True)


def test_the_check_page_is_the_same_for_ever(running: Centre) -> None:
    status, headers, page = running.get("/siaga/check")
    assert (status, page) == (200, "siaga check\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["date"].endswith("GMT")
    assert 'body: "siaga check\\n"' in Path("config/agent.yaml").read_text()


def test_a_foreign_name_that_points_here_is_refused(running: Centre) -> None:
    assert running.get("/", Host="evil.example")[0] == 400
    assert "Traceback" not in running.errors


def test_the_records_of_a_station_are_counted(running: Centre) -> None:
    status, _, content = running.get(f"/api/stations/{READY}/records")
    assert status == 200
    assert json.loads(content) == {
        "epochs": [{"epoch": "epoch-1", "stored": 2, "first": 1, "count": 2, "out_of_order": 0}]
    }


def test_secrets_are_for_the_owner_alone(running: Centre) -> None:
    for name in ("secret-key", "broker/nats-server.conf"):
        assert (running.data / name).stat().st_mode & 0o077 == 0


def test_the_page_says_how_the_centre_sees_an_uplink(running: Centre) -> None:
    _, _, page = running.get(f"/stations/{BACKUP}/")
    assert "Alamat publik</span> 203.0.113.7 (Telkomsel &lt;i&gt;, AS64501) 2001:db8::7" in page
