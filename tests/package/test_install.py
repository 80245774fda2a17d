"""`make package`: the wheel and the sdist install alone, answer, and leave what the documentation says.

Downloads the dependencies from the package index into fresh environments, so it runs only when it is asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from foundrylocal import __version__
from tests.package.installation import Installation, install
from tests.package.test_contents import EXTRAS_OF_USERS, build
from tests.real_models import copy_into
from tests.running import CHAT_MODEL, CHAT_MODEL_ID, REPOSITORY

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FOUNDRYLOCAL_TEST_INSTALL"), reason="`make package` runs it"),
    pytest.mark.timeout(1800),
]
FILES_PAGE = REPOSITORY / "docs" / "reference" / "files.md"
INSTALL_PAGE = REPOSITORY / "docs" / "how-to" / "install.md"
# Further interpreters to try, such as /usr/bin/python3.13:/opt/python3.14/bin/python3.
OTHER_PYTHONS = [
    python for python in os.environ.get("FOUNDRYLOCAL_TEST_PYTHONS", "").split(os.pathsep) if python
]
# Locks and folders: they hold nothing.
_LOCK = re.compile(r"\.(lock|[a-z.]+\.lock)$")
PROGRAM = """
import foundrylocal.errors
number: int = foundrylocal.errors.FoundryLocalError
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    built = build(tmp_path_factory.mktemp("dist"), "wheel", "sdist")
    sdist, wheel = sorted(built, key=lambda file: file.suffix)
    return wheel, sdist


def answers(made: Installation) -> None:
    """The starter model answers a question."""
    question = ("run", CHAT_MODEL, "What is the capital of France?", "--max-tokens", "40")
    done = made.run(*question, "--port", "0", "--gateway-port", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()
    assert "tokens/s" in done.stderr


@pytest.fixture(scope="module")
def minimal(packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(packages[0], tmp_path_factory.mktemp("minimal"))


def test_the_command_is_there_and_everything_it_needs(minimal: Installation) -> None:
    assert minimal.run("--version").stdout == f"foundrylocal {__version__}\n"
    minimal.pip("check")
    assert "tests" not in {path.name for path in minimal.site_packages.iterdir()}


def test_run_answers_with_the_starter_model(minimal: Installation) -> None:
    answers(minimal)  # it is downloaded first


def test_the_dashboard_and_the_description_of_the_api_are_served(minimal: Installation) -> None:
    with minimal.service() as url:
        for path, content in (
            ("/", "<!doctype html"),
            ("/ui/dashboard/app.js", "import "),
            ("/ui/tokens.css", "--"),
            ("/docs", "<!doctype html"),
            ("/openapi.json", '"openapi"'),
        ):
            with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:
                assert content in answer.read().decode().lower(), path
        probe = [str(minimal.python), "-m", "foundrylocal.cli.health_probe"]
        done = subprocess.run(
            probe, env=minimal.environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (0, "healthy\n")
    done = subprocess.run(probe, env=minimal.environment(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 1


def test_the_types_reach_programs_that_use_the_package(minimal: Installation, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(minimal.python), str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Incompatible types in assignment" in done.stdout
    assert "py.typed" not in done.stdout and "import-untyped" not in done.stdout


def test_an_uninstall_leaves_what_the_pages_say_and_their_command_removes_it(minimal: Installation) -> None:
    minimal.pip("uninstall", "--yes", "foundrylocal")
    assert not minimal.command.exists()
    assert [
        path.name for path in minimal.site_packages.iterdir() if path.name.startswith("foundrylocal")
    ] == []
    documented = FILES_PAGE.read_text("utf-8")
    folders = {
        "config": ".config/foundrylocal",
        "state": ".local/state/foundrylocal",
        "cache": ".cache/foundrylocal",
    }
    left = {
        top: sorted({path.name for path in (minimal.home / folder).iterdir() if not _LOCK.search(path.name)})
        for top, folder in folders.items()
        if (minimal.home / folder).exists()
    }
    assert "gateway.key" in left["state"] and "models" in left["cache"]
    assert [name for names in left.values() for name in names if f"`{name}" not in documented] == []
    (removal,) = re.findall(r"^rm -r .*$", INSTALL_PAGE.read_text("utf-8"), re.MULTILINE)
    subprocess.run(
        ["bash", "-euc", removal], env={"HOME": str(minimal.home), "PATH": os.defpath}, check=True, timeout=60
    )
    assert [path for path in minimal.home.rglob("*foundrylocal*")] == []


@pytest.mark.parametrize("python", OTHER_PYTHONS)
def test_it_runs_on_another_python(packages: tuple[Path, Path], tmp_path: Path, python: str) -> None:
    made = install(packages[0], tmp_path, python=python)
    made.pip("check")
    copy_into(made.home / ".cache" / "foundrylocal", CHAT_MODEL_ID)
    answers(made)


@pytest.mark.parametrize("extra", sorted(EXTRAS_OF_USERS))
def test_each_extra_installs(packages: tuple[Path, Path], tmp_path: Path, extra: str) -> None:
    made = install(packages[0], tmp_path, extra)
    made.pip("check")
    assert made.run("--version").returncode == 0


def test_the_sdist_alone_gives_the_same_wheel(packages: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(packages[1])],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        timeout=600,
    )
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == packages[0].read_bytes()
