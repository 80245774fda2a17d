"""Carries out one download job: is the model on disk, wait for a turn, fetch, commit, clean up.

Invariant: a job is in the list of unfinished downloads until it has ended, so that a service that died resumes
it; a paused one stays in the list as such. Once begun, a commit is completed even if the job is cancelled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import anyio
import anyio.to_thread

from foundrylocal.catalog.gguf.read import GgufInvalid
from foundrylocal.catalog.library import Library, Place, StagedFile
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.imports.records import ImportedModels, is_local
from foundrylocal.downloads.jobs import Downloaded, Job
from foundrylocal.downloads.pending import PendingDownloads
from foundrylocal.downloads.sources.chain import SourceChain
from foundrylocal.downloads.space import download_error
from foundrylocal.errors import DownloadFailed, FoundryLocalError

_log = logging.getLogger("foundrylocal.DownloadService")


class JobRunner:
    """Runs jobs for the manager; `give_turns` lets the next waiting jobs run."""

    def __init__(
        self,
        library: Library,
        sources: SourceChain,
        pending: PendingDownloads,
        imported: ImportedModels,
        give_turns: Callable[[], None],
        note_transfer: Callable[[int, float], None],
    ) -> None:
        self._library = library
        self._sources = sources
        self._pending = pending
        self._imported = imported
        self._give_turns = give_turns
        self._note_transfer = note_transfer

    async def run(self, job: Job) -> Downloaded:
        """Download; the job leaves the list of unfinished downloads unless the service itself is ending."""
        has_ended = True
        try:
            return await self._download(job)
        except anyio.get_cancelled_exc_class():
            has_ended = job.is_cancelled
            if job.is_paused and not job.is_cancelled:
                with anyio.CancelScope(shield=True):
                    await self._pending.pause(job.model.model_id)
            raise
        except OSError as error:
            raise await self._explain(error, job) from error
        finally:
            if has_ended:
                with anyio.CancelScope(shield=True):
                    await self._pending.discard(job.model.model_id)
                    await self.clean_up(job.model)

    async def _download(self, job: Job) -> Downloaded:
        model = job.model
        place = self._library.place(model.model_id)
        stored_bytes = await anyio.to_thread.run_sync(self._find_stored, model, place)
        if stored_bytes is not None:
            job.operation.admit()
            job.meter.finish()
            return Downloaded(model, stored_bytes, 0)
        try:
            await self._sources.require_space(model, place)
            return await self._take_turn(job, place)
        finally:
            self._sources.release(place)

    async def _take_turn(self, job: Job, place: Place) -> Downloaded:
        """Wait for a turn, then fetch; the watchers get a line every now and then."""
        model = job.model
        job.step = "waiting"
        job.operation.admit()
        await self._pending.add(model.model_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.meter.tick)
            self._give_turns()
            await job.turn.wait()
            _log.info("Starting download: %s", model.simple_name)
            started_s = time.monotonic()
            try:
                size_bytes = await self._fetch_and_commit(job, place)
            except FoundryLocalError as error:
                reason = f"{error.message} ({error.details})"
                _log.error("Download of %s failed: %s", model.simple_name, reason)
                failed: FoundryLocalError | None = error
            else:
                failed = None
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed
        job.meter.finish()
        seconds = round(time.monotonic() - started_s)
        _log.info("Download completed: %s (%d bytes in %d s)", model.simple_name, size_bytes, seconds)
        return Downloaded(model, size_bytes, seconds)

    def _find_stored(self, model: Model, place: Place) -> int | None:
        self._library.recover(place)
        stored = self._library.get(model.model_id)
        return stored.size_bytes if stored is not None else None

    async def _fetch_and_commit(self, job: Job, place: Place) -> int:
        try:
            began_s = time.monotonic()
            staged = await self._sources.fetch(job.model, place, job.meter)
            if not is_local(job.model):
                self._note_transfer(job.meter.received_bytes, time.monotonic() - began_s)
            job.meter.verify()
            # A commit takes moments, and half of one would be useless.
            with anyio.CancelScope(shield=True):
                stored = await anyio.to_thread.run_sync(self._library.commit, job.model, place, staged)
                await anyio.to_thread.run_sync(_remove_originals, staged)
            return stored.size_bytes
        except GgufInvalid as error:
            # These are the published bytes, so keeping them for another attempt would not help.
            await anyio.to_thread.run_sync(place.try_to_clear_partial)
            raise DownloadFailed(f"The published file is not a valid GGUF file. {error}") from error
        except OSError as error:
            raise await self._explain(error, job) from error

    async def _explain(self, error: OSError, job: Job) -> FoundryLocalError:
        cache_dir, needed_bytes = self._library.cache_dir, job.model.file_size_bytes
        return await anyio.to_thread.run_sync(download_error, error, cache_dir, needed_bytes)

    async def clean_up(self, model: Model) -> None:
        """Remove what a failed import left; a failed download keeps its bytes for the next attempt."""
        if is_local(model) and await anyio.to_thread.run_sync(self._has_nothing_to_keep, model):
            await anyio.to_thread.run_sync(self._library.place(model.model_id).try_to_clear_partial)
            await self._imported.remove_if_local(model)

    def _has_nothing_to_keep(self, model: Model) -> bool:
        """Whether the model is not stored and no repair of it is waiting to continue."""
        partial = self._library.place(model.model_id).partial
        return self._library.recorded(model.model_id) is None and not any(partial.glob("*.part.json"))


def _remove_originals(staged: Iterable[StagedFile]) -> None:
    """The last step of a move: the moved files are in their new place by now."""
    for file in staged:
        if file.original is not None:
            try:
                file.original.unlink()
            except OSError as error:
                _log.warning(
                    "'%s' was imported, but the original could not be removed: %s",
                    file.original.name,
                    error.strerror,
                )
