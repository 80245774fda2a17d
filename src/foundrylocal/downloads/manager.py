"""All downloads: one job for each model, however many callers request it.

Invariant: a model has at most one job, and the job belongs to the manager, not to its callers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, LocalSource, Model, PackageSource, Registry
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.jobs import Downloaded, DownloadStatus, Job, give_turns
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.pending import PendingDownloads
from foundrylocal.downloads.runner import JobRunner
from foundrylocal.downloads.sources.base import Fetcher
from foundrylocal.downloads.sources.chain import SourceChain
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.downloads.sources.local_file import LocalFileFetcher
from foundrylocal.downloads.sources.python_package import PythonPackageFetcher
from foundrylocal.downloads.space import RESERVE_BYTES, DiskNeed
from foundrylocal.downloads.verification import Verdict, Verifier
from foundrylocal.errors import DiskRefused, ModelInUse, ModelNotFound, ServerShuttingDown
from foundrylocal.events import Progress
from foundrylocal.kit.operation import Operation

COMPLETED = "Download completed successfully"

__all__ = ["DownloadManager", "DownloadStatus", "Downloaded"]

_log = logging.getLogger("foundrylocal.DownloadService")


class DownloadManager:
    """Owner of the jobs. Its methods belong to the event loop.

    `note_transfer` is told how many bytes each completed download received from the network, and in how many seconds.
    """

    def __init__(
        self,
        registry: Registry,
        library: Library,
        *,
        state_dir: Path,
        reserve_bytes: int = RESERVE_BYTES,
        fetchers: dict[type[Any], Fetcher[Any]] | None = None,
        note_transfer: Callable[[int, float], None] = lambda received_bytes, seconds: None,
    ) -> None:
        self._registry = registry
        self._library = library
        self._pending = PendingDownloads(state_dir / "downloads.json")
        self.imported = ImportedModels(state_dir / "imported.json", registry)
        self._verifier = Verifier(library)
        sources = SourceChain(
            {**_default_fetchers(), **(fetchers or {})}, library, reserve_bytes=reserve_bytes
        )
        self._sources = sources
        self._jobs: dict[str, Job] = {}
        self._runner = JobRunner(
            library, sources, self._pending, self.imported, self._give_turns, note_transfer
        )
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Resume the downloads of the last run, then carry out downloads until cancelled."""
        await self.imported.load()
        unfinished = await self._pending.load()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for model_id in unfinished:
                    await self._resume(model_id)
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def _resume(self, model_id: str) -> None:
        try:
            model = self._registry.find(model_id)
        except ModelNotFound:
            await self._pending.discard(model_id)
            return
        _log.info("Resuming download: %s", model.simple_name)
        self.fetch(model)

    def fetch(self, model: Model) -> Operation[Downloaded]:
        """Download a model: joins its running job, or starts one.

        The result is Downloaded, at once if the model is already on disk. Errors: DownloadFailed,
        ChecksumMismatch, InsufficientDiskSpace, ModelCorrupted, OperationCancelled, ServerShuttingDown.
        """
        job = self._job_of(model.model_id)
        if job is not None:
            job.requesters += 1
            return job.operation
        if self._tasks is None:
            raise ServerShuttingDown()
        operation: Operation[Downloaded] = Operation(f"Download of {model.simple_name}")
        job = Job(model, operation, Meter(operation.report, model.file_size_bytes))
        self._jobs[names.key(model.model_id)] = job
        operation.report(Progress(f"Starting download: {model.simple_name}"))
        self._tasks.start_soon(self._carry_out, job)
        return operation

    async def _carry_out(self, job: Job) -> None:
        def on_fault(error: Exception) -> None:
            _log.error("Download of %s failed unexpectedly", job.model.simple_name, exc_info=error)

        try:
            await job.operation.run(partial(self._runner.run, job), lambda _: COMPLETED, on_fault)
        finally:
            del self._jobs[names.key(job.model.model_id)]
            self._give_turns()

    def _give_turns(self) -> None:
        give_turns(self._jobs.values())

    async def disk_need(self, model: Model) -> DiskNeed:
        """What downloading the model would still need of the disk now; nothing is claimed."""
        place = self._library.place(model.model_id)
        return await anyio.to_thread.run_sync(self._sources.look_at_space, model, place)

    def jobs(self) -> list[DownloadStatus]:
        """Running and waiting downloads, in the order they were requested."""
        return [job.as_status() for job in self._jobs.values() if job.step != "looking"]

    def is_downloading(self, model_id: str) -> bool:
        job = self._job_of(model_id)
        return job is not None and job.step != "looking"

    async def cancel(self, model_id: str) -> bool:
        """Cancel a download and wait until its processes have exited; False if there was none.

        Received bytes are kept for the next attempt.
        """
        job = self._job_of(model_id)
        if job is None:
            return False
        await self._end(job)
        return True

    async def withdraw(self, download: Operation[Downloaded]) -> None:
        """Take back one `fetch`: the download is cancelled unless another caller requested it too."""
        job = next((job for job in self._jobs.values() if job.operation is download), None)
        if job is not None:
            job.requesters -= 1
            if job.requesters <= 0:
                await self._end(job)

    async def _end(self, job: Job) -> None:
        job.is_cancelled = True
        job.operation.cancel()
        await job.operation.ended()

    async def delete(self, model: Model) -> int:
        """Delete a model from disk; the bytes that became free.

        Raises ModelInUse during a download, ModelNotOnDisk or DiskRefused.
        """
        self._refuse_during_download(model)
        try:
            freed_bytes = await anyio.to_thread.run_sync(self._library.delete, model.model_id)
        except OSError as error:
            _log.error("Deleting %s failed: %s", model.simple_name, error.strerror)
            raise DiskRefused("Deleting the model", error.strerror or type(error).__name__) from error
        _log.info("Deleted model: %s (%d bytes freed)", model.simple_name, freed_bytes)
        await self.imported.remove_if_local(model)
        return freed_bytes

    async def verify(self, model: Model) -> Verdict:
        """Read every byte of a stored model again. Raises ModelNotOnDisk or DiskRefused."""
        return await self._verifier.verify(model)

    async def repair(self, model: Model) -> Operation[Downloaded]:
        """Download the damaged files of a stored model again, and only those where the source allows it.

        Raises ModelInUse during a download, ModelNotOnDisk, DiskRefused, or InvalidRequest when no source has
        the damaged files.
        """
        self._refuse_during_download(model)
        await self._verifier.discard_damaged(model)
        return self.fetch(model)

    def _job_of(self, model_id: str) -> Job | None:
        return self._jobs.get(names.key(model_id))

    def _refuse_during_download(self, model: Model) -> None:
        if self.is_downloading(model.model_id):
            error = ModelInUse(model.simple_name, "being downloaded")
            error.details = "Wait for the download to finish, or cancel it first."
            raise error


def _default_fetchers() -> dict[type[Any], Fetcher[Any]]:
    return {
        PackageSource: PythonPackageFetcher(),
        HubSource: HuggingFaceFetcher(),
        LocalSource: LocalFileFetcher(),
    }
