"""The downloads: one job for a model however many callers, so many at once, the rest in order.

Invariant: a model has at most one job; a job belongs to the manager and not to its callers; it is in the
journal until it ends, so that a service that died resumes it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from foundrylocal.catalog import names
from foundrylocal.catalog.gguf.read import GgufInvalid
from foundrylocal.catalog.library import Library, Place, StagedFile
from foundrylocal.catalog.registry import HubSource, LocalSource, Model, PackageSource, Registry
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.jobs import Downloaded, DownloadStatus, Job, give_turns
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.pending import Journal
from foundrylocal.downloads.sources.base import Fetcher
from foundrylocal.downloads.sources.chain import SourceChain
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.downloads.sources.local_file import LocalFileFetcher
from foundrylocal.downloads.sources.python_package import PythonPackageFetcher
from foundrylocal.downloads.space import RESERVE_BYTES, from_os_error
from foundrylocal.downloads.verification import take_apart
from foundrylocal.errors import (
    DiskRefused,
    DownloadFailed,
    FoundryLocalError,
    ModelInUse,
    ModelNotFound,
    ServerShuttingDown,
)
from foundrylocal.events import Progress
from foundrylocal.kit.operation import Operation

COMPLETED = "Download completed successfully"

__all__ = ["DownloadManager", "DownloadStatus", "Downloaded"]

_log = logging.getLogger("foundrylocal.DownloadService")


class DownloadManager:
    """Owner of the jobs. Its methods belong to the event loop."""

    def __init__(
        self,
        registry: Registry,
        library: Library,
        *,
        state_dir: Path,
        reserve_bytes: int = RESERVE_BYTES,
        fetchers: dict[type[Any], Fetcher[Any]] | None = None,
    ) -> None:
        self._registry = registry
        self._library = library
        self._journal = Journal(state_dir / "downloads.json")
        self.imported = ImportedModels(state_dir / "imported.json", registry)
        self._sources = SourceChain(
            {**_usual_fetchers(), **(fetchers or {})}, library, reserve_bytes=reserve_bytes
        )
        self._jobs: dict[str, Job] = {}
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Resume what the last run left, then carry out downloads until cancelled."""
        await self.imported.load()
        wanted = await self._journal.load()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for model_id in wanted:
                    await self._resume(model_id)
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def _resume(self, model_id: str) -> None:
        try:
            model = self._registry.find(model_id)
        except ModelNotFound:
            await self._journal.discard(model_id)
            return
        _log.info("Resuming download: %s", model.simple_name)
        self.fetch(model)

    def fetch(self, model: Model) -> Operation[Downloaded]:
        """Download a model: the job that runs already, or a new one.

        Its result is Downloaded, at once when the model is on disk. Its errors are DownloadFailed,
        ChecksumMismatch, InsufficientDiskSpace, ModelCorrupted and OperationCancelled.
        """
        job = self._jobs.get(names.key(model.model_id))
        if job is not None:
            job.asked += 1
            return job.operation
        if self._tasks is None:
            raise ServerShuttingDown()
        operation: Operation[Downloaded] = Operation(f"Download of {model.simple_name}")
        job = Job(model, operation, Meter(operation.report, model.file_size_bytes))
        self._jobs[names.key(model.model_id)] = job
        operation.report(Progress(f"Starting download: {model.simple_name}"))
        self._tasks.start_soon(self._carry_out, job)
        return operation

    def jobs(self) -> list[DownloadStatus]:
        """The downloads that run or wait, in the order in which they were asked for."""
        return [job.as_status() for job in self._jobs.values() if job.step != "looking"]

    def is_downloading(self, model_id: str) -> bool:
        job = self._jobs.get(names.key(model_id))
        return job is not None and job.step != "looking"

    async def cancel(self, model_id: str) -> bool:
        """End a download; when this returns its processes are gone. False when there was none.

        What has arrived is kept for the next try.
        """
        job = self._jobs.get(names.key(model_id))
        if job is None:
            return False
        await self._end(job)
        return True

    async def withdraw(self, download: Operation[Downloaded]) -> None:
        """Take back one `fetch`: the download ends, as by `cancel`, when nobody else asked for it."""
        job = next((job for job in self._jobs.values() if job.operation is download), None)
        if job is not None:
            job.asked -= 1
            if job.asked <= 0:
                await self._end(job)

    async def _end(self, job: Job) -> None:
        job.is_cancelled = True
        job.operation.cancel()
        await job.operation.ended()

    async def delete(self, model: Model) -> int:
        """Remove a model from the disk; the bytes that became free.

        Raises ModelInUse while it is being downloaded, ModelNotOnDisk or DiskRefused.
        """
        if self.is_downloading(model.model_id):
            raise _being_downloaded(model)
        try:
            freed = await anyio.to_thread.run_sync(self._library.delete, model.model_id)
        except OSError as error:
            _log.error("Deleting %s failed: %s", model.simple_name, error.strerror)
            raise DiskRefused("Deleting the model", error.strerror or type(error).__name__) from error
        _log.info("Deleted model: %s (%d bytes freed)", model.simple_name, freed)
        await self._forget_if_lost(model)
        return freed

    async def repair(self, model: Model) -> Operation[Downloaded]:
        """Fetch again what is wrong with a stored model, and only that where the source allows it.

        Raises ModelInUse while it is being downloaded, ModelNotOnDisk, DiskRefused, or InvalidRequest when no
        source has what is wrong.
        """
        if self.is_downloading(model.model_id):
            raise _being_downloaded(model)
        await take_apart(self._library, model)
        return self.fetch(model)

    async def _clear_up(self, model: Model) -> None:
        """An import that came to nothing leaves nothing; of another download the next try uses what is there."""
        if _is_local(model) and await anyio.to_thread.run_sync(self._is_lost, model):
            await anyio.to_thread.run_sync(self._library.place(model.model_id).try_to_clear_partial)
            await self._forget_if_lost(model)

    def _is_lost(self, model: Model) -> bool:
        """Whether nothing of it is stored, nor waits for a repair to go on."""
        partial = self._library.place(model.model_id).partial
        return self._library.recorded(model.model_id) is None and not any(partial.glob("*.part.json"))

    async def _forget_if_lost(self, model: Model) -> None:
        """A model that came from a path of this machine cannot be fetched again, so it is known no more."""
        if _is_local(model):
            await self.imported.remove(model.model_id)

    # --- one job --------------------------------------------------------------------------------------

    async def _carry_out(self, job: Job) -> None:
        def on_fault(error: Exception) -> None:
            _log.error("Download of %s failed unexpectedly", job.model.simple_name, exc_info=error)

        try:
            await job.operation.run(partial(self._work, job), lambda _: COMPLETED, on_fault)
        finally:
            del self._jobs[names.key(job.model.model_id)]
            give_turns(self._jobs.values())

    async def _work(self, job: Job) -> Downloaded:
        """Download, and take the job out of the journal unless it is the service that ends."""
        is_over = True
        try:
            return await self._download(job)
        except anyio.get_cancelled_exc_class():
            is_over = job.is_cancelled
            raise
        except OSError as error:
            raise await self._explain(error, job) from error
        finally:
            if is_over:
                with anyio.CancelScope(shield=True):
                    await self._journal.discard(job.model.model_id)
                    await self._clear_up(job.model)

    async def _download(self, job: Job) -> Downloaded:
        model = job.model
        place = self._library.place(model.model_id)
        stored = await anyio.to_thread.run_sync(self._find_stored, model, place)
        if stored is not None:
            job.operation.admit()
            job.meter.finish()
            return Downloaded(model, stored, 0)
        try:
            await self._sources.require_space(model, place)
            return await self._take_turn(job, place)
        finally:
            self._sources.release(place)

    async def _take_turn(self, job: Job, place: Place) -> Downloaded:
        """Wait for a free place, then fetch; the watchers get a line every now and then."""
        model = job.model
        job.step = "waiting"
        job.operation.admit()
        await self._journal.add(model.model_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.meter.tick)
            give_turns(self._jobs.values())
            await job.turn.wait()
            _log.info("Starting download: %s", model.simple_name)
            began = time.monotonic()
            try:
                size = await self._fetch_and_commit(job, place)
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
        seconds = round(time.monotonic() - began)
        _log.info("Download completed: %s (%d bytes in %d s)", model.simple_name, size, seconds)
        return Downloaded(model, size, seconds)

    def _find_stored(self, model: Model, place: Place) -> int | None:
        self._library.recover(place)
        stored = self._library.get(model.model_id)
        return stored.size_bytes if stored is not None else None

    async def _fetch_and_commit(self, job: Job, place: Place) -> int:
        try:
            staged = await self._sources.fetch(job.model, place, job.meter)
            job.meter.verify()
            # From here it is a matter of moments, and half of it would be no use to anybody.
            with anyio.CancelScope(shield=True):
                stored = await anyio.to_thread.run_sync(self._library.commit, job.model, place, staged)
                await anyio.to_thread.run_sync(_remove_originals, staged)
            return stored.size_bytes
        except GgufInvalid as error:
            # The bytes are the published ones, so keeping them for another try would be no use.
            await anyio.to_thread.run_sync(place.try_to_clear_partial)
            raise DownloadFailed(f"The published file is not a valid GGUF file. {error}") from error
        except OSError as error:
            raise await self._explain(error, job) from error

    async def _explain(self, error: OSError, job: Job) -> FoundryLocalError:
        cache_dir, needed = self._library.cache_dir, job.model.file_size_bytes
        return await anyio.to_thread.run_sync(from_os_error, error, cache_dir, needed)


def _usual_fetchers() -> dict[type[Any], Fetcher[Any]]:
    return {
        PackageSource: PythonPackageFetcher(),
        HubSource: HuggingFaceFetcher(),
        LocalSource: LocalFileFetcher(),
    }


def _remove_originals(staged: Iterable[StagedFile]) -> None:
    """The last step of a move: what was moved has its new place by now."""
    for file in staged:
        if file.original is not None:
            try:
                file.original.unlink()
            except OSError as error:
                _log.warning("'%s' was imported but not removed: %s", file.original.name, error.strerror)


def _is_local(model: Model) -> bool:
    return all(isinstance(source, LocalSource) for source in model.sources)


def _being_downloaded(model: Model) -> ModelInUse:
    error = ModelInUse(model.simple_name, "being downloaded")
    error.details = "Wait for the download, or cancel it first."
    return error
