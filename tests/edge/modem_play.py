"""Plays a modem behind dbusmock's ModemManager; run by the Python that has dbus, told by JSON lines what to play."""

import json
import sys
import time
from typing import Any

import dbus

NAME = "org.freedesktop.ModemManager1"
MAIN, MODEM, SIM, BEARER = (
    f"/org/freedesktop/ModemManager1{path}" for path in ("", "/Modems/8", "/SIM/2", "/Bearer/0")
)
IFACE = f"{NAME}.Modem"
REGISTRATIONS = ("idle", "home", "searching", "denied", "unknown", "roaming")
TECHNOLOGIES = {"lte": 1 << 14, "5gnr": 1 << 15, "umts": 1 << 5}
REFUSAL = f"raise dbus.exceptions.DBusException('the modem is locked', name='{NAME}.Error.Core.WrongState')"


def main() -> None:
    """A line each: null for no modem, a mapping for a modem that begins or changes."""
    bus = dbus.SystemBus()
    while not bus.name_has_owner(NAME):
        time.sleep(0.01)
    there = False
    print("ready", flush=True)
    for line in sys.stdin:
        how = json.loads(line)
        if there and (how is None or "interface" in how):
            for path in (MODEM, SIM, BEARER):
                mock(bus, MAIN).RemoveObject(path)
            there = False
        if how is not None:
            if not there:
                mock(bus, MAIN).AddSimpleModem()
                mock(bus, MAIN).AddObject(BEARER, f"{NAME}.Bearer", {"Connected": dbus.Boolean(True)}, NOTHING)
                there = True
            for key, value in how.items():
                play(mock(bus, MODEM), mock(bus, BEARER), key, value)
        print("done", flush=True)


NOTHING = dbus.Array([], signature="(ssss)")


def mock(bus: Any, path: str) -> Any:
    return dbus.Interface(bus.get_object(NAME, path), "org.freedesktop.DBus.Mock")


def play(modem: Any, bearer: Any, key: str, value: Any) -> None:
    match key:
        case "interface":
            ports = [dbus.Struct((dbus.String("cdc-wdm0"), dbus.UInt32(6)))]
            ports += [dbus.Struct((dbus.String(value), dbus.UInt32(2)))] if value else []
            bearers = dbus.Array([dbus.ObjectPath(BEARER)], signature="o")
            put(modem, IFACE, {"Ports": dbus.Array(ports, signature="(su)"), "Bearers": bearers})
        case "bearer":
            put(bearer, f"{NAME}.Bearer", {"Interface": dbus.String(value)})
        case "registration":
            put(modem, f"{IFACE}.Modem3gpp", {"RegistrationState": dbus.UInt32(REGISTRATIONS.index(value))})
        case "operator":
            put(modem, f"{IFACE}.Modem3gpp", {"OperatorName": dbus.String(value)})
        case "operator_code":
            put(modem, f"{IFACE}.Modem3gpp", {"OperatorCode": dbus.String(value)})
        case "technology":
            put(modem, IFACE, {"AccessTechnologies": dbus.UInt32(TECHNOLOGIES[value])})
        case "lte":
            figures = dbus.Dictionary({name: dbus.Double(figure) for name, figure in value.items()}, signature="sv")
            put(modem, f"{IFACE}.Signal", {"Lte": figures})
        case "rate":
            put(modem, f"{IFACE}.Signal", {"Rate": dbus.UInt32(value)})
        case "locked":
            obey = f"self.props['{IFACE}.Signal']['Rate'] = args[0]"
            modem.AddMethod(f"{IFACE}.Signal", "Setup", "u", "", REFUSAL if value else obey)
        case "cell":
            where = f"dbus.Dictionary({{dbus.UInt32(1): dbus.String('510,10,FFFE,{value},1234', variant_level=1)}}"
            modem.AddMethod(f"{IFACE}.Location", "GetLocation", "", "a{uv}", f"ret = {where}, signature='uv')")
            put(modem, f"{IFACE}.Location", {"Capabilities": dbus.UInt32(1), "Enabled": dbus.UInt32(1)})


def put(played: Any, interface: str, properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        try:
            played.UpdateProperties(interface, {name: value})
        except dbus.exceptions.DBusException:
            played.AddProperties(interface, {name: value})


main()
