"""Real network managers beside the agent, in a house that hides the machine from them; and the uplinks' providers."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.netns import Station, stop
from lab.scenario import Place
from lab.topology import LAN_ROUTER
from tests.namespaces.neighbours_fetch import ROOT
from tests.namespaces.packets import wait_until

SLOW_S = 20.0  # for what a manager does at its own pace

_PASSWD = ("root", "messagebus", "systemd-network")  # all are root: the cell may have no other user
_NETWORKDS = ("run/systemd/netif/links", "run/systemd/netif/leases", "run/systemd/netif/lldp")
_MOUNTS = """
set -e
house=$1; shift
mount --bind {root}/usr "$house/usr" && mount -o remount,bind,ro "$house/usr"
mount --rbind /dev "$house/dev" && mount --rbind /proc "$house/proc"
mount -t sysfs -o ro sysfs "$house/sys"
exec chroot "$house" "$@"
"""
_BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/> <allow user="*"/> <allow send_destination="*"/> <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class House:
    """A file system of its own in the station's router, shared by the programs that are started in it.

    The mounts are made anew for each program, in the namespace that `ip netns exec` gives it, and so end with it.
    /sys is read only: without udev, that tells the managers not to wait for it.
    """

    def __init__(self, station: Station, folder: Path, logs: Path) -> None:
        self._station, self.folder, self._logs = station, folder, logs
        logs.mkdir()
        for name in ("usr", "dev", "proc", "sys", "etc", "run/dbus", *_NETWORKDS, "tmp", "var/lib"):
            (folder / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (folder / name).symlink_to(f"usr/{name}")
        (folder / "var/run").symlink_to("../run")
        self.write("etc/passwd", "".join(f"{name}:x:0:0::/:/bin/false\n" for name in _PASSWD))
        self.write("etc/group", "".join(f"{name}:x:0:\n" for name in _PASSWD))
        self.write("etc/machine-id", "53696167613a2074686520686f757365\n")
        self.write("etc/bus.conf", _BUS)

    def write(self, path: str, text: str) -> None:
        there = self.folder / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)
        there.chmod(0o600)  # NetworkManager reads no connection that others could

    def run(self, *command: str, where: str = "tps") -> str:
        return self._station.run(where, self._inside(command))

    def start(self, *command: str, where: str = "tps", log: str = "") -> Program:
        file = self._logs / (log or Path(command[0]).name)
        with file.open("ab") as out:
            return Program(self._station.start(where, self._inside(command), stdout=out, stderr=out), file)

    def start_bus(self) -> None:
        self.start("dbus-daemon", "--config-file=/etc/bus.conf", "--nofork", "--nopidfile")
        wait_until(lambda: _listens(self.folder / "run/dbus/system_bus_socket"))

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["sh", "-c", _MOUNTS.format(root=ROOT), "sh", str(self.folder), *command]


@dataclass(frozen=True, slots=True)
class Program:
    process: subprocess.Popen[Any]
    log: Path

    def says(self, words: str) -> int:
        """How often."""
        return self.log.read_text(errors="replace").count(words)


class Provider:
    """Gives addresses and a gateway at the other end of one uplink, by DHCP and by router advertisements."""

    def __init__(self, station: Station, house: House, uplink: str) -> None:
        self._station, self._house, self._line = station, house, station.topology.line(uplink)
        self._options = f"etc/{uplink}.options"
        self._offer("home")
        self._dnsmasq = house.start(*self._command(uplink), where=self._line.provider, log=uplink)

    @property
    def leases(self) -> int:
        """How many it has given or renewed."""
        return self._dnsmasq.says("DHCPACK")

    def move_gateway(self) -> str:
        """From the next lease on; it goes on answering at its old address, where the lease came from."""
        gateway = self._line.gateway("moved")
        self._station.run(self._line.provider, ["ip", "address", "add", f"{gateway}/24", "dev", "cust"])
        self._offer("moved")
        self._dnsmasq.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._dnsmasq.says("read /") > 1)
        return gateway

    def _offer(self, place: Place) -> None:
        self._house.write(self._options, f"option:router,{self._line.gateway(place)}\n")

    def _command(self, uplink: str) -> list[str]:
        net = self._line.net
        return [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=root", "--pid-file="),
            *("--port=0", "--log-facility=-", "--log-dhcp", "--interface=cust", "--bind-interfaces", "--no-ping"),
            *("--dhcp-authoritative", f"--dhcp-range={net}.50,{net}.59,1h", f"--dhcp-optsfile=/{self._options}"),
            *("--enable-ra", "--dhcp-range=::,constructor:cust,ra-only,1h", f"--dhcp-leasefile=/tmp/{uplink}.leases"),
        ]


class Manager:
    """One that configures the uplinks by DHCP."""

    def __init__(self, house: House) -> None:
        self._house = house

    def start(self) -> None:
        raise NotImplementedError

    def renew(self, device: str) -> None:
        """Ask for the lease again, and keep the address meanwhile if possible."""
        raise NotImplementedError

    def begin_again(self, device: str) -> None:
        """The harshest that an operator does to one uplink without thinking twice."""
        raise NotImplementedError


class BareNetworkd(Manager):
    """systemd-networkd as it comes from the distribution."""

    def start(self) -> None:
        for name, how in (
            ("wan*", "DHCP=ipv4\nIPv6AcceptRA=yes\nIPv6PrivacyExtensions=no"),
            ("lan0", f"Address={LAN_ROUTER}/24"),
        ):
            self._house.write(f"etc/systemd/network/{name[:3]}.network", f"[Match]\nName={name}\n[Network]\n{how}\n")
        self._house.start_bus()
        self._program = self._house.start("/usr/lib/systemd/systemd-networkd")

    def renew(self, device: str) -> None:
        self._house.run("networkctl", "renew", device)

    def begin_again(self, device: str) -> None:
        self._house.run("networkctl", "reconfigure", device)

    def restart(self) -> None:
        stop(self._program.process)
        self._program = self._house.start("/usr/lib/systemd/systemd-networkd")


class Networkd(BareNetworkd):
    """With our drop-in."""

    DROP_IN = Path("systemd/networkd/50-siaga.conf")

    def start(self) -> None:
        self._house.write(f"etc/systemd/networkd.conf.d/{self.DROP_IN.name}", self.DROP_IN.read_text())
        super().start()


class NetworkManager(Manager):
    def start(self) -> None:
        self._house.write(
            "etc/NetworkManager/NetworkManager.conf",
            "[main]\nplugins=keyfile\ndhcp=internal\nauth-polkit=false\nno-auto-default=*\ndns=none\n"
            "[keyfile]\nunmanaged-devices=*,except:interface-name:wan*\n",
        )
        for device in ("wan0", "wan1"):
            self._house.write(
                f"etc/NetworkManager/system-connections/{device}.nmconnection",
                f"[connection]\nid={device}\ntype=ethernet\ninterface-name={device}\n"
                "[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\nip6-privacy=0\n",
            )
        self._house.start_bus()
        self._house.start("NetworkManager", "--debug", "--log-level=INFO")

    def renew(self, device: str) -> None:
        """It cannot be told to; the nearest is to activate the connection once more, which takes the address away."""
        self._house.run("nmcli", "connection", "up", device)

    def reapply(self, device: str) -> None:
        self._house.run("nmcli", "device", "reapply", device)

    def begin_again(self, device: str) -> None:
        self._house.run("nmcli", "connection", "down", device)
        self._house.run("nmcli", "connection", "up", device)


class Dhcpcd(Manager):
    def start(self) -> None:
        self._house.write(
            "etc/dhcpcd.conf", "allowinterfaces wan*\nslaac hwaddr\nnodev\nnoarp\nnoipv4ll\nscript /bin/true\n"
        )
        self._house.start("dhcpcd", "--nobackground")

    def renew(self, device: str) -> None:
        self._house.run("dhcpcd", "--renew", device)

    def begin_again(self, device: str) -> None:
        self._house.run("dhcpcd", "--rebind", device)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0
