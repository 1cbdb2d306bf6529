"""All looks in order, each within its time and its bytes; a layer that has failed spares those above it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.core.station import Check, Family, Station, Uplink
from agent.diagnose import clock, dhcp, dns, http, link, mqtt, mtu, neighbour, path, tcp, tls
from agent.diagnose.look import Layer, Look, Outcome, OutOfTime, Purse, State, Subject, left_s, within_s
from agent.edge import trust
from agent.edge.clock import wall
from agent.edge.identity import NoIdentity

WHOLE_S = 20.0
WAIT_S, SHORT_WAIT_S = 3.0, 1.5  # for one answer from afar; when no target answers, little can be hoped for
TLS_PORT = 443
Taken = Callable[[], Look]


class Examination:
    """`looks` is a walk from the device outwards; `subject` is known when the first of them is done."""

    def __init__(self, station: Station, uplink: Uplink, family: Family | None, purse: Purse, began_at: float) -> None:
        self._station, self._uplink, self._family = station, uplink, family
        self._check = station.check or Check()
        self._deadline = began_at + WHOLE_S
        self._purse = purse
        self._wait_s = WAIT_S
        self._centre_s: float | None = None
        self._centre, self._state_dir = station.centre, station.state_dir
        self._broker = urlsplit(station.centre.broker).netloc
        self.subject = Subject(uplink.name, uplink.interface)
        self.done: dict[Layer, Look] = {}

    def looks(self) -> Iterator[Look]:
        steps: tuple[tuple[Layer, Taken], ...] = (
            (Layer.LINK, self._link),
            (Layer.GATEWAY, lambda: neighbour.look(self.subject, self._purse)),
            (Layer.DHCP, lambda: dhcp.look(self.subject, self._purse)),
            (Layer.INTERNET, self._internet),
            (Layer.MTU, self._mtu),
            (Layer.DNS, self._dns),
            (Layer.TCP, self._tcp),
            (Layer.MQTT, self._mqtt),
            (Layer.HTTP, self._http),
            (Layer.CLOCK, lambda: clock.look(*wall(), self._centre_s)),
            (Layer.TLS, self._tls),
        )
        for layer, take in steps:
            self.done[layer] = self._taken(layer, take)
            yield self.done[layer]

    def _taken(self, layer: Layer, take: Taken) -> Look:
        if not self._is_reachable(layer):
            return Look(layer, Outcome.BELOW)
        if left_s(self._deadline) <= 0 and layer is not Layer.CLOCK:
            return Look(layer, Outcome.NO_TIME)
        try:
            with within_s(left_s(self._deadline)):
                return take()
        except OutOfTime:
            return Look(layer, Outcome.NO_TIME)
        except OSError as why:
            return Look(layer, Outcome.CANNOT, {"why": tcp.reason(why)})

    def _is_reachable(self, layer: Layer) -> bool:
        """Whether what this look needs has not failed already. A missing address is what DHCP is asked about."""
        link_look, gateway = self.done.get(Layer.LINK), self.done.get(Layer.GATEWAY)
        if layer in (Layer.LINK, Layer.CLOCK) or link_look is None:
            return True
        if layer is Layer.DHCP:
            return link_look.outcome not in (Outcome.LINK_GONE, Outcome.LINK_OFF, Outcome.LINK_NO_CARRIER)
        if link_look.state is State.FAILED:
            return False
        return layer is Layer.GATEWAY or gateway is None or gateway.outcome is not Outcome.GATEWAY_SILENT

    def _link(self) -> Look:
        family = self._family or Family.IPV4
        look, self.subject = link.look(
            self._uplink, self._family, len(self._station.uplinks) == 1, path.first_of(family, self._station.targets)
        )
        return look

    def _internet(self) -> Look:
        look = path.look(self.subject, self._station.targets, self._purse)
        if look.outcome is Outcome.SILENT:
            self._wait_s = SHORT_WAIT_S
        return look

    def _mtu(self) -> Look:
        internet = self.done[Layer.INTERNET].facts
        answering = internet.get("answering")
        if answering is None:
            return Look(Layer.MTU, Outcome.BELOW)
        return mtu.look(self.subject, [str(answering)], float(internet.get("ms") or 0), self._purse)

    def _dns(self) -> Look:
        self._resolvers = dns.resolvers_of(self._station, self.subject)
        check = self._check
        return dns.look(self.subject, self._resolvers, check.name, check.answer, self._wait_s, self._purse)

    def _tcp(self) -> Look:
        return self._at(Layer.TCP, self._centre.broker_host, lambda address: self._connect(address))

    def _connect(self, address: str) -> Look:
        port = self._centre.broker_port
        return tcp.look(self.subject, self._broker, address, port, self._wait_s, self._purse)

    def _mqtt(self) -> Look:
        connected = self.done[Layer.TCP]
        if connected.outcome is not Outcome.CONNECTED:
            return Look(Layer.MQTT, Outcome.BELOW)
        address, centre = str(connected.facts["address"]), self._centre
        at = mqtt.Place(self._broker, address, centre.broker_host, centre.broker_port)
        try:
            secured = trust.of_device(Path(self._state_dir)) if self._centre.is_secured else None
        except (NoIdentity, OSError):
            return Look(Layer.MQTT, Outcome.NOT_CONFIGURED)
        return mqtt.look(self.subject, at, secured, self._wait_s, self._purse)

    def _http(self) -> Look:
        if self._check.http is None or self._check.body is None:
            return Look(Layer.HTTP, Outcome.NOT_CONFIGURED)
        if link.is_kept(self.subject.device):
            return Look(Layer.HTTP, Outcome.KEPT)
        page, body = http.Page.of(self._check.http), self._check.body
        return self._at(Layer.HTTP, page.host, lambda address: self._fetch(page, address, body))

    def _fetch(self, page: http.Page, address: str, body: str) -> Look:
        look, self._centre_s = http.look(self.subject, page, address, body, self._wait_s, self._purse)
        return look

    def _tls(self) -> Look:
        if self._check.tls is None:
            return Look(Layer.TLS, Outcome.NOT_CONFIGURED)
        if link.is_kept(self.subject.device):
            return Look(Layer.TLS, Outcome.KEPT)
        server, authority = urlsplit(f"//{self._check.tls}"), self._check.tls_ca
        host, port = server.hostname or "", server.port or TLS_PORT
        return self._at(
            Layer.TLS,
            host,
            lambda address: tls.look(self.subject, host, address, port, authority, self._wait_s, self._purse),
        )

    def _at(self, layer: Layer, host: str | None, take: Callable[[str], Look]) -> Look:
        """With the address of that host, as this uplink's own resolver gives it."""
        address = dns.resolve(self.subject, self._resolvers, host or "", self._wait_s / 2, self._purse)
        return Look(layer, Outcome.NO_NAME, {"name": host}) if address is None else take(address)


def took_s(began_at: float) -> float:
    return time.monotonic() - began_at
