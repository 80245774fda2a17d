"""The models on disk: `<cache>/models/<organization>/<name>/`, with a manifest that is written last.

Invariant: a model is listed only while it has a manifest and the size and time of each of its files match it;
nothing outside the cache folder is written or removed. A commit and a delete each write a record before they touch
a file, so that the next `recover` or `sweep` completes an interrupted one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foundrylocal.catalog import folders, manifest, names
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid
from foundrylocal.catalog.manifest import ManifestInvalid, Stored, StoredFile
from foundrylocal.catalog.place import Place
from foundrylocal.catalog.records import COMMITTING, DELETING, finish_commit, finish_delete
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelCorrupted, ModelNotOnDisk, SystemExhausted
from foundrylocal.kit.atomic_file import sync_folder, write_atomically
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.exhaustion import is_exhaustion

PARTIAL_MAX_AGE_S = 7 * 24 * 3600.0

__all__ = ["Library", "Place", "StagedFile", "Stored", "StoredFile"]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A verified file in `partial` under its final name, or a foreign file to link to."""

    path: Path
    sha256: str
    is_linked: bool = False
    original: Path | None = None
    """The user's file, to be removed once this one is committed."""


class Library:
    """Owner of the models on disk. Every call blocks on the disk and may come from any thread."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._lock = threading.RLock()
        self._read: dict[str, tuple[tuple[int, int, int], Stored]] = {}

    @property
    def cache_dir(self) -> Path:
        return self._cache_dir

    def set_cache_dir(self, cache_dir: Path) -> None:
        """Use another folder from now on; models in the old one stay where they are."""
        with self._lock:
            self._cache_dir = cache_dir
            self._read.clear()

    def place(self, model_id: str) -> Place:
        """The folders of a model in the current cache folder; creates nothing."""
        return Place.of(self._cache_dir, model_id)

    # --- reading --------------------------------------------------------------------------------------

    def get(self, model_id: str) -> Stored | None:
        """The stored model if all its files are present and unchanged, else None."""
        stored = self.recorded(model_id)
        return stored if stored is not None and stored.problem() is None else None

    def all(self) -> list[Stored]:
        """Every complete model, sorted by id; checks the size and time of each file."""
        with self._lock:
            found = [self._manifest_of(folder) for folder in self._folders()]
        complete = [stored for stored in found if stored is not None and stored.problem() is None]
        return sorted(complete, key=lambda stored: names.key(stored.model_id))

    def check(self, model: Model) -> Stored | None:
        """The stored model after reading its headers, or None if it was never stored; raises ModelCorrupted."""
        found = self.inspect(model)
        return found[0] if found else None

    def inspect(self, model: Model) -> tuple[Stored, GgufHeader] | None:
        """The stored model and its header, each file's header read once; None if it was never stored.

        Raises ModelCorrupted when a file is missing, changed or cut short, or a header is not valid.
        """
        stored = self.recorded(model.model_id)
        if stored is None:
            return None
        problem = stored.problem()
        if problem is not None:
            raise ModelCorrupted(model.simple_name, problem)
        try:
            paths = [Path(file.path_in(str(stored.folder))) for file in stored.files]
            headers = folders.read_headers(paths, is_adapter=model.is_adapter)
        except GgufInvalid as error:
            raise ModelCorrupted(model.simple_name, f"It is not a valid GGUF model. {error}") from None
        except OSError as error:
            if is_exhaustion(error):
                raise SystemExhausted(str(error.strerror)) from None
            raise ModelCorrupted(model.simple_name, f"It cannot be read: {error.strerror}.") from None
        return stored, headers[stored.model_path]

    def holders(self, sha256: str) -> list[StoredFile]:
        """The stored files with that content, own files before linked ones; their names are absolute."""
        found = [
            replace(file, name=file.path_in(str(stored.folder)))
            for stored in self.all()
            for file in stored.files
            if file.sha256 == sha256
        ]
        return sorted(found, key=lambda file: file.is_linked)

    def holds_size(self, size_bytes: int) -> bool:
        """Whether one of the library's own files has that size, so that its content may be the same."""
        return any(
            file.size_bytes == size_bytes and not file.is_linked
            for stored in self.all()
            for file in stored.files
        )

    def _folders(self) -> Iterator[Path]:
        for organization in self._organizations("models"):
            yield from folders.real_folders(organization)

    def _organizations(self, kind: str) -> list[Path]:
        root = self._cache_dir / kind
        return [] if folders.is_link(root) else folders.real_folders(root)

    def _manifest_of(self, folder: Path) -> Stored | None:
        path = os.path.join(folder, manifest.FILE_NAME)  # noqa: PTH118 - a thousand of them in a few ms
        try:
            found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
            if not stat.S_ISREG(found.st_mode) or folders.is_link(folder):
                return None
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                known = self._read[path] = (stamp, manifest.load(Path(path)))
        except (OSError, ManifestInvalid):
            self._read.pop(path, None)
            return None
        stored = known[1]
        organization, name = names.folder_parts(stored.model_id)
        # A copied or renamed folder must not be listed under another name.
        is_own = (folder.parent.name.casefold(), folder.name.casefold()) == (
            organization.casefold(),
            name.casefold(),
        )
        return stored if is_own else None

    # --- storing --------------------------------------------------------------------------------------

    def commit(self, model: Model, place: Place, staged: Sequence[StagedFile]) -> Stored:
        """Store verified files as a model: headers, fsync, record, rename, manifest; then it is listed.

        Raises GgufInvalid for an invalid header, OSError when the disk refuses; then nothing new is listed, and the
        next `recover` completes or undoes it.
        """
        place.require_own()
        headers = folders.read_headers([file.path for file in staged], is_adapter=model.is_adapter)
        projectors = folders.projectors_among(headers)
        files = tuple(_settle(file, file.path in projectors) for file in staged)
        stored = Stored(model.model_id, place.folder, now_s(), files)
        with self._lock:
            place.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(place.folder / COMMITTING, manifest.render(stored))
            if not finish_commit(place):
                raise OSError(errno.EIO, "A file changed while it was stored")
        place.try_to_clear_partial()
        return stored

    def recover(self, place: Place) -> None:
        """Complete an interrupted commit or delete of this model; raises OSError."""
        with self._lock:
            place.require_own()
            if (place.folder / DELETING).exists():
                finish_delete(place.folder)
            if (place.folder / COMMITTING).exists():
                finish_commit(place)

    # --- removing -------------------------------------------------------------------------------------

    def delete(self, model_id: str) -> int:
        """Delete a stored model, damaged or not, and its partial download; the bytes that became free.

        Raises ModelNotOnDisk if there is neither, or OSError when the disk refuses. Linked files are left alone, and
        a file that has another name elsewhere frees nothing.
        """
        place = self.place(model_id)
        with self._lock:
            record = place.folder / DELETING
            if not place.is_own:
                raise ModelNotOnDisk(names.simple_name(model_id))
            if not record.exists():
                try:
                    (place.folder / manifest.FILE_NAME).replace(record)
                except FileNotFoundError:
                    if not place.partial.exists():
                        raise ModelNotOnDisk(names.simple_name(model_id)) from None
                    return place.clear_partial()
                sync_folder(place.folder)
            freed = finish_delete(place.folder)
        with contextlib.suppress(OSError):
            freed += place.clear_partial()
        return freed

    def restamp(self, stored: Stored) -> Stored:
        """Record the files' present times, after their content was found correct; raises OSError."""
        with self._lock:
            self.place(stored.model_id).require_own()
            folder = str(stored.folder)
            files = tuple(
                replace(file, mtime_ns=Path(file.path_in(folder)).stat().st_mtime_ns) for file in stored.files
            )
            updated = replace(stored, files=files)
            write_atomically(stored.folder / manifest.FILE_NAME, manifest.render(updated))
        return updated

    def reclaim(self, stored: Stored, sound: Collection[str]) -> None:
        """Take a damaged model apart: the sound files move back to `partial`, the others go; raises OSError."""
        place = self.place(stored.model_id)
        with self._lock:
            place.require_own()
            (place.folder / manifest.FILE_NAME).replace(place.folder / DELETING)
            sync_folder(place.folder)
            place.partial.mkdir(parents=True, exist_ok=True)
            for file in stored.files:
                if file.name in sound and not file.is_linked:
                    (place.folder / file.name).replace(place.partial / file.name)
            finish_delete(place.folder)

    def recorded(self, model_id: str) -> Stored | None:
        """What the manifest says of a model, whether its files match or not."""
        place = self.place(model_id)
        with self._lock:
            return self._manifest_of(place.folder) if place.is_own else None

    def sweep(self) -> None:
        """At startup: complete interrupted work and remove leftovers; one bad folder does not stop it."""
        for folder in list(self._folders()):
            partial = self._cache_dir / "partial" / folder.parent.name / folder.name
            with contextlib.suppress(OSError):
                self.recover(Place(self._cache_dir, partial, folder))
            for pattern in (f".{COMMITTING}.*.new", f".{manifest.FILE_NAME}.*.new"):
                for leftover in folder.glob(pattern):
                    with contextlib.suppress(OSError):
                        leftover.unlink()
            folders.remove_empty(folder)
        self._sweep_partials()

    def _sweep_partials(self) -> None:
        oldest = time.time() - PARTIAL_MAX_AGE_S
        for organization in self._organizations("partial"):
            for partial in folders.real_folders(organization):
                with contextlib.suppress(OSError):
                    newest = max(path.lstat().st_mtime for path in (partial, *partial.iterdir()))
                    if newest < oldest:
                        shutil.rmtree(partial, ignore_errors=True)
            folders.remove_empty(organization)


def _settle(staged: StagedFile, is_projector: bool) -> StoredFile:
    """Sync a file's bytes to disk and record its size and time."""
    if not staged.is_linked:
        folders.settle_time(staged.path)
    found = staged.path.stat()
    name = str(staged.path) if staged.is_linked else staged.path.name
    return StoredFile(name, found.st_size, found.st_mtime_ns, staged.sha256, staged.is_linked, is_projector)
