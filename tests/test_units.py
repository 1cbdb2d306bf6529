"""What systemd is told: the units fit the programs, the examples and the README, and never give up."""

import configparser
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

BROKER = Path("systemd/siaga-mosquitto.service")  # it starts none of our programs
UNITS = sorted(set(Path("systemd").glob("*.service")) - {BROKER})
LIBRARY = "/opt/siaga/bin/"


def directives(unit: Path) -> configparser.SectionProxy:
    """Of its [Service]; a directive that stands there twice is refused."""
    read = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    read.optionxform = str
    read.read_string(unit.read_text())
    return read["Service"]


def verify(unit: Path) -> None:
    """As systemd reads it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert unit.stem not in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
class TestUnit:
    def test_it_starts_a_command_that_is_installed_with_a_configuration_that_there_is(self, unit: Path) -> None:
        program, _, option, file = directives(unit)["ExecStart"].split()
        scripts = tomllib.loads(Path("pyproject.toml").read_text())["project"]["scripts"]
        assert program in {LIBRARY + name for name in scripts}
        assert option == "--config"
        assert (Path("config") / Path(file).name).is_file()
        assert Path(file).parent == Path("/etc/siaga")

    def test_it_is_started_again_however_often_it_ends(self, unit: Path) -> None:
        assert directives(unit)["Restart"] == "always"
        assert "StartLimitIntervalSec=0" in unit.read_text().splitlines()

    def test_a_program_that_hangs_is_ended(self, unit: Path) -> None:
        assert directives(unit)["Type"] == "notify"
        assert int(directives(unit)["WatchdogSec"]) > 0

    def test_systemd_understands_every_word(self, unit: Path, tmp_path: Path) -> None:
        here = tmp_path / unit.name
        here.write_text(unit.read_text().replace(directives(unit)["ExecStart"], "/bin/true"))
        verify(here)

    def test_the_readme_tells_how_it_is_installed(self, unit: Path) -> None:
        readme = Path("README.md").read_text()
        assert f"systemd/{unit.name}" in readme
        assert f"config/{Path(directives(unit)['ExecStart'].split()[-1]).name}" in readme
        assert LIBRARY.removesuffix("/bin/") in readme


def test_a_run_that_was_killed_leaves_its_choice_to_the_next_one() -> None:
    agent = directives(Path("systemd/siaga-agent.service"))
    assert agent["RuntimeDirectory"] == "siaga"
    assert agent["RuntimeDirectoryPreserve"] == "yes"


def test_the_agent_may_speak_to_the_kernel_and_by_arp_and_set_sysctls() -> None:
    """Where one of these is denied, the agent or its diagnosis does without, and only says so."""
    agent = directives(Path("systemd/siaga-agent.service"))
    assert {"AF_NETLINK", "AF_PACKET", "AF_UNIX"} <= set(agent["RestrictAddressFamilies"].split())
    assert "adjtimex" in agent["SystemCallFilter"].split()
    assert "ProtectKernelTunables" not in agent
    assert "ProtectClock" not in agent


def test_systemd_understands_what_tells_mosquitto_of_the_revoked(tmp_path: Path) -> None:
    for unit in (BROKER, BROKER.with_suffix(".timer")):
        (tmp_path / unit.name).write_text(unit.read_text())
    verify(tmp_path / f"{BROKER.stem}.timer")
    verify(tmp_path / BROKER.name)
    told = Path("docs/enrolment.md").read_text()
    assert f"systemd/{BROKER.name}" in told and f"systemd/{BROKER.stem}.timer" in told


def test_who_is_revoked_is_cut_off_within_a_minute_and_mosquitto_is_not_worn_out() -> None:
    """The desk writes the list within two seconds; a restart takes about one."""
    timer = BROKER.with_suffix(".timer").read_text().splitlines()
    assert "OnCalendar=*:*:00/15" in timer and "AccuracySec=1s" in timer
