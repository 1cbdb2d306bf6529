"""Who may import whom, and what every file of ours has; held by reading the source, not by running it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = ("agent", "central", "lab", "wire")
NEVER_IN_A_CORE = {
    "asyncio", "socket", "time", "datetime", "random", "os", "pathlib", "logging", "sqlite3", "threading", "subprocess"
}  # fmt: skip
# Tools, oracles: large, slow, or blind to ip rules.
ONLY_AT_THE_DESK = {"scapy", "icmplib", "speedtest", "dbus", "gi", "cryptography"}

# Part -> the parts of ours that it may import. A file belongs to the longest part that its name begins with.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "wire": ("wire",),
    "agent.core": ("agent.core", "wire"),
    "agent.edge": ("agent.core", "agent.edge", "wire"),
    "agent.bandwidth": ("agent.bandwidth", "agent.core", "agent.edge", "wire"),
    "agent.enrol": ("agent.config", "agent.edge", "agent.enrol", "wire"),
    "agent.config": ("agent.core", "wire"),
    "agent.daemon": ("agent.core", "agent.edge", "wire"),
    "agent.diagnose": ("agent.core", "agent.diagnose", "agent.edge", "wire"),
    "agent": ("agent", "wire"),
    "central.core": ("central.core", "wire"),
    "central.edge": ("central.core", "central.edge", "wire"),
    "central.config": ("central.core", "wire"),
    "central": ("central", "wire"),
    "lab": ("lab",),
}
NEVER_IMPORT: dict[str, set[str]] = {
    "agent.core": NEVER_IN_A_CORE | ONLY_AT_THE_DESK,
    "central.core": NEVER_IN_A_CORE | ONLY_AT_THE_DESK,
    "agent": ONLY_AT_THE_DESK,
    "agent.enrol": ONLY_AT_THE_DESK - {"cryptography"},  # like a diagnosis
    "agent.diagnose": ONLY_AT_THE_DESK - {"scapy", "icmplib"},  # it looks on demand, in a process of its own
}
TOOLS = {
    "agent.bandwidth.speedtest_cli": {"speedtest"},
    "agent.sign": {"cryptography"},
    "agent.verify": {"cryptography"},
}  # started in a child process, and imported by nobody
CORE_MAY_INSTALL = {"msgspec"}


def breaches(module: str, source: str) -> list[str]:
    """What this module's source does that the tables above forbid."""
    found = [] if ast.get_docstring(ast.parse(source)) else [f"{module}: does not say in a docstring what it is for"]
    part = _longest(module, MAY_IMPORT)
    for name, level in _imports(source):
        if level:
            found.append(f"{module}: imports {name or '.'} relatively")
            continue
        if name.split(".")[0] in OURS and not _within(name, MAY_IMPORT[part]):
            found.append(f"{module}: imports {name}; {part} may import only {', '.join(MAY_IMPORT[part])} of ours")
        for above in _rules_of(module):
            if name.split(".")[0] in NEVER_IMPORT[above] - TOOLS.get(module, set()):
                found.append(f"{module}: imports {name}, which {above} never does")
        if name in TOOLS:
            found.append(f"{module}: imports {name}, which only a child process may")
        if name.startswith("scapy.all"):
            found.append(f"{module}: imports scapy.all, which is 72 MB; name the layers")
        if part.endswith(".core") and not _is_plain(name):
            found.append(f"{module}: imports {name}; a core may install {', '.join(CORE_MAY_INSTALL)} only")
    return found


def _imports(source: str) -> Iterator[tuple[str, int]]:
    """(full name, dots in front) of everything imported anywhere in the source, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, 0) for alias in names)
            case ast.ImportFrom(module=None, level=level):
                yield "", level
            case ast.ImportFrom(module=module, names=names, level=level):
                # `from agent import edge` brings in agent.edge; `from wire.topics import Up` only wire.topics
                yield from ((f"{module}.{alias.name}" if module in OURS else str(module), level) for alias in names)
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"), args=[first, *_]):
                yield (str(first.value) if isinstance(first, ast.Constant) else "?"), 0


def _rules_of(module: str) -> list[str]:
    above = [each for each in NEVER_IMPORT if _within(module, (each,))]
    return [each for each in above if each in ("agent.diagnose", "agent.enrol")] or above


def _longest(module: str, parts: dict[str, tuple[str, ...]]) -> str:
    return max((part for part in parts if _within(module, (part,))), key=len)


def _within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _is_plain(name: str) -> bool:
    top = name.split(".")[0]
    return top in OURS or top in sys.stdlib_module_names or top in CORE_MAY_INSTALL


def modules() -> dict[str, Path]:
    paths = (path for top in OURS for path in sorted(Path(top).rglob("*.py")))
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@pytest.mark.parametrize(("module", "path"), modules().items(), ids=list(modules()))
def test_a_module_imports_only_what_its_part_may(module: str, path: Path) -> None:
    assert breaches(module, path.read_text()) == []


def test_the_modules_of_every_part_are_looked_at() -> None:
    parts = {_longest(module, MAY_IMPORT) for module in modules()}
    assert parts == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("wire.codes", "from agent.core.station import Kind", "of ours"),
        ("agent.core.judge", "from agent.edge import icmp", "of ours"),
        ("agent.core.judge", "from agent import daemon", "of ours"),
        ("agent.core.judge", "import agent.edge.icmp", "of ours"),
        ("agent.core.judge", "import time", "never"),
        ("agent.core.judge", "from random import random", "never"),
        ("agent.core.judge", "import os.path", "never"),
        ("agent.core.judge", "import asyncio, json", "never"),
        ("agent.core.judge", "def now():\n    import time\n    return time.time()", "never"),
        ("agent.core.judge", "if True:\n    from datetime import datetime", "never"),
        ("agent.core.judge", "__import__('time')", "never"),
        ("agent.core.judge", "import numpy", "install"),
        ("agent.core.judge", "from .measure import Echoes", "relatively"),
        ("agent.core.judge", "from . import measure", "relatively"),
        ("agent.edge.icmp", "from agent.daemon import Daemon", "of ours"),
        ("agent.edge.icmp", "from agent import config", "of ours"),
        ("agent.edge.icmp", "import scapy.layers.l2", "never"),
        ("agent.daemon", "import icmplib", "never"),
        ("agent.edge.modem", "import dbus", "never"),
        ("agent.daemon", "from cryptography import x509", "never"),
        ("agent.daemon", "from agent.enrol import device", "of ours"),
        ("agent.daemon", "from speedtest import Speedtest", "never"),
        ("agent.daemon", "from central.core import fleet", "of ours"),
        ("agent.daemon", "from agent.diagnose import run", "of ours"),
        ("agent.daemon", "def late():\n    import agent.diagnose.command", "of ours"),
        ("agent.edge.child", "from agent.diagnose.judge import judge", "of ours"),
        ("agent.core.diagnosis", "from agent.diagnose.look import Look", "of ours"),
        ("agent.diagnose.path", "from agent.daemon import Daemon", "of ours"),
        ("agent.diagnose.path", "from scapy.all import IP", "72 MB"),
        ("agent.config", "from agent.edge.spool import Spool", "of ours"),
        ("central.core.fleet", "import logging", "never"),
        ("central.core.fleet", "from django.db import models", "install"),
        ("central.edge.store", "from agent.core.routes import Wish", "of ours"),
        ("central.edge.store", "from central import daemon", "of ours"),
        ("central.config", "from central.edge.store import Store", "of ours"),
        ("lab.player", "from wire.messages import Fact", "of ours"),
        ("lab.player", "import importlib\nimportlib.import_module('agent.daemon')", "of ours"),
    ],
)
def test_a_planted_breach_is_caught(module: str, line: str, complaint: str) -> None:
    found = breaches(module, f'"""What it is for."""\n\n{line}\n')
    assert len(found) == 1
    assert complaint in found[0]


def test_a_file_that_does_not_say_what_it_is_for_is_caught() -> None:
    assert breaches("agent.core.judge", "x = 1\n") == ["agent.core.judge: does not say in a docstring what it is for"]


def test_what_is_allowed_is_not_complained_about() -> None:
    allowed = (
        '"""Why."""\nimport msgspec\nfrom math import log\nfrom agent.core.station import Kind\nimport wire.topics\n'
    )
    assert breaches("agent.core.judge", allowed) == []


def test_what_looks_on_demand_may_use_the_tools_of_the_desk() -> None:
    assert breaches("agent.diagnose.path", '"""Why."""\nimport icmplib\nfrom scapy.layers.l2 import ARP\n') == []


def test_the_daemon_starts_without_a_module_of_the_diagnosis() -> None:
    """Seen in a process, not read: what a library brings along counts too."""
    never = "{'scapy', 'icmplib', 'cryptography'}"
    asked = f"import sys, agent.daemon; print(sorted({{n.split('.')[0] for n in sys.modules}} & {never}))"
    asked += "; print([name for name in sys.modules if name.startswith(('agent.diagnose', 'agent.enrol'))])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


@pytest.mark.parametrize("folder", ["config", "systemd"])
def test_a_folder_of_examples_holds_nothing_importable(folder: str) -> None:
    assert [str(path) for path in Path(folder).rglob("*.py")] == []


@pytest.mark.parametrize("folder", ["tests", "bench"])
def test_every_file_beside_the_programs_says_what_it_is_for(folder: str) -> None:
    silent = [str(p) for p in Path(folder).rglob("*.py") if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []
