"""What a wheel and an sdist of FoundryLocal must have in them, and must not: for the release and for the tests."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "foundrylocal"
# Kinds of files of the package that are not code.
DATA_SUFFIXES = {".json", ".html", ".js", ".css", ".svg", ".typed"}
SDIST_ALSO = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "Containerfile",
    "compose.yaml",
    "docs/README.md",
)


def package_files() -> set[str]:
    """Every file of the package in the repository, as a wheel names them."""
    return {
        f"foundrylocal/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def problems_of_wheel(wheel: Path) -> list[str]:
    """What is missing from a wheel, or has no place in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        times = {info.date_time for info in archive.infolist()}
    metadata = {name for name in names if ".dist-info/" in name}
    wanted = package_files()
    problems = [f"missing: {name}" for name in sorted(wanted - names)]
    problems += [f"unexpected: {name}" for name in sorted(names - metadata - wanted)]
    for ending in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        if not any(name.endswith(f".dist-info/{ending}") for name in metadata):
            problems.append(f"missing: *.dist-info/{ending}")
    if len(times) != 1:
        problems.append("its files have different times: it cannot be built again with the same bytes")
    return problems


def problems_of_sdist(sdist: Path) -> list[str]:
    """What is missing from an sdist, or has no place in it."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"src/{name}" for name in package_files()} | set(SDIST_ALSO)
    problems = [f"missing: {name}" for name in sorted(wanted - names)]
    unexpected = [
        name for name in names if name.startswith(("tests/", "benchmarks/", ".venv", ".test-models"))
    ]
    return problems + [f"unexpected: {name}" for name in sorted(unexpected)]
