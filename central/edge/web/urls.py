"""Which address shows what."""

from django.urls import path, register_converter

from central.edge.web import pages
from wire.topics import is_station


class StationNumber:
    """Thirteen digits in an address."""

    regex = "[0-9]{13}"

    def to_python(self, value: str) -> str:
        if not is_station(value):
            raise ValueError(value)
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(StationNumber, "station")

urlpatterns = [
    path("", pages.fleet, name="fleet"),
    path("stations/<station:number>/", pages.station, name="station"),
    path("api/stations", pages.api_stations, name="api-stations"),
    path("api/stations/<station:number>/records", pages.api_records, name="api-records"),
    path("siaga/check", pages.check, name="check"),
    path("siaga/seen", pages.seen, name="seen"),
    path("static/<str:name>", pages.static, name="static"),
]
