"""What is shipped: the programs and their pages, and nothing of the workshop."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

OURS = ("agent", "central", "wire")
SETUPTOOLS = 77  # the first that reads our pyproject.toml; see [build-system]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the wheel, built from a copy so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*OURS, "lab", "tests", "config", "systemd", "pyproject.toml", "README.md", "LICENSE"):
        if Path(name).is_dir():
            shutil.copytree(name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / "tree").mkdir(exist_ok=True)
            shutil.copy(name, folder / "tree" / name)
    isolation = ["--no-build-isolation"] if int(version("setuptools").split(".")[0]) >= SETUPTOOLS else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", str(folder), "./tree"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and not isolation:
        pytest.skip(f"setuptools {SETUPTOOLS} is neither here nor to be had: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_of_the_programs_is_shipped(shipped: set[str]) -> None:
    ours = {str(path) for top in OURS for path in Path(top).rglob("*.py")}
    assert ours - shipped == set()


def test_every_page_and_everything_that_a_page_needs_is_shipped(shipped: set[str]) -> None:
    web = Path("central/edge/web")
    pages = {str(path) for part in ("templates", "static") for path in (web / part).rglob("*") if path.is_file()}
    assert pages
    assert pages - shipped == set()


def test_nothing_else_is_shipped(shipped: set[str]) -> None:
    tops = {name.split("/")[0] for name in shipped}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(OURS)
    assert {Path(name).suffix for name in shipped if "dist-info" not in name} <= {".py", ".html", ".css", ".js", ".svg"}


def test_the_commands_are_installed(shipped: set[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in shipped)
    assert any(name.endswith("LICENSE") for name in shipped)
