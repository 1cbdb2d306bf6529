"""Where the centre's reflector (STAMP) is asked: literal addresses, because no name is looked up while measuring."""

from dataclasses import dataclass
from ipaddress import ip_address

from agent.core.station import Centre, Family, family_of

SHOWN_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Reflector:
    address: str
    port: int
    family: Family


def reflector(text: str) -> Reflector:
    """198.51.100.10:862 or [2001:db8::10]:862; raises ValueError."""
    host, _, port = text.rpartition(":")
    address = ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    bracketed = (address.version == 6) == host.startswith("[")
    if "%" in host or not bracketed or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(text)
    return Reflector(str(address), int(port), family_of(str(address)))


def mistakes(centre: Centre) -> list[str]:
    """The operator's, one line each."""
    found, families = [], []
    for n, text in enumerate(centre.stamp):
        mistake = f"centre.stamp[{n}] = {_short(text)}"
        try:
            family = reflector(text).family
        except ValueError:
            found.append(
                f"{mistake}: must be an address and a port, as 198.51.100.10:862 or [2001:db8::10]:862; a name is not "
                "possible, because the agent asks no DNS while it measures"
            )
            continue
        if family in families:
            found.append(f"{mistake}: there is one of {family} already; each family has one reflector")
        families.append(family)
    if centre.stamp_key is not None and not centre.stamp:
        found.append("centre.stamp_key: needs centre.stamp beside it")
    if centre.stamp_key is not None and not centre.stamp_key.startswith("/"):
        found.append(f"centre.stamp_key = {_short(centre.stamp_key)}: must be an absolute path")
    return found


def _short(text: str) -> str:
    return f'"{text}"' if len(text) <= SHOWN_LETTERS else f'"{text[:SHOWN_LETTERS]}…'
