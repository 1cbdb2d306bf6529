"""pyroute2's rtnetlink, without the rest of that package: 4 MiB of the daemon's memory that it would never use.

Its `__init__` imports everything that it has. With the bare package in its place only what is asked for is loaded; then
it is taken away again, so that whoever imports pyroute2 as a whole gets the whole.
"""

import importlib.util
import sys
from importlib import import_module
from types import ModuleType


def _load(name: str) -> ModuleType:
    if "pyroute2" in sys.modules:
        return import_module(name)
    found = importlib.util.find_spec("pyroute2")
    bare = ModuleType("pyroute2")
    bare.__path__ = list((found and found.submodule_search_locations) or ())
    sys.modules["pyroute2"] = bare
    try:
        return import_module(name)
    finally:
        del sys.modules["pyroute2"]


AsyncIPRoute = _load("pyroute2.iproute.linux").AsyncIPRoute
AddrPool = _load("pyroute2.common").AddrPool
NetlinkError = _load("pyroute2.netlink.exceptions").NetlinkError
groups = _load("pyroute2.netlink.rtnl")
"""Constants by the kernel's names."""
