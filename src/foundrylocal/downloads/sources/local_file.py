"""Files that are already on this machine: copied, moved or linked into the library.

Invariant: the user's file is only read here. One that moves is removed by the job's runner, after its copy or
second name was committed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import anyio.from_thread
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import LocalSource, Model, SourceFile
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.base import Claim
from foundrylocal.downloads.staging.checksum import CHUNK_BYTES, new_hasher
from foundrylocal.downloads.staging.partial_file import PartialFile
from foundrylocal.errors import DownloadFailed

REPORT_EVERY_BYTES = 16 * 1024 * 1024


class LocalFileFetcher:
    """Reads each file once, hashing it on the way."""

    def needed_bytes(self, source: LocalSource, place: Place) -> int:
        """A copy needs its size; a link nothing; a move nothing if it stays on its file system."""
        if source.mode == "link" or (source.mode == "move" and _is_same_file_system(source, place)):
            return 0
        return sum(max(0, (file.size_bytes or 0) - _received_bytes(file, place)) for file in source.files)

    async def fetch(
        self, model: Model, source: LocalSource, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        meter.begin(model.file_size_bytes)
        return await anyio.to_thread.run_sync(_Import(source, place, meter, claim).run)


class _Import:
    """The files of one model on their way in; runs in a worker thread."""

    def __init__(self, source: LocalSource, place: Place, meter: Meter, claim: Claim) -> None:
        self._source = source
        self._place = place
        self._meter = meter
        self._claim = claim
        self._done_bytes = 0

    def run(self) -> list[StagedFile]:
        self._place.partial.mkdir(parents=True, exist_ok=True)
        staged = []
        for file in self._source.files:
            staged.append(self._take(file))
            self._done_bytes += file.size_bytes or 0
        return staged

    def _take(self, file: SourceFile) -> StagedFile:
        original = Path(file.path)
        label = original.name
        try:
            before = original.stat()
            final = self._place.partial / names.safe_file_name(file.path)
            if self._source.mode == "link":
                staged = StagedFile(original, self._read(original, None), is_linked=True)
            elif (sha256 := _kept_by_repair(final, file)) is not None:
                return StagedFile(final, sha256)
            else:
                staged = self._bring(original, final, file)
            after = original.stat()
        except FileNotFoundError:
            raise DownloadFailed(f"File '{label}' no longer exists.") from None
        except PermissionError:
            raise DownloadFailed(f"File '{label}' cannot be read: permission denied.") from None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DownloadFailed(f"File '{label}' changed while it was imported.")
        return staged

    def _bring(self, original: Path, final: Path, file: SourceFile) -> StagedFile:
        if self._source.mode != "move":
            return StagedFile(final, self._read(original, final))
        if original.is_symlink():
            raise DownloadFailed(f"'{original.name}' is a link: import it with mode copy or link.")
        # A second name needs no space, and the first is given up only when the import is complete.
        with contextlib.suppress(OSError):
            os.link(original, final, follow_symlinks=False)
            return StagedFile(final, self._read(final, None), original=original)
        final.unlink(missing_ok=True)
        # This file system has no hard links, so the file is copied, for which space was not claimed so far.
        anyio.from_thread.run(self._claim, lambda: file.size_bytes or 0)
        return StagedFile(final, self._read(original, final), original=original)

    def _read(self, path: Path, copy: Path | None) -> str:
        """The sha256 of a file, copied on the way if a path for the copy is given."""
        hasher = new_hasher()
        reported = count = 0
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("rb", buffering=0))
            out = stack.enter_context(copy.open("wb", buffering=0)) if copy is not None else None
            while data := file.read(CHUNK_BYTES):
                anyio.from_thread.check_cancelled()
                hasher.update(data)
                if out is not None:
                    _write(out.fileno(), data)
                count += len(data)
                if count - reported >= REPORT_EVERY_BYTES:
                    reported = count
                    anyio.from_thread.run_sync(self._meter.advance, self._done_bytes + count)
        return hasher.hexdigest()


def _kept_by_repair(final: Path, file: SourceFile) -> str | None:
    """The sha256 of a file that a repair found correct and kept; any other file of that name is removed."""
    sha256 = PartialFile(final.parent, final.name).finished()
    if sha256 is not None and final.stat().st_size == file.size_bytes:
        return sha256
    final.unlink(missing_ok=True)
    return None


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _received_bytes(file: SourceFile, place: Place) -> int:
    try:
        return (place.partial / names.safe_file_name(file.path)).stat().st_size
    except OSError:
        return 0


def _is_same_file_system(source: LocalSource, place: Place) -> bool:
    try:
        devices = {Path(file.path).stat().st_dev for file in source.files}
        folder = next(folder for folder in (place.partial, *place.partial.parents) if folder.exists())
    except (OSError, StopIteration):
        return False
    return devices == {folder.stat().st_dev}
