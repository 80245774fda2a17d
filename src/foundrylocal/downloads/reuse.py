"""Content that is in the library already is not fetched again: it gets a second name.

Invariant: only files of ours are shared, never one that was linked to.
"""

from __future__ import annotations

import os
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Library, Place, StagedFile
from foundrylocal.catalog.registry import LocalSource, Model


def share_known(library: Library, model: Model, place: Place) -> list[StagedFile] | None:
    """The files of a model by second names when all their contents are stored; blocks on the disk."""
    source = model.sources[0]
    if isinstance(source, LocalSource):
        return None
    found: list[tuple[Path, Path, str]] = []
    for file in source.files:
        known = library.find_content(file.sha256.lower()) if file.sha256 is not None else None
        if known is None or file.sha256 is None:
            return None
        found.append((known, place.partial / names.safe_file_name(file.path), file.sha256.lower()))
    place.partial.mkdir(parents=True, exist_ok=True)
    try:
        for known, final, _ in found:
            final.unlink(missing_ok=True)
            os.link(known, final)
    except OSError:
        # Some file systems know one name for a file only; then it is fetched.
        return None
    return [StagedFile(final, sha256) for _, final, sha256 in found]
