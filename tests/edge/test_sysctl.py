"""The kernel's switches in a namespace: what was there before comes back, unless the kernel has begun anew since."""

import json
from pathlib import Path

import pytest

from agent.edge.sysctl import ROOT, Sysctls
from tests.edge.link import wire

SWITCH = ROOT / "ipv4/conf/wan0/rp_filter"


@pytest.mark.usefixtures("cell")
def test_what_was_there_comes_back(tmp_path: Path) -> None:
    with wire("wan0"):
        SWITCH.write_text("1")
        Sysctls(tmp_path).accept_answers(("wan0",))
        assert SWITCH.read_text() == "2\n"
        Sysctls(tmp_path).restore()
        assert SWITCH.read_text() == "1\n"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize("left", ["of another boot", "nonsense"])
def test_what_another_boot_had_is_not_put_back(left: str, tmp_path: Path) -> None:
    with wire("wan0"):
        SWITCH.write_text("1")
        Sysctls(tmp_path).accept_answers(("wan0",))
        file = tmp_path / "sysctls-before.json"
        kept = json.loads(file.read_text()) | {"boot": "another"} if left == "of another boot" else []
        file.write_text(json.dumps(kept))
        Sysctls(tmp_path).restore()
        assert SWITCH.read_text() == "2\n"
        assert list(tmp_path.iterdir()) == []
