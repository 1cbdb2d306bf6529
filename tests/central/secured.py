"""A centre that is an authority, and devices that enrol there, all by their own commands."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from tests.central.centre import Centre, free_port
from wire.enrolment import Link, read_code

A, B = "6408042001143", "6408042001144"
AGENT = """
station: "{station}"
uplinks:
  - {{name: lte, interface: wan0, kind: lte}}
targets: [198.51.100.1]
centre:
  broker: mqtt://127.0.0.1   # of the centre
state_dir: {state_dir}
"""

ENROL_BEFORE = """
import sys, time
from pathlib import Path
data, asked, code, answer, days, broker, url = sys.argv[1:]
from central.core.networks import Networks
from central.edge.web import settings
settings.configure(Path(data), [], Networks())
from central.edge import register
from central.edge.authority import Authority
from wire.enrolment import Admission, Application, decode, encode
application, authority = decode(Path(asked).read_bytes(), Application), Authority(Path(data) / "ca")
applicant = register.Applicant(code, application.request, application.station, "", "before")
given = register.admit(authority, applicant, time.time() - float(days) * 86400)
dates = given.not_before_s, given.not_after_s
told = Admission(given.station, given.pem, authority.pem, given.serial, *dates, broker, url)
Path(answer).write_bytes(encode(told))
"""


class SecuredCentre(Centre):
    """By TLS on loopback, with an enrolment desk."""

    def __init__(self, folder: Path, *more: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.mqtts_port, self.enrol_port = free_port(), free_port()
        self.config = folder / "centre.yaml"
        self.station_config = folder / "station.yaml"
        self.station_config.write_text(AGENT.format(station="0" * 13, state_dir=folder / "given"))
        self.config.write_text(
            f"names: [127.0.0.1]\n{self.broker}\nenrol: 127.0.0.1:{self.enrol_port}\n"
            f"support: 0812-3456\nstation_config: {self.station_config}\n"
        )
        super().__init__(folder, "--config", str(self.config), *more)

    @property
    def broker(self) -> str:
        """Its line of the configuration."""
        return f"mqtts: 127.0.0.1:{self.mqtts_port}"

    def start(self) -> "SecuredCentre":
        super().start()
        return self

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return said("central", *arguments, "--config", str(self.config), "--data", str(self.data))

    def cards(self, *stations: str, more: tuple[str, ...] = ()) -> list[Link]:
        """Printed anew, and read from the PDF."""
        listed, printed = self.folder / "list.csv", self.folder / "cards.pdf"
        listed.write_text("station,name\n" + "".join(f"{station},TPS {station[-3:]}\n" for station in stations))
        done = self.command("cards", "--election", "Uji", "--csv", str(listed), "--out", str(printed), *more)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        told = self.command("ca").stdout.split()[1]
        return [Link(f"https://127.0.0.1:{self.enrol_port}", code, told) for code in codes_in(printed.read_bytes())]

    def enrol_before(self, device: "Device", link: Link, days: float) -> None:
        """As if the device had enrolled so long ago."""
        asked, answer = self.folder / "asked-before", self.folder / "answer-before"
        assert device.command("enrol", "--request", str(asked)).returncode == 0
        told = [str(self.data), str(asked), link.code, str(answer), str(days)]
        told += [f"mqtts://127.0.0.1:{self.mqtts_port}", f"https://127.0.0.1:{self.enrol_port}"]
        subprocess.run([sys.executable, "-c", ENROL_BEFORE, *told], check=True, timeout=60)
        assert device.command("enrol", "--answer", str(answer)).returncode == 0

    def devices(self, station: str) -> "Device":
        return Device(self.folder, station)


class Device:
    """A state directory and a configuration."""

    def __init__(self, folder: Path, station: str, name: str = "") -> None:
        self.station = station
        self.state_dir = Path(tempfile.mkdtemp(prefix="device-"))  # short, as the address of a socket in it must be
        atexit.register(shutil.rmtree, self.state_dir, ignore_errors=True)
        self.config = folder / f"agent-{station}{name}.yaml"
        self.config.write_text(AGENT.format(station=station, state_dir=self.state_dir))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return said("agent", *arguments, "--config", str(self.config))

    def enrol(self, link: Link) -> None:
        done = self.command("enrol", str(link))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    @property
    def certificate(self) -> str:
        return (self.state_dir / "device.crt").read_text()

    @property
    def serial(self) -> str:
        return str(json.loads((self.state_dir / "device.json").read_text())["serial"])


def said(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("LANG", "LC_ALL", "LC_MESSAGES")}
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def codes_in(pdf: bytes) -> list[str]:
    """The codes of a PDF of cards, page by page."""
    texts = (zlib.decompress(stream) for stream in _streams(pdf))
    pages = (re.findall(rb"\(([0-9A-Z]{4}(?:-[0-9A-Z]{4})?)\) Tj", text) for text in texts)
    return [read_code(b"".join(parts).decode()) for parts in pages if parts]


def _streams(pdf: bytes) -> list[bytes]:
    found = []
    for match in re.finditer(rb"/Filter /FlateDecode[^>]*?/Length (\d+)[^>]*?>>\s*stream\r?\n", pdf, re.DOTALL):
        found.append(pdf[match.end() : match.end() + int(match.group(1))])
    return found
