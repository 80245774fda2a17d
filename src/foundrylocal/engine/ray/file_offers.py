"""Which files a replica needs on its node, and where they are on this machine.

Invariant: what is offered to nodes is what the library has stored and verified, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.registry import HubSource, Model, Registry
from foundrylocal.engine.ray.orders import FileSet
from foundrylocal.engine.replica import ModelFile, ReplicaSpec
from foundrylocal.errors import ModelNotFound


class FileOffers:
    """Finds the files of replicas in the library, and where the registry says that they come from."""

    def __init__(self, library: Library, registry: Registry) -> None:
        self._library = library
        self._registry = registry
        self._digests: dict[tuple[Path, int, int], str] = {}

    def sets_of(self, spec: ReplicaSpec) -> tuple[FileSet, ...]:
        """The files of the model, the draft model and the adapters; blocks on the disk and raises OSError."""
        model = FileSet(spec.model_id, self._sure(spec.files), hub=self._hub(spec.model_id))
        others = {spec.draft_path, *(one.path for one in spec.adapters)} - {None}
        if not others:
            return (model,)
        stored = [one for one in self._library.all() if one.model_path in others]
        return (model, *(self._set_of(one) for one in stored))

    def _set_of(self, stored: Stored) -> FileSet:
        found = self._find_model(stored.model_id)
        files = (
            ModelFile(Path(path).name, Path(path), file.size_bytes, file.sha256)
            for file in stored.files
            for path in [file.path_in(str(stored.folder))]
        )
        is_adapter = found.is_adapter if found else False
        return FileSet(stored.model_id, self._sure(tuple(files)), is_adapter, self._hub(stored.model_id))

    def _find_model(self, model_id: str) -> Model | None:
        with contextlib.suppress(ModelNotFound):  # an import that was removed since
            return self._registry.find(model_id)
        return None

    def _hub(self, model_id: str) -> HubSource | None:
        model = self._find_model(model_id)
        return next((one for one in model.sources if isinstance(one, HubSource)), None) if model else None

    def _sure(self, files: Sequence[ModelFile]) -> tuple[ModelFile, ...]:
        """The files with names that every system accepts, and with digests: linked files may have none yet."""
        return tuple(
            ModelFile(
                names.safe_file_name(file.name),
                file.path,
                file.size_bytes,
                file.sha256 or self._digest(file.path),
            )
            for file in files
        )

    def _digest(self, path: Path) -> str:
        found = path.stat()
        key = (path, found.st_size, found.st_mtime_ns)
        if key not in self._digests:
            with path.open("rb") as file:
                self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[key]


def offers_of(sets: Sequence[FileSet]) -> dict[str, str]:
    """The paths here by sha256."""
    return {file.sha256: str(file.path) for one in sets for file in one.files}
