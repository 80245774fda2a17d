"""All downloads: one job for each model, however many callers request it.

Invariant: a model has at most one job, and the job belongs to the manager, not to its callers. A paused download
has no job: it is an entry of `paused` here and on disk until it is resumed, cancelled or its model deleted.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
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
from foundrylocal.downloads.jobs import Downloaded, DownloadStatus, EndedDownload, Job, give_turns
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
from foundrylocal.errors import DiskRefused, ModelInUse, ModelNotFound, OperationCancelled, ServerShuttingDown
from foundrylocal.events import Measure, Progress
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.operation import Operation

COMPLETED = "Download completed successfully"
MAX_ENDED = 50

__all__ = ["DownloadManager", "DownloadStatus", "Downloaded", "EndedDownload"]

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
        self._paused: dict[str, DownloadStatus] = {}
        self._ended: deque[EndedDownload] = deque(maxlen=MAX_ENDED)
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Resume the downloads of the last run, then carry out downloads until cancelled."""
        await self.imported.load()
        unfinished = await self._pending.load()
        for model_id in self._pending.paused():
            await self._restore_paused(model_id)
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

    async def _restore_paused(self, model_id: str) -> None:
        try:
            model = self._registry.find(model_id)
        except ModelNotFound:
            await self._pending.discard(model_id)
            return
        kept = await anyio.to_thread.run_sync(self._library.place(model.model_id).partial_bytes)
        total = model.file_size_bytes
        percent = min(99.9, round(100 * kept / total, 1)) if total else None
        measure = Measure("paused", percent, min(kept, total) if total else kept, total or None)
        self._paused[names.key(model.model_id)] = DownloadStatus(
            model.model_id, model.simple_name, "paused", now_s(), measure
        )

    def fetch(self, model: Model) -> Operation[Downloaded]:
        """Download a model: joins its running job, starts one, or resumes a paused one.

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
        self._paused.pop(names.key(model.model_id), None)
        operation.report(Progress(f"Starting download: {model.simple_name}"))
        self._tasks.start_soon(self._carry_out, job)
        return operation

    async def _carry_out(self, job: Job) -> None:
        def on_fault(error: Exception) -> None:
            _log.error("Download of %s failed unexpectedly", job.model.simple_name, exc_info=error)

        try:
            await job.operation.run(partial(self._runner.run, job), lambda _: COMPLETED, on_fault)
        finally:
            key = names.key(job.model.model_id)
            del self._jobs[key]
            if job.was_paused:
                status = job.as_status()
                measure = replace(status.measure, stage="paused") if status.measure else None
                self._paused[key] = replace(status, state="paused", measure=measure)
            elif (ended := job.as_ended()) is not None:
                self._ended.append(ended)
            self._give_turns()

    def _give_turns(self) -> None:
        give_turns(self._jobs.values())

    async def disk_need(self, model: Model) -> DiskNeed:
        """What downloading the model would still need of the disk now; nothing is claimed."""
        place = self._library.place(model.model_id)
        return await anyio.to_thread.run_sync(self._sources.look_at_space, model, place)

    def jobs(self) -> list[DownloadStatus]:
        """Running, waiting and paused downloads, in the order they were requested."""
        found = [job.as_status() for job in self._jobs.values() if job.step != "looking"]
        return sorted([*found, *self._paused.values()], key=lambda status: status.requested_at)

    def ended(self) -> list[EndedDownload]:
        """The last downloads that ended since the service started, newest last."""
        return list(self._ended)

    def is_downloading(self, model_id: str) -> bool:
        job = self._job_of(model_id)
        return job is not None and job.step != "looking"

    async def cancel(self, model_id: str) -> bool:
        """Cancel a download and wait until its processes have exited; False if there was none.

        Received bytes are kept for the next attempt.
        """
        job = self._job_of(model_id)
        if job is not None:
            await self._end(job)
            return True
        return await self._forget_paused(model_id)

    async def pause(self, model_id: str) -> bool:
        """Pause a download and wait until its processes have exited; False if there is none to pause.

        It stays paused, over a restart too, until it is resumed or cancelled. One that is being completed completes.
        """
        job = self._job_of(model_id)
        if job is None or job.step == "looking":
            return names.key(model_id) in self._paused
        job.is_paused = True
        job.operation.cancel(OperationCancelled(job.operation.what, is_paused=True))
        await job.operation.ended()
        return job.was_paused

    def resume(self, model: Model) -> bool:
        """Continue a paused download; False if it is not paused. Raises ServerShuttingDown."""
        if names.key(model.model_id) not in self._paused:
            return False
        self.fetch(model)
        return True

    async def _forget_paused(self, model_id: str) -> bool:
        status = self._paused.pop(names.key(model_id), None)
        if status is None:
            return False
        await self._pending.discard(status.model_id)
        kept = status.measure.downloaded_bytes if status.measure else None
        model = self._registry.find(status.model_id)
        self._ended.append(EndedDownload(model, "cancelled", now_s(), 0, kept or 0, None))
        await self._runner.clean_up(model)
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
        await self._forget_paused(model.model_id)
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
            raise ModelInUse(
                model.simple_name, "being downloaded", "Wait for the download to finish, or cancel it first."
            )


def _default_fetchers() -> dict[type[Any], Fetcher[Any]]:
    return {
        PackageSource: PythonPackageFetcher(),
        HubSource: HuggingFaceFetcher(),
        LocalSource: LocalFileFetcher(),
    }
