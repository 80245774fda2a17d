"""The wheel and the sdist: what is in them, and what their metadata says."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from scripts.wheel_contents import (
    DATA_SUFFIXES,
    REPOSITORY,
    package_files,
    problems_of_sdist,
    problems_of_wheel,
)

import foundrylocal

pytest.importorskip("hatchling", reason="pip install hatchling")
BUILD_TIMEOUT_S = 100
# What an installation may choose; the others are for people who develop it.
EXTRAS_OF_USERS = {"otel", "ray"}
EXTRAS_OF_DEVELOPERS = {"clients", "dev", "fuzz", "release"}


def build(folder: Path, *targets: str) -> list[Path]:
    """Build these targets (wheel, sdist) without an environment of their own."""
    flags = [flag for target in targets for flag in ("-t", target)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder), *flags],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        timeout=BUILD_TIMEOUT_S,
    )
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    sdist, wheel = sorted(
        build(tmp_path_factory.mktemp("dist"), "wheel", "sdist"), key=lambda file: file.suffix
    )
    return wheel, sdist


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(packages: tuple[Path, Path]) -> None:
    assert problems_of_wheel(packages[0]) == []
    names = package_files()
    assert {Path(name).suffix for name in names} - {".py"} == DATA_SUFFIXES
    for name in (
        "py.typed",
        "catalog/models.json",
        "catalog/shapes.json",
        "ui/tokens.css",
        "ui/dashboard/index.html",
    ):
        assert f"foundrylocal/{name}" in names


def test_the_sdist_has_what_the_wheel_is_built_from_and_no_tests(packages: tuple[Path, Path]) -> None:
    assert problems_of_sdist(packages[1]) == []


def test_the_metadata_has_one_version_and_says_what_is_needed(packages: tuple[Path, Path]) -> None:
    metadata = metadata_of(packages[0])
    assert metadata["Version"] == foundrylocal.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = set(metadata.get_all("Provides-Extra", []))
    assert extras - EXTRAS_OF_DEVELOPERS == EXTRAS_OF_USERS
    page = (REPOSITORY / "docs" / "how-to" / "install.md").read_text("utf-8")
    assert [extra for extra in EXTRAS_OF_USERS if f"| `{extra}` |" not in page] == []
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert [one for one in needed if "<" not in one] == [one for one in needed if one.startswith("pip>")]


def test_a_second_build_gives_the_same_bytes(packages: tuple[Path, Path], tmp_path: Path) -> None:
    (again,) = build(tmp_path, "wheel")
    assert again.read_bytes() == packages[0].read_bytes()


def test_a_wheel_without_a_file_or_with_one_too_many_is_noticed(
    packages: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = tmp_path / packages[0].name
    with zipfile.ZipFile(packages[0]) as source, zipfile.ZipFile(broken, "w") as target:
        for info in source.infolist():
            if not info.filename.endswith("ui/dashboard/index.html"):
                target.writestr(info, source.read(info))
        target.writestr("tests/test_me.py", "")
    problems = problems_of_wheel(broken)
    assert "missing: foundrylocal/ui/dashboard/index.html" in problems
    assert "unexpected: tests/test_me.py" in problems
    assert any("different times" in problem for problem in problems)
