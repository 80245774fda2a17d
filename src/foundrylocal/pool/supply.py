"""From a model to what the engine needs: its files on disk and checked, and the specification of a replica."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio

from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_model
from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.memory import MemoryEstimate, estimate
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.space import DiskNeed
from foundrylocal.engine.replica import ModelFile, ReplicaSpec
from foundrylocal.errors import ModelCorrupted, ModelNotDownloaded, SystemExhausted
from foundrylocal.events import Progress
from foundrylocal.kit.exhaustion import is_exhaustion
from foundrylocal.wire.load_options import EffectiveOptions
from foundrylocal.wire.options_report import OptionsReport

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A downloaded model: its files, and what their header says of it as a whole."""

    stored: Stored
    header: GgufHeader

    def limit(self, context_tokens: int) -> int:
        """The context, cut to what the model has."""
        return min(context_tokens, self.header.context_length or context_tokens)

    def estimate(self, options: EffectiveOptions) -> MemoryEstimate:
        """The memory that a replica with these options takes."""
        return estimate(
            self.header,
            self.stored.size_bytes,
            context_size=options.context_size,
            parallel=options.parallel,
            kv_cache_type=options.kv_cache_type,
        )


class Supply:
    """Asks the library and the downloads; owns the numbers of replicas, and where a model was loaded from.

    A change of the cache folder leaves its models where they are, so that one in use can be loaded again.
    """

    def __init__(self, library: Library, downloads: DownloadManager) -> None:
        self._library = library
        self._downloads = downloads
        self._numbers = itertools.count(1)
        self._loaded_from: dict[str, Stored] = {}

    async def _is_on_disk(self, model: Model) -> bool:
        return await anyio.to_thread.run_sync(self._library.get, model.model_id) is not None

    async def obtain(self, model: Model, *, report: Report) -> None:
        """See that the model is on disk, reporting the published lines. Raises the download's errors.

        Cancelling it ends the download too, unless somebody else asked for that.
        """
        report(Progress("Checking if model is downloaded..."))
        if await self._is_on_disk(model):
            report(Progress("Model found locally"))
            return
        report(Progress("Model not found locally, downloading..."))
        download = self._downloads.fetch(model)
        try:
            with download.watch() as events:
                async for event in events:
                    if isinstance(event, Progress):
                        report(event)
            await download.result()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._downloads.withdraw(download)
            raise

    async def delete(self, model: Model) -> int:
        """Remove its files; bytes freed. Raises ModelNotOnDisk, and ModelInUse while it is being fetched."""
        self._loaded_from.pop(model.model_id, None)
        return await self._downloads.delete(model)

    async def inspect(self, model: Model) -> ModelFiles | None:
        """What is on disk of the model, its header read once; None when it is not downloaded.

        Raises ModelCorrupted when a file is missing, changed or not valid.
        """
        return await anyio.to_thread.run_sync(self._inspect, model)

    def _inspect(self, model: Model) -> ModelFiles | None:
        found = self._library.inspect(model)
        return ModelFiles(*found) if found else None

    async def disk_need(self, model: Model) -> DiskNeed:
        """What the download of the model still needs of the disk."""
        return await self._downloads.disk_need(model)

    async def require(self, model: Model) -> ModelFiles:
        """The model's files, be it those that it was loaded from before the cache folder changed.

        Raises ModelCorrupted, ModelNotDownloaded.
        """
        return await anyio.to_thread.run_sync(self._read, model)

    def _read(self, model: Model) -> ModelFiles:
        files = self._inspect(model)
        if files is None and (before := self._loaded_from.get(model.model_id)) is not None:
            files = self._inspect_former(model, before)
        if files is None:
            raise ModelNotDownloaded(f"Download it first: POST /models/{model.simple_name}/download.")
        return files

    def _inspect_former(self, model: Model, stored: Stored) -> ModelFiles | None:
        """The files of a model in a former cache folder; None when they are not what they were."""
        if stored.problem() is not None:
            return None
        try:
            return ModelFiles(stored, read_model(stored.model_path)[0])
        except (GgufInvalid, OSError) as error:
            if isinstance(error, OSError) and is_exhaustion(error):
                raise SystemExhausted(str(error.strerror)) from None
            reason = (
                str(error) if isinstance(error, GgufInvalid) else f"{error.strerror or 'It cannot be read'}."
            )
            raise ModelCorrupted(model.simple_name, reason) from None

    def next_id(self, model_id: str) -> str:
        """The id of one more replica of the model."""
        return f"{model_id}#{next(self._numbers)}"

    def number_after(self, replica_ids: Iterable[str]) -> None:
        """Number further replicas after these, which a service before this one launched."""
        taken = [int(number) for one in replica_ids if (number := one.rpartition("#")[2]).isdecimal()]
        self._numbers = itertools.count(max(taken, default=0) + 1)

    def make_spec(
        self, model: Model, files: ModelFiles, report: OptionsReport, memory_bytes: int
    ) -> ReplicaSpec:
        """The specification of one more replica, with an id of its own."""
        stored, header = files.stored, files.header
        self._loaded_from[model.model_id] = stored
        is_reranking = header.is_reranker or "rerank" in model.capabilities
        return ReplicaSpec(
            id=self.next_id(model.model_id),
            model_id=model.model_id,
            model_path=stored.model_path,
            projector_path=stored.projector_path,
            file_bytes=stored.size_bytes,
            memory_bytes=memory_bytes,
            options=report.effective,
            report=report,
            is_embedding=(header.is_embedding or "embedding" in model.capabilities) and not is_reranking,
            is_reranking=is_reranking,
            content_id=stored.content_id,
            files=_files_of(stored),
            has_long_context=0 < (header.original_context_length or 0) < report.effective.context_size,
        )


def _files_of(stored: Stored) -> tuple[ModelFile, ...]:
    paths = [(file, Path(file.path_in(str(stored.folder)))) for file in stored.files]
    return tuple(ModelFile(path.name, path, file.size_bytes, file.sha256) for file, path in paths)
