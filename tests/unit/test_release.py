"""The release script refuses what is not ready, and says what to do next."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from scripts.release import REPOSITORY, NotReleasable, notes_of, sums_of, version_of

import foundrylocal

CHANGELOG = """# Changelog

## [Unreleased]

### Added
- Something.

## [1.2.3] - 2026-11-26

### Fixed
- A bug.

## [1.2.2] - 2026-10-01
"""


def test_the_version_comes_from_one_place() -> None:
    init = (REPOSITORY / "src" / "foundrylocal" / "__init__.py").read_text("utf-8")
    assert version_of(init) == foundrylocal.__version__
    assert f'"{foundrylocal.__version__}"' not in (REPOSITORY / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    "text", ["", '__version__ = "1.2"', '__version__ = "1.2.3.dev1"', "__version__ = '1.2.3'"]
)
def test_a_version_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(NotReleasable, match="__version__"):
        version_of(text)


def test_the_notes_of_a_version_are_its_section() -> None:
    assert notes_of(CHANGELOG, "1.2.3") == "### Fixed\n- A bug."
    assert notes_of(CHANGELOG, "1.2.2") == ""


@pytest.mark.parametrize("version", ["1.2.4", "1.2", "1x2.3"])
def test_a_version_without_a_section_is_refused_with_the_next_step(version: str) -> None:
    with pytest.raises(NotReleasable, match="Next: rename"):
        notes_of(CHANGELOG, version)


def test_the_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    digest = hashlib.sha256(b"a.tar.gz").hexdigest()
    lines = sums_of([tmp_path / "b.whl", tmp_path / "a.tar.gz"]).splitlines()
    assert lines[0] == f"{digest}  a.tar.gz"
    assert len(lines) == 2
