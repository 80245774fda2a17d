"""Checks whether a stored model still matches what was downloaded, by reading every byte again.

Invariant: verifying changes no file. It only records new modification times after every file's content proved
correct. A model is read by one verification at a time; further callers join it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Library, Stored, StoredFile
from foundrylocal.catalog.registry import LocalSource, Model
from foundrylocal.downloads.lanes import VERIFYING
from foundrylocal.downloads.staging.checksum import hash_file
from foundrylocal.downloads.staging.partial_file import note_finished
from foundrylocal.errors import DiskRefused, InvalidRequest, ModelNotOnDisk

_log = logging.getLogger("foundrylocal.DownloadService")


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """One file; `problem` is None when it is correct."""

    name: str
    size_bytes: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stored model; `can_repair` says whether a source has the damaged files."""

    model_id: str
    files: tuple[FileVerdict, ...]
    can_repair: bool

    @property
    def is_sound(self) -> bool:
        return all(file.problem is None for file in self.files)


class _Running:
    """A verification in progress, which further callers join."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.verdict: Verdict | None = None


class Verifier:
    """Owner of the verifications in progress. Its methods belong to the event loop."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._running: dict[str, _Running] = {}

    async def verify(self, model: Model) -> Verdict:
        """Read every file of a model; joins a verification in progress. Raises ModelNotOnDisk or DiskRefused."""
        key = names.key(model.model_id)
        while (running := self._running.get(key)) is not None:
            await running.ended.wait()
            # Without a verdict the first caller was cancelled or failed: this one tries for itself.
            if running.verdict is not None:
                return running.verdict
        running = self._running[key] = _Running()
        try:
            running.verdict = await VERIFYING.run(_verify, self._library, model)
            return running.verdict
        finally:
            del self._running[key]
            running.ended.set()

    async def discard_damaged(self, model: Model) -> Verdict:
        """Prepare a damaged model for another download, keeping the correct files.

        Returns the verdict. Raises ModelNotOnDisk, DiskRefused, or InvalidRequest when no source has the damaged
        files; in that case nothing was changed.
        """
        verdict = await self.verify(model)
        if verdict.is_sound:
            return verdict
        if not verdict.can_repair:
            raise InvalidRequest(
                f"Model '{model.simple_name}' cannot be repaired",
                "The file it was imported from no longer exists. Delete the model and import it again.",
                param="repair",
            )
        sound = {file.name for file in verdict.files if file.problem is None}
        try:
            await anyio.to_thread.run_sync(_reclaim, self._library, model, sound)
        except OSError as error:
            raise DiskRefused("Repairing the model", error.strerror or type(error).__name__) from error
        return verdict


def _verify(library: Library, model: Model) -> Verdict:
    stored = library.recorded(model.model_id)
    if stored is None:
        raise ModelNotOnDisk(model.simple_name)
    verdicts = tuple(_judge(stored, file) for file in stored.files)
    verdict = Verdict(model.model_id, verdicts, _can_repair(model, stored, verdicts))
    problems = [file.problem for file in verdicts if file.problem is not None]
    _log.log(
        logging.WARNING if problems else logging.INFO,
        "Verified model: %s (%s)",
        model.simple_name,
        " ".join(problems) or "sound",
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
    # A changed modification time alone is no damage; a missing or shorter file need not be read.
    is_readable = path.is_file() and path.stat().st_size == file.size_bytes
    if is_readable and (file.is_linked or not path.is_symlink()):
        try:
            is_same = hash_file(path) == file.sha256
            problem = None if is_same else f"The content of '{path.name}' differs from the published file."
        except OSError as error:
            problem = f"File '{path.name}' cannot be read: {error.strerror}."
    return FileVerdict(path.name, file.size_bytes, problem)


def _can_repair(model: Model, stored: Stored, verdicts: Sequence[FileVerdict]) -> bool:
    damaged = {
        file for file, verdict in zip(stored.files, verdicts, strict=True) if verdict.problem is not None
    }
    return any(
        not isinstance(source, LocalSource) or (bool(damaged) and _has_originals(source, stored, damaged))
        for source in model.sources
    )


def _has_originals(source: LocalSource, stored: Stored, damaged: Collection[StoredFile]) -> bool:
    """Whether all imported originals still exist, and those of the damaged files are correct."""
    originals = {names.safe_file_name(file.path): Path(file.path) for file in source.files}
    try:
        for file in stored.files:
            original = Path(file.name) if file.is_linked else originals[file.name]
            if not original.is_file() or original.stat().st_size != file.size_bytes:
                return False
            if file in damaged and hash_file(original) != file.sha256:
                return False
    except (OSError, KeyError):
        return False
    return True


def _reclaim(library: Library, model: Model, sound: set[str]) -> None:
    stored = library.recorded(model.model_id)
    if stored is None:
        return
    library.reclaim(stored, sound)
    partial = library.place(model.model_id).partial
    for file in stored.files:
        if file.name in sound and not file.is_linked:
            note_finished(partial / file.name, file.sha256)
