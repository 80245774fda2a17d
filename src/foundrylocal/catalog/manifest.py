"""The manifest in a model's folder: what was stored, to compare with what is there now.

Invariant: a manifest names only files in its own folder, by plain names. A linked file belongs to another program
or the user: it is named by its absolute path, and never written or removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundrylocal.catalog import names
from foundrylocal.catalog.file_names import is_projector

FILE_NAME = "manifest.json"
MAX_BYTES = 1024 * 1024
_VERSION = 1


class ManifestInvalid(ValueError):
    """The manifest cannot be read; the model counts as not stored."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a stored model, as it was when it was verified; `name` is absolute if it is linked."""

    name: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    is_linked: bool = False
    is_projector: bool = False

    def path_in(self, folder: str) -> str:
        return self.name if self.is_linked else os.path.join(folder, self.name)  # noqa: PTH118 - speed

    def problem_in(self, folder: str) -> str | None:
        """What is wrong with the file on disk, by its size and time, or None; reads no content."""
        label = os.path.basename(self.name)  # noqa: PTH119
        try:
            found = os.stat(self.path_in(folder), follow_symlinks=self.is_linked)  # noqa: PTH116
        except OSError:
            return f"File '{label}' is missing."
        if not stat.S_ISREG(found.st_mode):
            return f"'{label}' is not a regular file."
        if found.st_size != self.size_bytes:
            return f"File '{label}' has {found.st_size} bytes instead of {self.size_bytes}."
        if found.st_mtime_ns != self.mtime_ns:
            return f"File '{label}' changed after it was downloaded."
        return None


@dataclass(frozen=True, slots=True)
class Stored:
    """A model on disk, as its manifest describes it; sizes in bytes, `downloaded_at` in seconds since the epoch."""

    model_id: str
    folder: Path
    downloaded_at: float
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def model_path(self) -> Path:
        """The file to load; the first part of a split model, from which the engine finds the others."""
        own = [file for file in self.files if not file.is_projector]
        return self._path(min(own or self.files, key=lambda file: file.name))

    @property
    def projector_path(self) -> Path | None:
        projectors = [file for file in self.files if file.is_projector]
        return self._path(projectors[0]) if projectors and len(projectors) < len(self.files) else None

    @property
    def content_id(self) -> str:
        """What identifies the content of all its files together; empty when that of one is unknown."""
        digests = sorted(file.sha256 for file in self.files)
        return hashlib.sha256("".join(digests).encode()).hexdigest() if all(digests) else ""

    def _path(self, file: StoredFile) -> Path:
        return Path(file.path_in(str(self.folder)))

    def problem(self) -> str | None:
        """The first difference between the disk and the manifest, or None."""
        folder = str(self.folder)
        return next((problem for file in self.files if (problem := file.problem_in(folder))), None)


def render(stored: Stored) -> bytes:
    document = {
        "version": _VERSION,
        "model_id": stored.model_id,
        "downloaded_at": stored.downloaded_at,
        "files": [{name: getattr(file, name) for name in file.__slots__} for file in stored.files],
    }
    return json.dumps(document, indent=1).encode()


def load(path: Path) -> Stored:
    """Read a manifest; its folder is the model's. Raises OSError or ManifestInvalid."""
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    try:
        if len(text) > MAX_BYTES:
            raise ValueError("too big")
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError("unknown version")
        files = tuple(_parse_file(entry) for entry in document["files"])
        if not files:
            raise ValueError("no files")
        return Stored(str(document["model_id"]), path.parent, float(document["downloaded_at"]), files)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestInvalid(f"the manifest cannot be read: {error}") from None


def _parse_file(entry: Mapping[str, Any]) -> StoredFile:
    file = StoredFile(
        name=str(entry["name"]),
        size_bytes=int(entry["size_bytes"]),
        mtime_ns=int(entry["mtime_ns"]),
        sha256=str(entry["sha256"]),
        is_linked=bool(entry["is_linked"]),
        # Manifests of earlier versions relied on the name.
        is_projector=bool(entry.get("is_projector", is_projector(str(entry["name"])))),
    )
    if file.is_linked != Path(file.name).is_absolute():
        raise ValueError("a file is outside the folder")
    if not file.is_linked and not names.is_safe_file_name(file.name):
        raise ValueError("a file name is not plain")
    return file
