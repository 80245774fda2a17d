"""The records that commits and deletes write before they touch a file, and how an interrupted one is completed.

Invariant: the files that a record names end up stored completely, under a manifest, or not at all; completing a
record twice does no harm. The caller holds the library's lock and has checked that no link leads to the folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from foundrylocal.catalog import folders, manifest
from foundrylocal.catalog.manifest import ManifestInvalid
from foundrylocal.catalog.place import Place
from foundrylocal.kit.atomic_file import sync_folder

COMMITTING = ".committing.json"
DELETING = ".deleting.json"


def finish_commit(place: Place) -> bool:
    """Move the recorded files into place and list the model; False if some are missing, and it was undone."""
    record = place.folder / COMMITTING
    try:
        stored = manifest.load(record)
    except ManifestInvalid:
        record.unlink()
        return False
    own = [file for file in stored.files if not file.is_linked]
    for file in own:
        waiting = place.partial / file.name
        if file.problem_in(str(place.partial)) is None:
            waiting.replace(place.folder / file.name)
    sync_folder(place.folder)
    if stored.problem() is not None:
        for file in own:
            (place.folder / file.name).unlink(missing_ok=True)
        record.unlink()
        return False
    _remove_previous(place.folder, {file.name for file in own})
    record.replace(place.folder / manifest.FILE_NAME)
    sync_folder(place.folder)
    return True


def _remove_previous(folder: Path, kept: Collection[str]) -> None:
    """Remove the files of the manifest that is being replaced: no manifest would name them any longer."""
    with contextlib.suppress(FileNotFoundError, ManifestInvalid):
        for file in manifest.load(folder / manifest.FILE_NAME).files:
            if not file.is_linked and file.name not in kept:
                (folder / file.name).unlink(missing_ok=True)


def finish_delete(folder: Path) -> int:
    """Remove the recorded files, and folders that are empty then; the bytes that became free."""
    record = folder / DELETING
    freed = 0
    with contextlib.suppress(ManifestInvalid):
        for file in manifest.load(record).files:
            if not file.is_linked:
                freed += folders.unlink(folder / file.name)
    record.unlink()
    folders.remove_empty(folder)
    folders.remove_empty(folder.parent)
    return freed
