"""Files that are on this machine already: copied, moved or linked into the library.

Invariant: the user's file is only read here; one that moves is removed by the manager, after its copy or
second name is committed.
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
from foundrylocal.downloads.staging import checksum as integrity
from foundrylocal.downloads.staging.partial_file import PartialFile
from foundrylocal.errors import DownloadFailed

TELL_EVERY_BYTES = 16 * 1024 * 1024


class LocalFileFetcher:
    """Reads each file once, hashing it on the way."""

    def needed_bytes(self, source: LocalSource, place: Place) -> int:
        """A copy takes its size; a link nothing; a move nothing when it stays on its disk."""
        if source.how == "link" or (source.how == "move" and _is_one_disk(source, place)):
            return 0
        return sum(max(0, (file.size_bytes or 0) - _arrived(file, place)) for file in source.files)

    async def fetch(
        self, model: Model, source: LocalSource, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        meter.begin(model.file_size_bytes)
        return await anyio.to_thread.run_sync(_take_all, source, place, meter)


def _take_all(source: LocalSource, place: Place, meter: Meter) -> list[StagedFile]:
    place.partial.mkdir(parents=True, exist_ok=True)
    done = 0
    staged = []
    for file in source.files:
        staged.append(_take(source.how, file, place, meter, done))
        done += file.size_bytes or 0
    return staged


def _take(how: str, file: SourceFile, place: Place, meter: Meter, before: int) -> StagedFile:
    """One file by the way asked for; `before` are the bytes of those that came before it."""
    original = Path(file.path)
    label = original.name
    try:
        found = original.stat()
        final = place.partial / names.safe_file_name(file.path)
        if how == "link":
            staged = StagedFile(original, _read(original, None, meter, before), is_linked=True)
        elif (sha256 := _kept(final, file)) is not None:
            return StagedFile(final, sha256)
        else:
            staged = _bring(how, original, final, meter, before)
        now = original.stat()
    except FileNotFoundError:
        raise DownloadFailed(f"File '{label}' is not there any more.") from None
    except PermissionError:
        raise DownloadFailed(f"File '{label}' may not be read.") from None
    if (found.st_size, found.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
        raise DownloadFailed(f"File '{label}' was changed while it was imported.")
    return staged


def _kept(final: Path, file: SourceFile) -> str | None:
    """The sha256 of what a repair found to be right and kept; of anything else under that name nothing is left."""
    sha256 = PartialFile(final.parent, final.name).finished()
    if sha256 is not None and final.stat().st_size == file.size_bytes:
        return sha256
    final.unlink(missing_ok=True)
    return None


def _bring(how: str, original: Path, final: Path, meter: Meter, before: int) -> StagedFile:
    if how == "move":
        if original.is_symlink():
            raise DownloadFailed(f"'{original.name}' is a link: import it by copy or by link.")
        # A second name costs nothing, and the first is given up only when the import is complete.
        with contextlib.suppress(OSError):
            os.link(original, final, follow_symlinks=False)
            return StagedFile(final, _read(final, None, meter, before), original=original)
        final.unlink(missing_ok=True)
    sha256 = _read(original, final, meter, before)
    return StagedFile(final, sha256, original=original if how == "move" else None)


def _read(path: Path, copy: Path | None, meter: Meter, before: int) -> str:
    """The sha256 of a file, copied on the way when a place for it is given."""
    hasher = integrity.new_hasher()
    told = count = 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb", buffering=0))
        out = stack.enter_context(copy.open("wb", buffering=0)) if copy is not None else None
        while data := file.read(integrity.CHUNK_BYTES):
            anyio.from_thread.check_cancelled()
            hasher.update(data)
            if out is not None:
                _write(out.fileno(), data)
            count += len(data)
            if count - told >= TELL_EVERY_BYTES:
                told = count
                anyio.from_thread.run_sync(meter.advance, before + count)
    return hasher.hexdigest()


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _arrived(file: SourceFile, place: Place) -> int:
    try:
        return (place.partial / names.safe_file_name(file.path)).stat().st_size
    except OSError:
        return 0


def _is_one_disk(source: LocalSource, place: Place) -> bool:
    try:
        disks = {Path(file.path).stat().st_dev for file in source.files}
        folder = next(folder for folder in (place.partial, *place.partial.parents) if folder.exists())
    except (OSError, StopIteration):
        return False
    return disks == {folder.stat().st_dev}
