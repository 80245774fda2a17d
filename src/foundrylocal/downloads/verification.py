"""Whether a stored model still is what was downloaded: every byte read again, and what is wrong named.

Invariant: verifying changes no file; it only notes new times when every content is found to be right.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from foundrylocal.catalog.library import Library, Stored, StoredFile
from foundrylocal.catalog.registry import LocalSource, Model
from foundrylocal.downloads import integrity
from foundrylocal.downloads.hub_child.partial_file import note_finished
from foundrylocal.errors import DiskRefused, ModelNotOnDisk

_log = logging.getLogger("foundrylocal.DownloadService")


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """One file; `problem` is None when it is right."""

    name: str
    size_bytes: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stored model; `can_repair` says that a source has what is wrong."""

    model_id: str
    files: tuple[FileVerdict, ...]
    can_repair: bool

    @property
    def is_sound(self) -> bool:
        return all(file.problem is None for file in self.files)


async def verify(library: Library, model: Model) -> Verdict:
    """Read every file of a model again; raises ModelNotOnDisk, or DiskRefused."""
    return await anyio.to_thread.run_sync(_verify, library, model)


def _verify(library: Library, model: Model) -> Verdict:
    stored = library.recorded(model.model_id)
    if stored is None:
        raise ModelNotOnDisk(model.simple_name)
    verdicts = tuple(_judge(stored, file) for file in stored.files)
    can_repair = any(not isinstance(source, LocalSource) for source in model.sources)
    verdict = Verdict(model.model_id, verdicts, can_repair)
    wrong = [file.problem for file in verdicts if file.problem is not None]
    _log.log(
        logging.WARNING if wrong else logging.INFO,
        "Verified model: %s (%s)",
        model.simple_name,
        " ".join(wrong) or "sound",
    )
    if verdict.is_sound and stored.problem() is not None:
        try:
            library.restamp(stored)
        except OSError as error:
            raise DiskRefused("Verifying the model", error.strerror or type(error).__name__) from error
    return verdict


def _judge(stored: Stored, file: StoredFile) -> FileVerdict:
    path = Path(file.path_in(str(stored.folder)))
    problem = file.problem_in(str(stored.folder))
    # A changed time alone is no damage; a missing or shorter file needs no reading.
    is_readable = path.is_file() and path.stat().st_size == file.size_bytes
    if is_readable and (file.is_linked or not path.is_symlink()):
        try:
            is_same = integrity.hash_file(path) == file.sha256
            problem = None if is_same else f"The content of '{path.name}' is not the published one."
        except OSError as error:
            problem = f"File '{path.name}' cannot be read: {error.strerror}."
    return FileVerdict(path.name, file.size_bytes, problem)


async def take_apart(library: Library, model: Model) -> Verdict:
    """Make a damaged model ready to be fetched again, keeping the files that are right.

    Returns what `verify` found. Raises ModelNotOnDisk or DiskRefused.
    """
    verdict = await verify(library, model)
    if not verdict.is_sound:
        sound = {file.name for file in verdict.files if file.problem is None}
        try:
            await anyio.to_thread.run_sync(_reclaim, library, model, sound)
        except OSError as error:
            raise DiskRefused("Repairing the model", error.strerror or type(error).__name__) from error
    return verdict


def _reclaim(library: Library, model: Model, sound: set[str]) -> None:
    stored = library.recorded(model.model_id)
    if stored is None:
        return
    library.reclaim(stored, sound)
    partial = library.place(model.model_id).partial
    for file in stored.files:
        if file.name in sound and not file.is_linked:
            note_finished(partial / file.name, file.sha256)
