"""Reuses content that is already on this machine: it gets a second name, or is linked to, and is not fetched again.

Invariant: every byte is read and its sha256 matches the published one before it is used. A file of another program
is linked to, and never written or removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.gguf.split import parse_split_name
from foundrylocal.catalog.library import Library, Place, StagedFile
from foundrylocal.catalog.registry import LocalSource, PackageSource, Source, SourceFile
from foundrylocal.downloads.imports.discovery import find_content
from foundrylocal.downloads.staging import checksum
from foundrylocal.downloads.staging.partial_file import PartialFile

_SHA256 = re.compile(r"[0-9a-f]{64}")


def without(source: Source, present: set[str]) -> Source | None:
    """The rest of a source when the files of these paths are present; None if nothing is left."""
    left = tuple(file for file in source.files if file.path not in present)
    if not left or isinstance(source, PackageSource):
        return source if left else None
    return replace(source, files=left)


def likely(library: Library, source: Source) -> set[str]:
    """The paths of files that seem to be on this machine; reads no content, blocks on the disk."""
    return {
        file.path
        for file in source.files
        if (sha256 := _published(file)) is not None and any(True for _ in _candidates(library, file, sha256))
    }


def share(library: Library, source: Source, place: Place) -> dict[str, StagedFile]:
    """The files of a source that are on this machine, by their paths in it; each was read and is correct.

    Runs in an anyio worker thread. Files that cannot be shared are left out, and fetched.
    """
    staged = {}
    for file in source.files:
        final = place.partial / names.safe_file_name(file.path)
        if PartialFile(final.parent, final.name).finished() is not None:
            continue
        if isinstance(source, LocalSource):
            found = _share_original(library, source.mode, file, final)
        else:
            sha256 = _published(file)
            found = _share(library, file, sha256, final) if sha256 is not None else None
        if found is not None:
            staged[file.path] = found
    return staged


def _published(file: SourceFile) -> str | None:
    sha256 = (file.sha256 or "").lower()
    return sha256 if _SHA256.fullmatch(sha256) else None


def _candidates(library: Library, file: SourceFile, sha256: str) -> Iterator[tuple[Path, bool]]:
    """Files that are said to have that content, and whether to link to them."""
    # The parts of a split model must be in one folder, so a link into another folder does not help.
    may_link = parse_split_name(file.path) is None
    for holder in library.holders(sha256):
        if may_link or not holder.is_linked:
            yield Path(holder.name), holder.is_linked
    if may_link:
        for path in find_content(sha256):
            yield path, True


def _share(library: Library, file: SourceFile, sha256: str, final: Path) -> StagedFile | None:
    for path, is_foreign in _candidates(library, file, sha256):
        try:
            if not is_foreign:
                if _link_if_correct(path, final, sha256):
                    return StagedFile(final, sha256)
            elif checksum.hash_file(path) == sha256:
                return StagedFile(path, sha256, is_linked=True)
        except OSError:
            # Some file systems have no hard links, and some files cannot be read.
            continue
    return None


def _link_if_correct(path: Path, final: Path, sha256: str) -> bool:
    """Give one of the library's files a second name if its content is correct: damage must not spread."""
    final.parent.mkdir(parents=True, exist_ok=True)
    final.unlink(missing_ok=True)
    os.link(path, final)
    if checksum.hash_file(final) == sha256:
        return True
    final.unlink()
    return False


def _share_original(library: Library, mode: str, file: SourceFile, final: Path) -> StagedFile | None:
    """A user's file whose content the library already has under another name; read only if the sizes match."""
    original = Path(file.path)
    if mode == "link" or original.is_symlink() or not library.holds_size(file.size_bytes or 0):
        return None
    try:
        before = original.stat()
        sha256 = checksum.hash_file(original)
        for holder in library.holders(sha256):
            if not holder.is_linked and _link_if_correct(Path(holder.name), final, sha256):
                now = original.stat()
                if (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                    final.unlink()
                    return None
                return StagedFile(final, sha256, original=original if mode == "move" else None)
    except OSError:
        return None
    return None
