"""The only loop: wait, ask the core, hand out what it wants."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from agent.core import words
from agent.core.bandwidth import Measured
from agent.core.decide import Phase
from agent.core.events import (
    Answer,
    AskSeen,
    BandwidthMeasured,
    Configure,
    DateKnown,
    Diagnose,
    Effect,
    Event,
    KernelSeen,
    MeasureBandwidth,
    Noticed,
    NotMeasured,
    OverrideAsked,
    OverrideEnded,
    PhaseSet,
    Remember,
    SendEchoes,
    SendStamp,
    SetRoutes,
    ShowState,
    Stopping,
    Tick,
)
from agent.core.failover import Failover
from agent.core.metrics import Own, exposition
from agent.core.plan import told
from agent.core.report import Boot
from agent.core.station import Station
from agent.core.tally import Tally
from agent.edge import clock, control, memory, systemd
from agent.edge.broker import Courier
from agent.edge.card import Place
from agent.edge.child import Examiner
from agent.edge.choice import Choice
from agent.edge.given import Given
from agent.edge.icmp import Prober
from agent.edge.inbox import Inbox
from agent.edge.kernel import Kernel
from agent.edge.lasting import LastingSpool
from agent.edge.metrics import Responder
from agent.edge.modem import Modems
from agent.edge.renewer import Renewer
from agent.edge.sealer import Sealer
from agent.edge.seen import Mirror
from agent.edge.spool import Head
from agent.edge.stamp import Asker
from agent.edge.tester import Tester
from agent.edge.traffic import Traffic
from agent.edge.trial import Trial
from agent.edge.trust import TimeKeeper
from wire.messages import Fact, Seal, Stamp, Summary

log = logging.getLogger(__name__)

WAITING_AT_MOST = 10_000  # events; at ten a second nobody falls that far behind and lives
WHY_LETTERS = 160  # of why a test failed
CHOICE_AT_MOST_S = 365 * 86_400
SEALED_AT_ONCE = ("TRAFFIC_MOVED", "HANDED_OVER")


class Daemon:
    """Edges put events on one queue; only `run` asks the core. Nothing here waits for an edge."""

    def __init__(
        self,
        station: Station,
        version: str,
        stamp_key: bytes | None = None,
        given: Given | None = None,
        local: str = "",
        place: Place | None = None,
    ) -> None:
        """`local` is the hash of the technician's file, for which the centre may give others.

        Raises OSError and sqlite3.Error when the state directory cannot be used.
        """
        now = time.monotonic()
        state_dir = Path(station.state_dir)
        self._loop = asyncio.get_running_loop()
        self._station, self._version = station, version
        self._tally = Tally()
        self._boot = Boot(os.urandom(6).hex(), now)
        self._spool = LastingSpool(place or Place(state_dir, state_dir), station.station, self._boot.name)
        known, self._memory_set_aside = memory.read(state_dir / "memory.json")
        self._memory = memory.Writer(state_dir / "memory.json")
        self._choice = Choice(state_dir)
        self._core = Failover(station, now, known, self._choice.read())
        self._waiting: deque[Event] = deque()
        self._something = asyncio.Event()
        self._prober = Prober(station, self.emit)
        self._asker = Asker(station, self.emit, stamp_key)
        self._kernel = Kernel(station, self.emit)
        self._traffic = Traffic(station, self.emit)
        self._modems = Modems(station, self.emit)
        self._examiner = Examiner(station, self.emit)
        self._tester = Tester(station, self.emit)
        self._mirror = Mirror(station, self.emit)
        self._responder = Responder(station, self._metrics)
        self._courier = Courier(
            station, self._spool, version, self._stamp, self._tell, lambda *heard: self._inbox.hear(*heard)
        )
        self._renewer = Renewer(station, self.emit, self._courier.move)
        self._time = TimeKeeper(state_dir)
        self._card = ThreadPoolExecutor(1, "card")  # the card may take seconds to write; one thread keeps the order
        self._sealer = Sealer(station, self._head, self._keep_seal, self.emit)
        given = given or Given(state_dir)
        self._inbox = Inbox(station, self._uptime, self.emit, self._courier.answer, given, self._card)
        self._trial = Trial(given, local, station.station, self.emit, self._courier.answer, now)
        self._notify = systemd.Notify()
        self._calendar = clock.Calendar()
        self._overrun = 0
        self._stopping = self._is_told_to_stop = False
        self._fault: BaseException | None = None

    def emit(self, event: Event) -> None:
        """For the edges, from the loop's own thread."""
        if len(self._waiting) >= WAITING_AT_MOST:
            self._overrun += 1
            return
        self._waiting.append(event)
        self._something.set()

    @property
    def wants_restart(self) -> bool:
        """It did not end because somebody told it to, but because another configuration is in force."""
        return self._trial.wants_restart and not self._is_told_to_stop

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. The routes stay as they are: the last decision is the best default there is."""
        loop = self._loop
        self._inbox.open(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._tell_start()
        async with asyncio.TaskGroup() as tasks:
            server = await control.serve(Path(self._station.state_dir), self._answer)
            self._courier.start()
            edges = (self._kernel, self._traffic, self._modems, self._examiner, self._tester, self._mirror)
            others = (self._responder, self._sealer, self._renewer, self._inbox)
            lasting = [tasks.create_task(each.run()) for each in (*edges, *others)]
            self._notify.ready()
            await self._think()
            server.close()
            for task in lasting:
                task.cancel()
        self._prober.close()
        self._asker.close()
        self._traffic.close()
        self._card.shutdown()
        self._courier.stop()
        self._spool.close()

    async def _think(self) -> None:
        alive_at = 0.0
        while not (self._stopping and not self._waiting):
            event = await self._next()
            now = time.monotonic()
            for effect in self._core.handle(event, now):
                self._apply(effect, now)
            if now >= alive_at:
                alive_at = now + self._check_health()

    async def _next(self) -> Event:
        """The oldest event, or a Tick when the core's moment has come and no event is waiting."""
        while not self._waiting:
            self._something.clear()
            left_s = self._core.wake_at() - time.monotonic()
            if left_s <= 0:
                await asyncio.sleep(0)  # let the edges hand in what has arrived meanwhile: asyncio looks for it now,
                await asyncio.sleep(0)  # and calls them after who was waiting already
                if not self._waiting:
                    return Tick(-left_s)
                break
            try:
                async with asyncio.timeout(left_s):
                    await self._something.wait()
            except TimeoutError:
                continue
        event = self._waiting.popleft()
        if isinstance(event, KernelSeen):
            self._prober.see(event)
            self._mirror.see(event)
            self._traffic.see(event)
            self._modems.see(event)
            self._asker.see(event)
        return event

    def _apply(self, effect: Effect, now: float) -> None:
        match effect:
            case SetRoutes(wish, active):
                self._choice.write(active)
                self._kernel.want(wish)
            case SendEchoes():
                self._prober.send(effect)
            case SendStamp():
                self._asker.send(effect)
            case Diagnose():
                self._examiner.order(effect)
            case MeasureBandwidth():
                self._tester.order(effect)
            case AskSeen():
                self._mirror.order(effect)
            case ShowState():
                self._courier.show(effect)
                self._notify.status(words.line(effect))
            case Fact():
                log.info("%s", words.sentence(effect))
                self._tally.hear(effect, now)
                self._keep(effect, self._stamp(now))
                if effect.code == "HANDED_OVER":
                    self._courier.move()  # not before the kernel sends by the new uplink
                if effect.code in SEALED_AT_ONCE:
                    self._sealer.want()
            case Summary():
                self._tally.hear(effect, now)
                self._keep(effect, self._stamp(now))
            case Answer(result):
                self._card.submit(self._inbox.settle, result).add_done_callback(self._note_failure)
            case Configure(command):
                begun = self._card.submit(self._trial.begin, command, asyncio.get_running_loop())
                begun.add_done_callback(self._note_failure)
            case Remember(learnt):
                if self._memory.hold(learnt):
                    self._card.submit(self._memory.write).add_done_callback(self._note_failure)

    def _keep(self, body: Fact | Summary | Seal, stamp: Stamp) -> None:
        self._card.submit(self._put, body, stamp).add_done_callback(self._note_failure)

    def _keep_seal(self, seal: Seal) -> None:
        self._keep(seal, self._stamp())

    async def _head(self) -> Head:
        """Asked in the card's thread, so behind everything that waits to be written."""
        return await self._loop.run_in_executor(self._card, self._spool.head)

    def _put(self, body: Fact | Summary | Seal, stamp: Stamp) -> None:
        """In the card's thread."""
        place = self._spool.place
        dropped = self._spool.put(body, stamp)
        if self._spool.place != place:
            self._tell(Noticed("CARD_UNWRITABLE", {"why": self._spool.place.why}))
        self._courier.poke()
        if dropped is not None:
            told = {"first_seq": dropped.first, "last_seq": dropped.last}
            self._tell(Noticed("RECORDS_DROPPED", {**told, "records": dropped.records, "instead": dropped.instead}))

    def _tell(self, event: Event) -> None:
        """For the threads of card and courier; what is told when the loop has ended is told to nobody."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.emit, event)

    def _note_failure(self, written: Future[None]) -> None:
        """A fault of ours in the card's thread is not swallowed: the loop ends with it."""
        self._fault = self._fault or written.exception()

    def _stamp(self, now: float | None = None) -> Stamp:
        return self._boot.stamp(time.monotonic() if now is None else now, *clock.wall())

    def _uptime(self) -> tuple[str, float]:
        return self._boot.name, time.monotonic() - self._boot.started_at

    def _check_health(self) -> float:
        """The core has answered: tell systemd so. Returns when to do it again, in seconds."""
        if self._fault is not None:
            raise self._fault
        if not self._courier.alive:
            raise RuntimeError("the courier's thread has ended")
        if self._overrun:
            log.error("%s events were dropped: the loop could not follow", self._overrun)
            self._overrun = 0
        self._trial.look(self._courier.confirmed, time.monotonic(), self._card)
        if self._trial.wants_restart and not self._stopping:
            self.emit(Stopping())
            self._stopping = True
        self._notify.alive()
        if self._time.due(time.monotonic()):
            self._card.submit(self._time.keep)
        if (date := self._calendar.new_date()) is not None:
            self.emit(DateKnown(*date))
        return (self._notify.watchdog_s or 20) / 4

    def _tell_start(self) -> None:
        self.emit(Noticed("AGENT_STARTED", {"boot": self._boot.name}))
        place = self._spool.place
        if place.why:
            self.emit(Noticed("CARD_UNWRITABLE", {"why": place.why}))
        if place.is_back:
            self.emit(Noticed("CARD_WRITABLE", {}))
        if self._spool.set_aside is not None:
            self.emit(Noticed("SPOOL_RESET", {"set_aside": str(self._spool.set_aside)}))
        if self._memory_set_aside is not None:
            self.emit(Noticed("MEMORY_RESET", {"set_aside": str(self._memory_set_aside)}))
        self._trial.tell_start()

    def _stop(self) -> None:
        self._is_told_to_stop = True
        if not self._stopping:
            self._notify.stopping()
            self.emit(Stopping())
            self._stopping = True

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What `status`, `move`, `auto` and `phase` ask."""
        match request:
            case {"do": "status"}:
                return self._status()
            case {"do": "move", "uplink": str(name), "for_s": float() | int() | None as for_s}:
                if self._station.uplink(name) is None:
                    known = ", ".join(uplink.name for uplink in self._station.uplinks)
                    return {"error": f"there is no uplink {name}; there are {known}"}
                if not _lasts(for_s):
                    return {"error": f"a choice lasts above 0 and at most {CHOICE_AT_MOST_S} seconds, or until auto"}
                return self._hand_in(OverrideAsked(name, for_s))
            case {"do": "allowance", "uplink": str(name)} if self._station.uplink(name) is not None:
                return self._allowance(name)
            case {"do": "tested", "result": result}:
                return self._note_tested(result)
            case {"do": "not_tested", "uplink": str(name), "why": str(why), "bytes": int(spent)} if spent >= 0:
                if self._station.uplink(name) is None:
                    return {"error": f"there is no uplink {name}"}
                return self._hand_in(NotMeasured(name, why[:WHY_LETTERS], spent))
            case {"do": "auto"}:
                return self._hand_in(OverrideEnded())
            case {"do": "phase", "phase": str(name), "for_s": float() | int() | None as for_s}:
                if name not in list(Phase):
                    return {"error": f"there is no phase {name}; there are {', '.join(Phase)}"}
                if name == Phase.NORMAL and for_s is not None:
                    return {"error": "the phase normal has no end; it lasts until another begins"}
                if not _lasts(for_s):
                    return {"error": f"a phase lasts above 0 and at most {CHOICE_AT_MOST_S} seconds, or until normal"}
                return self._hand_in(PhaseSet(Phase(name), for_s))
        return {"error": "the running agent does not know this request"}

    def _hand_in(self, event: Event) -> dict[str, Any]:
        self.emit(event)
        return {"done": True}

    def _allowance(self, uplink: str) -> dict[str, Any]:
        may = self._core.allowance(uplink, time.monotonic())
        return {"error": may.why_not} if may.why_not else {"bytes": may.bytes, "loss": may.loss}

    def _note_tested(self, result: Any) -> dict[str, Any]:
        try:
            measured = msgspec.convert(result, Measured)
        except msgspec.ValidationError as why:
            return {"error": str(why)}
        if self._station.uplink(measured.uplink) is None:
            return {"error": f"there is no uplink {measured.uplink}"}
        return self._hand_in(BandwidthMeasured(measured.uplink, measured))

    def _status(self) -> dict[str, Any]:
        state, place = self._core.state(time.monotonic()), self._spool.place
        keys = ("name", "interface", "health", "since_s", "rtt_ms", "loss", "carries_traffic")
        plans = {name: told(line.plan) for name, line in self._core.lines.items() if line.plan is not None}
        return {
            "station": self._station.station,
            "phase": state.phase,
            "active": {"ipv4": state.active.ipv4, "ipv6": state.active.ipv6},
            "uplinks": [
                {key: getattr(uplink, key) for key in keys}
                | {"plan": plans.get(uplink.name)}
                | {key: msgspec.to_builtins(getattr(uplink, key)) for key in ("signal", "forecast", "public")}
                for uplink in state.uplinks
            ],
            "configuration": self._trial.told,
            "card": {"why": place.why, "instead": str(place.state_dir)} if place.why else None,
            "centre": {"connected": self._courier.connected, "unsent": self._spool.unsent},
        }

    def _metrics(self) -> str:
        """As Prometheus reads them."""
        now, (wall_s, synced) = time.monotonic(), clock.wall()
        started_s = self._tally.started(wall_s, now - self._boot.started_at)
        connected, unsent = self._courier.connected, self._spool.unsent
        own = Own(self._station.station, self._version, started_s, synced, connected, unsent)
        return exposition(own, self._core.state(now), self._core.lines, self._traffic.carried, self._tally, now)


def _lasts(for_s: float | None) -> bool:
    return for_s is None or 0 < for_s <= CHOICE_AT_MOST_S
