"""Build and check a release: `make release`, or `make dist` for a draft of what is not released yet.

Leaves the wheel, the sdist and SHA256SUMS in dist/. Invariant: nothing lands there unless the version has a section
in CHANGELOG.md, the tree is clean, both packages have what they must have, and a second build gives the same bytes.
Publishing is left to a person: the script prints the commands.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.wheel_contents import REPOSITORY, problems_of_sdist, problems_of_wheel

DIST = REPOSITORY / "dist"
SUMS = "SHA256SUMS"
_VERSION = re.compile(r'^__version__ = "([0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?)"$', re.MULTILINE)
BUILD_TIMEOUT_S = 600


class NotReleasable(Exception):
    """Why there is no release, and what to do next."""


def version_of(package_init: str) -> str:
    """The version that src/foundrylocal/__init__.py states. Raises NotReleasable."""
    found = _VERSION.search(package_init)
    if found is None:
        raise NotReleasable(
            '__version__ in src/foundrylocal/__init__.py must look like "1.2.3" or "1.2.3rc1"'
        )
    return found[1]


def notes_of(changelog: str, version: str) -> str:
    """The section of a version in CHANGELOG.md. Raises NotReleasable."""
    for section in changelog.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        if re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}", title.strip()):
            return text.strip()
    raise NotReleasable(
        f"CHANGELOG.md has no section for {version}. Next: rename [Unreleased] to '## [{version}] - YYYY-MM-DD' and "
        "begin an empty [Unreleased] above it"
    )


def sums_of(files: list[Path]) -> str:
    """Lines as `sha256sum --check` reads them."""
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(files)
    )


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise NotReleasable(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout.strip()


def build(folder: Path, epoch: str) -> list[Path]:
    """Build the sdist, and from it the wheel, with all times set to `epoch` (seconds)."""
    environment = {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"}
    _run(sys.executable, "-m", "build", "--outdir", str(folder), environment=environment)
    return sorted(folder.iterdir())


def check(files: list[Path]) -> None:
    """Check contents and metadata. Raises NotReleasable."""
    problems = []
    for file in files:
        found = problems_of_wheel(file) if file.suffix == ".whl" else problems_of_sdist(file)
        problems += [f"{file.name}: {problem}" for problem in found]
    if problems:
        raise NotReleasable("\n".join(problems))
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, files))


def release(*, is_draft: bool) -> None:
    """Build, check, build again and compare, and put the result into dist/. Raises NotReleasable."""
    version = version_of((REPOSITORY / "src" / "foundrylocal" / "__init__.py").read_text("utf-8"))
    if not is_draft:
        notes_of((REPOSITORY / "CHANGELOG.md").read_text("utf-8"), version)
        if _run("git", "status", "--porcelain"):
            raise NotReleasable(
                "There are changes that are not committed. Next: commit them, then run it again"
            )
    epoch = _run("git", "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        files = build(Path(first), epoch)
        check(files)
        if sums_of(files) != sums_of(build(Path(second), epoch)):
            raise NotReleasable("A second build gave other bytes: the packages are not reproducible")
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        for file in files:
            shutil.copy2(file, DIST / file.name)
    kept = [DIST / file.name for file in files]
    (DIST / SUMS).write_text(sums_of(kept), "utf-8")
    print("".join(f"dist/{file.name}\n" for file in kept) + f"dist/{SUMS}")
    if not is_draft:
        print(
            f"Next: git tag -s v{version} && git push --tags && python -m twine upload dist/*.whl dist/*.tar.gz"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Build and check a release into dist/.")
    parser.add_argument(
        "--draft", action="store_true", help="neither a changelog section nor a clean tree is needed"
    )
    try:
        release(is_draft=parser.parse_args().draft)
    except NotReleasable as problem:
        print(f"No release: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
