"""A regency's stations enrol at the same moment, behind the one address of an operator's NAT, some mistyping first."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from agent.enrol import device, exchange
from agent.enrol.exchange import Unreachable
from central.core.cards import Why
from tests.central.secured import SecuredCentre, codes_in
from wire.enrolment import ALPHABET, Admission, Application, Link

STATIONS = 701
MISTYPED = 0.05  # of those who enrol; a QR has no typing errors, a code of 20 letters does
AGAIN_S = (3.0, 8.0)  # until somebody who was refused tries again
UNKNOWN = Why.UNKNOWN.en.partition(".")[0]
PATIENCE_S = 90.0  # then the bench gives up on who is still not in


@dataclass(frozen=True, slots=True)
class Cards:
    """All that was printed, and at what price."""

    links: list[Link]
    took_s: float
    pdf_bytes: int


@dataclass(slots=True)
class Morning:
    """What came of it."""

    waits_s: list[float] = field(default_factory=list)
    """From the moment at which all began until a device was in, for each that got in."""
    refused: Counter[str] = field(default_factory=Counter)
    """By what the people at the devices were told."""


def numbers() -> list[str]:
    return [f"6408042001{n:03}" for n in range(1, STATIONS + 1)]


def print_cards(centre: SecuredCentre) -> Cards:
    listed, printed = centre.folder / "list.csv", centre.folder / "cards.pdf"
    listed.write_text("station,name\n" + "".join(f"{station},TPS {station[-3:]}\n" for station in numbers()))
    began = time.monotonic()
    done = centre.command("cards", "--election", "Uji", "--csv", str(listed), "--out", str(printed))
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    told, url = centre.command("ca").stdout.split()[1], f"https://127.0.0.1:{centre.enrol_port}"
    pdf = printed.read_bytes()
    return Cards([Link(url, code, told) for code in codes_in(pdf)], took_s, len(pdf))


def enrol(cards: Cards, folder: Path) -> Morning:
    """Leaves each device's key, certificate and authority in a folder of its number."""
    morning, lock, chance = Morning(), threading.Lock(), random.Random(7)
    begin = threading.Barrier(STATIONS)

    def one(station: str, link: Link, waits: random.Random) -> None:
        home = folder / station
        home.mkdir()
        asked = device.request(home)
        tried = _mistyped(link) if waits.random() < MISTYPED else link
        begin.wait()
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE_S:
            answer, why = _asked(tried, Application(tried.code, asked, station))
            if answer is not None:
                device.install(home, answer)
                with lock:
                    morning.waits_s.append(time.monotonic() - began)
                return
            with lock:
                morning.refused[why] += 1
            tried = link if why == UNKNOWN else tried
            time.sleep(waits.uniform(*AGAIN_S))

    threads = [
        threading.Thread(target=one, args=(station, link, random.Random(chance.random())))
        for station, link in zip(numbers(), cards.links, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    morning.waits_s.sort()
    return morning


def _asked(link: Link, application: Application) -> tuple[Admission | None, str]:
    """As `siaga-agent enrol` asks; why not, in its first words."""
    try:
        answer = exchange.apply(link, application)
    except Unreachable as why_not:
        return None, str(why_not).rpartition(": ")[2]
    return (answer, "") if isinstance(answer, Admission) else (None, answer.why_en.partition(".")[0])


def _mistyped(link: Link) -> Link:
    first = next(letter for letter in ALPHABET if letter != link.code[0])
    return Link(link.url, first + link.code[1:], link.fingerprint)
