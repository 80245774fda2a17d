"""Whether a stored model still is what was downloaded: every byte read again, and what is wrong named.

Invariant: verifying changes no file; it only notes new times when every content is found to be right.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Library, Stored, StoredFile
from foundrylocal.catalog.registry import LocalSource, Model
from foundrylocal.downloads.staging import checksum as integrity
from foundrylocal.downloads.staging.partial_file import note_finished
from foundrylocal.errors import DiskRefused, InvalidRequest, ModelNotOnDisk

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
    verdict = Verdict(model.model_id, verdicts, _can_repair(model, stored, verdicts))
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


def _can_repair(model: Model, stored: Stored, verdicts: Sequence[FileVerdict]) -> bool:
    wrong = {
        file for file, verdict in zip(stored.files, verdicts, strict=True) if verdict.problem is not None
    }
    return any(
        not isinstance(source, LocalSource) or (bool(wrong) and _has_originals(source, stored, wrong))
        for source in model.sources
    )


def _has_originals(source: LocalSource, stored: Stored, wrong: Collection[StoredFile]) -> bool:
    """Whether the files that were imported are all there, and what is wrong here is right there."""
    originals = {names.safe_file_name(file.path): Path(file.path) for file in source.files}
    try:
        for file in stored.files:
            original = Path(file.name) if file.is_linked else originals[file.name]
            if not original.is_file() or original.stat().st_size != file.size_bytes:
                return False
            if file in wrong and integrity.hash_file(original) != file.sha256:
                return False
    except (OSError, KeyError):
        return False
    return True


async def take_apart(library: Library, model: Model) -> Verdict:
    """Make a damaged model ready to be fetched again, keeping the files that are right.

    Returns what `verify` found. Raises ModelNotOnDisk, DiskRefused, or InvalidRequest when no source has
    what is wrong; then nothing was touched.
    """
    verdict = await verify(library, model)
    if not verdict.is_sound:
        if not verdict.can_repair:
            raise InvalidRequest(
                f"Model '{model.simple_name}' cannot be repaired",
                "The file that it was imported from is not there any more: delete it and import it again.",
                param="repair",
            )
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
