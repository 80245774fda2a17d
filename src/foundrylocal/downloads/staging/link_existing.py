"""Content that is on this machine already is not fetched again: it gets a second name, or is linked to.

Invariant: every byte of it is read and has the published sha256 before it is used, and a file of another
program is linked to and never written or removed.
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
from foundrylocal.downloads.staging import checksum as integrity
from foundrylocal.downloads.staging.partial_file import PartialFile

_SHA256 = re.compile(r"[0-9a-f]{64}")


def without(source: Source, there: set[str]) -> Source | None:
    """What of a source is left when the files of these paths are there; None when nothing is."""
    left = tuple(file for file in source.files if file.path not in there)
    if not left or isinstance(source, PackageSource):
        return source if left else None
    return replace(source, files=left)


def likely(library: Library, source: Source) -> set[str]:
    """The paths of the files that seem to be on this machine; reads no content, blocks on the disk."""
    return {
        file.path
        for file in source.files
        if (sha256 := _published(file)) is not None and any(True for _ in _candidates(library, file, sha256))
    }


def share(library: Library, source: Source, place: Place) -> dict[str, StagedFile]:
    """The files of a source that are on this machine, by their paths in it, each read and found right.

    Runs in a worker thread of anyio. What cannot be shared is left out, and fetched.
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
    """Files with that content, as their owners have it, and whether they are to be linked to."""
    # The parts of a split model find each other by name in one folder, so links to elsewhere are no use.
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
                if _name_again(path, final, sha256):
                    return StagedFile(final, sha256)
            elif integrity.hash_file(path) == sha256:
                return StagedFile(path, sha256, is_linked=True)
        except OSError:
            # Some file systems know one name for a file only, and others refuse to be read.
            continue
    return None


def _name_again(path: Path, final: Path, sha256: str) -> bool:
    """Give a file of ours a second name where its content is right: damaged bytes must not spread."""
    final.parent.mkdir(parents=True, exist_ok=True)
    final.unlink(missing_ok=True)
    os.link(path, final)
    if integrity.hash_file(final) == sha256:
        return True
    final.unlink()
    return False


def _share_original(library: Library, mode: str, file: SourceFile, final: Path) -> StagedFile | None:
    """A file of the user's whose content is ours already, by another name; read only when its size says so."""
    original = Path(file.path)
    if mode == "link" or original.is_symlink() or not library.holds_size(file.size_bytes or 0):
        return None
    try:
        before = original.stat()
        sha256 = integrity.hash_file(original)
        for holder in library.holders(sha256):
            if not holder.is_linked and _name_again(Path(holder.name), final, sha256):
                now = original.stat()
                if (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                    final.unlink()
                    return None
                return StagedFile(final, sha256, original=original if mode == "move" else None)
    except OSError:
        return None
    return None
