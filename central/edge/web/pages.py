"""The pages and their JSON: each asks the store, describes what it finds, and says how old it is."""

import json
import time
from collections import Counter
from datetime import datetime
from importlib import resources

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from central.core.cards import shown
from central.core.fleet import StationView, Word
from central.edge import commands, rolls, store
from central.edge.tables.models import Alarm
from central.edge.web.describe import describe, describe_command, describe_proof, describe_record
from wire.codes import CODES
from wire.evidence import told_en, told_id
from wire.messages import Fact, Public
from wire.seen import encode, plain

CHECK_BODY = "siaga check\n"  # every station's configuration has it to the letter
LATEST_RECORDS = 100
MOST_ALARMS = 50
LATEST_COMMANDS = 10
MOST_PRESSING_FIRST = (Word.DOWN, Word.BACKUP, Word.UNKNOWN, Word.READY)
STATIC_TYPES = {
    "siaga.css": "text/css; charset=utf-8",
    "siaga.js": "text/javascript; charset=utf-8",
    "siaga.svg": "image/svg+xml",
}


@require_safe
def fleet(request: HttpRequest) -> HttpResponse:
    """Every station, the most pressing first."""
    now_s = time.time()
    stations = [describe(view, now_s) for view in store.fleet()]
    stations.sort(key=lambda station: (MOST_PRESSING_FIRST.index(station["word"]), station["station"]))
    counts = Counter(station["word"] for station in stations)
    ages = [station["age_s"] for station in stations if station["age_s"] is not None]
    return _page(
        request,
        "siaga/fleet.html",
        now_s,
        stations=stations,
        counts=[(word, counts[word]) for word in MOST_PRESSING_FIRST],
        freshest_s=min(ages, default=None),
        stalest_s=max(ages, default=None),
        alarms=[_alarm(alarm, now_s) for alarm in rolls.alarms()[:MOST_ALARMS]],
    )


def _alarm(alarm: Alarm, now_s: float) -> dict[str, object]:
    fact = Fact(alarm.code, evidence=json.loads(alarm.evidence))
    return {
        "station": shown(alarm.station),
        "code": CODES[alarm.code],
        "told_id": told_id(fact),
        "told_en": told_en(fact),
        "age_s": max(0.0, now_s - alarm.raised_s),
    }


@require_safe
def station(request: HttpRequest, number: str) -> HttpResponse:
    """One station and its latest records."""
    now_s = time.time()
    view = _known(number)
    records = [describe_record(view, record, now_s) for record in store.latest(view, LATEST_RECORDS)]
    proofs = [describe_proof(proof) for proof in store.proofs(number)]
    commanded = [describe_command(row, now_s) for row in commands.recent(number, LATEST_COMMANDS)]
    content = {"records": records, "proofs": proofs, "commands": commanded}
    return _page(request, "siaga/station.html", now_s, station=describe(view, now_s), **content)


@require_safe
def api_stations(_request: HttpRequest) -> HttpResponse:
    now_s = time.time()
    return JsonResponse({"now_s": now_s, "stations": [describe(view, now_s) for view in store.fleet()]})


@require_safe
def api_records(_request: HttpRequest, number: str) -> HttpResponse:
    _known(number)
    return JsonResponse({"epochs": store.holdings(number)})


@require_safe
def check(_request: HttpRequest) -> HttpResponse:
    """What a station compares with, to see whether somebody else answers in our place; it never changes."""
    return HttpResponse(CHECK_BODY, content_type="text/plain; charset=utf-8")


@require_safe
def seen(request: HttpRequest) -> HttpResponse:
    """The address by which the question came, and whose that is: how a station learns where an uplink goes out."""
    try:
        address = plain(request.META["REMOTE_ADDR"])
    except ValueError:
        return HttpResponseBadRequest()
    owner = settings.NETWORKS.find(address)
    return HttpResponse(encode(Public(address, owner.asn, owner.operator)), content_type="application/json")


@require_safe
def static(_request: HttpRequest, name: str) -> HttpResponse:
    """Our own style and script, out of the package: there is no web server in front of us."""
    if name not in STATIC_TYPES:
        raise Http404
    content = resources.files("central.edge.web").joinpath("static", name).read_bytes()
    return HttpResponse(content, content_type=STATIC_TYPES[name], headers={"Cache-Control": "max-age=60"})


def _known(number: str) -> StationView:
    view = store.station(number)
    if view is None:
        raise Http404
    return view


def _page(request: HttpRequest, template: str, now_s: float, **content: object) -> HttpResponse:
    made = datetime.fromtimestamp(now_s).astimezone()
    return render(request, template, {"made": made.strftime("%d-%m-%Y %H.%M.%S %Z"), **content})
